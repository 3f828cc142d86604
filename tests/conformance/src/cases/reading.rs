// SPDX-License-Identifier: GPL-2.0-only

//! §6.1: what is read from a VIP's file, in whatever way it is read.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::vip::count;
use crate::cases::vip::read_once;
use crate::cases::vip::Vip;
use anyhow::Result;
use harness::cluster::VIP;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;

pub fn cases() -> Vec<Entry> {
    cases!["6.1" =>
        read_text, read_order, read_at_once, read_empty, read_nodes_to_32, read_nodes_from_33, read_all_64,
        read_in_pieces, read_in_large_pieces, pread, pread_resumes, seek, seek_and_read, seek_to_start,
        read_after_the_end, read_set_changed_between, read_by_two, read_vector
    ]
}

/// As many as need more than one digit.
const MANY: [u16; 14] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

fn read_text(case: &mut Case) -> Result<()> {
    let all: Vec<u16> = (1..=16).collect();
    for (key, nodes) in [
        ("one", &[1][..]),
        ("another", &[16]),
        ("three", &[1, 3, 16]),
        ("all", &all),
    ] {
        let vip = Vip::new(case, 16, nodes)?;
        case.saw(key, vip.text()?);
    }
    Ok(())
}

fn read_order(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &[9, 2, 16])?;
    case.saw("as given", vip.text()?);
    for command in ["+7", "+1", "-9"] {
        vip.file.write_all(command.as_bytes())?;
    }
    case.saw("as written", vip.text()?);
    Ok(())
}

fn read_at_once(case: &mut Case) -> Result<()> {
    let all: Vec<u16> = (1..=16).collect();
    let mut vip = Vip::new(case, 16, &all)?;
    for size in [39, 40, 64, 4096, 65536] {
        vip.file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; size];
        let first = vip.file.read(&mut buffer);
        case.saw(&format!("{size}: first"), count(&first));
        let second = vip.file.read(&mut buffer);
        case.saw(&format!("{size}: next"), count(&second));
    }
    let none = vip.file.read(&mut []);
    case.saw("0: first", count(&none));
    Ok(())
}

fn read_empty(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    vip.file.write_all(b"-1")?;
    let read = vip.file.read(&mut [0; 64]);
    case.saw("read", count(&read));
    let read = vip.file.read_at(&mut [0; 64], 1);
    case.saw("pread at 1", count(&read));
    vip.file.write_all(b"+2")?;
    case.saw("filled again", vip.text()?);
    Ok(())
}

fn read_nodes_to_32(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 32, &[1, 17, 31, 32])?;
    case.saw("text", vip.text()?);
    Ok(())
}

fn read_nodes_from_33(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 64, &[32, 33, 64])?;
    case.saw("32, 33, 64", vip.text()?);
    vip.file.write_all(b"-32")?;
    case.saw("33, 64", vip.text()?);
    Ok(())
}

fn read_all_64(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 64, &[1])?;
    for node in 2..=64 {
        vip.file.write_all(format!("+{node}").as_bytes())?;
    }
    case.saw("text", vip.text()?);
    Ok(())
}

/// Reads by so many bytes to the end, or until it is clear that there is none.
fn by(case: &mut Case, vip: &mut Vip, size: usize) -> Result<()> {
    vip.file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    for _ in 0..200 {
        let piece = read_once(&mut vip.file, size);
        if piece.is_empty() {
            break;
        }
        text += &piece;
    }
    case.saw(&format!("by {size}"), text);
    Ok(())
}

fn read_in_pieces(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    [1, 2, 3, 5, 8]
        .into_iter()
        .try_for_each(|size| by(case, &mut vip, size))
}

/// The text has 35 bytes.
fn read_in_large_pieces(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    [16, 32, 34, 35, 36]
        .into_iter()
        .try_for_each(|size| by(case, &mut vip, size))
}

/// Each from a file that was not read before.
fn pread(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    for position in [0, 1, 2, 7, 34, 35, 1000] {
        vip.file = vip.host.open(VIP, &super::vip::editing())?;
        let mut buffer = [0; 128];
        let length = vip.file.read_at(&mut buffer, position)?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        case.saw(&format!("at {position}"), text);
    }
    Ok(())
}

/// One after the other on one descriptor, each where the one before it ended.
fn pread_resumes(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 16, &MANY)?;
    let mut text = String::new();
    for _ in 0..20 {
        let mut buffer = [0; 4];
        let length = vip.file.read_at(&mut buffer, text.len() as u64)?;
        if length == 0 {
            break;
        }
        text += &String::from_utf8_lossy(&buffer[..length]);
    }
    case.saw("text", text);
    Ok(())
}

fn seek(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    for (key, to) in [
        ("start", SeekFrom::Start(0)),
        ("to 4", SeekFrom::Start(4)),
        ("by 3", SeekFrom::Current(3)),
        ("by -7", SeekFrom::Current(-7)),
        ("by -1", SeekFrom::Current(-1)),
        ("beyond", SeekFrom::Start(1000)),
        ("end", SeekFrom::End(0)),
        ("end -1", SeekFrom::End(-1)),
    ] {
        let position = vip.file.seek(to);
        let value = match &position {
            Ok(position) => position.to_string(),
            Err(error) => crate::case::errno_name(error),
        };
        case.saw(key, value);
    }
    Ok(())
}

fn seek_and_read(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    for position in [2, 8, 35, 100] {
        vip.file.seek(SeekFrom::Start(position))?;
        let text = read_once(&mut vip.file, 64);
        case.saw(&format!("from {position}"), text);
    }
    Ok(())
}

fn seek_to_start(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    let before = read_once(&mut vip.file, 64);
    case.saw("before", before);
    vip.file.write_all(b"+3")?;
    vip.file.seek(SeekFrom::Start(0))?;
    let after = read_once(&mut vip.file, 64);
    case.saw("after", after);
    vip.file.seek(SeekFrom::Start(0))?;
    let again = read_once(&mut vip.file, 64);
    case.saw("again", again);
    Ok(())
}

/// Nothing was changed: the end stays the end.
fn read_after_the_end(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &MANY)?;
    for key in ["first", "second", "third"] {
        let text = read_once(&mut vip.file, 64);
        case.saw(key, text);
    }
    case.saw("position", vip.file.stream_position()?);
    Ok(())
}

/// The set grows after the end was read, without a seek.
fn read_set_changed_between(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    let before = read_once(&mut vip.file, 64);
    case.saw("before", before);
    vip.file.write_all(b"+3")?;
    let after = read_once(&mut vip.file, 64);
    case.saw("after", after);
    Ok(())
}

fn read_by_two(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1, 2])?;
    let mut other = vip.host.open(VIP, &super::vip::editing())?;
    let seen = read_once(&mut vip.file, 64);
    case.saw("one", seen);
    let seen = read_once(&mut other, 64);
    case.saw("other", seen);
    Ok(())
}

fn read_vector(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 16, &[1, 3, 16])?;
    let (mut head, mut tail) = ([0; 2], [0; 64]);
    let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    let length = vip.file.read_vectored(&mut parts)?;
    let text = [&head[..], &tail[..]].concat();
    case.saw("text", String::from_utf8_lossy(&text[..length]));
    Ok(())
}
