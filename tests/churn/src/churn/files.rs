// SPDX-License-Identifier: GPL-2.0-only

//! Who writes to VIPs' files, whether or not they are there.

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
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// Opens a VIP's file in the calling thread's namespace, if it is there.
pub fn open(vip: &Vip) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    match options.read(true).write(true).open(vip_path(&vip.name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("opening a file"),
    }
}

/// The answer of a file that may be dead by now: then none.
pub fn alive<T>(what: &str, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // `lseek` has its own word for it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => Ok(None),
        Err(error) => Err(error).with_context(|| what.to_string()),
    }
}

/// The nodes that a file names, read at once.
pub fn nodes(file: &mut File, vip: &Vip) -> Result<Option<Vec<u32>>> {
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

/// Writes to the file of some VIP, if it is there.
pub fn write(own: u32, random: &mut Rng, tally: &Tally) -> Result<()> {
    let number = random.usize(1..POOL.len());
    let vip = &POOL[number];
    let Some(mut file) = open(vip)? else {
        thread::sleep(Duration::from_millis(1));
        return Ok(());
    };
    if number % 2 == 0 {
        whole_sets(own, &mut file, vip, random, tally)
    } else {
        own_node(own, &mut file, vip, random, tally)
    }
}

/// Writes whole sets, of which none has another writer's node: nor has what anybody reads both.
fn whole_sets(own: u32, file: &mut File, vip: &Vip, random: &mut Rng, tally: &Tally) -> Result<()> {
    for _ in 0..random.usize(1..8) {
        let line = match random.u8(..5) {
            0 => "=none\n".to_string(),
            1 => "=1\n".to_string(),
            2 => format!("={own}"),
            3 => format!("=1,{own}-{own},1\n"),
            // As long as a line may be.
            _ => format!("={}{own}", "1,".repeat(2047)),
        };
        let told = file.write_all(line.as_bytes());
        match told.as_ref().map_err(io::Error::raw_os_error) {
            Ok(()) => tally.one(What::Writes),
            Err(Some(libc::EIO)) => return Ok(()),
            _ => told.with_context(|| format!("a set of {} bytes", line.len()))?,
        }
        let Some(nodes) = nodes(file, vip)? else {
            return Ok(());
        };
        tally.one(What::Reads);
        ensure!(
            matches!(nodes[..], [] | [1] | [2] | [3] | [1, 2] | [1, 3]),
            "two sets of {} make {nodes:?}",
            vip.name
        );
    }
    refused(file, vip)
}

/// Adds and removes its own node, which nobody else touches: what it wrote is what it reads, as long
/// as the file lives.
fn own_node(own: u32, file: &mut File, vip: &Vip, random: &mut Rng, tally: &Tally) -> Result<()> {
    for _ in 0..random.usize(1..8) {
        let Some(before) = nodes(file, vip)? else {
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
        let Some(after) = nodes(file, vip)? else {
            return Ok(());
        };
        tally.one(What::Reads);
        ensure!(
            after.contains(&own) != had,
            "{sign}{own} for {before:?} of {} made {after:?}",
            vip.name
        );
    }
    refused(file, vip)
}

/// What is no command changes nothing.
fn refused(file: &mut File, vip: &Vip) -> Result<()> {
    for (line, errno) in [
        ("+99\n", libc::ENOMEM),
        ("-99\n", libc::ENOENT),
        ("+x\n", libc::EINVAL),
        ("=1,99\n", libc::ERANGE),
        ("=1,2-\n", libc::EINVAL),
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
