// SPDX-License-Identifier: GPL-2.0-only

//! Namespaces: each gets a registry and a directory when it is made, and gives all back when it ends.

use super::rules::rule;
use crate::faults::Faults;
use crate::sweep::Operation;
use crate::sweep::Tally;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::clean::namespaces_beyond;
use harness::clean::uses;
use harness::eventually;
use harness::host::named;
use harness::module;
use harness::Ctx;
use nix::sched::setns;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use std::fs::File;
use std::io;
use std::path::Path;

/// The calling thread's own.
const CURRENT: &str = "/proc/thread-self/ns/net";
const DIRECTORY: &str = "/proc/thread-self/net/ipt_CLUSTERIP";

struct Creation {
    /// Where this thread is at home.
    home: File,
    new: Option<File>,
}

pub fn creation(_: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    module::load("ipt_CLUSTERIP")?;
    let home = File::open(CURRENT)?;
    Ok(Box::new(Creation { home, new: None }))
}

impl Creation {
    fn is_there(&self) -> Result<bool> {
        let Some(new) = &self.new else {
            return Ok(false);
        };
        setns(new, CloneFlags::CLONE_NEWNET)?;
        let there = Path::new(DIRECTORY).exists();
        setns(&self.home, CloneFlags::CLONE_NEWNET)?;
        Ok(there)
    }
}

impl Operation for Creation {
    fn attempt(&mut self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let new = File::open(CURRENT);
        setns(&self.home, CloneFlags::CLONE_NEWNET)?;
        self.new = Some(new?);
        Ok(())
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        ensure!(
            error.raw_os_error() == Some(libc::ENOMEM),
            "the error should be ENOMEM"
        );
        // Whoever wanted a namespace does not know that this module had to do with it.
        let lines = ctx.log()?;
        ensure!(
            lines.len() == 1 && lines[0].contains("memory"),
            "one line should say that memory is to be freed, the log has {lines:?}"
        );
        let home = Path::new(DIRECTORY).exists();
        ensure!(home, "this namespace's own directory should be there");
        Ok(())
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        ctx.expect_silence()?;
        ensure!(self.is_there()?, "the new namespace has no directory");
        Ok(())
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        self.new = None;
        Ok(())
    }
}

/// How many VIPs a namespace ends with.
const VIPS: u8 = 3;

/// A namespace that ends with its rules in place. The kernel has a thread of its own for that, whose
/// allocations can't be counted: the first one fails, then the first two, … until there are no more.
/// Nobody is there to be refused anything.
pub fn end(ctx: &mut Ctx, faults: &Faults) -> Result<Tally> {
    let mut tally = Tally::default();
    for times in 1.. {
        let host = named(ctx, "ending")?;
        let socket = host.enter(blob::socket)??;
        let rules: Vec<_> = (0..VIPS)
            .map(|number| rule([10, 9, 1, number].into()))
            .collect();
        blob::replace(&socket, "filter", &rules)?;
        drop(socket);
        ctx.log()?;
        // No other namespace may be made meanwhile: that would be refused.
        let (ended, injected) = faults.of_anyone(times, || {
            drop(host);
            eventually("the end of the rules", || Ok(uses()? == Some(0)))
        })?;
        let failing = || format!("the first {injected} allocations fail");
        ended.with_context(failing)?;
        let left = namespaces_beyond(0)?;
        ensure!(left == 0, "{}: the namespace does not end", failing());
        ctx.expect_silence().with_context(failing)?;
        tally.allocations = injected;
        tally.injected += injected;
        tally.survived += injected;
        if injected < times {
            break;
        }
    }
    ensure!(tally.injected > 0, "no allocation was there to fail");
    Ok(tally)
}
