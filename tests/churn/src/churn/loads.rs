// SPDX-License-Identifier: GPL-2.0-only

//! Who loads and unloads the module.

use super::gate::Kind;
use super::stage::Host;
use super::tally::Tally;
use super::tally::What;
use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::blob;
use harness::host::program;
use harness::sys;
use std::thread;
use std::time::Duration;

/// Unloads the module whenever nobody uses it; while a rule stands, it must not go.
pub fn unload(kind: Kind, random: &mut Rng, tally: &Tally) -> Result<()> {
    let unloaded = sys::delete_module("ipt_CLUSTERIP");
    let pause = match kind {
        Kind::Rules => 200,
        Kind::Module => 10,
    };
    match unloaded.as_ref().map_err(std::io::Error::raw_os_error) {
        Ok(()) if kind == Kind::Rules => bail!("the module went, with a rule there"),
        Ok(()) => tally.one(What::Loads),
        // In use, on its way, or not there.
        Err(Some(libc::EAGAIN | libc::EBUSY)) => {}
        Err(Some(libc::ENOENT)) if kind == Kind::Module => {}
        Err(_) => unloaded.context("unloading")?,
    }
    thread::sleep(Duration::from_millis(random.u64(..pause)));
    Ok(())
}

/// Has the kernel load it by asking for the target, or loads it by name.
pub fn load(host: &Host, kind: Kind, random: &mut Rng) -> Result<()> {
    if kind == Kind::Module && random.u8(..4) == 0 {
        // It may be going at that moment, which modprobe has its own words for.
        if let Err(error) = program("modprobe ipt_CLUSTERIP") {
            let said = format!("{error:#}");
            if !said.contains("could not insert") {
                return Err(error);
            }
        }
    } else {
        let socket = host.ns.enter(blob::socket)??;
        match blob::revision(&socket, "CLUSTERIP", 0) {
            Ok(()) => {}
            // It went before it was looked at.
            Err(error)
                if kind == Kind::Module
                    && matches!(
                        error.raw_os_error(),
                        Some(libc::ENOENT | libc::EPROTONOSUPPORT)
                    ) => {}
            Err(error) => return Err(error).context("asking for the target"),
        }
    }
    thread::sleep(Duration::from_millis(random.u64(..60)));
    Ok(())
}
