// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: which node a packet belongs to.
//!
//! The function is frozen: all nodes of a cluster, whatever they run, must name the same node for
//! the same packet. It is the final mix of Bob Jenkins' lookup3 as the kernel has had it in
//! `jhash.h` since v4.1.

use super::node::{
    NodeId,
    Total, //
};

/// What of a packet is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The source address.
    SourceIp,
    /// The source address and the source port.
    SourceIpSourcePort,
    /// The source address and both ports.
    SourceIpSourcePortDestPort,
}

impl Mode {
    /// The mode of this number in a rule's payload, or `None` when there is none.
    #[inline]
    pub const fn from_abi(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::SourceIp),
            1 => Some(Self::SourceIpSourcePort),
            2 => Some(Self::SourceIpSourcePortDestPort),
            _ => None,
        }
    }

    /// The number of the mode in a rule's payload.
    pub const fn to_abi(self) -> u32 {
        match self {
            Self::SourceIp => 0,
            Self::SourceIpSourcePort => 1,
            Self::SourceIpSourcePortDestPort => 2,
        }
    }

    /// The mode of this name, or `None` when there is none.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        (0..)
            .map_while(Self::from_abi)
            .find(|mode| mode.name().as_bytes() == name)
    }

    /// Whether ports are part of what is hashed.
    #[inline]
    pub const fn uses_ports(self) -> bool {
        !matches!(self, Self::SourceIp)
    }

    /// The name, as `iptables --hashmode` takes and shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceIp => "sourceip",
            Self::SourceIpSourcePort => "sourceip-sourceport",
            Self::SourceIpSourcePortDestPort => "sourceip-sourceport-destport",
        }
    }
}

/// What all nodes of a cluster have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// What of a packet is hashed.
    pub mode: Mode,
    /// The start value of the hash (`--hash-init`).
    pub seed: u32,
    /// How many nodes share the packets.
    pub total: Total,
}

impl Params {
    /// The node that a packet belongs to.
    ///
    /// `source` is the source address in host byte order (192.0.2.1 is `0xc0000201`), `ports` the
    /// four port bytes as on the wire, zero where the packet has none.
    #[inline]
    pub const fn node(&self, source: u32, ports: [u8; 4]) -> NodeId {
        self.total.node_of(self.hash(source, ports))
    }

    /// The hash of a packet; the arguments are those of [`Params::node`].
    ///
    /// The ports are not swapped to host order: what the original hashed are the two wire bytes
    /// loaded as a machine of its day would, low byte first. That is held on every machine, so that
    /// nodes of both byte orders agree (D14).
    #[inline]
    pub const fn hash(&self, source: u32, ports: [u8; 4]) -> u32 {
        let [s0, s1, d0, d1] = ports;
        // CAST: widening.
        let sport = u16::from_le_bytes([s0, s1]) as u32;
        // CAST: widening.
        let dport = u16::from_le_bytes([d0, d1]) as u32;
        match self.mode {
            Mode::SourceIp => jhash([source, 0, 0], 1, self.seed),
            Mode::SourceIpSourcePort => jhash([source, sport, 0], 2, self.seed),
            Mode::SourceIpSourcePortDestPort => jhash([source, sport, dport], 3, self.seed),
        }
    }
}

/// `jhash_1word()`, `jhash_2words()` and `jhash_3words()` of the kernel: words that are not `used`
/// are zero, and the count of those that are is part of the start value, in bytes.
#[inline]
const fn jhash(words: [u32; 3], used: u32, seed: u32) -> u32 {
    /// An arbitrary number, the same for everyone.
    const INITVAL: u32 = 0xdead_beef;

    let base = seed.wrapping_add(INITVAL).wrapping_add(used << 2);
    let [a, b, c] = words;
    let (a, b, c) = (
        a.wrapping_add(base),
        b.wrapping_add(base),
        c.wrapping_add(base),
    );
    let c = mix(c, b, 14);
    let a = mix(a, c, 11);
    let b = mix(b, a, 25);
    let c = mix(c, b, 16);
    let a = mix(a, c, 4);
    let b = mix(b, a, 14);
    mix(c, b, 24)
}

/// One step of the mix: `to` with `from` and its rotation folded in.
#[inline]
const fn mix(to: u32, from: u32, rotation: u32) -> u32 {
    (to ^ from).wrapping_sub(from.rotate_left(rotation))
}
