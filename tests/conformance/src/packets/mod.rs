// SPDX-License-Identifier: GPL-2.0-only

//! Packets of a seeded generator, and what became of each: the verdict, the connection's mark, and
//! the packet's type as later rules see it.
//!
//! A batch is a fresh node with a rule of its own ([`generator::Config`]) and what happens to it
//! ([`generator::Event`]). Rules before and after that of CLUSTERIP say of each packet what they see
//! ([`nflog`]); a packet of which only those before it speak was dropped. Packets come from one
//! processor, one after the other, so that the same batch shows the same each time.

mod bytes;
mod flow;
mod generator;
mod malformed;
mod mismatch;
mod nflog;
mod node;
mod tags;
mod wire;

use crate::record;
use anyhow::Result;
use generator::Batch;
use generator::Config;
use generator::Event;
use harness::cluster::VIP_ADDRESS;
use harness::host::program;
use nflog::Record;
use node::Backend;
use node::Node;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use tags::Coverage;
use tags::Outcome;
use tags::Tags;

#[derive(clap::Args)]
pub struct Options {
    /// How many packets, in batches of 4000
    #[arg(long, default_value_t = 1_000_000)]
    packets: u64,
    /// The generator's seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// This batch alone
    #[arg(long)]
    batch: Option<u64>,
    /// Print what was seen of each packet
    #[arg(long)]
    show: bool,
    /// The rules by iptables-nft, that of the VIP in revision 1, with our extension
    #[arg(long, conflicts_with = "shrink")]
    nft: bool,
    /// Find the smallest part of the batch on which these two modules differ
    #[arg(long, num_args = 2, requires = "batch", value_names = ["FIRST.ko", "SECOND.ko"])]
    shrink: Vec<PathBuf>,
}

/// What the rules of a batch need, besides the target itself.
const MODULES: &str =
    "iptable_filter iptable_mangle iptable_raw nf_conntrack_netlink nfnetlink_log \
                       nf_conntrack_tftp xt_NFLOG xt_CT xt_connmark xt_conntrack xt_pkttype";

pub fn run(options: &Options) -> Result<bool> {
    program(&format!(
        "modprobe -a ip_tables nf_conntrack nf_defrag_ipv4 {MODULES}"
    ))?;
    fs::write("/proc/sys/net/netfilter/nf_conntrack_max", "1000000")?;
    println!("packets: seed {}", options.seed);
    if let ([first, second], Some(number)) = (options.shrink.as_slice(), options.batch) {
        let batch = Batch::new(options.seed, number);
        return mismatch::run(&batch, number, first, second);
    }
    program("modprobe ipt_CLUSTERIP")?;
    let backend = if options.nft {
        Backend::Nft
    } else {
        Backend::Legacy
    };
    let count = options.packets.div_ceil(generator::FRAMES as u64);
    let batches = match options.batch {
        Some(number) => number..number + 1,
        None => 0..count,
    };
    let mut coverage = Coverage::new();
    let (start, mut said) = (Instant::now(), Instant::now());
    let mut packets = 0_u64;
    for number in batches {
        let batch = Batch::new(options.seed, number);
        let records = Node::new(&batch.config, backend)?.run(&batch.events)?;
        if options.show {
            records
                .iter()
                .for_each(|record| println!("{}", show(record)));
        }
        record::print("packets", &number.to_string(), &summary(&batch, &records));
        packets += frames(&batch.events).count() as u64;
        count_in(&mut coverage, &batch, &records);
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            let rate = packets as f64 / start.elapsed().as_secs_f64();
            let left = options.packets.saturating_sub(packets) as f64 / rate;
            println!(
                "packets: {packets} of {}, {rate:.0} a second, about {left:.0} s left",
                options.packets
            );
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "packets: {packets} in {seconds:.0} s, {:.0} a second",
        packets as f64 / seconds
    );
    let complete = coverage.report();
    // One batch can't have everything.
    Ok(complete || options.batch.is_some())
}

/// The frames of a batch and what each is about.
fn frames(events: &[Event]) -> impl Iterator<Item = (&[u8], Tags)> {
    events.iter().filter_map(|event| match event {
        Event::Frame { frame, tags, .. } => Some((frame.as_slice(), *tags)),
        _ => None,
    })
}

/// The letters of the rules before CLUSTERIP's.
fn is_before(record: &Record) -> bool {
    matches!(record.prefix, b'T' | b'I' | b'U')
}

fn is_after(record: &Record) -> bool {
    matches!(record.prefix, b'h' | b'm' | b'b')
}

/// What happened to each packet that came as far as the rules.
fn outcomes(records: &[Record]) -> impl Iterator<Item = Outcome<'_>> {
    let next = records.iter().skip(1).map(Some).chain([None]);
    let vip = VIP_ADDRESS.octets();
    records
        .iter()
        .zip(next)
        .filter(|(record, _)| is_before(record))
        .map(move |(before, next)| Outcome {
            before,
            after: next.filter(|next| is_after(next) && next.id() == before.id()),
            to_vip: before.packet.get(16..20) == Some(&vip[..]),
        })
}

fn count_in(coverage: &mut Coverage, batch: &Batch, records: &[Record]) {
    let mut by_id: HashMap<u16, Tags> = HashMap::new();
    for (frame, tags) in frames(&batch.events) {
        coverage.sent(tags);
        if let Some(id) = frame.get(18..20) {
            *by_id.entry(u16::from_be_bytes([id[0], id[1]])).or_default() = tags;
        }
    }
    for outcome in outcomes(records) {
        let tags = by_id.get(&outcome.before.id()).copied();
        coverage.outcome(tags.unwrap_or_default(), &outcome);
    }
}

/// What is compared of a record. Of the packet's header, what the stack may rewrite by the clock is
/// left out: a timestamp among the options, and the checksum.
fn compared(record: &Record) -> Vec<u8> {
    let (info, mark) = record.connection.unwrap_or((u32::MAX, 0));
    let mut bytes = vec![record.prefix];
    bytes.extend(info.to_be_bytes());
    bytes.extend(mark.to_be_bytes());
    let packet = &record.packet;
    if packet.len() < 20 {
        bytes.extend(packet);
        return bytes;
    }
    bytes.extend(&packet[..10]);
    bytes.extend(&packet[12..20]);
    let rest = bytes::header_length(packet).min(packet.len());
    bytes.extend(&packet[rest..packet.len().min(rest + 16)]);
    bytes
}

fn summary(batch: &Batch, records: &[Record]) -> String {
    let (mut reached, mut taken) = (0, 0);
    for outcome in outcomes(records) {
        reached += 1;
        taken += u32::from(outcome.after.is_some());
    }
    let Config {
        table,
        chain,
        mode,
        total,
        ..
    } = batch.config;
    // FNV-1a.
    let hash = records
        .iter()
        .flat_map(compared)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    format!("{table} {chain} mode {mode} of {total}: {reached} reached, {taken} taken, {hash:016x}")
}

/// A record in words.
fn show(record: &Record) -> String {
    let rule = match record.prefix {
        b'T' => "before",
        b'I' => "before, INVALID",
        b'U' => "before, UNTRACKED",
        b'h' => "after, for this host",
        b'm' => "after, multicast",
        b'b' => "after, broadcast",
        b's' => return format!("not sent: errno {:?}", record.packet),
        b'w' => return format!("not written: errno {:?}", record.packet),
        _ => "?",
    };
    let connection = match record.connection {
        None => String::new(),
        Some((info, mark)) => {
            let states = [
                "ESTABLISHED",
                "RELATED",
                "NEW",
                "ESTABLISHED reply",
                "RELATED reply",
            ];
            let state = states.get(info as usize).unwrap_or(&"?");
            format!(", {state}, mark {mark:#x}")
        }
    };
    format!("packet {}: {rule}{connection}", record.id())
}
