// SPDX-License-Identifier: GPL-2.0-only

//! The table of all VIPs, with one of many numbers: opened, read.

use super::files::expect_errno;
use super::files::Vip;
use super::rules::rule_of_many;
use super::rules::MANY;
use crate::faults::Faults;
use crate::sweep::Operation;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::stat;
use harness::Ctx;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;

/// Either step, with the other one before or after it.
struct Table {
    vip: Vip,
    opens: bool,
    file: Option<File>,
    text: String,
}

pub fn open(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    Table::boxed(ctx, true)
}

pub fn read(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    Table::boxed(ctx, false)
}

impl Table {
    fn boxed(ctx: &mut Ctx, opens: bool) -> Result<Box<dyn Operation>> {
        Ok(Box::new(Self {
            vip: Vip::of(ctx, rule_of_many())?,
            opens,
            file: None,
            text: String::new(),
        }))
    }

    fn open(&mut self) -> io::Result<()> {
        let opened = self.vip.room.host.enter(|| File::open(stat::PATH));
        self.file = Some(opened.map_err(io::Error::other)??);
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        self.text.clear();
        let mut file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.rewind()?;
        file.read_to_string(&mut self.text).map(drop)
    }

    /// Each number has its row, and the first alone is this machine's.
    fn expect(&self) -> Result<()> {
        let rows = stat::parse(&self.text)?;
        let seen = rows.iter().map(|row| (row.number, row.mine));
        let wanted = (1..=MANY.into()).map(|number| (number, number == 1));
        ensure!(seen.eq(wanted), "the table has {} rows", rows.len());
        Ok(())
    }
}

impl Operation for Table {
    fn prepare(&mut self) -> Result<()> {
        self.file = None;
        if !self.opens {
            self.open()?;
        }
        Ok(())
    }

    fn attempt(&mut self) -> io::Result<()> {
        if self.opens {
            self.open()
        } else {
            self.read()
        }
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        expect_errno(error, &[libc::ENOMEM])?;
        if !self.opens {
            // The table that could not be read can be, once there is memory.
            self.read().context("the same file again")?;
            self.expect()?;
        }
        self.vip.expect(ctx, "1")
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        if self.opens {
            self.read()?;
        }
        self.expect()?;
        self.vip.expect(ctx, "1")
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        self.file = None;
        Ok(())
    }
}
