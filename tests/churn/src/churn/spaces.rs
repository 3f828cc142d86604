// SPDX-License-Identifier: GPL-2.0-only

//! Who makes namespaces with rules in them, and ends them with the rules in place.

use super::gate::Kind;
use super::stage::TABLES;
use super::tally::Tally;
use super::tally::What;
use super::vips::Vip;
use super::vips::POOL;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::blob;
use harness::netns::vip_path;
use harness::sys;
use harness::Netns;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// Always there, and with a MAC of six bytes.
const DEVICE: &str = "lo";

pub struct Maker {
    pub name: String,
    pub random: Rng,
    /// Files that outlive their namespace.
    pub kept: VecDeque<File>,
}

impl Maker {
    pub fn step(&mut self, kind: Kind, tally: &Tally) -> Result<()> {
        let space = Netns::new(&self.name)?;
        let file = space.enter(|| self.inside(kind, tally))??;
        drop(space);
        tally.one(What::Namespaces);
        self.kept.extend(file);
        if self.kept.len() > 8 {
            if let Some(mut old) = self.kept.pop_front() {
                expect_dead_or_right(&mut old)?;
            }
        }
        // The module cannot go while anybody has rules.
        let pause = if kind == Kind::Module { 300 } else { 20 };
        thread::sleep(Duration::from_millis(self.random.u64(..pause)));
        Ok(())
    }

    /// Rules in some tables; the file of one of their VIPs.
    fn inside(&mut self, kind: Kind, tally: &Tally) -> Result<Option<File>> {
        let socket = blob::socket()?;
        let mut last = None;
        for table in TABLES {
            if self.random.bool() {
                continue;
            }
            let vips: Vec<&Vip> = (0..self.random.usize(1..4))
                .map(|_| &POOL[self.random.usize(..POOL.len())])
                .collect();
            let rules: Vec<_> = vips.iter().map(|vip| vip.rule_on(DEVICE, table)).collect();
            match blob::replace(&socket, table, &rules) {
                Ok(()) => {
                    tally.one(What::Changes);
                    last = vips.last().copied();
                }
                // The module went between its loading and its use.
                Err(error)
                    if kind == Kind::Module && error.raw_os_error() == Some(libc::ENOENT) =>
                {
                    tally.one(What::Refused);
                }
                Err(error) => return Err(error).context("rules in a new namespace"),
            }
        }
        let Some(vip) = last else { return Ok(None) };
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(vip_path(&vip.name))
            .with_context(|| format!("the file of {} in a new namespace", vip.name))?;
        file.write_all(b"+2\n").context("+2 in a new namespace")?;
        tally.one(What::Writes);
        if self.random.u8(..4) == 0 {
            // A device that goes with its namespace.
            let links = harness::links::Links::new()?;
            links.dummy("eth0")?;
            let rule = POOL[1].rule("filter");
            let added = blob::replace(&socket, "filter", &[rule]);
            ensure!(
                added.is_ok() || sys::device_number("eth0").is_ok(),
                "the device of a new namespace went by itself"
            );
            tally.one(What::Devices);
        }
        Ok(Some(file))
    }
}

/// A file whose namespace ends, or has ended.
fn expect_dead_or_right(file: &mut File) -> Result<()> {
    let mut text = [0; 64];
    match file.read(&mut text) {
        Ok(length) => ensure!(
            matches!(&text[..length], b"" | b"1,2\n"),
            "the file of an old namespace says {:?}",
            &text[..length]
        ),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
        Err(error) => return Err(io::Error::other(error)).context("an old namespace's file"),
    }
    Ok(())
}
