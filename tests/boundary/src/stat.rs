// SPDX-License-Identifier: GPL-2.0-only

//! The table of all VIPs: read in any pieces it says what the VIPs' files say, and no other call does anything to it.

use crate::file;
use crate::input::Input;
use crate::rules::expect;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Call;
use crate::sys::Nowhere;
use crate::world::World;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::stat;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;

const REFUSED: [i32; 12] = [
    libc::EIO,
    libc::EBADF,
    libc::EINVAL,
    libc::EFAULT,
    libc::ENODEV,
    libc::ENOTTY,
    libc::EPERM,
    libc::EACCES,
    libc::EOPNOTSUPP,
    libc::ESPIPE,
    libc::ENOTDIR,
    libc::EFBIG,
];

pub fn read(world: &mut World, input: &mut Input) -> Result<()> {
    let file = File::open(stat::PATH).context("the table")?;
    for _ in 0..input.below(4) {
        disturb(world, &file, input)?;
    }
    compare(world, &file, input)
}

/// A call that has no business here, or reads somewhere.
fn disturb(world: &mut World, file: &File, input: &mut Input) -> Result<()> {
    let length = input.pick(&[0, 1, 13, 255, 4096, 65_536]);
    let at = match input.below(8) {
        7 => Arg::Nowhere(input.pick(&[Nowhere::Null, Nowhere::Low, Nowhere::Kernel])),
        6 => Arg::Forbidden,
        _ => Arg::BeforeEnd(length.max(1)),
    };
    let offset = Arg::Number(match input.below(4) {
        0 => u64::from(input.odd_number()),
        1 => input.pick(&[i64::MAX as u64, u64::MAX, 1 << 63]),
        _ => u64::from(input.word()),
    });
    let length = Arg::Number(length as u64);
    let (call, args) = match input.below(8) {
        0 => (Call::Write, vec![at, length]),
        1 => (Call::List, vec![at, length]),
        2 => (Call::Truncate, vec![offset]),
        3 => (Call::Read, vec![at, length]),
        4 => (
            Call::Seek,
            vec![offset, Arg::Number(u64::from(input.byte() % 7))],
        ),
        5 => {
            sys::poll(file, input.word() as i16).context("poll")?;
            return expect(sys::map(file, input.odd_number()), &REFUSED, "mmap");
        }
        _ => (Call::ReadAt, vec![at, length, offset]),
    };
    let result = world.scratch.call(call, file.as_raw_fd(), &args);
    expect(result.map(drop), &REFUSED, "a call on the table")
}

/// The whole of it, from its beginning: each VIP that has a file, with all of its numbers.
fn compare(world: &mut World, file: &File, input: &mut Input) -> Result<()> {
    let fd = file.as_raw_fd();
    let start = [Arg::Number(0), Arg::Number(libc::SEEK_SET as u64)];
    world.scratch.call(Call::Seek, fd, &start)?;
    let mut text = Vec::new();
    loop {
        // Small pieces of a large table would be all that is done.
        let length = if text.len() < 4096 {
            input.pick(&[7, 64, 100, 1000, 4096, 65_536])
        } else {
            65_536
        };
        let args = [Arg::BeforeEnd(length), Arg::Number(length as u64)];
        let count = world.scratch.call(Call::Read, fd, &args)?;
        if count == 0 {
            break;
        }
        text.extend(&world.scratch.last(length)[..count]);
    }
    let mut mine = BTreeMap::<String, Vec<u32>>::new();
    let mut numbers = BTreeMap::<String, (u32, u32)>::new();
    for row in stat::parse(std::str::from_utf8(&text)?)? {
        let vip = row.vip.to_string();
        let (last, total) = numbers.entry(vip.clone()).or_insert((0, row.total));
        *last += 1;
        ensure!(
            row.number == *last && row.total == *total && row.generation > 0,
            "after {} rows of {vip} comes {row:?}",
            *last - 1
        );
        let nodes = mine.entry(vip).or_default();
        if row.mine {
            nodes.push(row.number);
        }
    }
    ensure!(
        numbers.values().all(|(last, total)| last == total),
        "of some VIPs numbers are missing: {numbers:?}"
    );
    let files: BTreeMap<_, _> = file::all()?.into_iter().collect();
    ensure!(mine == files, "the files say {files:?}, the table {mine:?}");
    world.counts.stats += 1;
    Ok(())
}
