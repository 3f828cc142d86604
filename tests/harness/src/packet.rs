// SPDX-License-Identifier: GPL-2.0-only

//! Packets, byte by byte; all multi-byte fields as on the wire.

use std::net::Ipv4Addr;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const SCTP: u8 = 132;

pub type Mac = [u8; 6];

/// An IPv4 packet, whole.
#[derive(Clone)]
pub struct Ip {
    pub id: u16,
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    /// A multiple of four bytes.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

/// Four no-operations.
pub const IP_OPTIONS: [u8; 4] = [1, 1, 1, 1];

const MORE_FRAGMENTS: u16 = 0x2000;

impl Ip {
    pub fn new(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: Vec<u8>) -> Self {
        Self {
            id: 0,
            protocol,
            source,
            destination,
            options: Vec::new(),
            payload,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.piece(0, &self.payload)
    }

    /// The packet in pieces of `size` bytes of payload, a multiple of eight.
    pub fn fragments(&self, size: usize) -> Vec<Vec<u8>> {
        assert!(size % 8 == 0);
        let last = self.payload.len().div_ceil(size) - 1;
        self.payload
            .chunks(size)
            .enumerate()
            .map(|(number, part)| {
                let offset = (number * size / 8) as u16;
                let more = if number < last { MORE_FRAGMENTS } else { 0 };
                self.piece(offset | more, part)
            })
            .collect()
    }

    fn piece(&self, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let total = (header_len + payload.len()) as u16;
        let mut bytes = vec![0x40 | (header_len / 4) as u8, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        let sum = checksum(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

/// A frame: destination, source, type, content.
pub fn frame(destination: Mac, source: Mac, kind: u16, content: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), content].concat()
}

/// The Internet checksum.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let sum = bytes.chunks(2).fold(0_u32, |sum, pair| {
        sum + u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0))
    });
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Puts the checksum over a pseudo header and `bytes` at a place in them that is zero.
pub fn with_checksum(
    ends: (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    mut bytes: Vec<u8>,
    at: usize,
) -> Vec<u8> {
    let length = (bytes.len() as u16).to_be_bytes();
    let (from, to) = (ends.0.octets(), ends.1.octets());
    let sum = checksum(&[&from, &to, &[0, protocol], &length, &bytes]);
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}

pub const SYN: u8 = 2;
pub const ACK: u8 = 16;

/// Addresses are for the checksum; `ports` are source and destination, as on the wire.
pub fn tcp(ends: (Ipv4Addr, Ipv4Addr), ports: [u8; 4], flags: u8) -> Vec<u8> {
    let mut bytes = ports.to_vec();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    with_checksum(ends, TCP, bytes, 16)
}

pub fn udp(ends: (Ipv4Addr, Ipv4Addr), ports: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = ports.to_vec();
    bytes.extend((8 + content.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(content);
    with_checksum(ends, UDP, bytes, 6)
}

/// An INIT chunk.
pub fn sctp(ports: [u8; 4]) -> Vec<u8> {
    let mut bytes = ports.to_vec();
    bytes.extend([0; 8]);
    // INIT, 20 bytes: tag, window, streams out and in, first sequence number.
    bytes.extend([1, 0, 0, 20]);
    bytes.extend([0, 0, 0, 7, 0, 0, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The checksum of SCTP.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

pub const ECHO: u8 = 8;
pub const TIMESTAMP: u8 = 13;

/// A request of a type that has an identifier.
pub fn icmp(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(content);
    let sum = checksum(&[&bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An error about `original`, an IPv4 packet; of it the header and eight bytes are quoted.
pub fn icmp_error(kind: u8, original: &[u8]) -> Vec<u8> {
    let code = if kind == 3 { 3 } else { 0 };
    let quoted = usize::from(original[0] & 15) * 4 + 8;
    let mut bytes = vec![kind, code, 0, 0, 0, 0, 0, 0];
    bytes.extend(&original[..quoted.min(original.len())]);
    let sum = checksum(&[&bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An ARP packet on Ethernet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    pub operation: u16,
    pub sender_mac: Mac,
    pub sender: Ipv4Addr,
    pub target_mac: Mac,
    pub target: Ipv4Addr,
}

impl Arp {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4];
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sender_mac);
        bytes.extend(self.sender.octets());
        bytes.extend(self.target_mac);
        bytes.extend(self.target.octets());
        bytes
    }

    /// Of a frame's content.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let address = |at: usize| -> Option<Ipv4Addr> {
            Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into())
        };
        Some(Self {
            operation: u16::from_be_bytes(bytes.get(6..8)?.try_into().ok()?),
            sender_mac: bytes.get(8..14)?.try_into().ok()?,
            sender: address(14)?,
            target_mac: bytes.get(18..24)?.try_into().ok()?,
            target: address(24)?,
        })
    }
}
