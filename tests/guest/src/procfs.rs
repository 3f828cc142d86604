// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/ipt_CLUSTERIP/<vip>`: what is read, what may be written, and how long it is there.

use crate::checks::install;
use anyhow::ensure;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::host;
use harness::host::rule;
use harness::netns::vip_path;
use harness::sys;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

pub fn tests() -> Vec<Test> {
    tests![
        procfs_accepted_commands,
        procfs_refused_commands_d2,
        procfs_any_read_size_d3,
        procfs_all_64_nodes_d4,
        procfs_empty_set_reads_nothing,
        procfs_seek_reads_anew,
        procfs_mode_and_owner,
        procfs_opens_with_create_and_truncate,
        procfs_positions_do_not_matter_for_writes,
        procfs_directory,
        procfs_dead_file,
    ]
}

fn read_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// A machine with a VIP of so many nodes, and its file.
fn with_nodes(ctx: &mut Ctx, total: u16, nodes: &[u16]) -> Result<(Netns, File)> {
    let host = host(ctx)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(total, nodes));
    install(&host, &rule)??;
    let file = host.open(VIP, &read_write())?;
    Ok((host, file))
}

fn procfs_accepted_commands(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 2, &[1])?;
    for (command, nodes) in [
        ("+2", "1,2"),
        ("-2\n", "1"),
        ("++2", "1,2"),
        ("-+2", "1"),
        ("+02\n", "1,2"),
        ("-000000002", "1"),
        ("+2\0xyz", "1,2"),
        ("-1", "2"),
        ("-2", ""),
        ("+00000001\n", "1"),
    ] {
        let written = file.write(command.as_bytes())?;
        ensure!(written == command.len(), "{command:?} took {written} bytes");
        ensure!(
            host.nodes(VIP)? == nodes,
            "after {command:?}: {}",
            host.nodes(VIP)?
        );
    }
    ctx.expect_silence()
}

/// A whole file, by reads of this size.
pub fn read_by(file: &mut File, size: usize) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let (mut seen, mut piece) = (Vec::new(), vec![0; size]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(seen),
            length => seen.extend_from_slice(&piece[..length]),
        }
    }
}

/// Each line must be refused with its errno, and leave the set as it is.
pub fn expect_refused(
    host: &Netns,
    file: &mut File,
    cases: &[(&str, i32)],
    set: &str,
) -> Result<()> {
    for (line, errno) in cases {
        expect_errno(&format!("{line:?}"), file.write(line.as_bytes()), *errno)?;
        let nodes = host.nodes(VIP)?;
        ensure!(nodes == set, "{line:?} changed the set: {nodes}");
    }
    Ok(())
}

/// D2: `+65538` is not `+2`.
fn procfs_refused_commands_d2(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 3, &[1, 2])?;
    let cases: [(&str, i32); 37] = [
        ("+0000000002", libc::EIO),
        ("+000000002\n", libc::EIO),
        ("+3\0abcdefgh", libc::EIO),
        ("3", libc::EIO),
        (" +3", libc::EIO),
        ("\n", libc::EIO),
        ("\0", libc::EIO),
        ("", libc::EIO),
        ("+", libc::EINVAL),
        ("-", libc::EINVAL),
        ("+\n", libc::EINVAL),
        ("+\0", libc::EINVAL),
        ("+abc", libc::EINVAL),
        ("+0x2", libc::EINVAL),
        ("+ 2", libc::EINVAL),
        ("+2 ", libc::EINVAL),
        ("+2\n\n", libc::EINVAL),
        ("+2\r\n", libc::EINVAL),
        ("+2,4", libc::EINVAL),
        ("--2", libc::EINVAL),
        ("+-2", libc::EINVAL),
        ("+++2", libc::EINVAL),
        ("+0", libc::ENOMEM),
        ("+1", libc::ENOMEM),
        ("+4", libc::ENOMEM),
        ("+64", libc::ENOMEM),
        ("+65", libc::ENOMEM),
        ("+65539", libc::ENOMEM),
        ("+999999999", libc::ENOMEM),
        ("+131075\n", libc::ENOMEM),
        ("-0", libc::ENOENT),
        ("-3", libc::ENOENT),
        ("-4", libc::ENOENT),
        ("-65", libc::ENOENT),
        ("-65537", libc::ENOENT),
        ("-65538\n", libc::ENOENT),
        ("-999999999", libc::ENOENT),
    ];
    expect_refused(&host, &mut file, &cases, "1,2")?;
    let far = sys::write_unreadable(&file, 3);
    expect_errno("a buffer that is not there", far, libc::EFAULT)?;
    ctx.expect_silence()
}

/// D3: whatever the size and place of a read, the text is the same.
fn procfs_any_read_size_d3(ctx: &mut Ctx) -> Result<()> {
    let nodes = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 33, 64];
    let (_host, mut file) = with_nodes(ctx, 64, &nodes)?;
    let text = nodes.map(|node| node.to_string()).join(",") + "\n";
    for size in 1..=text.len() + 1 {
        file.seek(SeekFrom::Start(0))?;
        let mut seen = Vec::new();
        let mut piece = vec![0; size];
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            seen.extend_from_slice(&piece[..length]);
        }
        ensure!(
            seen == text.as_bytes(),
            "in reads of {size}: {:?}",
            String::from_utf8_lossy(&seen)
        );
    }
    for offset in 0..=text.len() + 2 {
        let mut seen = vec![0; 128];
        let length = file.read_at(&mut seen, offset as u64)?;
        let wanted = text.as_bytes().get(offset..).unwrap_or_default();
        ensure!(
            &seen[..length] == wanted,
            "at {offset}: {:?}",
            String::from_utf8_lossy(&seen[..length])
        );
    }
    Ok(())
}

/// D4: nodes above 32 are shown.
fn procfs_all_64_nodes_d4(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 64, &[32, 33, 64])?;
    ensure!(host.nodes(VIP)? == "32,33,64", "{}", host.nodes(VIP)?);
    for node in (1..=64).filter(|node| ![32, 33, 64].contains(node)) {
        file.write_all(format!("+{node}").as_bytes())?;
    }
    let all: Vec<String> = (1..=64).map(|node: u32| node.to_string()).collect();
    ensure!(host.nodes(VIP)? == all.join(","), "{}", host.nodes(VIP)?);
    expect_errno("+65 of 64", file.write(b"+65"), libc::ENOMEM)?;
    for node in 1..=63 {
        file.write_all(format!("-{node}\n").as_bytes())?;
    }
    ensure!(host.nodes(VIP)? == "64", "{}", host.nodes(VIP)?);
    Ok(())
}

fn procfs_empty_set_reads_nothing(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 2, &[1])?;
    ensure!(host.read(vip_path(VIP))? == "1\n");
    file.write_all(b"-1")?;
    ensure!(
        host.read(vip_path(VIP))?.is_empty(),
        "{:?}",
        host.read(vip_path(VIP))?
    );
    Ok(())
}

fn procfs_seek_reads_anew(ctx: &mut Ctx) -> Result<()> {
    let (_host, mut file) = with_nodes(ctx, 3, &[1])?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    file.write_all(b"+3")?;
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    ensure!(text == "1\n1,3\n", "{text:?}");
    expect_errno("SEEK_END", file.seek(SeekFrom::End(0)), libc::EINVAL)
}

fn procfs_mode_and_owner(ctx: &mut Ctx) -> Result<()> {
    let (host, _file) = with_nodes(ctx, 2, &[1])?;
    let look = || host.enter(|| fs::metadata(vip_path(VIP)));
    let seen = look()??;
    ensure!(
        seen.is_file() && seen.permissions().mode() & 0o7777 == 0o600,
        "{seen:?}"
    );
    ensure!(
        seen.uid() == 0 && seen.gid() == 0 && seen.len() == 0,
        "{seen:?}"
    );
    host.enter(|| std::os::unix::fs::chown(vip_path(VIP), Some(7), Some(9)))??;
    host.enter(|| fs::set_permissions(vip_path(VIP), fs::Permissions::from_mode(0o640)))??;
    host.iptables("-A INPUT -d 192.0.2.7 -j ACCEPT")?;
    let seen = look()??;
    ensure!(
        seen.uid() == 7 && seen.gid() == 9,
        "the new owner does not stay: {seen:?}"
    );
    ensure!(
        seen.permissions().mode() & 0o7777 == 0o640,
        "the new mode does not stay: {seen:?}"
    );
    Ok(())
}

/// As `echo +2 > file` and the resource agent do.
fn procfs_opens_with_create_and_truncate(ctx: &mut Ctx) -> Result<()> {
    let (host, _file) = with_nodes(ctx, 2, &[1])?;
    let mut options = OpenOptions::new();
    let mut file = host.open(VIP, options.write(true).create(true).truncate(true))?;
    file.write_all(b"+2\n")?;
    ensure!(host.nodes(VIP)? == "1,2");
    file.set_len(0)?;
    ensure!(host.nodes(VIP)? == "1,2");
    let mut options = OpenOptions::new();
    let mut file = host.open(VIP, options.append(true).create(true))?;
    file.write_all(b"-2\n")?;
    ensure!(host.nodes(VIP)? == "1");
    let other = host.open("10.9.0.101", options.create(true));
    ensure!(other.is_err(), "a file of one's own can be made");
    Ok(())
}

fn procfs_positions_do_not_matter_for_writes(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 3, &[1])?;
    for command in ["+2", "+3", "-1", "-2", "+1"] {
        file.write_all(command.as_bytes())?;
    }
    ensure!(host.nodes(VIP)? == "1,3");
    file.seek(SeekFrom::Start(1))?;
    file.write_all(b"+2")?;
    ensure!(host.nodes(VIP)? == "1,2,3");
    expect_errno("pwrite", file.write_at(b"-2", 0), libc::ESPIPE)
}

fn procfs_directory(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let list = || -> Result<Vec<String>> {
        let entries =
            host.enter(|| -> io::Result<Vec<_>> { fs::read_dir(vip_path(""))?.collect() })??;
        let mut names: Vec<_> = entries
            .iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    };
    ensure!(list()?.is_empty());
    let seen = host.enter(|| fs::metadata(vip_path("")))??;
    ensure!(seen.permissions().mode() & 0o7777 == 0o555, "{seen:?}");
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!("-A {}", rule().replace(VIP, "192.0.2.255")))?;
    ensure!(list()? == [VIP, "192.0.2.255"], "{:?}", list()?);
    Ok(())
}

fn procfs_dead_file(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_nodes(ctx, 2, &[1])?;
    host.iptables("-F")?;
    let mut buffer = [0; 16];
    expect_errno("reading a dead file", file.read(&mut buffer), libc::EIO)?;
    expect_errno("writing a dead file", file.write(b"+2"), libc::EIO)?;
    expect_errno(
        "seeking in a dead file",
        file.seek(SeekFrom::Start(0)),
        libc::EINVAL,
    )?;
    // The VIP of the same address that comes next is another.
    host.iptables(&format!("-A {}", rule()))?;
    expect_errno("writing a dead file", file.write(b"+2"), libc::EIO)?;
    ensure!(host.nodes(VIP)? == "1");
    Ok(())
}
