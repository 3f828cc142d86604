// SPDX-License-Identifier: GPL-2.0-only

//! A switch, a client and the cables of three nodes.
//!
//! ```text
//!   namespace "client"   10.0.0.100 ... 10.0.0.147
//!        eth0
//!         |
//!   namespace "switch"   a bridge that floods a multicast MAC
//!      |       |       |
//!    eth0    eth0    eth0
//!   node1   node2   node3    10.0.0.1 ... and on each of them the VIP
//! ```

use anyhow::Result;
use harness::Ctx;
use harness::Netns;
use std::net::Ipv4Addr;

pub const VIP: &str = "10.0.0.80";
pub const VIP_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);
pub const NODES: usize = 3;

const FIRST_CLIENT: u8 = 100;
const CLIENTS: u8 = 48;

pub struct Network {
    pub switch: Netns,
    pub client: Netns,
}

impl Network {
    pub fn new(ctx: &Ctx) -> Result<Self> {
        let switch = ctx.netns("switch")?;
        let client = ctx.netns("client")?;
        switch.ip("link add br0 type bridge stp_state 0 mcast_snooping 0\n\
             link set br0 up\n\
             link add client type veth peer name eth0 address 02:00:00:00:00:64 netns client\n\
             link set client master br0 up\n")?;
        let addresses: Vec<String> = clients()
            .map(|address| format!("address add {address}/24 dev eth0\n"))
            .collect();
        client.ip(&format!(
            "link set lo up\nlink set eth0 up\n{}",
            addresses.concat()
        ))?;
        Ok(Self { switch, client })
    }

    /// Plugs a node's `eth0` into the switch.
    pub fn plug(&self, number: usize, node: &Netns) -> Result<()> {
        let name = node.name();
        self.switch.ip(&format!(
            "link add {name} type veth peer name eth0 address 02:00:00:00:00:{number:02x} netns {name}\n\
             link set {name} master br0 up\n"
        ))?;
        Ok(())
    }
}

/// The clients' addresses.
pub fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (FIRST_CLIENT..FIRST_CLIENT + CLIENTS).map(|last| Ipv4Addr::new(10, 0, 0, last))
}

/// Those that `--hashmode sourceip` gives to a number of so many.
pub fn share(number: usize, total: usize) -> Vec<Ipv4Addr> {
    clients()
        .filter(|address| {
            jhash::node(0, address.octets(), [0; 4], 0, total as u32) as usize == number
        })
        .collect()
}
