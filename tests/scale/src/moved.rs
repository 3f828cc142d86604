// SPDX-License-Identifier: GPL-2.0-only

//! A cluster that grows: which clients find another node than before.

use crate::chart::Chart;
use crate::chart::Line;
use crate::clients::modes;
use crate::clients::total;
use crate::clients::Sources;
use crate::clients::CLIENTS;
use crate::numbers::Dealt;
use crate::text::percent;
use host::cluster::hash::Mode;
use host::cluster::node::Total;
use std::fmt::Write;

/// Growth is looked at from so many nodes to one more.
const FROM: std::ops::RangeInclusive<u32> = 2..=16;
/// The total of a cluster with spare numbers: it divides evenly by 2, 3, 4, 5, 6, 10, 12 and 15.
pub const SPARE: u32 = 60;

/// What happens to a million clients when a node comes to `nodes`, as shares of them.
pub struct Growth {
    pub nodes: u32,
    /// The total becomes one more, per mode: who has another node then.
    pub another_total: [f64; 3],
    /// The newcomer is given spare numbers instead, per mode.
    pub spare: [f64; 3],
    /// How many of the spare numbers it is given.
    pub given: u32,
}

/// Does it for every number of nodes.
pub fn simulate() -> Vec<Growth> {
    let clients = Sources::Public.clients(0);
    let hashes: Vec<Vec<u32>> = modes()
        .map(|mode: Mode| clients.iter().map(|client| client.hash(mode)).collect())
        .collect();
    FROM.map(|nodes| {
        let before = Dealt::evenly(SPARE, nodes);
        let after = before.clone().with_one_more();
        let per_mode = |moves: &dyn Fn(u32) -> bool| {
            [0, 1, 2].map(|mode: usize| {
                let moved = hashes[mode].iter().filter(|hash| moves(**hash)).count();
                moved as f64 / CLIENTS as f64
            })
        };
        Growth {
            nodes,
            another_total: per_mode(&|hash| changes(hash, total(nodes), total(nodes + 1))),
            spare: per_mode(&|hash| before.holder(hash) != after.holder(hash)),
            given: after.held_by(nodes),
        }
    })
    .collect()
}

/// Whether the client of this hash has another number under the other total.
pub fn changes(hash: u32, before: Total, after: Total) -> bool {
    before.node_of(hash) != after.node_of(hash)
}

pub fn table(growth: &[Growth]) -> String {
    let mut text = String::from(
        "| nodes | another total: `sourceip` | `…-sourceport` | `…-destport` | spare numbers handed over | \
         `sourceip` | `…-sourceport` | `…-destport` | an even share |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in growth {
        let [a, b, c] = row.another_total.map(percent);
        let [d, e, f] = row.spare.map(percent);
        let even = percent(1.0 / f64::from(row.nodes + 1));
        let handed = format!(
            "{} of {SPARE} = {}",
            row.given,
            percent(f64::from(row.given) / f64::from(SPARE))
        );
        writeln!(
            text,
            "| {} → {} | {a} | {b} | {c} | {handed} | {d} | {e} | {f} | {even} |",
            row.nodes,
            row.nodes + 1
        )
        .expect("a string takes it");
    }
    text
}

pub fn chart(growth: &[Growth]) -> Chart {
    let nodes = |row: &Growth| f64::from(row.nodes);
    let line = |name: &str, share: &dyn Fn(&Growth) -> f64| {
        Line::new(
            name,
            growth.iter().map(|row| (nodes(row), 100.0 * share(row))),
        )
    };
    Chart {
        title: "Clients that find another node when one node is added".into(),
        across: "nodes before".into(),
        up: "% of 1,000,000 clients".into(),
        x: (2.0, 16.0),
        y: (0.0, 60.0),
        x_ticks: (2..=16).step_by(2).map(f64::from).collect(),
        y_ticks: (0..=60).step_by(10).map(f64::from).collect(),
        lines: vec![
            line("an even share", &|row| 1.0 / (nodes(row) + 1.0)),
            line("another total", &|row| row.another_total[0]),
            line("spare numbers handed over", &|row| row.spare[0]),
        ],
    }
}
