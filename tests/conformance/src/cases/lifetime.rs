// SPDX-License-Identifier: GPL-2.0-only

//! §6.3: how long a file is there, and what an open one is worth when it is not.

use crate::case::errno_name;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::file::list;
use crate::cases::vip::count;
use crate::cases::vip::editing;
use crate::cases::vip::install;
use crate::cases::vip::rule;
use crate::cases::vip::Vip;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::cluster::VIP;
use harness::eventually;
use harness::fault::Page;
use harness::module;
use harness::netns::vip_path;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

pub fn cases() -> Vec<Entry> {
    cases!["6.3" =>
        file_goes_with_the_last_rule, file_stays_the_same, file_is_new_after_a_flush, file_outlives_the_device,
        dead_file, dead_file_never_read, dead_file_by_path, dead_file_and_its_successor, dead_file_and_rmmod,
        dead_directory_and_rmmod, file_goes_after_its_writer
    ]
}

fn file_goes_with_the_last_rule(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let one = rule(2, &[1]);
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[one.clone(), one.clone()])?;
    case.saw("two rules", list(&host)?);
    blob::replace(&socket, "mangle", &[one.clone()])?;
    blob::replace(&socket, "filter", &[one])?;
    case.saw("one in each of two tables", list(&host)?);
    blob::replace(&socket, "filter", &[])?;
    case.saw("one rule", list(&host)?);
    blob::replace(&socket, "mangle", &[])?;
    case.saw("none", list(&host)?);
    Ok(())
}

fn file_stays_the_same(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    vip.file.write_all(b"+2")?;
    let inode = vip.file.metadata()?.ino();
    for change in [
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        "-Z",
        "-P FORWARD DROP",
        "-t mangle -A INPUT -j ACCEPT",
        "-D INPUT -p tcp --dport 22 -j ACCEPT",
    ] {
        vip.host.iptables(change)?;
        let path = vip_path(VIP);
        let same = vip.host.enter(|| fs::metadata(path))??.ino() == inode;
        case.saw(change, format!("same file {same}; {}", vip.nodes()?));
    }
    let seen = vip.write(b"+3")?;
    case.saw("write", seen);
    Ok(())
}

fn file_is_new_after_a_flush(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    vip.file.write_all(b"+2")?;
    vip.flush()?;
    install(&vip.host, &rule(3, &[3]))??;
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

fn file_outlives_the_device(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    vip.host.ip("link del eth0\n")?;
    let seen = vip.write(b"+2")?;
    case.saw("write", seen);
    vip.flush()?;
    case.saw("flushed", list(&vip.host)?);
    Ok(())
}

/// What can still be done with a descriptor.
fn look(case: &mut Case, file: &mut File, when: &str) {
    let result = file.read(&mut [0; 64]);
    case.saw(&format!("{when}read"), count(&result));
    let result = file.write(b"+2\n");
    case.saw(&format!("{when}write"), count(&result));
    let result = file.seek(SeekFrom::Start(0));
    case.errno(&format!("{when}lseek"), &result);
    let result = file.read_at(&mut [0; 64], 0);
    case.saw(&format!("{when}pread"), count(&result));
}

fn dead_file(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    look(case, &mut vip.file, "alive: ");
    vip.flush()?;
    case.saw("names", list(&vip.host)?);
    look(case, &mut vip.file, "dead: ");
    let result = vip.file.seek(SeekFrom::End(0));
    case.errno("dead: SEEK_END", &result);
    let result = vip.file.write(b"far too long a command");
    case.saw("dead: long write", count(&result));
    let result = vip.file.write_at(b"+2", 0);
    case.saw("dead: pwrite", count(&result));
    let result = vip.file.set_len(0);
    case.errno("dead: ftruncate", &result);
    let result = vip.file.metadata();
    case.saw("dead: size", result?.len());
    Ok(())
}

/// A descriptor that saw nothing of the set while it was there.
fn dead_file_never_read(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    vip.flush()?;
    look(case, &mut vip.file, "");
    Ok(())
}

fn dead_file_by_path(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    vip.flush()?;
    let result = vip.host.open(VIP, &editing());
    case.errno("open", &result);
    let result = vip.host.open(VIP, editing().create(true));
    case.errno("create", &result);
    Ok(())
}

fn dead_file_and_its_successor(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    vip.flush()?;
    install(&vip.host, &rule(2, &[1]))??;
    look(case, &mut vip.file, "old: ");
    case.saw("nodes", vip.nodes()?);
    let mut new = vip.host.open(VIP, &editing())?;
    look(case, &mut new, "new: ");
    case.saw("nodes after", vip.nodes()?);
    Ok(())
}

fn dead_file_and_rmmod(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    vip.file.read_exact(&mut [0; 2])?;
    vip.flush()?;
    case.errno("rmmod", &harness::sys::delete_module("ipt_CLUSTERIP"));
    look(case, &mut vip.file, "unloaded: ");
    module::load("ipt_CLUSTERIP")?;
    install(&vip.host, &rule(2, &[1]))??;
    look(case, &mut vip.file, "loaded again: ");
    vip.file = vip.host.open(VIP, &editing())?;
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

fn dead_directory_and_rmmod(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    install(&host, &rule(2, &[1]))??;
    let directory = host.enter(|| File::open(vip_path("")))??;
    host.flush()?;
    case.errno("rmmod", &harness::sys::delete_module("ipt_CLUSTERIP"));
    case.saw("names", list(&host)?);
    let link = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&directory)
    );
    let names = fs::read_dir(&link).map(|entries| entries.count());
    let value = match &names {
        Ok(number) => format!("{number} names"),
        Err(error) => errno_name(error),
    };
    case.saw("the open one", value);
    drop(directory);
    module::load("ipt_CLUSTERIP")
}

/// A writer that has stopped in the middle of its call holds the file, and a flush waits for it.
fn file_goes_after_its_writer(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let page = Page::new().context("userfaultfd")?;
    let (written, flushed) = thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| page.write_to(&vip.file, 3));
        page.wait()?;
        let flusher = scope.spawn(|| vip.flush());
        // The name goes first.
        let gone = eventually("the name gone", || Ok(list(&vip.host)? == "empty"));
        case.saw(
            "the name",
            if gone.is_ok() { "goes first" } else { "stays" },
        );
        thread::sleep(Duration::from_millis(200));
        let waits = !flusher.is_finished();
        case.saw("the flush", if waits { "waits" } else { "does not wait" });
        page.fill(b"+2\n")?;
        let panicked = |_| anyhow!("a thread panicked");
        Ok((
            writer.join().map_err(panicked)?,
            flusher.join().map_err(panicked)?,
        ))
    })?;
    case.saw("the write", count(&written));
    flushed?;
    case.saw("names", list(&vip.host)?);
    Ok(())
}
