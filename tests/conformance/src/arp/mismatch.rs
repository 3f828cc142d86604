// SPDX-License-Identifier: GPL-2.0-only

//! A batch that two modules answer in different ways, cut down to the frames that matter.

use super::batch;
use super::batch::Batch;
use super::batch::Step;
use super::bench::Seen;
use super::plan::Plan;
use super::play;
use crate::shrink;
use crate::shrink::Pair;
use anyhow::Result;
use harness::host::program;
use std::fs;
use std::path::PathBuf;

const PCAP: &str = "/tmp/mismatch.pcap";
/// Between these lines stands the file in base64.
const BEGIN: &str = "-----BEGIN PCAP-----";
const END: &str = "-----END PCAP-----";

/// Whole seconds of a packet's time say what it is.
const ASKED: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;

pub fn shrink(batch: &Batch, stream: Option<&str>, files: &[PathBuf]) -> Result<bool> {
    let pair = Pair::new(&files[0], &files[1])?;
    let plan = &batch.plan;
    let both = |steps: &[Step]| pair.both(|| play(plan, steps));
    let differing = |steps: &[Step]| -> Result<Vec<&'static str>> {
        let [first, second] = both(steps)?;
        let part = Batch {
            number: batch.number,
            plan: plan.clone(),
            steps: steps.to_vec(),
        };
        let (first, second) = (batch::lines(&part, &first), batch::lines(&part, &second));
        let pairs = first.into_iter().zip(second);
        Ok(pairs
            .filter(|(first, second)| first != second)
            .map(|((stream, _), _)| stream)
            .collect())
    };
    let found = differing(&batch.steps)?;
    println!("batch {}: these differ: {found:?}", batch.number);
    let Some(stream) = stream.or(found.first().copied()) else {
        return Ok(false);
    };
    if !found.contains(&stream) {
        return Ok(false);
    }
    let left = shrink::shrink(
        &batch.steps,
        |steps| Ok(differing(steps)?.contains(&stream)),
    )?;
    println!(
        "batch {}: {stream}: {} of {} steps are left",
        batch.number,
        left.len(),
        batch.steps.len()
    );
    describe(plan);
    let [first, second] = both(&left)?;
    show(plan, &left, &first, &second)?;
    Ok(true)
}

fn describe(plan: &Plan) {
    for vip in &plan.vips {
        println!(
            "VIP {} on {}: MAC {:02x?}, home {:?}, empty {}",
            vip.address,
            super::plan::DEVICES[vip.device],
            vip.mac,
            vip.home,
            vip.empty
        );
    }
    println!("eth0 renamed: {:?}", plan.rename);
    for (name, value) in &plan.sysctls {
        println!("net/ipv4/{name} = {value}");
    }
}

/// Prints what was asked and what came out under each module, as hex, as tcpdump reads it, and as a
/// file.
fn show(plan: &Plan, steps: &[Step], first: &Seen, second: &Seen) -> Result<()> {
    let mut pcap = header();
    for step in steps {
        match step {
            Step::Received(question) => {
                println!("to eth{}: {}", question.device, hex(&question.bytes));
                add(&mut pcap, ASKED, &question.bytes);
            }
            Step::Made(made) => println!(
                "to arp_xmit() on eth{}, {}, {} bytes linear of {}, {:02x} behind them: {}",
                made.device,
                made.stream(plan),
                made.linear,
                made.content.len(),
                made.fill,
                hex(&made.content)
            ),
            Step::Sent(batch::Own::Request { source, target }) => {
                println!("a datagram from {source} to {target}");
            }
            Step::Sent(batch::Own::Announce) => println!("the devices come up"),
        }
    }
    for (time, name, seen) in [(FIRST, "first", first), (SECOND, "second", second)] {
        let made = seen.made.iter().flatten();
        let frames: Vec<&Vec<u8>> = seen
            .received
            .iter()
            .flatten()
            .chain(made)
            .chain(seen.sent.iter().flatten())
            .collect();
        println!("the {name} module: {} frames", frames.len());
        for frame in frames {
            println!("  {}", hex(frame));
            add(&mut pcap, time, frame);
        }
    }
    fs::write(PCAP, pcap)?;
    println!(
        "tcpdump; second {ASKED}: what was asked, {FIRST}: what the first module sent, {SECOND}: the second"
    );
    print!("{}", program(&format!("tcpdump -nevvX -tt -r {PCAP}"))?);
    println!("{BEGIN}");
    print!("{}", program(&format!("base64 {PCAP}"))?);
    println!("{END}");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Of a file of packets on Ethernet.
fn header() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

fn add(pcap: &mut Vec<u8>, time: u32, frame: &[u8]) {
    let length = frame.len() as u32;
    for word in [time, 0, length, length] {
        pcap.extend(word.to_le_bytes());
    }
    pcap.extend(frame);
}
