// SPDX-License-Identifier: GPL-2.0-only

//! The module's start, in a machine with some namespaces, each of which gets its part.

use crate::faults::Faults;
use crate::faults::Reach;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Result;
use harness::module;
use harness::Ctx;
use harness::Netns;
use nix::kmod::init_module;
use std::io;
use std::path::Path;

const NAME: &str = "ipt_CLUSTERIP";
const DIRECTORY: &str = "/proc/thread-self/net/ipt_CLUSTERIP";

struct Load {
    image: Vec<u8>,
    others: [Netns; 2],
}

pub fn load(ctx: &mut Ctx, faults: &Faults) -> Result<Box<dyn Operation>> {
    // What it depends on stays loaded.
    module::load(NAME)?;
    module::unload()?;
    Ok(Box::new(Load {
        image: faults.image().to_vec(),
        others: [ctx.netns("second")?, ctx.netns("third")?],
    }))
}

impl Load {
    /// Checks that the module is everywhere, or nowhere.
    fn expect(&self, wanted: bool) -> Result<()> {
        ensure!(module::is_loaded(NAME) == wanted, "loaded: {}", !wanted);
        let there = || Path::new(DIRECTORY).exists();
        let mut seen = vec![there()];
        for other in &self.others {
            seen.push(other.enter(there)?);
        }
        ensure!(
            seen.iter().all(|seen| *seen == wanted),
            "directories in the three namespaces should be {wanted}, they are {seen:?}"
        );
        Ok(())
    }
}

impl Operation for Load {
    fn reach(&self) -> Reach {
        Reach::AnyModule
    }

    fn attempt(&mut self) -> io::Result<()> {
        Ok(init_module(&self.image, c"")?)
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        ensure!(
            error.raw_os_error() == Some(libc::ENOMEM),
            "the error should be ENOMEM"
        );
        // `modprobe` gives the error by its name, so that a line of the module's is not needed.
        let lines = ctx.log()?;
        ensure!(
            lines.len() <= 1 && lines.iter().all(|line| line.contains("memory")),
            "one line at most, about memory, should be in the log: {lines:?}"
        );
        self.expect(false)
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        let lines = ctx.log()?;
        let loaded = |line: &String| line.contains("loaded successfully");
        ensure!(lines.len() == 1 && lines.iter().all(loaded), "{lines:?}");
        self.expect(true)
    }

    fn undo(&mut self, ctx: &mut Ctx) -> Result<()> {
        module::unload()?;
        ctx.log()?;
        self.expect(false)
    }
}
