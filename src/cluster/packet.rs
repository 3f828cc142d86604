// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: what is read off an IPv4 packet before it is hashed.

/// The length in bytes of an IPv4 header without options.
pub const MIN_LEN: usize = 20;

/// The protocol number of ICMP.
pub const ICMP: u8 = 1;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ESP: u8 = 50;
const AH: u8 = 51;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// "More fragments", in the header's fragment word.
const MORE_FRAGMENTS: u16 = 0x2000;

/// The offset, in the header's fragment word.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The fields of an IPv4 header that decide where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The source address, in host byte order: 192.0.2.1 is `0xc0000201`.
    pub source: u32,
    /// The destination address, likewise.
    pub destination: u32,
    /// The number of the protocol carried.
    pub protocol: u8,
    /// Whether this is one piece of a datagram, be it the first.
    pub fragment: bool,
    /// The length of the header with its options, in bytes, as it says itself: 20 to 60, unless it lies.
    pub len: usize,
}

impl Header {
    /// Reads the fixed part of a header, as on the wire.
    ///
    /// Nothing is checked, as ip_tables checks nothing: a wrong length does no more than find other
    /// bytes of the same packet, or none.
    #[inline(always)]
    pub fn new(bytes: &[u8; MIN_LEN]) -> Self {
        let [version_ihl, _, _, _, _, _, rest @ ..] = bytes;
        let [_, _, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *rest;
        // Read in one piece and as it is stored, so that one instruction asks.
        let fragment = u16::from_ne_bytes(rest.first_chunk().copied().unwrap_or_default());
        Self {
            source: u32::from_be_bytes([s0, s1, s2, s3]),
            destination: u32::from_be_bytes([d0, d1, d2, d3]),
            protocol,
            fragment: fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET).to_be() != 0,
            // CAST: widening.
            len: ((version_ihl & 0x0f) as usize) << 2,
        }
    }

    /// Where the four port bytes stand, counted from the first byte of this header.
    ///
    /// `None` when the packet is hashed without ports: its protocol has none, or it is a fragment.
    /// A first piece could tell its ports, but the pieces after it can't, and all have to go to one
    /// node.
    #[inline(always)]
    pub const fn ports_at(&self) -> Option<usize> {
        if self.fragment {
            return None;
        }
        match ports_offset(self.protocol) {
            Some(offset) => Some(self.len.wrapping_add(offset)),
            None => None,
        }
    }
}

/// Whether what [`ports_offset`] finds in this protocol is the SPI of a security association, in the order of the wire.
#[inline]
pub const fn has_spi(protocol: u8) -> bool {
    matches!(protocol, ESP | AH)
}

/// Where the four bytes that are hashed as ports stand in a protocol's header, counted from its
/// first byte; `None` for a protocol that has none.
///
/// Frozen, as `proto_ports_offset()` of the kernel's `in.h` had it when the hash was defined: ESP
/// and AH give their SPI.
#[inline(always)]
pub const fn ports_offset(protocol: u8) -> Option<usize> {
    /// By protocol; a table, since asking for each in turn takes a packet longer than all the rest.
    const OFFSETS: [u8; 256] = {
        let mut offsets = [NONE; 256];
        let mut protocol = 0;
        while protocol < offsets.len() {
            // CAST: Below 256. PANIC: It would be the compiler's.
            offsets[protocol] = match protocol as u8 {
                TCP | UDP | UDP_LITE | DCCP | SCTP | ESP => 0,
                AH => 4,
                _ => NONE,
            };
            protocol += 1;
        }
        offsets
    };
    const NONE: u8 = u8::MAX;

    // PANIC: Every number of 8 bits has its place. CAST: widening, both.
    match OFFSETS[protocol as usize] {
        NONE => None,
        offset => Some(offset as usize),
    }
}

/// Whether an ICMP message of this type reports an error about another packet.
///
/// Every node takes those: which node the packet in question came from can't be told by the hash of
/// the router that complains.
#[inline]
pub const fn is_icmp_error(icmp_type: u8) -> bool {
    const UNREACHABLE: u8 = 3;
    const SOURCE_QUENCH: u8 = 4;
    const REDIRECT: u8 = 5;
    const TIME_EXCEEDED: u8 = 11;
    const PARAMETER_PROBLEM: u8 = 12;

    matches!(
        icmp_type,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}
