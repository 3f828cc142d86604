// SPDX-License-Identifier: GPL-2.0-only

//! §6.2: what may be written to a VIP's file, and what is said of the rest.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::vip::count;
use crate::cases::vip::editing;
use crate::cases::vip::install;
use crate::cases::vip::quoted;
use crate::cases::vip::rule;
use crate::cases::vip::Vip;
use anyhow::anyhow;
use anyhow::Result;
use harness::cluster::VIP;
use harness::sys;
use std::fs::OpenOptions;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::thread;

pub fn cases() -> Vec<Entry> {
    cases!["6.2" =>
        write_accepted, write_too_long, write_no_sign, write_no_number, write_unreadable, write_largest,
        write_plus_refused, write_minus_refused, write_cut_to_16_bits, write_node_64, write_single_node,
        write_local_above_total, write_every_node, write_again_and_again, write_at_a_position, write_pwrite,
        write_vector, write_appending, write_truncating, write_truncate, write_not_opened_for_it,
        write_moves_no_position, write_by_two, write_at_the_same_time, write_says_nothing
    ]
}

/// Writes one command after the other, and says what became of each.
fn tell(case: &mut Case, vip: &mut Vip, commands: &[&str]) -> Result<()> {
    for command in commands {
        let seen = vip.write(command.as_bytes())?;
        case.saw(&quoted(command.as_bytes()), seen);
    }
    Ok(())
}

fn write_accepted(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    let commands = [
        "+2",
        "-2\n",
        "++2",
        "-+2",
        "+2\n",
        "-000000002",
        "+02",
        "-1",
        "-02\n",
        "+2\0xyz",
        "-2\0",
        "+00000001\n",
    ];
    tell(case, &mut vip, &commands)
}

fn write_too_long(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    let commands = [
        "+000000002",
        "+0000000003",
        "+000000003\n",
        "+3\0abcdefgh",
        "-0000000001",
        "not a number",
    ];
    tell(case, &mut vip, &commands)?;
    let long = vip.write(&[b'+'; 5000])?;
    case.saw("5000 bytes", long);
    Ok(())
}

fn write_no_sign(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    tell(
        case,
        &mut vip,
        &["2", " +2", "\n", "\0", "=2", "\n+2", "x", ""],
    )
}

fn write_no_number(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 4, &[1])?;
    let commands = [
        "+", "-", "+\n", "-\n", "+\0", "+abc", "+0x2", "+ 2", "+2 ", "+2\n\n", "+2\r\n", "+2,4",
        "--2", "+-2", "+++2", "-++1", "+\n2", "+2\t", "+2.0",
    ];
    tell(case, &mut vip, &commands)
}

fn write_unreadable(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    for length in [0, 1, 10, 11] {
        let result = sys::write_unreadable(&vip.file, length);
        case.saw(&format!("{length} bytes"), count(&result));
    }
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

/// Nine digits don't overflow, and are no node.
fn write_largest(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    tell(case, &mut vip, &["+999999999", "-999999999"])
}

fn write_plus_refused(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1, 2])?;
    tell(
        case,
        &mut vip,
        &["+0", "+1", "+2", "+4", "+64", "+65", "+65535"],
    )
}

fn write_minus_refused(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1, 2])?;
    tell(case, &mut vip, &["-0", "-3", "-4", "-64", "-65", "-65535"])
}

fn write_cut_to_16_bits(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    tell(
        case,
        &mut vip,
        &[
            "+65536",
            "+65538",
            "-65537",
            "+131073\n",
            "-65536",
            "-65538",
        ],
    )
}

fn write_node_64(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 64, &[1])?;
    tell(case, &mut vip, &["+64", "+64", "-64", "-64", "+65", "-65"])
}

fn write_single_node(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 1, &[1])?;
    tell(case, &mut vip, &["+1", "-1", "-1", "+1", "+2"])
}

fn write_local_above_total(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let result = install(&host, &rule(2, &[1, 3]))?;
    case.errno("rule", &result);
    if result.is_ok() {
        let file = host.open(VIP, &editing())?;
        let mut vip = Vip { file, host };
        tell(case, &mut vip, &["-3", "+3", "-1"])?;
    }
    Ok(())
}

/// All nodes of a full cluster, one by one, there and back.
fn write_every_node(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 64, &[1])?;
    vip.file.write_all(b"-1")?;
    let (mut added, mut removed) = (0, 0);
    for node in 1..=64 {
        added += u32::from(vip.file.write(format!("+{node}").as_bytes()).is_ok());
    }
    case.saw("added", added);
    for node in (1..=64).rev() {
        removed += u32::from(vip.file.write(format!("-{node}").as_bytes()).is_ok());
    }
    case.saw("removed", removed);
    case.saw("left", vip.nodes()?);
    Ok(())
}

fn write_again_and_again(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    // A write that failed is no hindrance to the next.
    tell(
        case,
        &mut vip,
        &["+2", "+3\n", "+9", "-1", "rubbish", "-2", "+1"],
    )
}

fn write_at_a_position(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    for (position, command) in [(1, "+2"), (100, "-1"), (1 << 40, "+3")] {
        vip.file.seek(SeekFrom::Start(position))?;
        let seen = vip.write(command.as_bytes())?;
        case.saw(&format!("at {position}"), seen);
    }
    Ok(())
}

fn write_pwrite(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 3, &[1])?;
    for position in [0, 5] {
        let result = vip.file.write_at(b"+2", position);
        case.saw(&format!("at {position}"), count(&result));
    }
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

/// Each part of a `writev()` is a command.
fn write_vector(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    let result = vip
        .file
        .write_vectored(&[IoSlice::new(b"+2"), IoSlice::new(b"+3\n")]);
    case.saw("two good", count(&result));
    let result = vip.file.write_vectored(&[
        IoSlice::new(b"-2"),
        IoSlice::new(b"3\n"),
        IoSlice::new(b"-3"),
    ]);
    case.saw("the second bad", count(&result));
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

/// Opens the file in a way, writes `+2`, and says what became of it.
fn opened(case: &mut Case, options: &OpenOptions) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    let file = vip.host.open(VIP, options);
    case.errno("open", &file);
    if let Ok(file) = file {
        vip.file = file;
        let seen = vip.write(b"+2\n")?;
        case.saw("write", seen);
    }
    Ok(())
}

fn write_appending(case: &mut Case) -> Result<()> {
    opened(case, OpenOptions::new().append(true).create(true))
}

fn write_truncating(case: &mut Case) -> Result<()> {
    let mut options = editing();
    opened(case, options.create(true).truncate(true))
}

fn write_truncate(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    let result = vip.file.set_len(0);
    case.errno("ftruncate 0", &result);
    let result = vip.file.set_len(5);
    case.errno("ftruncate 5", &result);
    case.saw("size", vip.file.metadata()?.len());
    let seen = vip.write(b"+2")?;
    case.saw("write", seen);
    Ok(())
}

fn write_not_opened_for_it(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let mut reader = vip.host.open(VIP, OpenOptions::new().read(true))?;
    let result = reader.write(b"+2");
    case.saw("write", count(&result));
    let mut writer = vip.host.open(VIP, OpenOptions::new().write(true))?;
    let result = writer.read(&mut [0; 64]);
    case.saw("read", count(&result));
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

fn write_moves_no_position(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    vip.file.write_all(b"+2\n")?;
    case.saw("position", vip.file.stream_position()?);
    let mut text = String::new();
    vip.file.read_to_string(&mut text)?;
    case.saw("read", text);
    case.saw("position after", vip.file.stream_position()?);
    Ok(())
}

fn write_by_two(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 3, &[1])?;
    let mut other = vip.host.open(VIP, &editing())?;
    let seen = vip.write(b"+2")?;
    case.saw("one: +2", seen);
    let result = other.write(b"+2");
    case.saw("other: +2", count(&result));
    let result = other.write(b"-1");
    case.saw("other: -1", count(&result));
    let seen = vip.write(b"+3")?;
    case.saw("one: +3", seen);
    Ok(())
}

/// Two hands change different nodes of one set, again and again: no change is lost.
fn write_at_the_same_time(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 32, &[1])?;
    let hand = |first: u16| -> io::Result<usize> {
        let mut file = vip.host.open(VIP, &editing())?;
        let mut refused = 0;
        for turn in 0..101 {
            let sign = if turn % 2 == 0 { '+' } else { '-' };
            for node in (first..=32).step_by(2) {
                refused += usize::from(file.write(format!("{sign}{node}").as_bytes()).is_err());
            }
        }
        Ok(refused)
    };
    let results = thread::scope(|scope| {
        let (even, odd) = (scope.spawn(|| hand(2)), scope.spawn(|| hand(3)));
        [even.join(), odd.join()]
    });
    for (key, result) in ["even", "odd"].into_iter().zip(results) {
        let refused = result.map_err(|_| anyhow!("a thread panicked"))??;
        case.saw(key, format!("{refused} refused"));
    }
    case.saw("nodes", vip.nodes()?);
    Ok(())
}

fn write_says_nothing(case: &mut Case) -> Result<()> {
    let mut vip = Vip::new(case, 2, &[1])?;
    case.ctx.log()?;
    for command in ["+2", "+2", "-2", "-2", "+", "2", "+65538", "much too long"] {
        let _ = vip.file.write(command.as_bytes());
    }
    case.log("log")
}
