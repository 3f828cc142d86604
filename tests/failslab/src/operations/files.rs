// SPDX-License-Identifier: GPL-2.0-only

//! A VIP's file: opened, read, written.

use super::rules::rule;
use super::rules::rule_of_many;
use crate::faults::Faults;
use crate::faults::Reach;
use crate::room::Room;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::fault::Untouched;
use harness::Ctx;
use std::collections::BTreeMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;

/// A namespace with one VIP, of which nothing may change but what is written.
pub struct Vip {
    pub room: Room,
    rule: Rule,
}

impl Vip {
    fn new(ctx: &mut Ctx) -> Result<Self> {
        Self::of(ctx, rule(VIP_ADDRESS))
    }

    /// The VIP that this rule makes.
    pub fn of(ctx: &mut Ctx, rule: Rule) -> Result<Self> {
        let room = Room::new(ctx)?;
        room.replace("filter", &[rule.clone()])?;
        Ok(Self { room, rule })
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        self.room.host.open(VIP, options.read(true).write(true))
    }

    pub fn expect(&self, ctx: &mut Ctx, nodes: &str) -> Result<()> {
        ctx.expect_silence()?;
        let nodes = BTreeMap::from([(VIP_ADDRESS, nodes.to_string())]);
        self.room.expect("filter", &[self.rule.clone()], &nodes)
    }
}

pub fn expect_errno(error: &io::Error, wanted: &[i32]) -> Result<()> {
    ensure!(
        error
            .raw_os_error()
            .is_some_and(|errno| wanted.contains(&errno)),
        "the error should be another one, of {wanted:?}"
    );
    Ok(())
}

struct Open {
    vip: Vip,
    file: Option<File>,
}

pub fn open(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let vip = Vip::new(ctx)?;
    Ok(Box::new(Open { vip, file: None }))
}

impl Operation for Open {
    /// The module's own part is to hand the file on to `single_open()`.
    fn reach(&self) -> Reach {
        Reach::Kernel("proc_reg_open")
    }

    fn attempt(&mut self) -> io::Result<()> {
        self.file = Some(self.vip.open()?);
        Ok(())
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        expect_errno(error, &[libc::ENOMEM])?;
        self.vip.expect(ctx, "1")
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        let mut text = String::new();
        let mut file = self.file.as_ref().context("no file")?;
        file.read_to_string(&mut text)?;
        ensure!(text == "1\n", "the file says {text:?}");
        self.vip.expect(ctx, "1")
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

/// The first read of an open file makes room for the text.
struct First {
    vip: Vip,
    file: Option<File>,
    text: String,
}

pub fn read(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    Ok(Box::new(First {
        vip: Vip::new(ctx)?,
        file: None,
        text: String::new(),
    }))
}

impl First {
    fn read(&mut self) -> io::Result<()> {
        let mut file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = [0; 64];
        let length = file.read(&mut bytes)?;
        self.text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Ok(())
    }
}

impl Operation for First {
    fn prepare(&mut self) -> Result<()> {
        self.text.clear();
        self.file = Some(self.vip.open()?);
        Ok(())
    }

    fn attempt(&mut self) -> io::Result<()> {
        self.read()
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        expect_errno(error, &[libc::ENOMEM])?;
        // The file that could not be read can be, once there is memory.
        self.read().context("the same file again")?;
        self.done(ctx)
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        ensure!(self.text == "1\n", "the file says {:?}", self.text);
        self.vip.expect(ctx, "1")
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

/// A write takes no memory by itself; but what is written may have to be fetched first, under the
/// module's frames.
struct Write {
    vip: Vip,
    file: File,
    line: &'static str,
    text: Untouched,
    /// What is read afterwards.
    nodes: &'static str,
    /// What takes it back.
    back: &'static str,
    refused: &'static [i32],
}

pub fn write(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let vip = Vip::new(ctx)?;
    Ok(Box::new(Write {
        file: vip.open()?,
        vip,
        line: "+2\n",
        text: Untouched::new(b"+2\n")?,
        nodes: "1,2",
        back: "-2",
        // The text could not be had, which for the kernel is no different from a bad address.
        refused: &[libc::EFAULT, libc::ENOMEM],
    }))
}

/// A set may take more bytes than are kept ready for a line.
pub fn write_set(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let vip = Vip::of(ctx, rule_of_many())?;
    let line = "=7,333-335,998,1000\n";
    Ok(Box::new(Write {
        file: vip.open()?,
        vip,
        line,
        text: Untouched::new(line.as_bytes())?,
        nodes: "7,333,334,335,998,1000",
        back: "=1",
        // Of a text that could not be had nothing is known, not even that it may be so long.
        refused: &[libc::EIO, libc::ENOMEM],
    }))
}

impl Operation for Write {
    fn prepare(&mut self) -> Result<()> {
        self.text = Untouched::new(self.line.as_bytes())?;
        Ok(())
    }

    fn attempt(&mut self) -> io::Result<()> {
        self.text.write_to(&self.file).map(drop)
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        expect_errno(error, self.refused)?;
        self.vip.expect(ctx, "1")
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.vip.expect(ctx, self.nodes)
    }

    fn undo(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.vip.room.host.tell(VIP, self.back)?;
        self.vip.expect(ctx, "1")
    }
}
