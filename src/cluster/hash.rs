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
    /// The destination address, by the same function as the source address in [`Mode::SourceIp`]: what one
    /// names for a packet, the other names for its answer.
    DestIp = 3,
    /// Both addresses, whichever is which: a packet and its answer go to one node.
    SourceIpDestIp = 4,
    /// The source address, and of ESP and AH the SPI; without one, as [`Mode::SourceIp`].
    SourceIpSpi = 5,
}

impl Mode {
    /// The mode of this number in a rule's payload, or `None` when there is none.
    #[inline]
    pub const fn from_abi(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::SourceIp),
            1 => Some(Self::SourceIpSourcePort),
            2 => Some(Self::SourceIpSourcePortDestPort),
            3 => Some(Self::DestIp),
            4 => Some(Self::SourceIpDestIp),
            5 => Some(Self::SourceIpSpi),
            _ => None,
        }
    }

    /// Whether a payload of revision 0 can say it.
    pub const fn is_in_revision_0(self) -> bool {
        self.to_abi() <= Self::SourceIpSourcePortDestPort.to_abi()
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
        matches!(
            self,
            Self::SourceIpSourcePort | Self::SourceIpSourcePortDestPort
        )
    }

    /// Whether something behind the IP header is hashed, which the pieces of a packet don't have.
    #[inline]
    pub const fn looks_behind_ip(self) -> bool {
        self.uses_ports() || matches!(self, Self::SourceIpSpi)
    }

    /// The name, as `iptables --hashmode` takes and shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceIp => "sourceip",
            Self::SourceIpSourcePort => "sourceip-sourceport",
            Self::SourceIpSourcePortDestPort => "sourceip-sourceport-destport",
            Self::DestIp => "destip",
            Self::SourceIpDestIp => "sourceip-destip",
            Self::SourceIpSpi => "sourceip-spi",
        }
    }
}

/// What of a packet any mode may hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The source address, in host byte order: 192.0.2.1 is `0xc0000201`.
    pub source: u32,
    /// The destination address, likewise.
    pub destination: u32,
    /// The four port bytes as on the wire; zero where the packet has none.
    pub ports: [u8; 4],
    /// The SPI of ESP or AH, in host byte order.
    pub spi: Option<u32>,
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
            is_new: !self.mode.is_in_revision_0(),
            total: self.total,
            base,
            alone,
            alone_rotated: alone.rotate_left(11),
            dport_mask: match self.mode {
                Mode::SourceIpSourcePortDestPort => u32::MAX,
                _ => 0,
            },
        }
    }
}

/// [`Params`], with the work done that is the same for every packet.
///
/// The hash is `jhash_1word()`, `jhash_2words()` or `jhash_3words()` of the kernel, of as many words as the
/// mode has.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    mode: Mode,
    /// Whether the mode is none of revision 0's: by itself, so that what asks for those by turns asks this last.
    is_new: bool,
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
        // The SPI is a second one, in packets that have it.
        Mode::SourceIp | Mode::DestIp | Mode::SourceIpSpi => 1,
        Mode::SourceIpSourcePort | Mode::SourceIpDestIp => 2,
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

    /// The hash of a packet in the modes of revision 0, of whose ports `ports` knows, if they are asked for; none
    /// if it doesn't, and in other modes.
    #[inline(always)]
    pub fn hash_of_old(&self, source: u32, ports: impl FnOnce() -> Option<[u8; 4]>) -> Option<u32> {
        if let Mode::SourceIp = self.mode {
            return Some(self.one_word(source));
        }
        if self.is_new {
            return None;
        }
        Some(self.with_ports(source, ports()?))
    }

    /// The node that a packet belongs to, in any mode.
    pub const fn node(&self, flow: &Flow) -> NodeId {
        self.total.node_of(self.hash(flow))
    }

    /// The hash of a packet, in any mode.
    ///
    /// Addresses and the SPI are hashed as the numbers that they are, in host byte order.
    pub const fn hash(&self, flow: &Flow) -> u32 {
        match self.mode {
            Mode::SourceIp => self.one_word(flow.source),
            Mode::DestIp => self.one_word(flow.destination),
            Mode::SourceIpSourcePort | Mode::SourceIpSourcePortDestPort => {
                self.with_ports(flow.source, flow.ports)
            }
            Mode::SourceIpDestIp => {
                let (low, high) = if flow.source < flow.destination {
                    (flow.source, flow.destination)
                } else {
                    (flow.destination, flow.source)
                };
                two_words(low, high, self.base)
            }
            Mode::SourceIpSpi => match flow.spi {
                Some(spi) => two_words(flow.source, spi, self.base.wrapping_add(4)),
                None => self.one_word(flow.source),
            },
        }
    }

    /// The hash of an address alone, where the mode hashes no more of the packet.
    #[inline(always)]
    pub const fn one_word(&self, address: u32) -> u32 {
        let a = address.wrapping_add(self.base);
        let a = (a ^ self.alone).wrapping_sub(self.alone_rotated);
        finish(a, self.base, self.alone)
    }

    /// The hash of the source address and the ports, in the modes that have ports.
    ///
    /// The ports are not swapped to host order: what the original hashed are the two wire bytes
    /// loaded as a machine of its day would, low byte first. That is held on every machine, so that
    /// nodes of both byte orders agree (D14).
    #[inline(always)]
    pub const fn with_ports(&self, source: u32, ports: [u8; 4]) -> u32 {
        let base = self.base;
        let a = source.wrapping_add(base);
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

/// `jhash_2words()`, where `base` is already all that the three words start from.
const fn two_words(a: u32, b: u32, base: u32) -> u32 {
    let (a, b) = (a.wrapping_add(base), b.wrapping_add(base));
    let c = mix(base, b, 14);
    finish(mix(a, c, 11), b, c)
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
