// SPDX-License-Identifier: GPL-2.0-only

//! The VIPs that rules are made of. What a VIP is like never changes, so that its rules alone say what
//! should be there of it. Several share a MAC, and a device.

use harness::blob::Payload;
use harness::blob::Rule;
use harness::blob::LOCAL_IN;
use harness::packet::Mac;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

const PREROUTING: usize = 0;
const MODES: [&str; 3] = [
    "sourceip",
    "sourceip-sourceport",
    "sourceip-sourceport-destport",
];

pub struct Vip {
    pub address: Ipv4Addr,
    /// What its file is called.
    pub name: String,
    pub device: &'static str,
    pub mac: Mac,
    pub mode: u32,
    pub seed: u32,
    pub total: u16,
    /// Whether its rules are where packets come by; or in a chain that nothing leads to.
    pub judged: bool,
}

/// The VIP whose rule stands all through a round, on a device that stays: the first of the pool.
pub const STANDING: usize = 0;

pub static POOL: LazyLock<Vec<Vip>> = LazyLock::new(|| {
    let devices = [
        "eth2", "eth0", "eth0", "eth0", "eth0", "eth1", "eth1", "eth0",
    ];
    (0_u8..).zip(devices).map(Vip::new).collect()
});

impl Vip {
    fn new((number, device): (u8, &'static str)) -> Self {
        let address = Ipv4Addr::new(10, 9, 0, 100 + number);
        Self {
            address,
            name: address.to_string(),
            device,
            mac: [1, 0, 0x5e, 0, 0, 0x20 + number % 3],
            mode: u32::from(number % 3),
            seed: u32::from(number).wrapping_mul(0x9e37_79b9),
            total: 4 + u16::from(number),
            judged: number != 7,
        }
    }

    /// The VIP of an address.
    pub fn of(address: Ipv4Addr) -> Option<&'static Self> {
        POOL.iter().find(|vip| vip.address == address)
    }

    /// A rule that makes the VIP if need be; node 1 is this machine's.
    pub fn rule(&self, table: &str) -> Rule {
        self.rule_on(self.device, table)
    }

    pub fn rule_on(&self, device: &str, table: &str) -> Rule {
        let payload = Payload {
            mac: self.mac,
            mode: self.mode,
            seed: self.seed,
            ..Payload::default()
        };
        let mut rule = Rule::new(self.address, device, &payload.nodes(self.total, &[1]));
        rule.hook = if table == "raw" { PREROUTING } else { LOCAL_IN };
        rule
    }

    /// A rule that joins the VIP, on whatever device.
    pub fn joining(&self, table: &str) -> Rule {
        let mut rule = self.rule(table);
        rule.interface = Vec::new();
        rule.interface_mask = 0;
        rule.payload = Payload::joining().bytes();
        rule
    }

    /// A rule that is always refused.
    pub fn refused(&self, table: &str) -> Rule {
        let mut rule = self.rule(table);
        rule.payload = Payload::default().nodes(4, &[1, 5]).bytes();
        rule
    }

    /// The rule for iptables.
    pub fn line(&self, table: &str) -> String {
        let chain = if table == "raw" {
            "PREROUTING"
        } else {
            "INPUT"
        };
        let mac = self.mac.map(|byte| format!("{byte:02x}")).join(":");
        format!(
            "-A {chain} -d {} -i {} -j CLUSTERIP --new --hashmode {} --clustermac {mac} \
             --total-nodes {} --local-node 1 --hash-init {}\n",
            self.address, self.device, MODES[self.mode as usize], self.total, self.seed
        )
    }

    /// The node that a packet belongs to, by the kernel's own hash.
    pub fn node(&self, source: Ipv4Addr, ports: [u8; 4]) -> u32 {
        let total = self.total.into();
        jhash::node(self.mode, source.octets(), ports, self.seed, total)
    }
}

/// The nodes that a VIP's file names; none when it is no such text.
pub fn nodes(text: &str, vip: &Vip) -> Option<Vec<u32>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let nodes: Vec<u32> = text
        .strip_suffix('\n')?
        .split(',')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    let ascending = nodes.windows(2).all(|pair| pair[0] < pair[1]);
    let in_range = nodes
        .iter()
        .all(|node| (1..=u32::from(vip.total)).contains(node));
    (ascending && in_range).then_some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_file() {
        let vip = &POOL[1];
        assert_eq!(nodes("", vip), Some(vec![]));
        assert_eq!(nodes("1,5\n", vip), Some(vec![1, 5]));
        for wrong in ["1,5", "5,1\n", "1,1\n", "0\n", "6\n", "1,\n", "\n", "x\n"] {
            assert_eq!(nodes(wrong, vip), None, "{wrong:?}");
        }
    }
}
