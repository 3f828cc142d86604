// SPDX-License-Identifier: GPL-2.0-only

//! The files' side: `/proc/net/ipt_CLUSTERIP` and every call that takes a file.

use crate::input::Input;
use crate::line::line;
use crate::line::LINE;
use crate::line::SET_LINE;
use crate::rules::expect;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Call;
use crate::sys::Nowhere;
use crate::table;
use crate::world::World;
use anyhow::ensure;
use anyhow::Result;
use harness::netns::vip_path;
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Files held open at once.
const HELD: usize = 48;

const OPEN_REFUSED: [i32; 9] = [
    libc::ENOENT,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::EINVAL,
    libc::EACCES,
    libc::EPERM,
    libc::EOPNOTSUPP,
    libc::EEXIST,
    libc::ENAMETOOLONG,
];
const WRITE_REFUSED: [i32; 9] = [
    libc::ERANGE,
    libc::EIO,
    libc::EINVAL,
    libc::ENOMEM,
    libc::ENOENT,
    libc::EFAULT,
    libc::EBADF,
    libc::ESPIPE,
    libc::EOPNOTSUPP,
];
const READ_REFUSED: [i32; 6] = [
    libc::EIO,
    libc::EINVAL,
    libc::EFAULT,
    libc::EBADF,
    libc::ESPIPE,
    libc::EISDIR,
];
const OTHER_REFUSED: [i32; 14] = [
    libc::EFBIG,
    libc::EIO,
    libc::EINVAL,
    libc::EFAULT,
    libc::EBADF,
    libc::ESPIPE,
    libc::ENOTTY,
    libc::ENODEV,
    libc::ENOTDIR,
    libc::EPERM,
    libc::EOPNOTSUPP,
    libc::EAGAIN,
    libc::EOVERFLOW,
    libc::ENXIO,
];

/// Opens a file of a VIP, or what is not one.
pub fn open(world: &mut World, input: &mut Input) -> Result<()> {
    let name = match input.below(16) {
        14 => String::new(),
        15 => input
            .pick(&["..", "10.9.0.100/", "10.9.0.1000", "+2", "0"])
            .to_string(),
        _ => table::vip(input).to_string(),
    };
    let mut options = File::options();
    match input.below(3) {
        0 => options.read(true).write(true),
        1 => options.read(true),
        _ => options.write(true),
    };
    if input.one_in(4) {
        options.custom_flags(input.pick(&[
            libc::O_TRUNC,
            libc::O_CREAT | libc::O_TRUNC,
            libc::O_CREAT | libc::O_EXCL,
            libc::O_APPEND,
            libc::O_NONBLOCK,
            libc::O_DIRECT,
            libc::O_DIRECTORY,
            libc::O_SYNC | libc::O_NOATIME,
            libc::O_TMPFILE,
            libc::O_PATH,
        ]));
        options.mode(input.long() & 0o7777);
    }
    match options.open(vip_path(&name)) {
        Ok(file) if world.files.len() < HELD => world.files.push(file),
        Ok(file) => {
            let at = input.below(HELD);
            world.files[at] = file;
        }
        Err(error) => expect(Err(error), &OPEN_REFUSED, "open")?,
    }
    Ok(())
}

/// One call on a file that is open, be its VIP there or gone.
pub fn call(world: &mut World, input: &mut Input) -> Result<()> {
    if world.files.is_empty() {
        return open(world, input);
    }
    // Mostly one of the last, whose VIP is likely to be there.
    let count = world.files.len();
    let number = match input.below(4) {
        3 => input.below(count),
        _ => count - 1 - input.below(count.min(3)),
    };
    match input.below(12) {
        0..=2 => write(world, number, input),
        3 | 4 => read(world, number, input),
        5 => parts(world, number, input),
        6 => seek(world, number, input),
        7 => control(world, number, input),
        8 => move_bytes(world, number, input),
        9 => attributes(world, number, input),
        10 => map_or_poll(world, number, input),
        _ => {
            drop(world.files.swap_remove(number));
            Ok(())
        }
    }
}

fn address(world: &mut World, bytes: &[u8], input: &mut Input) -> Arg {
    match input.below(24) {
        23 => Arg::Nowhere(input.pick(&[Nowhere::Null, Nowhere::Low, Nowhere::Kernel])),
        22 => Arg::Forbidden,
        // The rest of it is behind the end.
        21 => Arg::BeforeEnd(1 + bytes.len() / 2),
        _ => world.scratch.put(bytes),
    }
}

fn write(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let line = line(input);
    let at = address(world, &line, input);
    // As an agent does: opened for this one line.
    let path = vip_path(&table::vip(input).to_string());
    let fresh = match input.below(2) {
        0 => File::options().write(true).open(path).ok(),
        _ => None,
    };
    let fd = fresh.as_ref().unwrap_or(&world.files[number]).as_raw_fd();
    let mut args = vec![at, Arg::Number(line.len() as u64)];
    let call = if input.one_in(8) {
        args.push(offset(input));
        Call::WriteAt
    } else {
        Call::Write
    };
    let result = world.scratch.call(call, fd, &args);
    if let Ok(written) = result {
        world.counts.writes_taken += 1;
        let longest = match line.first() {
            Some(b'=') => SET_LINE,
            _ => LINE,
        };
        ensure!(
            written == line.len() && written <= longest,
            "a write of {line:?} took {written} bytes"
        );
    }
    expect(result.map(drop), &WRITE_REFUSED, "a write")
}

fn offset(input: &mut Input) -> Arg {
    Arg::Number(match input.below(4) {
        0 => 0,
        1 => u64::from(input.odd_number()),
        2 => input.pick(&[i64::MAX as u64, i64::MAX as u64 - 1, u64::MAX, 1 << 63]),
        _ => u64::from(input.byte()),
    })
}

fn read(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let length = input.pick(&[0, 1, 2, 3, 7, 16, 255, 256, 4096, 65_536, 1 << 19]);
    let fd = world.files[number].as_raw_fd();
    let is_directory = world.files[number].metadata()?.is_dir();
    let at = if length == 0 || input.one_in(16) {
        Arg::Forbidden
    } else {
        Arg::BeforeEnd(length)
    };
    let mut args = vec![at, Arg::Number(length as u64)];
    let call = match input.below(8) {
        7 => Call::List,
        5 | 6 => {
            args.push(offset(input));
            Call::ReadAt
        }
        _ => Call::Read,
    };
    let result = world.scratch.call(call, fd, &args);
    if let (Ok(count), false) = (&result, is_directory) {
        let text = &world.scratch.last(length)[..*count];
        let is_fine = |byte: &u8| byte.is_ascii_digit() || b",\n".contains(byte);
        ensure!(
            text.iter().all(is_fine),
            "a read gave {:?}",
            String::from_utf8_lossy(text)
        );
    }
    let refused = [&READ_REFUSED[..], &[libc::ENOTDIR, libc::ENOENT]].concat();
    expect(result.map(drop), &refused, "a read")
}

/// Reads and writes of several parts, some of which are nowhere.
fn parts(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let count = input.below(5);
    let mut vector = Vec::new();
    for _ in 0..count {
        let length = input.below(13);
        let at = match input.below(8) {
            7 => Arg::Forbidden,
            6 => Arg::Nowhere(Nowhere::Kernel),
            _ => Arg::BeforeEnd(4096 + length),
        };
        vector.extend(world.scratch.address(at).to_ne_bytes());
        vector.extend((length as u64).to_ne_bytes());
    }
    let at = world.scratch.put(&vector);
    let said = if input.one_in(16) {
        u64::from(input.odd_number())
    } else {
        count as u64
    };
    let call = input.pick(&[Call::ReadParts, Call::WriteParts, Call::WriteParts2]);
    let args = [
        at,
        Arg::Number(said),
        offset(input),
        Arg::Number(0),
        Arg::Number(u64::from(input.byte())),
    ];
    let fd = world.files[number].as_raw_fd();
    let result = world.scratch.call(call, fd, &args);
    let refused = [&WRITE_REFUSED[..], &READ_REFUSED].concat();
    expect(result.map(drop), &refused, "a call of several parts")
}

fn seek(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let fd = world.files[number].as_raw_fd();
    let whence = Arg::Number(u64::from(input.byte() % 7));
    let args = [offset(input), whence];
    let result = world.scratch.call(Call::Seek, fd, &args);
    expect(result.map(drop), &OTHER_REFUSED, "a seek")
}

fn control(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let fd = world.files[number].as_raw_fd();
    let (call, args) = match input.below(3) {
        0 => (Call::Truncate, vec![offset(input)]),
        1 => {
            let mode = Arg::Number(u64::from(input.byte()));
            (Call::Allocate, vec![mode, offset(input), offset(input)])
        }
        _ => {
            // No request that all files have: FIONBIO and its kin, FICLONE.
            let request = input.long() & 0xffff_00ff | 0x4300;
            let at = world.scratch.put(&[0; 64]);
            (Call::Control, vec![Arg::Number(request.into()), at])
        }
    };
    let result = world.scratch.call(call, fd, &args);
    expect(result.map(drop), &OTHER_REFUSED, "a control call")
}

/// `splice`, `sendfile`, `copy_file_range`: into the file and out of it.
fn move_bytes(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let file = &world.files[number];
    let (out, into) = sys::pipe()?;
    let line = line(input);
    // A pipe takes as much as it takes.
    let _ = io::Write::write(&mut File::from(into.try_clone()?), &line);
    let length = Arg::Number(input.pick(&[0, 1, 2, 10, 4096, 1 << 20]));
    let null = Arg::Nowhere(Nowhere::Null);
    let ends = |fd: i32| Arg::Number(fd as u64);
    let (from, to) = if input.one_in(2) {
        (file.as_raw_fd(), into.as_raw_fd())
    } else {
        (out.as_raw_fd(), file.as_raw_fd())
    };
    let result = match input.below(3) {
        0 => world
            .scratch
            .call(Call::SendFile, to, &[ends(from), null, length]),
        1 => {
            let args = [null, ends(to), null, length];
            world.scratch.call(Call::CopyRange, from, &args)
        }
        _ => {
            let args = [null, ends(to), null, length, Arg::Number(2)];
            world.scratch.call(Call::Splice, from, &args)
        }
    };
    let refused = [
        &OTHER_REFUSED[..],
        &WRITE_REFUSED,
        &[libc::EISDIR, libc::EXDEV],
    ]
    .concat();
    expect(result.map(drop), &refused, "moving bytes")
}

/// Mode, owner, links: what an admin's `chown` and a mistyped `mv` do.
fn attributes(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let file = &world.files[number];
    let path = vip_path(&table::vip(input).to_string());
    let result = match input.below(5) {
        0 => file.metadata().map(drop),
        1 => file.set_permissions(fs::Permissions::from_mode(0o600 | input.long() & 0o177)),
        2 => fs::remove_file(&path),
        3 => fs::rename(&path, vip_path("10.9.0.200")),
        _ => fs::hard_link(&path, Path::new("/tmp/boundary-link")),
    };
    let refused = [&OPEN_REFUSED[..], &[libc::EXDEV, libc::EBADF, libc::EBUSY]].concat();
    expect(result, &refused, "changing a file's attributes")
}

fn map_or_poll(world: &mut World, number: usize, input: &mut Input) -> Result<()> {
    let file = &world.files[number];
    if input.one_in(2) {
        let offset = input.odd_number();
        return expect(
            sys::map(file, offset),
            &[&OTHER_REFUSED[..], &[libc::EACCES]].concat(),
            "mmap",
        );
    }
    // Of a descriptor that is a path alone it says that there is none.
    expect(sys::poll(file, input.word() as i16).map(drop), &[], "poll")?;
    // Who has just opened a file has not read it.
    let path = vip_path(&table::vip(input).to_string());
    if let Ok(fresh) = File::open(path) {
        let wanted = libc::POLLIN | libc::POLLRDNORM | libc::POLLPRI;
        let seen = sys::poll(&fresh, wanted)?;
        ensure!(
            seen == wanted,
            "a file that was not read polls as {seen:#x}"
        );
    }
    Ok(())
}

/// The VIPs that have a file, each with its nodes; an error when a file's text is no list of nodes.
pub fn all() -> Result<Vec<(String, Vec<u32>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(vip_path(""))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path())?;
        let nodes = text
            .trim_end_matches('\n')
            .split_terminator(',')
            .map(|number| number.parse().map_err(anyhow::Error::from))
            .collect::<Result<Vec<u32>>>()?;
        let is_rising = nodes.windows(2).all(|pair| pair[0] < pair[1]);
        ensure!(
            is_rising && nodes.iter().all(|node| (1..=1024).contains(node)),
            "{name} reads {text:?}"
        );
        files.push((name, nodes));
    }
    Ok(files)
}
