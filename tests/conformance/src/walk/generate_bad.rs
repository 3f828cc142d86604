// SPDX-License-Identifier: GPL-2.0-only

//! The rules of a seed that are to be refused.

use super::generate::mac;
use super::generate::Generator;
use super::generate::MACS;
use super::generate::VIPS;
use super::rule::Cluster;
use std::net::Ipv4Addr;

/// Why they are. Some are taken while the VIP is there, or while it is not.
pub const FAULTS: [&str; 12] = [
    "unknown mode",
    "mask not /32",
    "no address",
    "too many local nodes",
    "local node 0",
    "local node above 64",
    "no such device",
    "wildcard device",
    "no device named",
    "other MAC",
    "without --new, no VIP",
    "payload too short",
];

impl Generator {
    /// A rule with one fault.
    pub fn faulty(&mut self, fault: &str) -> Cluster {
        let mut rule = self.any_cluster();
        match fault {
            "unknown mode" => rule.mode = self.of(&[3, 4, 255, u32::MAX]),
            "mask not /32" => {
                rule.mask = self.of(&[
                    Ipv4Addr::UNSPECIFIED,
                    Ipv4Addr::new(255, 255, 255, 0),
                    Ipv4Addr::new(255, 255, 255, 254),
                ]);
                let bits = u32::from(rule.vip) & u32::from(rule.mask);
                rule.vip = Ipv4Addr::from(bits);
            }
            "no address" => rule.vip = Ipv4Addr::UNSPECIFIED,
            "too many local nodes" => rule.num_local = Some(self.of(&[17, 18, 255, u16::MAX])),
            "local node 0" => rule.local = self.of(&[vec![1, 0], vec![0, 1], vec![0, 0]]),
            "local node above 64" => {
                rule.local = vec![1, self.of(&[65, 66, 255, 256, u16::MAX])];
            }
            "no such device" => rule.device = self.of(&["nope", "d99", "d"]),
            "wildcard device" => rule.device = self.of(&["d+", "v0+", "+"]),
            "no device named" => rule.device = "",
            "other MAC" => {
                let number = self.rng.u8(1..VIPS);
                rule = self.cluster(number);
                rule.mac = mac(self.rng.u8(0..MACS));
            }
            "payload too short" => rule.short = true,
            // A VIP that no other rule is about.
            _ => {
                rule.vip = Ipv4Addr::new(10, 0, 0, 99);
                rule.flags = self.of(&[0, 2]);
            }
        }
        rule
    }
}
