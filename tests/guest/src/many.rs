// SPDX-License-Identifier: GPL-2.0-only

//! Clusters of up to 1,024 numbers.

use crate::procfs::read_by;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::cluster::takers;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::flow::flows;
use harness::pace;
use harness::revision1::Payload;
use harness::tests;
use harness::traffic::source_of;
use harness::traffic::udp_from;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use std::fs::OpenOptions;
use std::io::Write;

pub fn tests() -> Vec<Test> {
    tests![
        many_numbers_each_to_its_node,
        many_numbers_one_by_one,
        many_numbers_in_the_file,
    ]
}

const SEED: u32 = 0xabcd_ef01;

/// Three nodes with a third of 1,024 numbers each, in tables with and without connection tracking.
fn many_numbers_each_to_its_node(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 3)?;
    let flows = flows(pace::cut(600, 60) as u16);
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    for node in &cluster.nodes {
        node.quiet()?;
    }
    for (table, hook) in [("filter", blob::LOCAL_IN), ("raw", 0)] {
        for mode in 0..3 {
            for (node, number) in cluster.nodes.iter().zip(1..) {
                let payload = Payload::default().nodes(1024, (number..=1024).step_by(3));
                let mut rule = payload.hash(mode, SEED).rule(Some(VIP_ADDRESS), "eth0");
                rule.hook = hook;
                node.install(table, &[rule])?;
            }
            let heard = cluster.ask(&packets)?;
            let mut above_64 = 0;
            for flow in &flows {
                let number = flow.node(mode as usize, SEED, 1024);
                above_64 += usize::from(number > 64);
                let (wanted, seen) = ((number - 1) % 3 + 1, takers(&heard, flow.ip.id)?);
                ensure!(
                    seen == [wanted],
                    "{table}, mode {mode}, number {number}: {wanted}, not {seen:?}"
                );
            }
            ensure!(
                above_64 > flows.len() / 2,
                "only {above_64} numbers are above 64"
            );
            for node in &cluster.nodes {
                node.install(table, &[])?;
            }
        }
    }
    Ok(())
}

/// Numbers at the borders of whatever holds them, given and taken one at a time.
fn many_numbers_one_by_one(ctx: &mut Ctx) -> Result<()> {
    const NUMBERS: [u32; 13] = [1, 32, 33, 63, 64, 65, 66, 128, 129, 256, 257, 999, 1000];
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    node.quiet()?;
    let payload = Payload::default().nodes(1000, []).hash(0, SEED);
    node.install("filter", &[payload.rule(Some(VIP_ADDRESS), "eth0")])?;
    let packets: Vec<Vec<u8>> = NUMBERS
        .iter()
        .zip(1..)
        .map(|(number, id)| {
            let source = source_of(*number, 0, SEED, 1000, VIP_ADDRESS);
            udp_from(source, VIP_ADDRESS, id).bytes()
        })
        .collect();
    let taken = || -> Result<Vec<u32>> {
        let mut heard = node.ask(&packets)?;
        heard.sort_by_key(|packet| packet.id);
        Ok(heard
            .iter()
            .map(|packet| NUMBERS[usize::from(packet.id) - 1])
            .collect())
    };
    ensure!(
        taken()?.is_empty(),
        "{:?} are taken, of no number",
        taken()?
    );
    for number in NUMBERS {
        node.ns.tell(VIP, &format!("+{number}\n"))?;
        ensure!(taken()? == [number], "after +{number}: {:?}", taken()?);
        ensure!(node.ns.nodes(VIP)? == number.to_string());
        node.ns.tell(VIP, &format!("-{number}"))?;
        ensure!(taken()?.is_empty(), "after -{number}: {:?}", taken()?);
    }
    for (at, number) in NUMBERS.iter().enumerate() {
        node.ns.tell(VIP, &format!("+{number}"))?;
        ensure!(taken()? == NUMBERS[..=at], "up to {number}: {:?}", taken()?);
    }
    Ok(())
}

fn many_numbers_in_the_file(ctx: &mut Ctx) -> Result<()> {
    let host = harness::host::host(ctx)?;
    let rule = Payload::default().nodes(1024, (1..=1024).filter(|number| number % 2 == 1));
    crate::checks::install(&host, &rule.rule(Some(VIP_ADDRESS), "eth0"))??;
    let mut options = OpenOptions::new();
    let mut file = host.open(VIP, options.read(true).write(true))?;
    for number in (1..=1024).filter(|number| number % 2 == 0) {
        expect_errno(
            "not there",
            file.write(format!("-{number}").as_bytes()),
            libc::ENOENT,
        )?;
        file.write_all(format!("+{number}\n").as_bytes())?;
        expect_errno(
            "there",
            file.write(format!("+{number}").as_bytes()),
            libc::ENOMEM,
        )?;
    }
    for (command, errno) in [
        ("+0", libc::ENOMEM),
        ("+1025", libc::ENOMEM),
        ("-1025", libc::ENOENT),
        ("+65537", libc::ENOMEM),
        ("-66560", libc::ENOENT),
    ] {
        expect_errno(command, file.write(command.as_bytes()), errno)?;
    }
    let all: Vec<String> = (1..=1024).map(|number: u32| number.to_string()).collect();
    let text = all.join(",") + "\n";
    ensure!(host.nodes(VIP)? + "\n" == text, "{}", host.nodes(VIP)?);
    for size in [1, 2, 3, 63, 64, 255, 256, 1023, 4000, 4096] {
        let seen = read_by(&mut file, size)?;
        ensure!(
            seen == text.as_bytes(),
            "in reads of {size}: {} bytes",
            seen.len()
        );
    }
    for number in (1..=1024).filter(|number| *number != 777) {
        file.write_all(format!("-{number}").as_bytes())?;
    }
    ensure!(host.nodes(VIP)? == "777", "{}", host.nodes(VIP)?);
    ctx.expect_silence()
}
