// SPDX-License-Identifier: GPL-2.0-only

//! ARP packets that no stack would send, for `tests/arp-xmit`.

use super::frames::spoil;
use super::frames::REPLY;
use super::frames::REQUEST;
use super::plan::some_neighbour;
use super::plan::Plan;
use super::plan::ORDINARY;
use fastrand::Rng;
use harness::packet::Arp;
use harness::packet::Mac;
use std::net::Ipv4Addr;

/// A whole ARP message.
const WHOLE: usize = 28;
/// Where it has the sender's MAC, which is what is rewritten.
pub const SENDER_MAC: usize = 8;
const SENDER: usize = 14;

pub const XMIT: &str = "arp xmit";
/// The original reads and rewrites what is not a whole message.
pub const CUT_SHORT: &str = "arp xmit cut short";
/// And looks for it where it is not, when it is in a page.
pub const PAGED: &str = "arp xmit paged";
pub const STREAMS: [&str; 3] = [XMIT, CUT_SHORT, PAGED];

#[derive(Clone)]
pub struct Made {
    pub device: usize,
    pub kind: &'static str,
    /// So many bytes are in the linear part, the rest in a page.
    pub linear: usize,
    /// What is behind the linear bytes.
    pub fill: u8,
    pub content: Vec<u8>,
    /// Of its frame; no two are alike.
    pub destination: Mac,
}

impl Made {
    pub fn new(rng: &mut Rng, plan: &Plan, number: u32) -> Self {
        let message = message(rng, plan);
        let mut device = rng.usize(..2);
        if plan.vip_on(message.sender, 1 - device).is_some() && rng.u8(..4) != 0 {
            device = 1 - device;
        }
        let mut content = message.bytes();
        let fill = if rng.bool() { 0 } else { 0xff };
        let mut linear = usize::MAX;
        let kind = match rng.u8(..10) {
            0..=2 => "whole",
            3..=4 => {
                spoil(rng, &mut content);
                "odd"
            }
            5 => {
                let more = rng.usize(1..1400);
                content.extend((0..more).map(|_| rng.u8(..)));
                "long"
            }
            6..=7 => {
                let len = if rng.bool() {
                    rng.usize(SENDER..WHOLE)
                } else {
                    rng.usize(..WHOLE)
                };
                content.truncate(len);
                "short"
            }
            _ => {
                let more = rng.usize(..100);
                content.extend((0..more).map(|_| rng.u8(..)));
                linear = rng.usize(..content.len().min(40));
                "paged"
            }
        };
        if kind != "odd" && rng.u8(..8) == 0 && content.len() >= SENDER_MAC {
            spoil(rng, &mut content);
        }
        let [a, b, c, d] = number.to_be_bytes();
        Self {
            device,
            kind,
            linear: linear.min(content.len()),
            fill,
            content,
            destination: [2, 0xaa, a, b, c, d],
        }
    }

    /// Which stream it belongs to. The original looks at the linear bytes and, when they are fewer
    /// than a message has, at what lies behind them; ours at the message, wherever it lies. So they
    /// part where either is a message of a VIP here, and less than all of it is linear. What the
    /// original rewrites is to be seen when some of the sender's MAC is linear.
    pub fn stream(&self, plan: &Plan) -> &'static str {
        let mut behind = self.content[..self.linear].to_vec();
        behind.resize(behind.len().max(WHOLE), self.fill);
        let original = self.linear > SENDER_MAC && self.is_of_vip(plan, &behind);
        let ours = self.content.len() >= WHOLE && self.is_of_vip(plan, &self.content);
        if self.linear >= WHOLE || !(original || ours) {
            XMIT
        } else if self.linear < self.content.len() {
            PAGED
        } else {
            CUT_SHORT
        }
    }

    fn is_of_vip(&self, plan: &Plan, message: &[u8]) -> bool {
        let header = [0, 1, 8, 0, 6, 4, 0];
        let sender = Ipv4Addr::new(message[14], message[15], message[16], message[17]);
        message.starts_with(&header)
            && matches!(u16::from(message[7]), REQUEST | REPLY)
            && plan.vip_on(sender, self.device).is_some()
    }

    /// As the module wants it: `struct description` in `arp_xmit.c`.
    pub fn description(&self, plan: &Plan) -> Vec<u8> {
        let mut bytes = plan.names()[self.device].as_bytes().to_vec();
        bytes.resize(16, 0);
        bytes.extend(self.destination);
        bytes.extend((self.linear as u16).to_ne_bytes());
        bytes.extend(((self.content.len() - self.linear) as u16).to_ne_bytes());
        bytes.extend([self.fill, 0]);
        bytes.extend(&self.content);
        bytes
    }
}

/// A frame with zeros for the sender's MAC, or for what there is of it.
pub fn without_sender_mac(frame: &[u8]) -> Vec<u8> {
    const ETHERNET: usize = 14;
    let mut frame = frame.to_vec();
    let mac = frame.iter_mut().skip(ETHERNET + SENDER_MAC).take(6);
    mac.for_each(|byte| *byte = 0);
    frame
}

fn message(rng: &mut Rng, plan: &Plan) -> Arp {
    let sender = match rng.u8(..10) {
        0 => ORDINARY[rng.usize(..2)],
        1 => some_neighbour(rng),
        2 => Ipv4Addr::from(rng.u32(..)),
        _ => plan.some_vip(rng),
    };
    let target = if rng.u8(..4) == 0 {
        sender
    } else {
        some_neighbour(rng)
    };
    let mac = |rng: &mut Rng| -> Mac {
        rng.u64(..).to_be_bytes()[..6]
            .try_into()
            .unwrap_or_default()
    };
    Arp {
        operation: if rng.bool() { REQUEST } else { REPLY },
        sender_mac: mac(rng),
        sender,
        target_mac: mac(rng),
        target,
    }
}
