// SPDX-License-Identifier: GPL-2.0-only

//! Tables as a 32-bit `iptables` gives them to a 64-bit kernel, and gets them back
//! (`CONFIG_NETFILTER_XTABLES_COMPAT`), without a 32-bit program: the system calls are made by the
//! door that 32-bit programs use ([`Arena`]), and that is what the kernel goes by.
//!
//! The layouts are those of `net/ipv4/netfilter/ip_tables.c`. An entry's own part is as long as on a
//! 64-bit machine; pointers are four bytes, and lengths are multiples of four, not of eight.

use super::arena::Arena;
use super::blob;
use super::blob::Rule;
use super::count;
use std::io;
use std::os::fd::OwnedFd;

const SO_SET_REPLACE: u32 = 64;
const SO_GET_INFO: u32 = 64;
const SO_GET_ENTRIES: u32 = 65;
const GET_INFO: usize = 84;

/// What a 32-bit program sends of the payload: the kernel's word is four bytes there.
pub const PAYLOAD: usize = 60;
/// What both sides of it have alike.
pub const SHARED: usize = 56;

/// Whether this kernel knows of 32-bit programs here: to one that does, a table is shorter for them.
pub fn available() -> io::Result<bool> {
    let socket = blob::socket()?;
    Ok(info(&socket, "filter")?.1 < blob::info(&socket, "filter")?.1)
}

/// An entry with a verdict, and no match.
fn standard(verdict: i32) -> Vec<u8> {
    blob::entry(vec![0; 84], &blob::target("", &verdict.to_ne_bytes()))
}

/// What ends the table.
fn error() -> Vec<u8> {
    let mut name = b"ERROR".to_vec();
    name.resize(32, 0);
    blob::entry(vec![0; 84], &blob::target("ERROR", &name))
}

/// Replaces a table by rules of its hooks; all policies are ACCEPT. Each rule's payload is sent as
/// it is, of whatever length.
pub fn replace(socket: &OwnedFd, table: &str, rules: &[Rule]) -> io::Result<()> {
    let valid = blob::hooks(table);
    let (mut heads, mut policies) = ([0_u32; 5], [0_u32; 5]);
    let mut entries = Vec::new();
    let mut count = 1_u32;
    for hook in (0..5).filter(|hook| valid & (1 << hook) != 0) {
        heads[hook] = entries.len() as u32;
        for rule in rules.iter().filter(|rule| rule.hook == hook) {
            entries.extend(rule.entry());
            count += 1;
        }
        policies[hook] = entries.len() as u32;
        // NF_ACCEPT
        entries.extend(standard(-2));
        count += 1;
    }
    entries.extend(error());

    count::add(&count::TABLES, 1);
    let (old, _) = info(socket, table)?;
    let arena = Arena::new()?;
    // Old counters come to the arena's second half.
    let counters = arena.address() + (Arena::SIZE / 2) as u32;
    let mut request = named(table);
    let head = [valid, count, entries.len() as u32];
    for word in head
        .iter()
        .chain(&heads)
        .chain(&policies)
        .chain(&[old, counters])
    {
        request.extend(word.to_ne_bytes());
    }
    request.extend(entries);
    if request.len() > Arena::SIZE / 2 || old as usize * 16 > Arena::SIZE / 2 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    arena.set_option(socket, libc::SOL_IP as u32, SO_SET_REPLACE, &request)
}

/// A table's entries now, as a 32-bit program sees them: how many, and their size.
pub fn info(socket: &OwnedFd, table: &str) -> io::Result<(u32, u32)> {
    let mut info = named(table);
    info.resize(GET_INFO, 0);
    Arena::new()?.get_option(socket, libc::SOL_IP as u32, SO_GET_INFO, &mut info)?;
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Ok((word(76), word(80)))
}

/// A table's entries as a 32-bit program gets them.
pub fn entries(socket: &OwnedFd, table: &str) -> io::Result<Vec<u8>> {
    let (_, size) = info(socket, table)?;
    let mut bytes = named(table);
    bytes.extend(size.to_ne_bytes());
    bytes.resize(36 + size as usize, 0);
    Arena::new()?.get_option(socket, libc::SOL_IP as u32, SO_GET_ENTRIES, &mut bytes)?;
    Ok(bytes.split_off(36))
}

fn named(table: &str) -> Vec<u8> {
    let mut bytes = table.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes
}
