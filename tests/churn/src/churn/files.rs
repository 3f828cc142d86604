// SPDX-License-Identifier: GPL-2.0-only

//! Who reads and writes VIPs' files, whether or not they are there.

use super::tally::Tally;
use super::tally::What;
use super::vips;
use super::vips::Vip;
use super::vips::POOL;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::netns::vip_path;
use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// Opens a VIP's file in the calling thread's namespace, if it is there.
fn open(vip: &Vip) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    match options.read(true).write(true).open(vip_path(&vip.name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("opening a file"),
    }
}

/// The answer of a file that may be dead by now: then none.
fn alive<T>(what: &str, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // `lseek` has its own word for it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => Ok(None),
        Err(error) => Err(error).with_context(|| what.to_string()),
    }
}

/// The nodes that a file names, read at once.
fn nodes(file: &mut File, vip: &Vip) -> Result<Option<Vec<u32>>> {
    let mut buffer = [0; 64];
    let read = file.rewind().and_then(|()| file.read(&mut buffer));
    let Some(length) = alive("reading a file", read)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&buffer[..length]);
    let nodes = vips::nodes(&text, vip);
    ensure!(nodes.is_some(), "the file of {} says {text:?}", vip.name);
    Ok(nodes)
}

/// Adds and removes its own node, which nobody else touches: what it wrote is what it reads, as long
/// as the file lives.
pub fn write(own: u32, random: &mut Rng, tally: &Tally) -> Result<()> {
    let vip = &POOL[random.usize(1..POOL.len())];
    let Some(mut file) = open(vip)? else {
        thread::sleep(Duration::from_millis(1));
        return Ok(());
    };
    for _ in 0..random.usize(1..8) {
        let Some(before) = nodes(&mut file, vip)? else {
            return Ok(());
        };
        tally.one(What::Reads);
        let had = before.contains(&own);
        let sign = if had { '-' } else { '+' };
        let told = file.write(format!("{sign}{own}\n").as_bytes());
        match told.as_ref().map_err(io::Error::raw_os_error) {
            Ok(_) => tally.one(What::Writes),
            Err(Some(libc::EIO)) => return Ok(()),
            _ => {
                told.with_context(|| format!("{sign}{own} for {before:?} of {}", vip.name))?;
            }
        }
        let Some(after) = nodes(&mut file, vip)? else {
            return Ok(());
        };
        tally.one(What::Reads);
        ensure!(
            after.contains(&own) != had,
            "{sign}{own} for {before:?} of {} made {after:?}",
            vip.name
        );
    }
    refused(&mut file, vip)
}

/// What is no command changes nothing.
fn refused(file: &mut File, vip: &Vip) -> Result<()> {
    for (line, errno) in [
        ("+99\n", libc::ENOMEM),
        ("-99\n", libc::ENOENT),
        ("+x\n", libc::EINVAL),
    ] {
        match file.write_all(line.as_bytes()) {
            Ok(()) => bail!("{line:?} was taken for {}", vip.name),
            Err(error) => match error.raw_os_error() {
                Some(libc::EIO) => return Ok(()),
                Some(seen) if seen == errno => {}
                _ => return Err(error).context(line),
            },
        }
    }
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
        let vip = &POOL[random.usize(..POOL.len())];
        let Some(mut file) = open(vip)? else {
            thread::sleep(Duration::from_millis(3));
            return Ok(());
        };
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
