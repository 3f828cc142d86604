// SPDX-License-Identifier: GPL-2.0-only

//! Tables built by hand and given to the kernel by `setsockopt`, as `iptables-legacy` does, for
//! what its command line cannot say.
//!
//! The layouts are those of `linux/netfilter_ipv4/ip_tables.h` on a 64-bit machine.

use super::count;
use super::sys;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

const SO_SET_REPLACE: i32 = 64;
const SO_SET_ADD_COUNTERS: i32 = 65;
const SO_GET_INFO: i32 = 64;
const SO_GET_ENTRIES: i32 = 65;
const SO_GET_REVISION_TARGET: i32 = 67;
const SO_GET_REVISION_TARGET6: i32 = 69;
const ENTRY: usize = 112;
const GET_INFO: usize = 84;

/// `invflags` of a rule's address part.
pub const INV_VIA_IN: u8 = 0x01;
pub const INV_DSTIP: u8 = 0x10;

/// The other things that a rule can invert.
pub const INV_VIA_OUT: u8 = 0x02;
pub const INV_SRCIP: u8 = 0x08;
pub const INV_PROTO: u8 = 0x40;

/// The hooks, by their numbers.
pub const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
pub const LOCAL_IN: usize = 1;

/// `struct ipt_clusterip_tgt_info`, 64 bytes; fields may hold anything.
#[derive(Clone)]
pub struct Payload {
    pub flags: u32,
    pub mac: [u8; 6],
    pub total: u16,
    pub num_local: u16,
    pub local: [u16; 16],
    pub mode: u32,
    pub seed: u32,
    /// Where the kernel keeps a pointer of its own.
    pub config: u64,
}

impl Default for Payload {
    /// What `--new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1`
    /// sends.
    fn default() -> Self {
        let mut local = [0; 16];
        local[0] = 1;
        Self {
            flags: 1,
            mac: super::cluster::MAC_BYTES,
            total: 2,
            num_local: 1,
            local,
            mode: 0,
            seed: 0,
            config: 0,
        }
    }
}

impl Payload {
    /// Its first nodes replaced.
    pub fn nodes(mut self, total: u16, nodes: &[u16]) -> Self {
        self.total = total;
        self.num_local = nodes.len() as u16;
        self.local = [0; 16];
        for (slot, node) in self.local.iter_mut().zip(nodes) {
            *slot = *node;
        }
        self
    }

    /// What `-j CLUSTERIP` alone sends.
    pub fn joining() -> Self {
        Self {
            flags: 0,
            mac: [0; 6],
            total: 0,
            num_local: 0,
            local: [0; 16],
            mode: 0,
            seed: 0,
            config: 0,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_ne_bytes().to_vec();
        bytes.extend(self.mac);
        bytes.extend(self.total.to_ne_bytes());
        bytes.extend(self.num_local.to_ne_bytes());
        bytes.extend(self.local.iter().flat_map(|node| node.to_ne_bytes()));
        bytes.extend([0; 2]);
        bytes.extend(self.mode.to_ne_bytes());
        bytes.extend(self.seed.to_ne_bytes());
        bytes.extend(self.config.to_ne_bytes());
        bytes
    }
}

/// One rule with the target CLUSTERIP.
#[derive(Clone)]
pub struct Rule {
    pub hook: usize,
    pub destination: Ipv4Addr,
    pub mask: Ipv4Addr,
    /// At most 16 bytes; shorter ones are filled with zeros.
    pub interface: Vec<u8>,
    /// How many of the interface's bytes must match; as a rule all, with the final zero.
    pub interface_mask: usize,
    pub inverted: u8,
    pub source: Ipv4Addr,
    pub source_mask: Ipv4Addr,
    /// At most 16 bytes, all of which are compared if there are any.
    pub out_interface: Vec<u8>,
    pub protocol: u16,
    pub revision: u8,
    /// The target's payload, of any length that is a multiple of eight.
    pub payload: Vec<u8>,
}

/// A chain of an admin's own.
pub struct Chain {
    pub name: String,
    /// The hook whose chain leads to this one, if one does.
    pub from: Option<usize>,
    /// Their hooks do not count.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// A rule for a VIP in INPUT, as the command line makes it.
    pub fn new(destination: Ipv4Addr, interface: &str, payload: &Payload) -> Self {
        let interface = interface.as_bytes().to_vec();
        Self {
            hook: LOCAL_IN,
            destination,
            mask: Ipv4Addr::BROADCAST,
            interface_mask: if interface.is_empty() {
                0
            } else {
                interface.len() + 1
            },
            interface,
            inverted: 0,
            source: Ipv4Addr::UNSPECIFIED,
            source_mask: Ipv4Addr::UNSPECIFIED,
            out_interface: Vec::new(),
            protocol: 0,
            revision: 0,
            payload: payload.bytes(),
        }
    }

    /// As it stands in a table.
    pub fn entry(&self) -> Vec<u8> {
        let mut ip = self.source.octets().to_vec();
        ip.extend(self.destination.octets());
        ip.extend(self.source_mask.octets());
        ip.extend(self.mask.octets());
        let out_mask = vec![0xff; self.out_interface.len()];
        let mask = vec![0xff; self.interface_mask];
        for mut part in [
            self.interface.clone(),
            self.out_interface.clone(),
            mask,
            out_mask,
        ] {
            part.resize(16, 0);
            ip.extend(part);
        }
        ip.extend(self.protocol.to_ne_bytes());
        ip.extend([0, self.inverted]);
        let mut target = target("CLUSTERIP", &self.payload);
        target[31] = self.revision;
        entry(ip, &target)
    }
}

/// `struct ipt_entry` with one target and no match; `ip` is its `struct ipt_ip`, 84 bytes.
pub fn entry(ip: Vec<u8>, target: &[u8]) -> Vec<u8> {
    let mut bytes = ip;
    bytes.extend([0; 4]);
    bytes.extend((ENTRY as u16).to_ne_bytes());
    bytes.extend(((ENTRY + target.len()) as u16).to_ne_bytes());
    bytes.resize(ENTRY, 0);
    bytes.extend(target);
    bytes
}

/// `struct xt_entry_target` and what follows it.
pub fn target(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((32 + payload.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(name.as_bytes());
    bytes.resize(32, 0);
    bytes.extend(payload);
    bytes
}

/// An entry with a verdict, or the place in the table to go on at, and no match.
fn standard(verdict: i32) -> Vec<u8> {
    let payload = [verdict.to_ne_bytes(), [0; 4]].concat();
    entry(vec![0; 84], &target("", &payload))
}

/// What a chain of an admin's own starts with, and what ends the table.
fn error(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    name.resize(32, 0);
    entry(vec![0; 84], &target("ERROR", &name))
}

/// The hooks of a table, as `valid_hooks` has them.
pub fn hooks(table: &str) -> u32 {
    match table {
        "raw" => 0b01001,
        "mangle" => 0b11111,
        "nat" => 0b11011,
        // filter, security
        _ => 0b01110,
    }
}

/// A socket of the calling thread's namespace that tables are replaced by.
pub fn socket() -> io::Result<OwnedFd> {
    sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)
}

/// A table's entries now: how many, and their size.
pub fn info(socket: &OwnedFd, table: &str) -> io::Result<(u32, u32)> {
    let mut info = named(table);
    info.resize(GET_INFO, 0);
    sys::get_option(socket, libc::SOL_IP, SO_GET_INFO, &mut info)?;
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Ok((word(76), word(80)))
}

/// A table's entries as the kernel gives them back.
pub fn entries(socket: &OwnedFd, table: &str) -> io::Result<Vec<u8>> {
    let (_, size) = info(socket, table)?;
    let mut bytes = named(table);
    bytes.extend(size.to_ne_bytes());
    bytes.resize(40 + size as usize, 0);
    sys::get_option(socket, libc::SOL_IP, SO_GET_ENTRIES, &mut bytes)?;
    Ok(bytes.split_off(40))
}

fn named(table: &str) -> Vec<u8> {
    let mut bytes = table.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes
}

/// The targets CLUSTERIP among a table's entries, in their order: 32 bytes of the target's own, then
/// the payload.
pub fn targets(entries: &[u8]) -> Vec<&[u8]> {
    clusterip(entries).map(|(_, target)| target).collect()
}

/// The destinations of the rules with the target CLUSTERIP, in their order.
pub fn destinations(entries: &[u8]) -> Vec<Ipv4Addr> {
    clusterip(entries)
        .map(|(entry, _)| Ipv4Addr::new(entry[4], entry[5], entry[6], entry[7]))
        .collect()
}

/// The entries with that target, each with it.
fn clusterip(entries: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = entries;
    let all = std::iter::from_fn(move || {
        let (first, next) = (offset(rest, 88)?, offset(rest, 90)?);
        let found = (rest, rest.get(first..next)?);
        rest = &rest[next..];
        Some(found)
    });
    all.filter(|(_, target)| target.get(2..12) == Some(b"CLUSTERIP\0"))
}

/// One of an entry's two offsets.
fn offset(entry: &[u8], at: usize) -> Option<usize> {
    let bytes = entry.get(at..at + 2)?;
    Some(u16::from_ne_bytes([bytes[0], bytes[1]]).into())
}

/// Asks for a target's revision, as `iptables-legacy` does when it reads a rule.
pub fn revision(socket: &OwnedFd, target: &str, revision: u8) -> io::Result<()> {
    let mut request = revision_request(target, revision);
    sys::get_option(socket, libc::SOL_IP, SO_GET_REVISION_TARGET, &mut request).map(drop)
}

/// As [`revision`], of IPv6, by a socket of the calling thread's namespace.
pub fn revision6(target: &str, revision: u8) -> io::Result<()> {
    let socket = sys::socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    let mut request = revision_request(target, revision);
    sys::get_option(
        &socket,
        libc::SOL_IPV6,
        SO_GET_REVISION_TARGET6,
        &mut request,
    )
    .map(drop)
}

fn revision_request(target: &str, revision: u8) -> Vec<u8> {
    let mut request = target.as_bytes().to_vec();
    request.resize(29, 0);
    request.push(revision);
    request
}

/// Replaces a table by `rules` and nothing else; all policies are ACCEPT.
pub fn replace(socket: &OwnedFd, table: &str, rules: &[Rule]) -> io::Result<()> {
    replace_with_chains(socket, table, rules, &[])
}

/// As [`replace`], with chains of an admin's own.
pub fn replace_with_chains(
    socket: &OwnedFd,
    table: &str,
    rules: &[Rule],
    chains: &[Chain],
) -> io::Result<()> {
    let valid_hooks = hooks(table);
    let mut blob = Vec::new();
    let mut count = 0_u32;
    let mut add = |blob: &mut Vec<u8>, entry: Vec<u8>| {
        blob.extend(entry);
        count += 1;
    };
    let (mut heads, mut policies) = ([0_u32; 5], [0_u32; 5]);
    let mut jumps = Vec::new();
    for hook in (0..5).filter(|hook| valid_hooks & (1 << hook) != 0) {
        heads[hook] = blob.len() as u32;
        for rule in rules.iter().filter(|rule| rule.hook == hook) {
            add(&mut blob, rule.entry());
        }
        for (number, _) in chains
            .iter()
            .enumerate()
            .filter(|(_, chain)| chain.from == Some(hook))
        {
            jumps.push((blob.len(), number));
            add(&mut blob, standard(0));
        }
        policies[hook] = blob.len() as u32;
        // NF_ACCEPT
        add(&mut blob, standard(-2));
    }
    let mut starts = Vec::new();
    for chain in chains {
        add(&mut blob, error(&chain.name));
        starts.push(blob.len() as i32);
        for rule in &chain.rules {
            add(&mut blob, rule.entry());
        }
        // XT_RETURN
        add(&mut blob, standard(-5));
    }
    for (at, number) in jumps {
        let jump = standard(starts[number]);
        blob[at..at + jump.len()].copy_from_slice(&jump);
    }
    add(&mut blob, error("ERROR"));

    submit(
        socket,
        table,
        &Layout {
            count,
            heads,
            policies,
            entries: blob,
        },
    )
}

/// A whole table as the kernel takes it.
pub struct Layout {
    /// How many entries there are.
    pub count: u32,
    /// Where each hook's chain starts.
    pub heads: [u32; 5],
    /// Where each hook's policy is.
    pub policies: [u32; 5],
    pub entries: Vec<u8>,
}

/// Replaces a table, whatever is in it.
pub fn submit(socket: &OwnedFd, table: &str, layout: &Layout) -> io::Result<()> {
    count::add(&count::TABLES, 1);
    let (old_count, _) = info(socket, table)?;
    let mut counters = vec![0_u8; old_count as usize * 16];
    let mut request = named(table);
    for word in [hooks(table), layout.count, layout.entries.len() as u32] {
        request.extend(word.to_ne_bytes());
    }
    for word in layout
        .heads
        .iter()
        .chain(&layout.policies)
        .chain(&[old_count])
    {
        request.extend(word.to_ne_bytes());
    }
    request.extend((counters.as_mut_ptr() as u64).to_ne_bytes());
    request.extend(&layout.entries);
    sys::set_option(socket, libc::SOL_IP, SO_SET_REPLACE, &request)
}

/// Adds to the packets and bytes that each entry of a table has counted; one pair for each.
pub fn add_counters(socket: &OwnedFd, table: &str, counters: &[(u64, u64)]) -> io::Result<()> {
    let mut request = named(table);
    request.extend((counters.len() as u32).to_ne_bytes());
    request.extend([0; 4]);
    for (packets, bytes) in counters {
        request.extend(packets.to_ne_bytes());
        request.extend(bytes.to_ne_bytes());
    }
    sys::set_option(socket, libc::SOL_IP, SO_SET_ADD_COUNTERS, &request)
}
