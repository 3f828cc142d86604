// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: the bytes of ARP over Ethernet, and the MAC that is written into them.

use core::fmt;
use core::net::Ipv4Addr;

/// The length in bytes of an ARP message for IPv4 over Ethernet.
pub const LEN: usize = 28;

const ETHERNET: [u8; 2] = [0, 1];
const IPV4: [u8; 2] = [0x08, 0x00];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// A hardware address of Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address of these bytes, in the order of the wire.
    #[inline]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The bytes, in the order of the wire.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether frames to this address are for a group: only those does a switch bring to every
    /// node.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }
}

/// Prints `01:00:5E:00:01:14`.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// The protocol address of the sender of an ARP message.
///
/// `None` unless it is a whole request or reply for IPv4 over Ethernet. `frame` begins with the ARP
/// header; bytes after the message (padding of the wire) don't matter.
#[inline]
pub fn sender(frame: &[u8]) -> Option<Ipv4Addr> {
    let [h0, h1, p0, p1, hlen, plen, o0, o1, _, _, _, _, _, _, s0, s1, s2, s3, ..] =
        *frame.first_chunk::<LEN>()?;
    let known = [h0, h1] == ETHERNET
        && [p0, p1] == IPV4
        && hlen == 6
        && plen == 4
        && matches!([o0, o1], REQUEST | REPLY);
    known.then_some(Ipv4Addr::new(s0, s1, s2, s3))
}

/// Writes the hardware address of the sender, and nothing else.
///
/// Returns `false`, with `frame` untouched, when it is too short for a message. Whether it is one is
/// for [`sender`] to say, before.
#[inline]
pub fn set_sender_mac(frame: &mut [u8], mac: Mac) -> bool {
    let Some(message) = frame.first_chunk_mut::<LEN>() else {
        return false;
    };
    let [_, _, _, _, _, _, _, _, m0, m1, m2, m3, m4, m5, ..] = message;
    [*m0, *m1, *m2, *m3, *m4, *m5] = mac.octets();
    true
}
