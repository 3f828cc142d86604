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

/// What of a packet is hashed; numbered as in a rule's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The source address.
    SourceIp = 0,
    /// The source address and the source port.
    SourceIpSourcePort = 1,
    /// The source address and both ports.
    SourceIpSourcePortDestPort = 2,
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
        // CAST: It is the number above.
        self as u32
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
    /// What can be said of the hash before there is a packet.
    pub const fn prepare(self) -> Prepared {
        let base = self.seed.wrapping_add(offset(self.mode));
        let alone = mix(base, base, 14);
        Prepared {
            mode: self.mode,
            total: self.total,
            base,
            alone,
            alone_rotated: alone.rotate_left(11),
            dport_mask: match self.mode {
                Mode::SourceIpSourcePortDestPort => u32::MAX,
                Mode::SourceIp | Mode::SourceIpSourcePort => 0,
            },
        }
    }
}

/// [`Params`], with the work done that is the same for every packet.
///
/// The hash is `jhash_1word()`, `jhash_2words()` or `jhash_3words()` of the kernel, of the source
/// address and as many ports as the mode says.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    mode: Mode,
    total: Total,
    /// What all three words start from: seed, and how many bytes are hashed.
    base: u32,
    /// The third word after its first step, where no port is in it; and that, rotated.
    alone: u32,
    alone_rotated: u32,
    /// The bits of the destination port that are hashed: all or none.
    dport_mask: u32,
}

/// How far what the hash starts from is from the seed: an arbitrary number, the same for everyone, and the
/// number of bytes that are hashed.
const fn offset(mode: Mode) -> u32 {
    const INITVAL: u32 = 0xdead_beef;
    let words: u32 = match mode {
        Mode::SourceIp => 1,
        Mode::SourceIpSourcePort => 2,
        Mode::SourceIpSourcePortDestPort => 3,
    };
    INITVAL.wrapping_add(words << 2)
}

impl Prepared {
    /// What it was made of.
    pub const fn params(&self) -> Params {
        Params {
            mode: self.mode,
            seed: self.base.wrapping_sub(offset(self.mode)),
            total: self.total,
        }
    }

    /// What of a packet is hashed.
    #[inline(always)]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The node that a packet belongs to.
    ///
    /// `source` is the source address in host byte order (192.0.2.1 is `0xc0000201`), `ports` the
    /// four port bytes as on the wire, zero where the packet has none.
    #[inline(always)]
    pub const fn node(&self, source: u32, ports: [u8; 4]) -> NodeId {
        self.total.node_of(self.hash(source, ports))
    }

    /// The hash of a packet; the arguments are those of [`Prepared::node`].
    ///
    /// The ports are not swapped to host order: what the original hashed are the two wire bytes
    /// loaded as a machine of its day would, low byte first. That is held on every machine, so that
    /// nodes of both byte orders agree (D14).
    #[inline(always)]
    pub const fn hash(&self, source: u32, ports: [u8; 4]) -> u32 {
        let base = self.base;
        let a = source.wrapping_add(base);
        if let Mode::SourceIp = self.mode {
            let a = (a ^ self.alone).wrapping_sub(self.alone_rotated);
            return finish(a, base, self.alone);
        }
        let [s0, s1, d0, d1] = ports;
        // CAST: widening.
        let sport = u16::from_le_bytes([s0, s1]) as u32;
        // CAST: widening.
        let dport = u16::from_le_bytes([d0, d1]) as u32;
        let b = sport.wrapping_add(base);
        let c = (dport & self.dport_mask).wrapping_add(base);
        let c = mix(c, b, 14);
        finish(mix(a, c, 11), b, c)
    }
}

/// All steps of the kernel's final mix after the first two.
#[inline(always)]
const fn finish(a: u32, b: u32, c: u32) -> u32 {
    let b = mix(b, a, 25);
    let c = mix(c, b, 16);
    let a = mix(a, c, 4);
    let b = mix(b, a, 14);
    mix(c, b, 24)
}

/// One step of the mix: `to` with `from` and its rotation folded in.
#[inline(always)]
const fn mix(to: u32, from: u32, rotation: u32) -> u32 {
    (to ^ from).wrapping_sub(from.rotate_left(rotation))
}
