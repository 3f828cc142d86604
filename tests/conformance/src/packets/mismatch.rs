// SPDX-License-Identifier: GPL-2.0-only

//! A batch on which two modules differ: the smallest part of it, and the packets as tcpdump reads
//! them.

use super::bytes;
use super::compared;
use super::generator::Batch;
use super::generator::Event;
use super::generator::NODE_MAC;
use super::nflog::Record;
use super::node::Backend;
use super::node::Node;
use super::show;
use crate::shrink::shrink;
use crate::shrink::Pair;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::host::program;
use harness::packet;
use harness::tap::ETH_IP;
use std::fs;
use std::path::Path;

const PCAP: &str = "/tmp/mismatch.pcap";

/// Looks for it; false, for it is a mismatch, unless there is none.
pub fn run(batch: &Batch, number: u64, first: &Path, second: &Path) -> Result<bool> {
    let pair = Pair::new(first, second)?;
    let seen =
        |events: &[Event]| pair.both(|| Node::new(&batch.config, Backend::Legacy)?.run(events));
    let differs = |events: &[Event]| -> Result<bool> {
        let [first, second] = seen(events)?;
        Ok(differ(&first, &second))
    };
    let [one, other] = seen(&batch.events)?;
    if !differ(&one, &other) {
        println!("shrinking: batch {number} shows the same of both");
        return Ok(true);
    }
    let start = upto_first(&batch.events, &one, &other);
    let events = if differs(&start)? {
        start
    } else {
        batch.events.clone()
    };
    let mut events = shrink(&events, differs)?;
    simplify(&mut events, differs)?;

    let config = &batch.config;
    println!(
        "The smallest part of batch {number}: table {}, chain {}, mode {}, seed {:#x}, {} nodes, of which {:?}; {} event(s)",
        config.table, config.chain, config.mode, config.seed, config.total, config.nodes, events.len()
    );
    for event in &events {
        match event {
            Event::Frame { frame, paged, .. } => {
                let how = if *paged { " by a ring" } else { "" };
                println!("  a frame of {} bytes comes{how}", frame.len());
            }
            Event::Node(packet) => println!("  the node sends {} bytes", packet.len()),
            Event::Write(text) => println!("  {text} is written"),
        }
    }
    let [one, other] = seen(&events)?;
    for (file, records) in [(first, one), (second, other)] {
        println!("{} shows:", file.display());
        for record in &records {
            println!("  {}", show(record));
        }
    }
    print_packets(&events)?;
    Ok(false)
}

fn differ(one: &[Record], other: &[Record]) -> bool {
    one.len() != other.len()
        || one
            .iter()
            .zip(other)
            .any(|(a, b)| compared(a) != compared(b))
}

/// The events up to the first packet of which something else was said.
fn upto_first(events: &[Event], one: &[Record], other: &[Record]) -> Vec<Event> {
    let same = one
        .iter()
        .zip(other)
        .take_while(|(a, b)| compared(a) == compared(b));
    let at = same.count();
    let ids = [one.get(at), other.get(at)].map(|record| record.map(Record::id));
    let last = events.iter().rposition(|event| match event {
        Event::Frame { frame, .. } => frame
            .get(18..20)
            .is_some_and(|id| ids.contains(&Some(u16::from_be_bytes([id[0], id[1]])))),
        _ => false,
    });
    match last {
        Some(last) => events[..=last].to_vec(),
        None => events.to_vec(),
    }
}

/// Makes packets plainer, one by one and in one way at a time, as long as the two still differ.
fn simplify(events: &mut Vec<Event>, differs: impl Fn(&[Event]) -> Result<bool>) -> Result<()> {
    for at in 0..events.len() {
        while let Some(plainer) = plainer_event(events, at, &differs)? {
            *events = plainer;
        }
    }
    Ok(())
}

fn plainer_event(
    events: &[Event],
    at: usize,
    differs: &impl Fn(&[Event]) -> Result<bool>,
) -> Result<Option<Vec<Event>>> {
    let Event::Frame { frame, paged, tags } = &events[at] else {
        return Ok(None);
    };
    let with = |frame: Vec<u8>, paged: bool| {
        let tags = *tags;
        Event::Frame { frame, paged, tags }
    };
    let mut variants: Vec<Event> = bytes::plainer(&frame[14..])
        .into_iter()
        .map(|packet| with([&frame[..14], &packet].concat(), *paged))
        .collect();
    if *paged {
        variants.push(with(frame.clone(), false));
    }
    for variant in variants {
        let mut plainer = events.to_vec();
        plainer[at] = variant;
        if differs(&plainer)? {
            println!("shrinking: packet {} is plainer", at + 1);
            return Ok(Some(plainer));
        }
    }
    Ok(None)
}

/// By tcpdump, and as a file in base64 between two lines that the script looks for.
fn print_packets(events: &[Event]) -> Result<()> {
    let mut file = Vec::new();
    // Version 2.4, no time zone, whole packets, Ethernet.
    for word in [0xa1b2_c3d4_u32, (4 << 16) | 2, 0, 0, 65535, 1] {
        file.extend(word.to_le_bytes());
    }
    let packets = events.iter().filter_map(|event| match event {
        Event::Frame { frame, .. } => Some(frame.clone()),
        Event::Node(packet) => Some(packet::frame(CLIENT_MAC, NODE_MAC, ETH_IP, packet)),
        Event::Write(_) => None,
    });
    for (number, frame) in (1_u32..).zip(packets) {
        let length = frame.len() as u32;
        for word in [number, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(PCAP, file)?;
    print!("{}", program(&format!("tcpdump -env -t -vv -X -r {PCAP}"))?);
    println!("-----BEGIN PCAP-----");
    print!("{}", program(&format!("base64 {PCAP}"))?);
    println!("-----END PCAP-----");
    Ok(())
}
