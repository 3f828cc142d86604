// SPDX-License-Identifier: GPL-2.0-only

//! What the tests in the guest stand on.
//!
//! A test is a function `fn(&mut Ctx) -> Result<()>`, listed in its file's `tests()` by
//! [`tests!`](crate::tests). It makes what it needs, asks, and returns an error that says what was
//! expected and what was seen. It is over when everything that it made is dropped; after each test
//! the runner ([`run`]) looks for what was left behind ([`clean`]) and for marks of a crash in the
//! kernel's log, and fails the test for either.
//!
//! - [`Ctx::netns`] makes a network namespace with a name; [`Netns::run`] and friends run a program
//!   in it, [`Netns::enter`] runs a closure in it.
//! - [`Ctx::log`] gives the module's lines in the kernel's log since the last call.
//! - [`cluster::Cluster`] is a wire and N nodes, each with `eth0`, an address of its own and the
//!   VIP. A node tells by its raw sockets which packets came through its INPUT chain.
//! - [`host`] makes a namespace with two devices, for what needs no packets.
//! - [`packet`] builds packets, byte by byte, [`flow`] and [`traffic`] many; [`marks`] reads connections' marks, [`stat`]
//!   what the module counts; [`tap::Tap`] puts frames on a device and takes them
//!   off it.
//! - [`blob`] builds whole tables by hand and hands them to the kernel, for what `iptables` cannot say;
//!   [`compat`] does so as a 32-bit program would, [`revision1`] has the rules of revision 1.
//! - [`flushed`] has a namespace whose rules go before it, for a module that can't bear another order.
//! - [`hands`] makes threads meet in the kernel.
//! - [`links`] makes, changes and removes devices without a program's help.
//! - [`allocations`] knows what memory the module holds; [`fault`] stops or starves the kernel's reader;
//!   [`module`] loads and unloads.
//! - [`kmemleak`] asks a debug kernel for lost memory, [`quarantine`] gives back what KASAN keeps; [`pace`] says how much a run does and how long it
//!   waits, [`count`] what it has done.
//! - [`sys`], [`fault`] and [`arena`] have every `unsafe` of this program.
//!
//! All tests run in one process, one after the other, on one thread.

pub mod allocations;
pub mod arena;
pub mod blob;
pub mod clean;
pub mod cluster;
pub mod compat;
pub mod count;
pub mod fault;
pub mod flow;
pub mod flushed;
pub mod hands;
pub mod holder;
pub mod hooks;
pub mod host;
pub mod kmemleak;
pub mod kmsg;
pub mod links;
pub mod marks;
pub mod module;
pub mod neighbour;
pub mod netns;
pub mod pace;
pub mod packet;
pub mod quarantine;
pub mod revision1;
pub mod root;
pub mod run;
pub mod stat;
pub mod sys;
pub mod tap;
pub mod traffic;

use anyhow::ensure;
use anyhow::Result;
use std::io;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub use cluster::Cluster;
pub use netns::Netns;

/// What a test does.
pub type Run = Box<dyn Fn(&mut Ctx) -> Result<()>>;

/// A test and its name.
pub struct Test {
    pub name: String,
    pub run: Run,
}

/// Tests that belong together: after the last of them a debug kernel is asked for lost memory.
pub struct Group {
    pub name: &'static str,
    pub tests: Vec<Test>,
}

/// Tests, each named as its function is.
#[macro_export]
macro_rules! tests {
    ($($function:ident),+ $(,)?) => {
        vec![$($crate::Test {
            name: stringify!($function).to_string(),
            run: Box::new($function),
        }),+]
    };
}

/// What a test is given.
pub struct Ctx {
    kmsg: kmsg::Kmsg,
}

impl Ctx {
    /// For a test that starts now: what the kernel said before is not its business.
    pub fn new() -> Result<Self> {
        Ok(Self {
            kmsg: kmsg::Kmsg::from_now()?,
        })
    }

    /// A new network namespace; its loopback device is down.
    pub fn netns(&self, name: &str) -> Result<Netns> {
        Netns::new(name)
    }

    /// The module's lines in the kernel's log since the last call (or the test's start), without
    /// its prefix.
    pub fn log(&mut self) -> Result<Vec<String>> {
        let lines = self.kmsg.read()?;
        Ok(lines
            .iter()
            .filter_map(|line| line.strip_prefix(kmsg::PREFIX).map(str::to_string))
            .collect())
    }

    /// All lines in the kernel's log since the last call.
    pub fn kernel_log(&mut self) -> Result<Vec<String>> {
        self.kmsg.read()
    }

    /// The marks of a crash in the kernel's log, since the start.
    pub fn crashes(&mut self) -> Result<&[String]> {
        self.kmsg.crashes()
    }

    /// Checks that the one line about `vip` since the last call is `sentence`, then the VIP, then
    /// a remedy.
    pub fn expect_refusal(&mut self, sentence: &str, vip: &str) -> Result<()> {
        let start = format!("{sentence}: VIP {vip}: ");
        let line = self.expect_line(vip)?;
        ensure!(
            line.starts_with(&start),
            "the log should have a line {start:?} and a remedy, it has {line:?}"
        );
        Ok(())
    }

    /// Checks that there is one line since the last call, and that it has a sentence, `vip` and a
    /// remedy; the line.
    pub fn expect_line(&mut self, vip: &str) -> Result<String> {
        let mut lines = self.log()?;
        ensure!(
            lines.len() == 1,
            "the log should have one line about {vip}, it has {lines:?}"
        );
        let line = lines.remove(0);
        let parts = line.split_once(&format!(": VIP {vip}: "));
        ensure!(
            parts.is_some_and(|(sentence, remedy)| !sentence.is_empty() && !remedy.is_empty()),
            "a line should be a sentence, `: VIP {vip}: ` and a remedy, it is {line:?}"
        );
        Ok(line)
    }

    /// Checks that the module said nothing since the last call.
    pub fn expect_silence(&mut self) -> Result<()> {
        let lines = self.log()?;
        ensure!(
            lines.is_empty(),
            "nothing should be in the log, there is {lines:?}"
        );
        Ok(())
    }
}

/// Asks again and again until the answer is yes; an error of `what` when it is not within 5 s, or
/// what this run has for it.
pub fn eventually(what: &str, mut question: impl FnMut() -> Result<bool>) -> Result<()> {
    let limit = pace::patience(Duration::from_secs(5));
    let deadline = Instant::now() + limit;
    loop {
        if question()? {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Checks that a call fails as it should; `what` says which.
pub fn expect_errno<T>(what: &str, result: io::Result<T>, wanted: i32) -> Result<()> {
    let seen = match result {
        Ok(_) => "it succeeds".to_string(),
        Err(error) if error.raw_os_error() == Some(wanted) => return Ok(()),
        Err(error) => error.to_string(),
    };
    let wanted = io::Error::from_raw_os_error(wanted);
    Err(anyhow::anyhow!(
        "{what} should fail with {wanted}, but: {seen}"
    ))
}
