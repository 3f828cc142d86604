// SPDX-License-Identifier: GPL-2.0-only

//! How the node of a batch is set up: VIPs, where they live, sysctls, names of devices.

use fastrand::Rng;
use harness::blob::Payload;
use harness::packet::Mac;
use std::net::Ipv4Addr;

/// The node's devices, by the names that they start with.
pub const DEVICES: [&str; 2] = ["eth0", "eth1"];
pub const NICS: [Mac; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// The node's ordinary addresses, /24.
pub const ORDINARY: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 1, 1)];

/// Where the node has a VIP's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Device(usize),
    Both,
    Loopback,
    /// The rule alone is there.
    Nowhere,
    /// Not the node's, but answered for on this device.
    Proxied(usize),
}

#[derive(Clone)]
pub struct Vip {
    pub address: Ipv4Addr,
    /// That the rule names, 0 or 1.
    pub device: usize,
    pub mac: Mac,
    pub home: Home,
    /// All of its nodes are taken away once it is there.
    pub empty: bool,
    pub payload: Payload,
}

/// What becomes of `eth0`'s name once the rules are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    Never,
    Away,
    AwayAndBack,
    /// It takes that of `eth1`, and `eth1` its.
    Swapped,
}

#[derive(Clone)]
pub struct Plan {
    pub vips: Vec<Vip>,
    pub rename: Rename,
    /// Under `/proc/sys/net/ipv4`.
    pub sysctls: Vec<(String, u32)>,
    /// The devices are taken down and up, and shall say what addresses they have.
    pub notify: bool,
}

impl Plan {
    pub fn new(rng: &mut Rng) -> Self {
        let mut vips: Vec<Vip> = Vec::new();
        for _ in 0..vip_count(rng) {
            let vip = Vip::new(rng, vips.last().map(|vip| vip.mac));
            if !vips.iter().any(|other| other.address == vip.address) {
                vips.push(vip);
            }
        }
        Self {
            rename: match rng.u8(..10) {
                0 => Rename::Away,
                1 => Rename::AwayAndBack,
                2 => Rename::Swapped,
                _ => Rename::Never,
            },
            sysctls: sysctls(rng),
            notify: rng.u8(..4) == 0,
            vips,
        }
    }

    /// The devices' names now.
    pub fn names(&self) -> [&'static str; 2] {
        match self.rename {
            Rename::Never | Rename::AwayAndBack => DEVICES,
            Rename::Away => ["gone0", DEVICES[1]],
            Rename::Swapped => [DEVICES[1], DEVICES[0]],
        }
    }

    /// The VIP of an address, if it is bound to that device: a rule goes by the device's name.
    pub fn vip_on(&self, address: Ipv4Addr, device: usize) -> Option<&Vip> {
        let name = self.names()[device];
        self.vips
            .iter()
            .find(|vip| vip.address == address && DEVICES[vip.device] == name)
    }

    /// An address of a VIP, most often.
    pub fn some_vip(&self, rng: &mut Rng) -> Ipv4Addr {
        match rng.choice(&self.vips) {
            Some(vip) => vip.address,
            None => some_neighbour(rng),
        }
    }
}

fn vip_count(rng: &mut Rng) -> usize {
    match rng.u8(..16) {
        0 => 0,
        1 => 12,
        _ => rng.usize(1..=6),
    }
}

impl Vip {
    fn new(rng: &mut Rng, last_mac: Option<Mac>) -> Self {
        let net = usize::from(rng.u8(..3) == 0);
        let address = match rng.u8(..12) {
            0 => Ipv4Addr::new(192, 0, 2, rng.u8(1..)),
            // What a message ends in that is cut short in the middle of its sender's address.
            1 => Ipv4Addr::new(10, 9, 7, if rng.bool() { 0 } else { 255 }),
            _ => Ipv4Addr::new(10, 9, net as u8, rng.u8(100..120)),
        };
        let mut mac: Mac = rng.u64(..).to_be_bytes()[..6]
            .try_into()
            .unwrap_or_default();
        mac[0] |= 1;
        if rng.u8(..4) == 0 {
            mac = last_mac.unwrap_or([1, 0, 0x5e, 0, 0, 0x20]);
        }
        let total = rng.u16(1..=16);
        let payload = Payload {
            mac,
            mode: rng.u32(..3),
            seed: rng.u32(..),
            ..Payload::default()
        }
        .nodes(total, &[rng.u16(1..=total)]);
        let device = if rng.u8(..8) == 0 { 1 - net } else { net };
        let home = match rng.u8(..10) {
            0 => Home::Device(1 - device),
            1 => Home::Both,
            2 => Home::Loopback,
            3 => Home::Nowhere,
            4 => Home::Proxied(1 - net),
            _ => Home::Device(device),
        };
        Self {
            address,
            device,
            mac,
            home,
            empty: rng.u8(..4) == 0,
            payload,
        }
    }
}

/// What the fence needs stays: both devices answer for their ordinary address.
fn sysctls(rng: &mut Rng) -> Vec<(String, u32)> {
    let mut all = Vec::new();
    for device in ["all", DEVICES[0], DEVICES[1]] {
        let rare = if device == "all" { 8 } else { 4 };
        for (name, most) in [
            ("arp_ignore", 3),
            ("arp_announce", 2),
            ("arp_accept", 2),
            ("arp_filter", 1),
            ("drop_gratuitous_arp", 1),
            ("proxy_arp", 1),
        ] {
            if rng.u8(..rare) == 0 {
                all.push((format!("conf/{device}/{name}"), rng.u32(1..=most)));
            }
        }
    }
    for device in DEVICES {
        all.push((format!("conf/{device}/forwarding"), rng.u32(..=1)));
        // At once, without the random delay; and one question only, for an answer is not to come.
        all.push((format!("neigh/{device}/proxy_delay"), 0));
        all.push((format!("neigh/{device}/mcast_solicit"), 1));
    }
    all
}

/// The node's neighbours, as the questions name them.
pub fn some_neighbour(rng: &mut Rng) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, rng.u8(..2), rng.u8(2..100))
}
