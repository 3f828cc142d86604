// SPDX-License-Identifier: GPL-2.0-only

//! A VIP's file: opened, read, written.

use super::rules::rule;
use crate::faults::Faults;
use crate::faults::Reach;
use crate::room::Room;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
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
struct Vip {
    room: Room,
}

impl Vip {
    fn new(ctx: &mut Ctx) -> Result<Self> {
        let room = Room::new(ctx)?;
        room.replace("filter", &[rule(VIP_ADDRESS)])?;
        Ok(Self { room })
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        self.room.host.open(VIP, options.read(true).write(true))
    }

    fn expect(&self, ctx: &mut Ctx, nodes: &str) -> Result<()> {
        ctx.expect_silence()?;
        let nodes = BTreeMap::from([(VIP_ADDRESS, nodes.to_string())]);
        self.room.expect("filter", &[rule(VIP_ADDRESS)], &nodes)
    }
}

fn expect_errno(error: &io::Error, wanted: &[i32]) -> Result<()> {
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
    text: Untouched,
}

pub fn write(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let vip = Vip::new(ctx)?;
    Ok(Box::new(Write {
        file: vip.open()?,
        vip,
        text: Untouched::new(b"+2\n")?,
    }))
}

impl Operation for Write {
    fn prepare(&mut self) -> Result<()> {
        self.text = Untouched::new(b"+2\n")?;
        Ok(())
    }

    fn attempt(&mut self) -> io::Result<()> {
        self.text.write_to(&self.file).map(drop)
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        // The text could not be had, which for the kernel is no different from a bad address.
        expect_errno(error, &[libc::EFAULT, libc::ENOMEM])?;
        self.vip.expect(ctx, "1")
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.vip.expect(ctx, "1,2")
    }

    fn undo(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.vip.room.host.tell(VIP, "-2")?;
        self.vip.expect(ctx, "1")
    }
}
