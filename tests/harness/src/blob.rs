// SPDX-License-Identifier: GPL-2.0-only

//! Tables built by hand and given to the kernel by `setsockopt`, as `iptables-legacy` does, for
//! what its command line cannot say.
//!
//! The layouts are those of `linux/netfilter_ipv4/ip_tables.h` on a 64-bit machine.

use super::sys;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

const SO_SET_REPLACE: i32 = 64;
const SO_GET_INFO: i32 = 64;
const SO_GET_ENTRIES: i32 = 65;
const ENTRY: usize = 112;
const GET_INFO: usize = 84;

/// `invflags` of a rule's address part.
pub const INV_VIA_IN: u8 = 0x01;
pub const INV_DSTIP: u8 = 0x10;

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
    /// The target's payload, of any length that is a multiple of eight.
    pub payload: Vec<u8>,
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
            payload: payload.bytes(),
        }
    }

    fn entry(&self) -> Vec<u8> {
        let mut ip = vec![0; 4];
        ip.extend(self.destination.octets());
        ip.extend([0; 4]);
        ip.extend(self.mask.octets());
        let mut name = self.interface.clone();
        name.resize(16, 0);
        ip.extend(name);
        ip.extend([0; 16]);
        let mut mask = vec![0xff; self.interface_mask];
        mask.resize(16, 0);
        ip.extend(mask);
        ip.extend([0; 16]);
        ip.extend([0, 0, 0, self.inverted]);
        entry(ip, &target("CLUSTERIP", &self.payload))
    }
}

/// `struct ipt_entry` with one target and no match.
fn entry(ip: Vec<u8>, target: &[u8]) -> Vec<u8> {
    let mut bytes = ip;
    bytes.extend([0; 4]);
    bytes.extend((ENTRY as u16).to_ne_bytes());
    bytes.extend(((ENTRY + target.len()) as u16).to_ne_bytes());
    bytes.resize(ENTRY, 0);
    bytes.extend(target);
    bytes
}

fn target(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((32 + payload.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(name.as_bytes());
    bytes.resize(32, 0);
    bytes.extend(payload);
    bytes
}

/// The hooks of a table, as `valid_hooks` has them.
fn hooks(table: &str) -> u32 {
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
fn info(socket: &OwnedFd, table: &str) -> io::Result<(u32, u32)> {
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

/// Replaces a table by `rules` and nothing else; all policies are ACCEPT.
pub fn replace(socket: &OwnedFd, table: &str, rules: &[Rule]) -> io::Result<()> {
    let valid_hooks = hooks(table);
    let mut blob = Vec::new();
    let mut count = 0_u32;
    let (mut heads, mut policies) = ([0_u32; 5], [0_u32; 5]);
    for hook in (0..5).filter(|hook| valid_hooks & (1 << hook) != 0) {
        heads[hook] = blob.len() as u32;
        for rule in rules.iter().filter(|rule| rule.hook == hook) {
            blob.extend(rule.entry());
            count += 1;
        }
        policies[hook] = blob.len() as u32;
        // NF_ACCEPT, as a verdict of the standard target, and padding.
        let accept = [(-2_i32).to_ne_bytes(), [0; 4]].concat();
        blob.extend(entry(vec![0; 84], &target("", &accept)));
        count += 1;
    }
    let mut error = b"ERROR".to_vec();
    error.resize(32, 0);
    blob.extend(entry(vec![0; 84], &target("ERROR", &error)));
    count += 1;

    let (old_count, _) = info(socket, table)?;
    let mut counters = vec![0_u8; old_count as usize * 16];
    let mut request = named(table);
    for word in [valid_hooks, count, blob.len() as u32] {
        request.extend(word.to_ne_bytes());
    }
    for word in heads.iter().chain(&policies).chain(&[old_count]) {
        request.extend(word.to_ne_bytes());
    }
    request.extend((counters.as_mut_ptr() as u64).to_ne_bytes());
    request.extend(blob);
    sys::set_option(socket, libc::SOL_IP, SO_SET_REPLACE, &request)
}
