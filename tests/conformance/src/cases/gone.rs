// SPDX-License-Identifier: GPL-2.0-only

//! §2.7 and §2.8: the last rule of a VIP goes, and what comes after.

use super::tables::files;
use super::tables::joined;
use super::tables::nodes;
use super::tables::other;
use super::tables::rules;
use super::tables::state;
use super::tables::usual;
use super::tables::usual_for;
use super::tables::with;
use super::tables::Tables;
use super::tables::SECOND_MAC;
use super::tables::SECOND_MAC_BYTES;
use super::tables::SECOND_VIP;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::rule;
use std::fs;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.7" => file_goes_with_the_last_of_three, open_file_after_the_end, open_file_of_another_life,
            mac_of_two_vips, mac_that_an_admin_joined_too, device_goes_first, device_is_renamed_first,
            device_of_another_takes_the_name;
        "2.8" => flush_takes_the_file_at_once, flush_takes_the_mac, flush_of_one_table,
            flush_by_command_line, delete_by_number, flush_and_add_starts_anew,
            flush_and_add_at_once, flush_and_add_other_mac_at_once, flush_and_add_other_device_at_once,
            flush_and_add_often, flush_of_many_vips;
    ]
}

fn file_goes_with_the_last_of_three(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for count in [3, 2, 1, 0] {
        tables.set(&vec![usual(); count])?;
        case.saw(&count.to_string(), files(&tables.host)?);
    }
    Ok(())
}

fn open_file_after_the_end(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    let mut options = fs::OpenOptions::new();
    let mut file = tables.host.open(VIP, options.read(true).write(true))?;
    tables.set(&[])?;
    case.errno("read", &file.read(&mut [0; 64]));
    case.errno("write", &file.write(b"+2"));
    case.errno("seek", &file.seek(SeekFrom::Start(0)));
    case.saw("rules", rules()?);
    case.saw("MAC", joined(&tables.host, "eth0", MAC, 0)?);
    Ok(())
}

/// The VIP comes back: its old file is still dead.
fn open_file_of_another_life(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    let mut options = fs::OpenOptions::new();
    let mut file = tables.host.open(VIP, options.read(true).write(true))?;
    tables.set(&[])?;
    tables.set(&[usual()])?;
    case.errno("read", &file.read(&mut [0; 64]));
    case.errno("write", &file.write(b"+2"));
    drop(file);
    state(case, &tables.host, "", [1, 0])
}

fn mac_of_two_vips(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let both = [usual(), usual_for(SECOND_VIP)];
    for (about, count) in [("two", 2), ("one", 1), ("none", 0)] {
        tables.set(&both[..count])?;
        state(case, &tables.host, about, [count as u32, 0])?;
    }
    Ok(())
}

fn mac_that_an_admin_joined_too(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.host.run(&format!("ip maddr add {MAC} dev eth0"))?;
    let shown = |case: &mut Case, about: &str| -> Result<()> {
        let list = tables.host.run("ip maddr show dev eth0")?;
        let line = list.lines().find(|line| line.contains(MAC));
        case.saw(about, line.unwrap_or("none").trim());
        Ok(())
    };
    shown(case, "with the rule")?;
    tables.set(&[])?;
    joined(&tables.host, "eth0", MAC, 1)?;
    shown(case, "without")
}

fn device_goes_first(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.host.ip("link del eth0\n")?;
    state(case, &tables.host, "device gone", [0, 0])?;
    tables.set(&[])?;
    case.log("log")?;
    state(case, &tables.host, "rule gone", [0, 0])
}

fn device_is_renamed_first(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables
        .host
        .ip("link set eth0 down\nlink set eth0 name wan0\n")?;
    case.saw("renamed", joined(&tables.host, "wan0", MAC, 0)?);
    tables.set(&[])?;
    case.saw("rule gone", joined(&tables.host, "wan0", MAC, 0)?);
    case.saw("rules", rules()?);
    Ok(())
}

/// What was joined on the one device leaves the other.
fn device_of_another_takes_the_name(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.host.ip("link set eth0 down\nlink set eth1 down\n\
         link set eth0 name wan0\nlink set eth1 name eth0\n")?;
    case.saw("on the new eth0", joined(&tables.host, "eth0", MAC, 1)?);
    case.saw("on the old one", joined(&tables.host, "wan0", MAC, 0)?);
    tables.set(&[])?;
    case.saw("rule gone", joined(&tables.host, "eth0", MAC, 0)?);
    Ok(())
}

/// Not soon, but before the call comes back.
fn flush_takes_the_file_at_once(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut there = 0;
    for _ in 0..20 {
        tables.set(&[usual()])?;
        tables.set(&[])?;
        there += u32::from(tables.host.has_vip(VIP)?);
    }
    case.saw("there after a flush, of 20", there);
    Ok(())
}

fn flush_takes_the_mac(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    case.saw("with the rule", joined(&tables.host, "eth0", MAC, 1)?);
    tables.set(&[])?;
    case.saw("without", joined(&tables.host, "eth0", MAC, 0)?);
    Ok(())
}

fn flush_of_one_table(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.set_in("mangle", &[usual()])?;
    tables.tell("+2")?;
    tables.set(&[])?;
    state(case, &tables.host, "one left", [1, 0])?;
    tables.set(&[usual()])?;
    tables.set_in("mangle", &[])?;
    state(case, &tables.host, "the other", [1, 0])?;
    tables.set(&[])?;
    state(case, &tables.host, "none left", [0, 0])
}

fn flush_by_command_line(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let host = &tables.host;
    for (about, command) in [
        ("-F", "-F"),
        ("-F INPUT", "-F INPUT"),
        ("-t", "-t filter -F"),
    ] {
        host.iptables(&format!("-A {}", rule()))?;
        host.iptables(command)?;
        state(case, host, about, [0, 0])?;
    }
    case.log("log")
}

fn delete_by_number(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual(), usual()])?;
    for about in ["first", "second"] {
        tables.host.iptables("-D INPUT 1")?;
        case.saw(about, files(&tables.host)?);
    }
    Ok(())
}

fn flush_and_add_starts_anew(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.tell("+2")?;
    tables.set(&[])?;
    state(case, &tables.host, "flushed", [0, 0])?;
    let result = tables.set(&[other()]);
    case.errno("errno", &result);
    case.log("log")?;
    state(case, &tables.host, "", [0, 1])?;
    case.errno("+7", &tables.tell("+7"));
    Ok(())
}

/// Within the grace period after which the MAC leaves.
fn flush_and_add_at_once(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.tell("+2")?;
    tables.set(&[])?;
    tables.set(&[usual()])?;
    state(case, &tables.host, "", [1, 0])
}

fn flush_and_add_other_mac_at_once(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.set(&[])?;
    let result = tables.set(&[with(|payload| payload.mac = SECOND_MAC_BYTES)]);
    case.errno("errno", &result);
    case.saw("old MAC", joined(&tables.host, "eth0", MAC, 0)?);
    case.saw("new MAC", joined(&tables.host, "eth0", SECOND_MAC, 1)?);
    Ok(())
}

fn flush_and_add_other_device_at_once(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.set(&[])?;
    tables.set(&[Rule::new(VIP_ADDRESS, "eth1", &Payload::default())])?;
    state(case, &tables.host, "", [0, 1])
}

fn flush_and_add_often(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for _ in 0..50 {
        tables.set(&[usual()])?;
        tables.set(&[])?;
    }
    tables.set(&[usual()])?;
    state(case, &tables.host, "", [1, 0])?;
    tables.set(&[])?;
    state(case, &tables.host, "then", [0, 0])
}

fn flush_of_many_vips(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let many: Vec<Rule> = (1..=40)
        .map(|number| usual_for(&format!("10.9.1.{number}")))
        .collect();
    tables.set(&many)?;
    case.saw("MAC", joined(&tables.host, "eth0", MAC, 40)?);
    case.saw("rules", rules()?);
    case.saw("first", nodes(&tables.host, "10.9.1.1")?);
    case.saw("last", nodes(&tables.host, "10.9.1.40")?);
    tables.set(&[])?;
    state(case, &tables.host, "then", [0, 0])
}
