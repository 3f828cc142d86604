// SPDX-License-Identifier: GPL-2.0-only

//! Packets of the generator that are broken, each in one way.

use super::bytes;
use super::bytes::Head;
use super::flow::Flow;
use super::flow::Speech;
use super::generator::Generator;
use super::tags;
use super::tags::Tags;
use harness::packet;

/// One of them.
pub fn step(generator: &mut Generator) {
    match generator.rng.u8(..20) {
        0..6 => short(generator),
        6 => bad_header(generator),
        7..9 => bad_length(generator),
        9 => bad_sum(generator),
        10..13 => bad_transport_sum(generator),
        13..16 => bad_flags(generator),
        16..19 => bad_transport(generator),
        _ => bad_options(generator),
    }
}

/// Less of a transport header than there should be.
fn short(generator: &mut Generator) {
    let (head, payload, tag) = generator.plain();
    let length = generator.rng.usize(..payload.len().min(20));
    let packet = head.packet(&payload[..length]);
    generator.send(packet, tag | tags::SHORT);
}

/// A version that is not 4, a header shorter than 20 bytes or longer than the packet.
fn bad_header(generator: &mut Generator) {
    let (head, payload, _) = generator.plain();
    let mut packet = head.packet(&payload);
    packet[0] = match generator.rng.u8(..3) {
        0 => 0x40 | generator.rng.u8(..5),
        1 => (generator.rng.u8(..16) << 4) | 5,
        _ => 0x4f,
    };
    // Version 4 and five words are right.
    if packet[0] == 0x45 {
        packet[0] = 0x65;
    }
    bytes::seal(&mut packet);
    generator.send(packet, tags::BAD_HEADER);
}

/// A total length that is too long, too short, or leaves a rest; or a frame that ends early.
fn bad_length(generator: &mut Generator) {
    let (head, payload, _) = generator.plain();
    let mut packet = head.packet(&payload);
    let length = packet.len() as u16;
    let claimed = match generator.rng.u8(..4) {
        0 => length + generator.rng.u16(1..500),
        1 => generator.rng.u16(..20),
        2 => generator.rng.u16(20..=length),
        _ => {
            packet.truncate(generator.rng.usize(1..packet.len()));
            length
        }
    };
    if packet.len() >= 20 {
        packet[2..4].copy_from_slice(&claimed.to_be_bytes());
        bytes::seal(&mut packet);
    }
    generator.send(packet, tags::BAD_LENGTH);
}

fn bad_sum(generator: &mut Generator) {
    let (head, payload, _) = generator.plain();
    let mut packet = head.packet(&payload);
    packet[10] ^= generator.rng.u8(1..);
    generator.send(packet, tags::BAD_SUM);
}

/// One that conntrack finds: of TCP, UDP, ICMP or SCTP.
fn bad_transport_sum(generator: &mut Generator) {
    let (mut head, _, _) = generator.plain();
    let ports = generator.rng.u32(..).to_be_bytes();
    let (protocol, payload, at) = match generator.rng.u8(..4) {
        0 => (
            packet::TCP,
            bytes::tcp(ports, [1, 0], packet::SYN, b"x"),
            16,
        ),
        1 => (packet::UDP, bytes::udp(ports, b"hello"), 6),
        2 => (packet::ICMP, packet::icmp(packet::ECHO, 7, b"hello"), 2),
        _ => (packet::SCTP, packet::sctp(ports), 8),
    };
    head.protocol = protocol;
    let mut packet = head.packet(&payload);
    packet[20 + at] ^= generator.rng.u8(1..255);
    generator.send(packet, tags::BAD_TRANSPORT_SUM);
}

/// No flag, or some that don't go together.
fn bad_flags(generator: &mut Generator) {
    let (mut head, _, _) = generator.plain();
    head.protocol = packet::TCP;
    let flags = [0, 3, 6, 7, 0x29, 0x3f, 1, 5, 8, 0x20][generator.rng.usize(..10)];
    let ports = generator.rng.u32(..).to_be_bytes();
    let packet = head.packet(&bytes::tcp(ports, [1, 2], flags, b""));
    generator.send(packet, tags::BAD_FLAGS);
}

/// A length in the transport header that can't be.
fn bad_transport(generator: &mut Generator) {
    let (mut head, _, _) = generator.plain();
    let ports = generator.rng.u32(..).to_be_bytes();
    let payload = match generator.rng.u8(..4) {
        0 => {
            head.protocol = packet::UDP;
            let mut payload = bytes::udp(ports, b"hello");
            let length = [0_u16, 7, 12, 14, 2000][generator.rng.usize(..5)];
            payload[4..6].copy_from_slice(&length.to_be_bytes());
            payload
        }
        1 => {
            head.protocol = packet::SCTP;
            let mut payload = packet::sctp(ports);
            payload[14..16].copy_from_slice(&[0, generator.rng.u8(..4)]);
            payload
        }
        2 => {
            head.protocol = packet::ICMP;
            vec![generator.rng.u8(..), generator.rng.u8(..), 0, 0, 0, 0, 0, 0]
        }
        _ => {
            head.protocol = packet::TCP;
            let mut payload = bytes::tcp(ports, [1, 0], packet::SYN, b"");
            payload[12] = [0x10, 0x40, 0x60, 0xf0][generator.rng.usize(..4)];
            payload
        }
    };
    let packet = head.packet(&payload);
    generator.send(packet, tags::BAD_TRANSPORT);
}

/// Lengths in the options that can't be, or a source's route.
fn bad_options(generator: &mut Generator) {
    let (mut head, payload, tag) = generator.plain();
    head.options = match generator.rng.u8(..4) {
        0 => vec![7, 40, 4, 0],
        1 => vec![131, 7, 4, 192, 0, 2, 1, 0],
        2 => vec![68, 3, 0, 0],
        _ => vec![7, 0, 4, 0],
    };
    let packet = head.packet(&payload);
    generator.send(packet, tag | tags::BAD_OPTIONS);
}

impl Generator {
    /// What a new flow of some client would say first, with its head.
    fn plain(&mut self) -> (Head, Vec<u8>, Tags) {
        let (source, class, _) = self.source();
        let (protocol, kind) = self.protocol();
        let head = self.head(source, protocol);
        let mut flow = Flow::new(&mut self.rng, protocol, source, false);
        let (Speech::Client(payload) | Speech::Node(payload)) = flow.next(&mut self.rng);
        (head, payload, class | kind)
    }
}
