// SPDX-License-Identifier: GPL-2.0-only

//! Somebody on the other end of a cable who asks for addresses by ARP.

use super::cluster::CLIENT_MAC;
use super::packet;
use super::packet::Arp;
use super::packet::Mac;
use super::tap::Tap;
use super::tap::ETH_ARP;
use super::Netns;
use anyhow::Context;
use anyhow::Result;
use std::net::Ipv4Addr;

const BROADCAST: Mac = [0xff; 6];
const REPLY: u16 = 2;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);

pub struct Neighbour(Tap);

impl Neighbour {
    /// Speaks and hears by a device, as if it were on the other end of that device's cable.
    pub fn new(namespace: &Netns, device: &str) -> Result<Self> {
        Tap::new(namespace, device, ETH_ARP).map(Self)
    }

    /// What it speaks and hears by.
    pub fn tap(&self) -> &Tap {
        &self.0
    }

    /// The frame that asks who has an address.
    pub fn request(address: Ipv4Addr) -> Vec<u8> {
        let question = Arp {
            operation: 1,
            sender_mac: CLIENT_MAC,
            sender: ADDRESS,
            target_mac: [0; 6],
            target: address,
        };
        packet::frame(BROADCAST, CLIENT_MAC, ETH_ARP, &question.bytes())
    }

    /// Asks who has an address; the MAC that the answer names.
    pub fn asks(&self, address: Ipv4Addr) -> Result<Mac> {
        // What came before is no answer to this question.
        while self.0.receive()?.is_some() {}
        self.0.send(&Self::request(address))?;
        let answer = |frame: &[u8]| {
            Arp::parse(frame.get(14..)?).filter(|arp| {
                arp.operation == REPLY && arp.sender == address && arp.target == ADDRESS
            })
        };
        let frame = self
            .0
            .wait("answer by ARP", |frame| answer(frame).is_some())?;
        Ok(answer(&frame).context("an ARP answer")?.sender_mac)
    }
}
