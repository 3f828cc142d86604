// SPDX-License-Identifier: GPL-2.0-only

//! Cases: what an admin can do, and what is to be seen of it.
//!
//! A case is a function `fn(&mut Case) -> Result<()>`; it makes what it needs, does one thing and
//! says what it saw, by [`Case::saw`] and its kin. It knows of no right or wrong: an error that it
//! returns means that the case could not be carried out, and fails it in every implementation.

use crate::cases;
use crate::host::Host;
use crate::record;
use anyhow::anyhow;
use anyhow::Result;
use harness::clean;
use harness::Ctx;
use std::fmt::Display;
use std::fs;
use std::io;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Options {
    /// Only those with one of these in their name
    patterns: Vec<String>,
    /// The cases that harm a kernel, of which a boot can bear one
    #[arg(long)]
    harmful: bool,
    /// Print their names only
    #[arg(long)]
    list: bool,
}

/// The original says it once in each namespace, ours never; one case is about it, and all others
/// pass over it.
pub const DEPRECATED: &str =
    "ipt_CLUSTERIP is deprecated and it will removed soon, use xt_cluster instead";

pub type Run = fn(&mut Case) -> Result<()>;

/// A case, its name, and where in the reference it comes from.
pub struct Entry {
    pub section: &'static str,
    pub name: &'static str,
    pub run: Run,
}

/// Cases, each named as its function is: `cases!["2.1" => a, b; "2.4" => c]`.
#[macro_export]
macro_rules! cases {
    ($($section:literal => $($function:ident),+);+ $(;)?) => {
        vec![$($($crate::case::Entry {
            section: $section,
            name: stringify!($function),
            run: $function,
        }),+),+]
    };
}

impl Entry {
    /// The name that it is known by: `§2.1 mode_unknown`.
    fn title(&self) -> String {
        format!("§{} {}", self.section, self.name)
    }
}

/// What a case is given.
pub struct Case {
    title: String,
    pub ctx: Ctx,
}

impl Case {
    /// Says what `key` was.
    pub fn saw(&mut self, key: &str, value: impl Display) {
        record::print(&self.title, key, &value.to_string());
    }

    /// Says how a call ended: `ok`, or the error's name.
    pub fn errno<T>(&mut self, key: &str, result: &io::Result<T>) {
        let value = match result {
            Ok(_) => "ok".to_string(),
            Err(error) => errno_name(error),
        };
        self.saw(key, value);
    }

    /// Says what the module wrote to the log since the last look, up to the original's own
    /// sentence: what ours adds after it (`: VIP …: remedy`) is cut.
    pub fn log(&mut self, key: &str) -> Result<()> {
        let lines = self.sentences()?;
        self.saw(
            key,
            if lines.is_empty() {
                "nothing".to_string()
            } else {
                lines.join(" | ")
            },
        );
        Ok(())
    }

    /// The sentences since the last look.
    pub fn sentences(&mut self) -> Result<Vec<String>> {
        let lines = self.ctx.log()?;
        Ok(lines
            .iter()
            .map(|line| line.split(": VIP ").next().unwrap_or(line).to_string())
            .filter(|line| line != DEPRECATED)
            .collect())
    }

    /// A machine with `eth0` and `eth1`, the module loaded, its log read; see `harness::host`.
    pub fn host(&mut self) -> Result<Host> {
        self.host_named("host")
    }

    pub fn host_named(&mut self, name: &str) -> Result<Host> {
        Ok(Host::new(harness::host::named(&mut self.ctx, name)?))
    }
}

/// `EINVAL` and the like; the number where it has no name here.
pub fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?}", nix::errno::Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// Says how far a long run is, and how long it will still take.
pub fn progress(what: &str, done: usize, of: usize, start: Instant) {
    let seconds = start.elapsed().as_secs();
    let left = seconds * (of - done) as u64 / (done as u64).max(1);
    println!("{what} {done} of {of}, {seconds} s, about {left} s left");
}

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs cases and prints what they saw.
pub fn run(options: &Options) -> Result<bool> {
    let all = if options.harmful {
        cases::harmful()
    } else {
        cases::all()
    };
    let wanted: Vec<&Entry> = all
        .iter()
        .filter(|case| {
            let title = case.title();
            options.patterns.is_empty() || options.patterns.iter().any(|part| title.contains(part))
        })
        .collect();
    if options.list {
        wanted.iter().for_each(|case| println!("{}", case.name));
        return Ok(true);
    }
    // Each line that the module says is looked for: none may be lost to the rate limit.
    fs::write("/proc/sys/net/core/message_cost", "0")?;
    let start = Instant::now();
    let mut said = start;
    for (number, entry) in wanted.iter().enumerate() {
        // Where it was, should the kernel end here; not for people to read.
        println!("at\t{}", entry.title());
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            progress("case", number, wanted.len(), start);
        }
        let watchdog = watch(entry.title());
        let result = run_one(entry);
        drop(watchdog);
        if let Err(error) = result {
            record::print(&entry.title(), "broken", &format!("{error:#}"));
        }
    }
    println!("{} cases in {} s", wanted.len(), start.elapsed().as_secs());
    Ok(!wanted.is_empty())
}

fn run_one(entry: &Entry) -> Result<()> {
    let mut case = Case {
        title: entry.title(),
        ctx: Ctx::new()?,
    };
    let result = catch_unwind(AssertUnwindSafe(|| (entry.run)(&mut case)))
        .unwrap_or_else(|_| Err(anyhow!("the case itself panicked")));
    for left in clean::left_behind()? {
        case.saw("left behind", left);
    }
    let crashes = case.ctx.crashes()?.to_vec();
    for crash in crashes {
        case.saw("crash", crash);
    }
    result
}

/// Ends the program when the answer is not dropped in time: a thread inside the kernel cannot be
/// stopped.
fn watch(title: String) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(LIMIT) {
            record::print(
                &title,
                "broken",
                &format!("no end after {} s", LIMIT.as_secs()),
            );
            std::process::exit(1);
        }
    });
    sender
}
