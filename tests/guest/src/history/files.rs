// SPDX-License-Identifier: GPL-2.0-only

//! Bugs of a VIP's file.

use super::machine;
use crate::checks::install;
use anyhow::ensure;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::flushed::Flushed;
use harness::tests;
use harness::Ctx;
use harness::Test;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileExt;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d1_number_beyond_the_set,
        bug_d2_number_is_cut_to_16_bits,
        bug_d3_read_in_pieces,
        bug_d4_nodes_above_32_are_not_shown,
        bug_2010_seek_past_the_end,
        bug_2011_line_longer_than_the_buffer,
    ]
}

/// A machine with a VIP of so many nodes, and its file.
fn vip(ctx: &mut Ctx, total: u16, nodes: &[u16]) -> Result<(Flushed, File)> {
    let host = machine(ctx)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(total, nodes));
    install(&host, &rule)??;
    let mut options = OpenOptions::new();
    let file = host.open(VIP, options.read(true).write(true))?;
    Ok((host, file))
}

/// Of a total that is taken, all numbers have their bit. The numbers beyond are not written: the
/// original's kernel would be done with.
fn bug_d1_number_beyond_the_set(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for total in [65, 66, 128, 256, 641, u16::MAX] {
        let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(total, &[1]));
        let seen = install(&host, &rule)?;
        host.iptables("-F")?;
        expect_errno(&format!("{total} nodes"), seen, libc::EINVAL)?;
    }
    drop(host);
    let (host, mut file) = vip(ctx, 64, &[1])?;
    ensure!(file.write(b"+64\n")? == 4);
    for number in [65, 66, 128, 641, 65_535, 65_536, 999_999_999] {
        let line = format!("+{number}");
        expect_errno(&line, file.write(line.as_bytes()), libc::ENOMEM)?;
    }
    ensure!(host.nodes(VIP)? == "1,64", "{}", host.nodes(VIP)?);
    Ok(())
}

fn bug_d2_number_is_cut_to_16_bits(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = vip(ctx, 16, &[1])?;
    for number in [65_538, 131_074, 65_536 * 100 + 16] {
        let line = format!("+{number}");
        expect_errno(&line, file.write(line.as_bytes()), libc::ENOMEM)?;
    }
    expect_errno("-65537", file.write(b"-65537"), libc::ENOENT)?;
    ensure!(host.nodes(VIP)? == "1", "the set is {}", host.nodes(VIP)?);
    Ok(())
}

/// Whatever the size and the place of a read, it is a part of the same text.
fn bug_d3_read_in_pieces(ctx: &mut Ctx) -> Result<()> {
    const TEXT: &[u8] = b"3,5,11,16\n";
    let (_host, file) = vip(ctx, 16, &[3, 5, 11, 16])?;
    for size in 1..=TEXT.len() {
        for at in 0..TEXT.len() {
            let mut part = vec![0; size];
            let length = file.read_at(&mut part, at as u64)?;
            let end = TEXT.len().min(at + size);
            ensure!(
                part[..length] == TEXT[at..end],
                "{size} bytes from {at} are {:?}",
                String::from_utf8_lossy(&part[..length])
            );
        }
    }
    Ok(())
}

fn bug_d4_nodes_above_32_are_not_shown(ctx: &mut Ctx) -> Result<()> {
    let (host, _) = vip(ctx, 64, &[32, 33, 64])?;
    let seen = host.nodes(VIP)?;
    ensure!(
        seen == "32,33,64",
        "nodes 32, 33 and 64 are shown as {seen:?}"
    );
    Ok(())
}

/// A walk that could not begin was ended all the same, with an error number for its memory. Here: reads
/// that find nothing, and reads into memory that can't be written, and then a good one.
fn bug_2010_seek_past_the_end(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = vip(ctx, 16, &[1, 2])?;
    for _ in 0..20 {
        for at in [4, 5, 4095, 4096, 1 << 20, i64::MAX as u64 - 1] {
            let length = file.read_at(&mut [0; 8], at);
            ensure!(
                length.as_ref().map_or(true, |length| *length == 0),
                "from {at}: {length:?}"
            );
        }
        ensure!(file.write(b"-1")? == 2 && file.write(b"-2")? == 2);
        ensure!(file.read_at(&mut [0; 8], 0)? == 0, "the empty set is text");
        ensure!(file.write(b"+1")? == 2 && file.write(b"+2")? == 2);
    }
    let mut text = String::new();
    let mut options = OpenOptions::new();
    host.open(VIP, options.read(true))?
        .read_to_string(&mut text)?;
    ensure!(text == "1,2\n", "{text:?}");
    Ok(())
}

/// CVE-2011-2534: a line had no end in the buffer, and what stood behind it was read as well.
fn bug_2011_line_longer_than_the_buffer(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = vip(ctx, 16, &[1])?;
    for length in [11, 12, 16, 64, 4095, 4096, 100_000] {
        let mut line = vec![b'0'; length];
        line[0] = b'+';
        // The number is good wherever the line is cut.
        line[9] = b'2';
        line[length - 1] = b'2';
        let seen = file.write(&line);
        expect_errno(&format!("a line of {length} bytes"), seen, libc::EIO)?;
    }
    // Ten bytes fill the buffer, without an end.
    ensure!(file.write(b"+000000003")? == 10);
    ensure!(host.nodes(VIP)? == "1,3", "the set is {}", host.nodes(VIP)?);
    Ok(())
}
