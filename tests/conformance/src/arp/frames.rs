// SPDX-License-Identifier: GPL-2.0-only

//! ARP frames that a node gets, with every field varied.

use super::plan::some_neighbour;
use super::plan::Plan;
use super::plan::NICS;
use super::plan::ORDINARY;
use fastrand::Rng;
use harness::packet::frame;
use harness::packet::Arp;
use harness::packet::Mac;
use harness::tap::ETH_ARP;
use std::net::Ipv4Addr;

pub const REQUEST: u16 = 1;
pub const REPLY: u16 = 2;
pub const BROADCAST: Mac = [0xff; 6];

/// What a frame was meant to be, before some of it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Request,
    /// By somebody who has no address yet.
    Probe,
    /// A request for the sender's own address.
    Announcement,
    Reply,
    /// About the sender's own address.
    GratuitousReply,
    /// With other numbers in its header.
    Odd,
    Short,
}

/// A frame that is put on the wire of one of the node's devices.
#[derive(Clone)]
pub struct Question {
    pub device: usize,
    pub kind: Kind,
    pub arp: Arp,
    pub bytes: Vec<u8>,
}

impl Question {
    pub fn new(rng: &mut Rng, plan: &Plan) -> Self {
        let device = usize::from(rng.u8(..10) < 3);
        let kind = match rng.u8(..100) {
            0..=44 => Kind::Request,
            45..=56 => Kind::Probe,
            57..=66 => Kind::Announcement,
            67..=76 => Kind::Reply,
            77..=81 => Kind::GratuitousReply,
            82..=94 => Kind::Odd,
            _ => Kind::Short,
        };
        let arp = message(rng, plan, kind);
        let mut content = arp.bytes();
        match kind {
            Kind::Odd => spoil(rng, &mut content),
            Kind::Short => content.truncate(rng.usize(..content.len())),
            _ => {}
        }
        if kind != Kind::Short {
            pad(rng, &mut content);
        }
        let source = match rng.u8(..4) {
            0 => some_mac(rng, plan, device),
            _ => arp.sender_mac,
        };
        let destination = destination(rng, plan, device);
        let bytes = frame(destination, source, ETH_ARP, &content);
        Self {
            device,
            kind,
            arp,
            bytes,
        }
    }

    /// Whether a reply is the one to this.
    pub fn is_answered_by(&self, reply: &Arp) -> bool {
        reply.operation == REPLY
            && reply.target_mac == self.arp.sender_mac
            && reply.target == self.arp.sender
            && reply.sender == self.arp.target
    }
}

fn message(rng: &mut Rng, plan: &Plan, kind: Kind) -> Arp {
    let sender_mac = sender_mac(rng, plan);
    let sender = some_sender(rng, plan);
    let target = some_target(rng, plan);
    let target_mac = match rng.u8(..4) {
        0 => BROADCAST,
        1 => some_mac(rng, plan, 0),
        _ => [0; 6],
    };
    let mut arp = Arp {
        operation: REQUEST,
        sender_mac,
        sender,
        target_mac,
        target,
    };
    match kind {
        Kind::Request | Kind::Odd | Kind::Short => {}
        Kind::Probe => arp.sender = Ipv4Addr::UNSPECIFIED,
        Kind::Announcement => arp.sender = arp.target,
        Kind::Reply => arp.operation = REPLY,
        Kind::GratuitousReply => {
            arp.operation = REPLY;
            arp.sender = arp.target;
            if rng.bool() {
                arp.target_mac = arp.sender_mac;
            }
        }
    }
    arp
}

/// A MAC that is nobody's, mostly: two questions are seldom alike.
fn sender_mac(rng: &mut Rng, plan: &Plan) -> Mac {
    if rng.u8(..12) == 0 {
        let device = rng.usize(..2);
        return some_mac(rng, plan, device);
    }
    let mut mac: Mac = rng.u64(..).to_be_bytes()[..6]
        .try_into()
        .unwrap_or_default();
    // `02:fe` is the fence's.
    mac[0] = 6;
    mac
}

fn some_mac(rng: &mut Rng, plan: &Plan, device: usize) -> Mac {
    match rng.u8(..6) {
        0 => NICS[device],
        1 => NICS[1 - device],
        2 => [0; 6],
        3 => BROADCAST,
        4 => [1, 0, 0x5e, 0, 0, rng.u8(..)],
        _ => rng
            .choice(&plan.vips)
            .map_or([3, 0, 0, 0, 0, 1], |vip| vip.mac),
    }
}

fn destination(rng: &mut Rng, plan: &Plan, device: usize) -> Mac {
    match rng.u8(..10) {
        0..=4 => BROADCAST,
        5..=7 => NICS[device],
        _ => some_mac(rng, plan, device),
    }
}

fn some_sender(rng: &mut Rng, plan: &Plan) -> Ipv4Addr {
    match rng.u8(..20) {
        0 => special(rng),
        1 => plan.some_vip(rng),
        2 => ORDINARY[rng.usize(..2)],
        3 => Ipv4Addr::from(rng.u32(..)),
        _ => some_neighbour(rng),
    }
}

fn some_target(rng: &mut Rng, plan: &Plan) -> Ipv4Addr {
    match rng.u8(..20) {
        0 => special(rng),
        1..=2 => ORDINARY[rng.usize(..2)],
        3..=4 => some_neighbour(rng),
        5 => Ipv4Addr::from(rng.u32(..)),
        _ => plan.some_vip(rng),
    }
}

/// Addresses that the stack looks at twice.
fn special(rng: &mut Rng) -> Ipv4Addr {
    match rng.u8(..6) {
        0 => Ipv4Addr::UNSPECIFIED,
        1 => Ipv4Addr::BROADCAST,
        2 => Ipv4Addr::new(127, 0, 0, rng.u8(..)),
        3 => Ipv4Addr::new(224, 0, 0, rng.u8(..)),
        4 => Ipv4Addr::new(10, 9, rng.u8(..2), 255),
        _ => Ipv4Addr::new(240, 0, 0, rng.u8(..)),
    }
}

/// Changes one or two of the numbers of an ARP header.
pub fn spoil(rng: &mut Rng, content: &mut [u8]) {
    for _ in 0..rng.usize(1..=2) {
        match rng.u8(..5) {
            0 => write_word(content, 0, odd_hardware(rng)),
            1 => write_word(content, 2, odd_protocol(rng)),
            2 => content[4] = odd_length(rng),
            3 => content[5] = odd_length(rng),
            _ => {
                let operation = if rng.bool() {
                    rng.u16(..11)
                } else {
                    rng.u16(..)
                };
                write_word(content, 6, operation);
            }
        }
    }
}

fn write_word(content: &mut [u8], at: usize, value: u16) {
    content[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn odd_hardware(rng: &mut Rng) -> u16 {
    match rng.choice([0, 1, 6, 7, 15, 24, 32, 0x100]) {
        Some(value) if rng.u8(..4) != 0 => value,
        _ => rng.u16(..),
    }
}

fn odd_protocol(rng: &mut Rng) -> u16 {
    match rng.choice([0, 0x0008, 0x0800, 0x0806, 0x86dd]) {
        Some(value) if rng.u8(..4) != 0 => value,
        _ => rng.u16(..),
    }
}

fn odd_length(rng: &mut Rng) -> u8 {
    match rng.choice([0, 1, 3, 4, 5, 6, 7, 8, 16, 20, 255]) {
        Some(value) if rng.u8(..4) != 0 => value,
        _ => rng.u8(..),
    }
}

/// What switches add to a short frame, and more.
fn pad(rng: &mut Rng, content: &mut Vec<u8>) {
    let more = match rng.u8(..8) {
        0 => 18,
        1 => rng.usize(1..40),
        2 if rng.u8(..8) == 0 => rng.usize(40..1400),
        _ => 0,
    };
    let zero = rng.bool();
    content.extend((0..more).map(|_| if zero { 0 } else { rng.u8(..) }));
}
