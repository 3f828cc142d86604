// SPDX-License-Identifier: GPL-2.0-only

//! What `clusterip status --json` prints. Programs rely on these names, which clusterip(8) explains: they stay, new ones
//! may come.

use crate::cluster::node::NodeId;
use crate::stat::sum;
use crate::stat::Number;
use crate::status::Came;
use crate::status::Seen;
use serde::Serialize;
use std::net::Ipv4Addr;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    vips: Vec<Vip<'a>>,
}

#[derive(Serialize)]
struct Vip<'a> {
    vip: Ipv4Addr,
    device: &'a str,
    device_present: bool,
    ifindex: u32,
    clustermac: &'a str,
    hashmode: &'a str,
    hash_init: u32,
    total: u32,
    mine: Vec<u32>,
    generation: u64,
    interval: Option<f64>,
    #[serde(flatten)]
    packets: Packets,
    arp: u64,
    arp_per_second: Option<f64>,
    numbers: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    number: u32,
    mine: bool,
    #[serde(flatten)]
    packets: Packets,
}

#[derive(Serialize)]
struct Packets {
    accepted: u64,
    accepted_per_second: Option<f64>,
    left: u64,
    left_per_second: Option<f64>,
}

impl Packets {
    /// Totals, and of the same what came.
    fn new(total: (u64, u64), came: Option<(&Came, (u64, u64))>) -> Self {
        Self {
            accepted: total.0,
            accepted_per_second: came.map(|(came, (accepted, _))| came.rate(accepted)),
            left: total.1,
            left_per_second: came.map(|(came, (_, left))| came.rate(left)),
        }
    }
}

fn row(seen: &Seen, node: NodeId, number: &Number) -> Row {
    let came = seen.came.as_ref().map(|came| {
        let number = came.vip.numbers.get(&node);
        (came, sum(number))
    });
    Row {
        number: node.get(),
        mine: number.mine,
        packets: Packets::new((number.accepted, number.left), came),
    }
}

fn vip(seen: &Seen) -> Vip<'_> {
    let (vip, came) = (&seen.vip, seen.came.as_ref());
    let numbers = vip.numbers.iter();
    Vip {
        vip: vip.address,
        device: &vip.device,
        device_present: vip.ifindex != 0,
        ifindex: vip.ifindex,
        clustermac: &vip.clustermac,
        hashmode: &vip.hashmode,
        hash_init: vip.hash_init,
        total: vip.total,
        mine: vip.mine().iter().map(NodeId::get).collect(),
        generation: vip.generation,
        interval: came.map(|came| came.seconds),
        packets: Packets::new(vip.packets(), came.map(|came| (came, came.vip.packets()))),
        arp: vip.arp,
        arp_per_second: came.map(|came| came.rate(came.vip.arp)),
        numbers: numbers
            .map(|(node, number)| row(seen, *node, number))
            .collect(),
    }
}

/// The document, with a newline.
pub fn text(seen: &[Seen]) -> String {
    let document = Document {
        format: 1,
        vips: seen.iter().map(vip).collect(),
    };
    // Nothing in it can fail to be written: no map, no float but finite ones, which are numbers.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
