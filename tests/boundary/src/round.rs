// SPDX-License-Identifier: GPL-2.0-only

//! One round: a process with a namespace of its own, as root of the machine or of a user namespace that
//! an ordinary user made. What it did and found it writes to a pipe, line by line, since a round that
//! goes wrong may not come to its end.

use crate::corpus::Corpus;
use crate::input::Random;
use crate::kcov;
use crate::kcov::Kcov;
use crate::sys;
use crate::world::Counts;
use crate::world::World;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;

/// Debian's nobody.
const USER: u32 = 65_534;
/// Steps from one checkpoint to the next.
const CHECK_AFTER: u64 = 50;

/// Whose root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Root {
    Machine,
    UserNamespace,
}

impl Root {
    pub fn of_round(round: u64) -> Self {
        if round % 2 == 0 {
            Self::Machine
        } else {
            Self::UserNamespace
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "the machine's root",
            Self::UserNamespace => "root of a user namespace",
        }
    }
}

/// Which round, and how it goes.
pub struct Round<'a> {
    pub seed: u64,
    pub number: u64,
    pub steps: u64,
    /// Each step is said before it is taken.
    pub trace: bool,
    pub corpus: &'a Corpus,
}

impl Round<'_> {
    /// The whole life of the process.
    pub fn run(&self, mut pipe: File) {
        let result = catch_unwind(AssertUnwindSafe(|| self.play(&mut pipe)))
            .unwrap_or_else(|_| Err(anyhow!("this program panicked")));
        let last = match result {
            Ok(()) => "end\n".to_string(),
            Err(error) => format!("wrong {}\n", format!("{error:#}").replace('\n', " ")),
        };
        let _ = pipe.write_all(last.as_bytes());
    }

    fn play(&self, pipe: &mut File) -> Result<()> {
        let kcov = match kcov::available() {
            true => Some(Kcov::new().context("KCOV")?),
            false => None,
        };
        self.enter().context("namespaces")?;
        let mut random = Random::new(self.seed, self.number);
        let mut world = World::new(&mut random, Root::of_round(self.number) == Root::Machine)
            .context("setting up")?;
        let mut seen = HashSet::new();
        let result = (1..=self.steps).try_for_each(|step| {
            let bytes = self.corpus.next(&mut random);
            if self.trace {
                println!("round {} step {step}: {}", self.number, hex(&bytes));
            }
            let result = match &kcov {
                None => world.step(&bytes),
                Some(kcov) => {
                    let (result, places) = kcov.trace(|| world.step(&bytes))?;
                    let is_new = |place: &u64| !self.corpus.knows(*place);
                    let new: Vec<u64> = places
                        .into_iter()
                        .filter(|place| is_new(place) && seen.insert(*place))
                        .collect();
                    if !new.is_empty() {
                        let list: Vec<String> =
                            new.iter().map(|place| format!("{place:x}")).collect();
                        writeln!(pipe, "kept {} {}", hex(&bytes), list.join(" "))?;
                    }
                    result
                }
            };
            let checked = if step % CHECK_AFTER == 0 {
                result.and_then(|()| world.checkpoint().context("checkpoint"))
            } else {
                result
            };
            checked.with_context(|| format!("step {step}"))
        });
        // Every other time the namespace ends with its rules.
        let result = if result.is_ok() && self.number % 4 < 2 {
            world
                .reset()
                .and_then(|()| world.flush())
                .context("flushing")
        } else {
            result
        };
        report(pipe, &world.counts)?;
        result
    }

    fn enter(&self) -> Result<()> {
        if Root::of_round(self.number) == Root::Machine {
            return Ok(unshare(CloneFlags::CLONE_NEWNET)?);
        }
        sys::become_user(USER)?;
        sys::be_dumpable()?;
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
        fs::write("/proc/self/setgroups", "deny").context("setgroups")?;
        fs::write("/proc/self/uid_map", format!("0 {USER} 1")).context("uid_map")?;
        fs::write("/proc/self/gid_map", format!("0 {USER} 1")).context("gid_map")
    }
}

fn report(pipe: &mut File, counts: &Counts) -> Result<()> {
    let list: Vec<String> = counts.list().iter().map(u64::to_string).collect();
    Ok(writeln!(pipe, "counts {}", list.join(" "))?)
}

fn hex(bytes: &[u8]) -> String {
    // None at all would be no word of a line.
    if bytes.is_empty() {
        return "00".to_string();
    }
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
