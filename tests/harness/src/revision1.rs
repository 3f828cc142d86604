// SPDX-License-Identifier: GPL-2.0-only

//! Rules of revision 1 by hand, for [`blob`](super::blob)'s tables.

use super::blob;
use super::blob::Rule;
use super::cluster::MAC_BYTES;
use super::packet::Mac;
use std::net::Ipv4Addr;

/// `--new`.
pub const NEW: u32 = 1;
/// `--no-mark`.
pub const NO_MARK: u32 = 2;

/// How many bytes the payload has, a 32-bit program's as well, and how many of them are not the kernel's own.
pub const SIZE: usize = 176;
pub const SHARED: usize = 168;

/// `struct clusterip_rev1`; fields may hold anything.
#[derive(Clone)]
pub struct Payload {
    pub flags: u32,
    pub mac: Mac,
    pub total: u16,
    pub mode: u32,
    pub seed: u32,
    /// `--vip`; 0.0.0.0 says nothing.
    pub vip: Ipv4Addr,
    /// `--dev`, of at most 16 bytes; empty says nothing.
    pub device: Vec<u8>,
    pub local: [u32; 32],
    /// Where the kernel keeps a pointer of its own.
    pub kernel_only: u64,
}

impl Default for Payload {
    /// `--new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-nodes 1`, without `--vip` and
    /// `--dev`.
    fn default() -> Self {
        let nothing = Self {
            flags: NEW,
            mac: MAC_BYTES,
            ..Self::joining()
        };
        nothing.nodes(2, [1])
    }
}

impl Payload {
    /// `-j CLUSTERIP` alone.
    pub fn joining() -> Self {
        Self {
            flags: 0,
            mac: [0; 6],
            total: 0,
            mode: 0,
            seed: 0,
            vip: Ipv4Addr::UNSPECIFIED,
            device: Vec::new(),
            local: [0; 32],
            kernel_only: 0,
        }
    }

    /// With this total and these local nodes, of 1 to 1024.
    pub fn nodes(mut self, total: u16, nodes: impl IntoIterator<Item = u32>) -> Self {
        self.total = total;
        self.local = [0; 32];
        for node in nodes {
            self.local[(node - 1) as usize / 32] |= 1 << ((node - 1) % 32);
        }
        self
    }

    /// With this hash.
    pub fn hash(self, mode: u32, seed: u32) -> Self {
        Self { mode, seed, ..self }
    }

    /// With `--vip`.
    pub fn vip(self, vip: Ipv4Addr) -> Self {
        Self { vip, ..self }
    }

    /// With `--dev`.
    pub fn device(self, name: &str) -> Self {
        let device = name.into();
        Self { device, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_ne_bytes().to_vec();
        bytes.extend(self.mac);
        bytes.extend(self.total.to_ne_bytes());
        bytes.extend(self.mode.to_ne_bytes());
        bytes.extend(self.seed.to_ne_bytes());
        bytes.extend(self.vip.octets());
        let mut device = self.device.clone();
        device.resize(16, 0);
        bytes.extend(device);
        bytes.extend(self.local.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(self.kernel_only.to_ne_bytes());
        bytes
    }

    /// A rule in INPUT with `-d` and `-i`; an empty one of them is not said.
    pub fn rule(&self, destination: Option<Ipv4Addr>, interface: &str) -> Rule {
        let mut rule = Rule::new(
            destination.unwrap_or(Ipv4Addr::UNSPECIFIED),
            interface,
            &blob::Payload::default(),
        );
        if destination.is_none() {
            rule.mask = Ipv4Addr::UNSPECIFIED;
        }
        rule.revision = 1;
        rule.payload = self.bytes();
        rule
    }

    /// A rule that says its VIP and its device itself, at this hook, and matches no more than that a packet comes from
    /// 0.0.0.0 to 127.255.255.255: so the harness' own do not.
    pub fn rule_for_any(&self, hook: usize) -> Rule {
        let mut rule = self.rule(None, "");
        rule.hook = hook;
        rule.source_mask = Ipv4Addr::new(128, 0, 0, 0);
        rule
    }
}
