// SPDX-License-Identifier: GPL-2.0-only

//! Who reads VIPs' files and the table of all of them, and waits for a file to change.

use super::files::alive;
use super::files::nodes;
use super::files::open;
use super::tally::Tally;
use super::tally::What;
use super::vips;
use super::vips::Vip;
use super::vips::POOL;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::netns::vip_path;
use harness::stat;
use nix::poll::poll;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// What a file has to say within so many milliseconds.
fn polled(file: &File, limit: u16) -> Result<PollFlags> {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, limit)?;
    Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
}

/// Waits for a file to change or to die, but not for long.
fn watch(file: &File, random: &mut Rng, tally: &Tally) -> Result<()> {
    let seen = polled(file, random.u16(..30))?;
    ensure!(
        !seen.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL),
        "a file polls as {seen:?}"
    );
    tally.one(What::Polls);
    Ok(())
}

/// The table of all VIPs, in pieces: of each VIP that is in it all rows of one moment, whatever comes and goes meanwhile.
fn table(random: &mut Rng, tally: &Tally) -> Result<()> {
    let mut file = match File::open(stat::PATH) {
        Ok(file) => file,
        // The module may not be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("opening the table"),
    };
    let mut text = String::new();
    let mut piece = vec![0; random.usize(16..600)];
    loop {
        match alive("reading the table", file.read(&mut piece))? {
            None => return Ok(()),
            Some(0) => break,
            Some(length) => text += &String::from_utf8_lossy(&piece[..length]),
        }
        if random.u8(..4) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let rows = stat::parse(&text)?;
    let mut rest = &rows[..];
    while let Some(first) = rest.first() {
        let vip = Vip::of(first.vip).with_context(|| format!("a row of {}", first.vip))?;
        let (all, behind) = rest
            .split_at_checked(vip.total.into())
            .with_context(|| format!("too few rows of {}", vip.name))?;
        let is_whole = all.iter().zip(1..).all(|(row, number)| {
            let same = (row.vip, row.generation, row.total, &row.device);
            row.number == number
                && same == (first.vip, first.generation, first.total, &first.device)
        });
        ensure!(
            is_whole && first.total == vip.total.into() && first.device == vip.device,
            "rows of {} are {all:?}",
            vip.name
        );
        rest = behind;
    }
    tally.one(What::Tables);
    Ok(())
}

/// Reads byte by byte, with time between, and keeps files open long after.
#[derive(Default)]
pub struct SlowReader {
    kept: VecDeque<(File, &'static Vip)>,
}

impl SlowReader {
    pub fn step(&mut self, random: &mut Rng, tally: &Tally) -> Result<()> {
        self.directory()?;
        table(random, tally)?;
        let vip = &POOL[random.usize(..POOL.len())];
        let Some(mut file) = open(vip)? else {
            thread::sleep(Duration::from_millis(3));
            return Ok(());
        };
        // Whoever has just opened a file has not read it; a dead one says the same.
        ensure!(
            polled(&file, 0)?.contains(PollFlags::POLLIN),
            "{} was read before it was read",
            vip.name
        );
        let mut text = String::new();
        let mut byte = [0];
        loop {
            match alive("reading a byte", file.read(&mut byte))? {
                None => break,
                Some(0) => {
                    let read = vips::nodes(&text, vip);
                    ensure!(read.is_some(), "{} says {text:?}, byte by byte", vip.name);
                    tally.one(What::Reads);
                    break;
                }
                Some(_) => text.push(byte[0].into()),
            }
            thread::sleep(Duration::from_millis(random.u64(..3)));
        }
        watch(&file, random, tally)?;
        self.kept.push_back((file, vip));
        if self.kept.len() > 16 {
            // Dead or alive: if it says something, it is the VIP's.
            if let Some((mut old, vip)) = self.kept.pop_front() {
                nodes(&mut old, vip)?;
            }
        }
        Ok(())
    }

    /// Nothing but VIPs' files is in their directory.
    fn directory(&self) -> Result<()> {
        let path = vip_path("");
        // The module may not be there.
        let Ok(list) = fs::read_dir(&path) else {
            return Ok(());
        };
        for entry in list {
            let name = entry?.file_name();
            ensure!(
                POOL.iter().any(|vip| name == *vip.name),
                "a file {name:?} in {}",
                path.display()
            );
        }
        Ok(())
    }
}
