// SPDX-License-Identifier: GPL-2.0-only

//! More numbers than nodes: who holds which, and how even that is.

use crate::chart::Chart;
use crate::chart::Line;
use crate::clients::modes;
use crate::clients::total;
use crate::clients::Sources;
use crate::clients::CLIENTS;
use host::cluster::node::NodeId;
use host::cluster::node::NodeSet;
use host::cluster::node::Total;
use std::fmt::Write;

/// The totals that are compared.
const TOTALS: [u32; 3] = [16, 60, 64];
/// The nodes that they are dealt to in the table.
const NODES: [u32; 6] = [3, 4, 5, 6, 7, 8];
/// And in the picture.
const DRAWN: std::ops::RangeInclusive<u32> = 2..=16;

/// Numbers in the hands of nodes; the nodes are counted from 0 here.
#[derive(Clone)]
pub struct Dealt {
    total: Total,
    sets: Vec<NodeSet>,
}

impl Dealt {
    /// Deals the numbers one by one, as cards.
    pub fn evenly(count: u32, nodes: u32) -> Self {
        let mut sets = vec![NodeSet::EMPTY; nodes as usize];
        for number in 1..=count {
            let set = &mut sets[((number - 1) % nodes) as usize];
            *set = set.with(NodeId::new(number).expect("a number from 1 to 1024"));
        }
        Self {
            total: total(count),
            sets,
        }
    }

    /// A node comes and is given numbers until it has its share; each time who has most gives one.
    pub fn with_one_more(mut self) -> Self {
        let mut own = NodeSet::EMPTY;
        let share = self.total.get() / (self.sets.len() as u32 + 1);
        while size(own) < share {
            let richest = self.sets.iter_mut().max_by_key(|set| size(**set));
            let set = richest.expect("there are nodes");
            let number = set.iter().last().expect("who has most has one");
            *set = set.without(number);
            own = own.with(number);
        }
        self.sets.push(own);
        self
    }

    /// The node that answers the client of this hash.
    pub fn holder(&self, hash: u32) -> usize {
        let number = self.total.node_of(hash);
        let mut holders = self.sets.iter();
        holders
            .position(|set| set.contains(number))
            .expect("every number is held")
    }

    /// How many numbers this node holds.
    pub fn held_by(&self, node: u32) -> u32 {
        size(self.sets[node as usize])
    }

    /// The largest holding over the mean.
    pub fn unevenness(&self) -> f64 {
        let largest = self.sets.iter().map(|set| size(*set)).max();
        let mean = f64::from(self.total.get()) / self.sets.len() as f64;
        f64::from(largest.unwrap_or(0)) / mean
    }
}

fn size(set: NodeSet) -> u32 {
    set.iter().count() as u32
}

/// The holdings, what follows from them, and what a million clients make of it in the first mode.
pub fn table() -> String {
    let mode = modes().next().expect("there is a mode");
    let clients = Sources::Public.clients(0);
    let hashes: Vec<u32> = clients.iter().map(|client| client.hash(mode)).collect();
    let mut text = String::from("| nodes |");
    for count in TOTALS {
        write!(text, " {count} numbers: held | largest / mean | measured |").expect("a string");
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(3 * TOTALS.len()));
    text.push('\n');
    for nodes in NODES {
        write!(text, "| {nodes} |").expect("a string");
        for count in TOTALS {
            let dealt = Dealt::evenly(count, nodes);
            let mut answered = vec![0u32; nodes as usize];
            for hash in &hashes {
                answered[dealt.holder(*hash)] += 1;
            }
            let most = answered.into_iter().max().unwrap_or(0);
            let (high, low) = (dealt.held_by(0), dealt.held_by(nodes - 1));
            let held = if high == low {
                format!("{high}")
            } else {
                format!("{low} or {high}")
            };
            let expected = dealt.unevenness();
            let measured = f64::from(most) * f64::from(nodes) / CLIENTS as f64;
            write!(text, " {held} | {expected:.3} | {measured:.3} |").expect("a string");
        }
        text.push('\n');
    }
    text
}

pub fn chart() -> Chart {
    let line = |count| {
        let points = DRAWN.map(move |nodes| {
            let dealt = Dealt::evenly(count, nodes);
            (f64::from(nodes), dealt.unevenness())
        });
        Line::new(&format!("{count} numbers"), points)
    };
    Chart {
        title: "The busiest node's share when numbers are dealt out, mean = 1".into(),
        across: "nodes".into(),
        up: "largest share / mean".into(),
        x: (2.0, 16.0),
        y: (1.0, 2.0),
        x_ticks: (2..=16).step_by(2).map(f64::from).collect(),
        y_ticks: [1.0, 1.2, 1.4, 1.6, 1.8, 2.0].into(),
        lines: TOTALS.map(line).into(),
    }
}
