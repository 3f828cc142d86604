// SPDX-License-Identifier: GPL-2.0-only

//! A VIP follows the name of a device that comes back. Whoever makes the device can't be refused for
//! the VIP's sake, so a VIP that can't follow has to say so, and how it is brought to.

use super::rules::rule;
use crate::faults::Faults;
use crate::room;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::host;
use harness::links::Links;
use harness::module;
use harness::Ctx;
use harness::Netns;
use std::io;

const DEVICE: &str = "eth0";
const AWAY: &str = "away";

/// How the device gets its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Registration,
    Rename,
}

struct Following {
    host: Netns,
    links: Links,
    by: By,
}

pub fn registration(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    following(ctx, By::Registration)
}

pub fn rename(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    following(ctx, By::Rename)
}

fn following(ctx: &mut Ctx, by: By) -> Result<Box<dyn Operation>> {
    module::load("dummy")?;
    let host = host(ctx)?;
    let links = host.enter(Links::new)??;
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[rule(VIP_ADDRESS)])?;
    links.delete(DEVICE)?;
    let operation = Following { host, links, by };
    if by == By::Rename {
        operation.links.dummy(AWAY)?;
    }
    Ok(Box::new(operation))
}

impl Following {
    /// How often the device has joined the VIP's MAC.
    fn memberships(&self) -> Result<u32> {
        let mac = room::mac(VIP_ADDRESS).map(|byte| format!("{byte:02x}"));
        self.host.memberships(DEVICE, &mac.join(":"))
    }

    fn expect(&self, memberships: u32) -> Result<()> {
        let seen = self.memberships()?;
        ensure!(
            seen == memberships,
            "the MAC should be joined {memberships} times, is {seen}"
        );
        ensure!(self.host.nodes(VIP)? == "1", "{}", self.host.nodes(VIP)?);
        ensure!(uses()? == Some(1), "{:?} uses of the module", uses()?);
        Ok(())
    }
}

impl Operation for Following {
    fn attempt(&mut self) -> io::Result<()> {
        match self.by {
            By::Registration => self.links.dummy(DEVICE)?,
            By::Rename => self.links.rename(AWAY, DEVICE)?,
        }
        if self.memberships().map_err(io::Error::other)? == 0 {
            return Err(io::Error::other("the VIP does not follow"));
        }
        Ok(())
    }

    fn refused(&mut self, ctx: &mut Ctx, _: &io::Error) -> Result<()> {
        let line = ctx.expect_line(VIP)?;
        ensure!(
            line.contains(DEVICE) && line.contains("memory") && line.contains("name"),
            "the line should name the device, and say that memory is to be freed and the device to \
             be given its name again: {line:?}"
        );
        self.expect(0)?;
        // What the line says is to be done.
        self.links.rename(DEVICE, "other")?;
        self.links.rename("other", DEVICE)?;
        ctx.expect_silence()?;
        self.expect(1)?;
        self.undo(ctx)
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        ctx.expect_silence()?;
        self.expect(1)
    }

    fn undo(&mut self, ctx: &mut Ctx) -> Result<()> {
        match self.by {
            By::Registration => self.links.delete(DEVICE)?,
            By::Rename => self.links.rename(DEVICE, AWAY)?,
        }
        ctx.expect_silence()?;
        self.expect(0)
    }
}
