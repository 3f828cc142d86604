// SPDX-License-Identifier: GPL-2.0-only

//! §3.3, §3.4: which node the hash names, as the connection mark tells it.

use super::bench::fate;
use super::bench::seen;
use super::bench::sources;
use super::bench::to_vip;
use super::bench::Bench;
use super::bench::SEED;
use super::devices::put;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Context;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MODES;
use harness::packet;
use harness::packet::Ip;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.4" => vectors_sourceip, vectors_sourceip_sourceport, vectors_sourceip_sourceport_destport;
        "3.3" => totals_of_the_hash, seeds_of_the_hash
    ]
}

/// The rows of the description; what they say of the node is not looked at here.
const VECTORS: &str = include_str!("../../../host/vectors/hash-vectors.txt");

/// A VIP of its own for each question, and the packet that asks.
struct Question {
    key: String,
    mode: u32,
    source: Ipv4Addr,
    ports: [u8; 4],
    seed: u32,
    total: u16,
}

/// Says the node of each.
fn ask(case: &mut Case, questions: &[Question]) -> Result<()> {
    let vip = |number: usize| Ipv4Addr::new(10, 9, 7, number as u8 + 1);
    let bench = Bench::with(case, &format!("*filter\n{}COMMIT\n", seen("INPUT")))?;
    let mut addresses = String::new();
    let mut rules = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        addresses += &format!("addr add {}/32 dev eth0\n", vip(number));
        let payload = Payload {
            mode: question.mode,
            seed: question.seed,
            ..Payload::default().nodes(question.total, &[1])
        };
        // The command line knows no more than 16 nodes.
        rules.push(Rule {
            hook: 0,
            ..Rule::new(vip(number), "eth0", &payload)
        });
    }
    bench.host.ip(&addresses)?;
    put(&bench.host, "mangle", &rules)??;
    let mut frames = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let vip = vip(number);
        bench.take_all(&vip.to_string(), question.total.into())?;
        let content = packet::udp((question.source, vip), question.ports, b"hello");
        let mut ip = Ip::new(packet::UDP, question.source, vip, content);
        ip.id = number as u16;
        frames.push(to_vip(&ip.bytes()));
    }
    let fates = bench.fates(&frames)?;
    for (number, question) in questions.iter().enumerate() {
        case.saw(&question.key, fate(&fates, number as u16));
    }
    Ok(())
}

fn vector(line: &str) -> Option<Question> {
    let mut words = line.split_whitespace();
    let mode = words.next()?;
    let mode = MODES.iter().position(|name| *name == mode)? as u32;
    let source = words.next()?.parse().ok()?;
    let (from, to): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let seed = u32::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    let total = words.next()?.parse().ok()?;
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    Some(Question {
        key: format!("{source} port {from} to {to}, seed {seed:#x}, of {total}"),
        mode,
        source,
        ports: [a, b, c, d],
        seed,
        total,
    })
}

fn of_mode(case: &mut Case, mode: u32) -> Result<()> {
    let vectors: Option<Vec<Question>> = VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(vector)
        .collect();
    let mut vectors = vectors.context("a strange vector")?;
    vectors.retain(|question| question.mode == mode);
    ask(case, &vectors)
}

fn vectors_sourceip(case: &mut Case) -> Result<()> {
    of_mode(case, 0)
}

fn vectors_sourceip_sourceport(case: &mut Case) -> Result<()> {
    of_mode(case, 1)
}

fn vectors_sourceip_sourceport_destport(case: &mut Case) -> Result<()> {
    of_mode(case, 2)
}

/// The hash is scaled, not divided: one source for clusters of every kind of size.
fn totals_of_the_hash(case: &mut Case) -> Result<()> {
    let mut questions = Vec::new();
    for total in [1, 2, 3, 5, 7, 16, 31, 32, 33, 63, 64] {
        for source in sources(2) {
            questions.push(Question {
                key: format!("{source} of {total}"),
                mode: 1,
                source,
                ports: [0x12, 0x34, 0, 80],
                seed: SEED,
                total,
            });
        }
    }
    ask(case, &questions)
}

fn seeds_of_the_hash(case: &mut Case) -> Result<()> {
    let mut questions = Vec::new();
    for seed in [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        for (mode, name) in (0..).zip(MODES) {
            questions.push(Question {
                key: format!("{name}, seed {seed:#x}"),
                mode,
                source: Ipv4Addr::new(203, 0, 113, 9),
                ports: [0xff, 1, 1, 0xff],
                seed,
                total: 64,
            });
        }
    }
    ask(case, &questions)
}
