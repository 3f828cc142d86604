// SPDX-License-Identifier: GPL-2.0-only

//! The rules' side: `setsockopt` and `getsockopt` of ip_tables and arp_tables, and the way of nftables.

use crate::input::Input;
use crate::revision1;
use crate::sys::Arg;
use crate::sys::Call;
use crate::sys::Nowhere;
use crate::table;
use crate::table::Layout;
use crate::table::HEADER;
use crate::table::STEADY;
use crate::table::TABLES;
use crate::world::World;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::clean;
use harness::eventually;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

const SET_REPLACE: u64 = 64;
const SET_ADD_COUNTERS: u64 = 65;
const GET_ENTRIES: u64 = 65;
/// `ARPT_BASE_CTL`.
const ARP_BASE: u64 = 96;
/// Twenty rules are plenty; this many are a lot.
const MANY: usize = 60;

/// What the kernel may say to a table.
const REFUSED: [i32; 9] = [
    // Another target, which is there in other revisions only.
    libc::EPROTOTYPE,
    libc::EINVAL,
    libc::ENOENT,
    libc::ELOOP,
    libc::EAGAIN,
    libc::ENOMEM,
    libc::EFAULT,
    libc::ENOPROTOOPT,
    libc::EEXIST,
];
/// And to a question.
const UNANSWERED: [i32; 7] = [
    libc::EINVAL,
    libc::ENOENT,
    libc::EAGAIN,
    libc::ENOMEM,
    libc::EFAULT,
    libc::ENOPROTOOPT,
    libc::EPROTONOSUPPORT,
];

/// A table, sound or not, is handed over.
pub fn replace(world: &mut World, input: &mut Input) -> Result<()> {
    let table = input.pick(&["filter", "filter", "mangle", "raw", "nat", "security"]);
    let rules = match input.below(16) {
        0..=2 => 0,
        15 => MANY,
        _ => 1 + input.below(8),
    };
    let layout = Layout::new(table, world.steady(table), input, rules);
    let is_changed = input.one_in(2);
    let bytes = if is_changed {
        layout.changed(input)
    } else {
        layout.bytes()
    };
    let result = submit(world, table, bytes, input);
    if result.is_ok() {
        world.counts.rule_changes += 1;
        // What was put together here has the steady rule in it; what was changed may not.
        if is_changed && STEADY.contains(&table) {
            world.reset()?;
        }
    }
    expect(result.map(drop), &REFUSED, "a table")
}

/// Puts the counters' number and address in, and hands the table over.
fn submit(
    world: &mut World,
    table: &str,
    mut bytes: Vec<u8>,
    input: &mut Input,
) -> io::Result<usize> {
    let (count, _) = blob::info(&world.rules, table)?;
    let (count, address) = if input.one_in(8) {
        // No number for which the kernel would take all of this machine's memory.
        let number = match input.odd_number() {
            number @ (0..=0x10_0000 | 0x4000_0000..) => number,
            number => number & 0xffff,
        };
        let nowhere = [Nowhere::Null, Nowhere::Low, Nowhere::Kernel, Nowhere::Top];
        (number, Arg::Nowhere(input.pick(&nowhere)))
    } else {
        (count, Arg::BeforeEnd(count as usize * 16 + bytes.len() + 8))
    };
    if bytes.len() >= HEADER {
        bytes[84..88].copy_from_slice(&count.to_ne_bytes());
        let address = world.scratch.address(address);
        bytes[88..96].copy_from_slice(&address.to_ne_bytes());
    }
    let length = bytes.len();
    let at = match input.below(32) {
        31 => Arg::Nowhere(Nowhere::Kernel),
        30 => Arg::Forbidden,
        _ => world.scratch.put(&bytes),
    };
    let said = if input.one_in(16) {
        input.odd_number() as usize
    } else {
        length
    };
    option(world, Call::SetOption, SET_REPLACE, at, said as u64)
}

fn option(world: &mut World, call: Call, name: u64, value: Arg, length: u64) -> io::Result<usize> {
    let fd = world.rules.as_raw_fd();
    let args = [
        Arg::Number(libc::SOL_IP as u64),
        Arg::Number(name),
        value,
        Arg::Number(length),
    ];
    world.scratch.call(call, fd, &args)
}

/// Counters are added, to tables of other sizes too.
pub fn add_counters(world: &mut World, input: &mut Input) -> Result<()> {
    let table = input.pick(&TABLES);
    let mut count = blob::info(&world.rules, table)?.0;
    if input.one_in(2) {
        count = input.odd_number() & 0xffff;
    }
    let mut bytes = table.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes.extend(count.to_ne_bytes());
    bytes.resize(40, 0);
    let held = if input.one_in(4) {
        input.below(64)
    } else {
        count as usize
    };
    // What packets are judged by is counted there.
    let number = if STEADY.contains(&table) {
        0
    } else {
        input.byte()
    };
    bytes.resize(40 + 16 * held, number);
    let length = bytes.len() as u64;
    let at = world.scratch.put(&bytes);
    let result = option(world, Call::SetOption, SET_ADD_COUNTERS, at, length);
    expect(result.map(drop), &REFUSED, "counters")
}

/// Tables, sizes and revisions are asked for; also of arp_tables, which has no such target.
pub fn ask(world: &mut World, input: &mut Input) -> Result<()> {
    let base = if input.one_in(4) { ARP_BASE } else { 64 };
    let name = base + input.below(8) as u64;
    let mut bytes = match input.below(3) {
        0 => input.pick(&TABLES).as_bytes().to_vec(),
        1 => input
            .pick(&["CLUSTERIP", "CLUSTERI", "ERROR", ""])
            .as_bytes()
            .to_vec(),
        _ => input.bytes(32),
    };
    bytes.resize(29, 0);
    bytes.push(input.pick(&[0, 0, 1, 255]));
    bytes.resize(32, 0);
    let size = match input.below(3) {
        0 => input.odd_number() & 0xffff,
        _ => blob::info(&world.rules, input.pick(&TABLES))?.1,
    };
    bytes.extend(size.to_ne_bytes());
    bytes.resize(40 + (size as usize & 0xffff), 0);
    // The length stands in memory, as both what there is and what is given back.
    let length = if input.one_in(4) {
        input.odd_number()
    } else if name == GET_ENTRIES {
        40 + size
    } else {
        input.pick(&[84, 30, 40])
    };
    let whole = [&length.to_ne_bytes()[..], &bytes].concat();
    world.scratch.put(&whole);
    let length_at = world.scratch.address(Arg::BeforeEnd(whole.len()));
    let value = if input.one_in(16) {
        Arg::Nowhere(Nowhere::Kernel)
    } else {
        Arg::BeforeEnd(bytes.len())
    };
    let result = option(world, Call::GetOption, name, value, length_at);
    expect(result.map(drop), &UNANSWERED, "a question")
}

/// A rule by way of nftables, which is taken from the machine's root alone, and if it says its VIP.
pub fn nftables(world: &mut World, input: &mut Input) -> Result<()> {
    let name = input.pick(&["CLUSTERIP", "CLUSTERIP", "CLUSTERIP", "CLUSTERI"]);
    let revision = input.pick(&[0, 0, 1, 1, 255]);
    let mut payload = if revision == 1 {
        revision1::payload(input).bytes()
    } else {
        table::payload(input).bytes()
    };
    if input.one_in(4) {
        payload.resize(input.below(200), 0x5a);
    }
    if input.one_in(4) {
        let result = world.nft.ask(input.pick(&[2, 0, 3, 7, 10]), name, revision);
        return expect(result, &UNANSWERED, "a question of nftables");
    }
    let hook = input.below(5) as u32;
    let uses = clean::uses()?;
    match world.nft.add_rule(hook, name, revision, &payload) {
        Ok(()) => {
            let says_vip = payload.get(20..24).is_some_and(|vip| vip != [0; 4]);
            ensure!(
                world.is_machines && revision == 1 && says_vip,
                "nftables took a rule with the target {name}.{revision}: {payload:02x?}"
            );
            world.counts.rule_changes += 1;
            // What was taken back goes a while later.
            eventually("the end of a rule of nftables", || {
                Ok(clean::uses()? == uses)
            })
        }
        Err(error) => expect(
            Err(error),
            &[libc::EOPNOTSUPP, libc::ENOENT, libc::EINVAL, libc::ERANGE],
            "a rule of nftables",
        ),
    }
}

/// All rules of this namespace: how many there are for each VIP.
pub fn count(world: &World) -> Result<BTreeMap<Ipv4Addr, u32>> {
    let mut rules = BTreeMap::new();
    for table in TABLES {
        let entries = blob::entries(&world.rules, table).context(table)?;
        for (ip, target) in blob_entries(&entries) {
            if target.get(2..12) == Some(b"CLUSTERIP\0") {
                let destination = <[u8; 4]>::try_from(&ip[4..8])?;
                let vip = revision1::vip_of(destination.into(), target);
                *rules.entry(vip).or_default() += 1;
            }
        }
    }
    Ok(rules)
}

/// Each entry's address part, and its target.
fn blob_entries(entries: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut list = Vec::new();
    let mut rest = entries;
    while rest.len() > 92 {
        let offset = |at: usize| usize::from(u16::from_ne_bytes([rest[at], rest[at + 1]]));
        let (target, next) = (offset(88), offset(90));
        let Some(bytes) = rest.get(target..next) else {
            break;
        };
        list.push((&rest[..84], bytes));
        rest = &rest[next..];
    }
    list
}

/// How many packets the first two entries of a table have counted.
pub fn first_two(world: &World, table: &str) -> Result<[u64; 2]> {
    let entries = blob::entries(&world.rules, table)?;
    let mut counts = [0; 2];
    let mut at = 0;
    for count in &mut counts {
        let bytes = entries.get(at + 96..at + 104).context("no such entry")?;
        *count = u64::from_ne_bytes(bytes.try_into()?);
        at += usize::from(u16::from_ne_bytes([entries[at + 90], entries[at + 91]]));
    }
    Ok(counts)
}

/// Success, or one of these refusals.
pub fn expect(result: io::Result<()>, refusals: &[i32], what: &str) -> Result<()> {
    if let Err(error) = result {
        let number = error.raw_os_error().unwrap_or(0);
        ensure!(refusals.contains(&number), "{what} gives {error}");
    }
    Ok(())
}
