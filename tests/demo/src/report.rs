// SPDX-License-Identifier: GPL-2.0-only

//! Answers drawn as bars, and what became of each node's share.

use crate::flow::Answers;
use crate::flow::Flow;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub const NODES: u32 = 3;

/// The flows that `node` answered; `None`: that nobody answered.
pub fn share(answers: &Answers, node: Option<u32>) -> BTreeSet<Flow> {
    answers
        .iter()
        .filter(|(_, answer)| answer.node == node)
        .map(|(flow, _)| *flow)
        .collect()
}

pub fn doubles(answers: &Answers) -> usize {
    answers.values().filter(|answer| answer.is_double()).count()
}

/// How many kinds of clients there are by `key`, and how many of them met one node only.
pub fn loyal<K: Ord>(answers: &Answers, key: impl Fn(&Flow) -> K) -> (usize, usize) {
    let mut met: BTreeMap<K, BTreeSet<Option<u32>>> = BTreeMap::new();
    for (flow, answer) in answers {
        met.entry(key(flow)).or_default().insert(answer.node);
    }
    (
        met.values().filter(|nodes| nodes.len() == 1).count(),
        met.len(),
    )
}

pub fn by_address(answers: &Answers) -> (usize, usize) {
    loyal(answers, |flow| flow.client)
}

pub fn by_address_and_port(answers: &Answers) -> (usize, usize) {
    loyal(answers, |flow: &Flow| -> (Ipv4Addr, u16) {
        (flow.client, flow.source_port)
    })
}

fn bar(name: &str, len: usize) {
    println!(
        "{}",
        format!("  {name:<7} {len:>3} {}", "█".repeat(len)).trim_end()
    );
}

pub fn draw(answers: &Answers) {
    for node in 1..=NODES {
        bar(&format!("node {node}"), share(answers, Some(node)).len());
    }
    bar("nobody", share(answers, None).len());
    println!("  answered twice: {}", doubles(answers));
}

/// What the hash mode makes of connections that belong together.
pub fn draw_loyalty(answers: &Answers) {
    let (address, addresses) = by_address(answers);
    let (port, ports) = by_address_and_port(answers);
    println!("  always the same node: for {address} of {addresses} clients, {port} of {ports} source ports");
}

/// One line for each share of `earlier`: who has it in `now`.
pub fn compare(earlier: &Answers, now: &Answers) {
    for before in 1..=NODES {
        let flows = share(earlier, Some(before));
        let mut line = format!("  the {} that were node {before}'s:", flows.len());
        for node in [Some(1), Some(2), Some(3), None] {
            let count = share(now, node).intersection(&flows).count();
            if count > 0 {
                let who = node.map_or("nobody answers".to_string(), |n| {
                    format!("node {n} answers")
                });
                line += &format!(" {who} {count}");
            }
        }
        println!("{line}");
    }
}
