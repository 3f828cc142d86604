// SPDX-License-Identifier: GPL-2.0-only

//! Rules as values: what the kernel is handed for them, and what `iptables` would be told.

use harness::blob;
use harness::blob::Payload;
use std::fmt;
use std::net::Ipv4Addr;

/// A rule of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Lets everything pass; there to move the others about.
    Plain,
    /// Goes to one of the table's own chains.
    Jump(usize),
    Cluster(Cluster),
}

/// A rule with the target CLUSTERIP, good or bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub vip: Ipv4Addr,
    pub mask: Ipv4Addr,
    /// As the rule says it; empty: the rule says nothing. A final `+` is a wildcard.
    pub device: &'static str,
    pub flags: u32,
    pub mac: [u8; 6],
    pub total: u16,
    pub local: Vec<u16>,
    /// How many of `local` count, where that is a lie.
    pub num_local: Option<u16>,
    pub mode: u32,
    pub seed: u32,
    /// A payload that is shorter than it must be.
    pub short: bool,
}

impl Cluster {
    pub fn entry(&self) -> Vec<u8> {
        let mut payload = Payload {
            flags: self.flags,
            mac: self.mac,
            mode: self.mode,
            seed: self.seed,
            ..Payload::default()
        }
        .nodes(self.total, &self.local);
        if let Some(count) = self.num_local {
            payload.num_local = count;
        }
        let mut rule = blob::Rule::new(self.vip, self.device, &payload);
        rule.mask = self.mask;
        if let Some(start) = self.device.strip_suffix('+') {
            rule.interface_mask = start.len();
        }
        if self.short {
            rule.payload.truncate(56);
        }
        rule.entry()
    }
}

/// The arguments of `iptables` that make it, as far as `iptables` has words for it.
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-d {}", self.vip)?;
        if self.mask != Ipv4Addr::BROADCAST {
            write!(f, "/{}", self.mask)?;
        }
        if !self.device.is_empty() {
            write!(f, " -i {}", self.device)?;
        }
        write!(f, " -j CLUSTERIP")?;
        match self.flags {
            0 => {}
            1 => write!(f, " --new")?,
            other => write!(f, " (flags {other})")?,
        }
        match self.mode {
            0 => write!(f, " --hashmode sourceip")?,
            1 => write!(f, " --hashmode sourceip-sourceport")?,
            2 => write!(f, " --hashmode sourceip-sourceport-destport")?,
            other => write!(f, " (mode {other})")?,
        }
        let [a, b, c, d, e, g] = self.mac;
        write!(
            f,
            " --clustermac {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"
        )?;
        write!(f, " --total-nodes {}", self.total)?;
        let nodes: Vec<String> = self.local.iter().map(u16::to_string).collect();
        write!(f, " --local-node {}", nodes.join(","))?;
        if let Some(count) = self.num_local {
            write!(f, " ({count} local nodes)")?;
        }
        write!(f, " --hash-init {}", self.seed)?;
        if self.short {
            write!(f, " (56 bytes)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => write!(f, "-j ACCEPT"),
            Self::Jump(chain) => write!(f, "-j {}", super::table::OWN_CHAINS[*chain]),
            Self::Cluster(cluster) => write!(f, "{cluster}"),
        }
    }
}
