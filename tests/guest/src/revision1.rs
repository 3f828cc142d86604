// SPDX-License-Identifier: GPL-2.0-only

//! Rules of revision 1, built by hand: which are taken, and what they make. Which are refused: `refusals1.rs`.

use crate::checks::install;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::flow::flows;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::revision1::Payload;
use harness::revision1::NEW;
use harness::revision1::NO_MARK;
use harness::revision1::SHARED;
use harness::revision1::SIZE;
use harness::stat;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        revision1_is_answered_beside_revision_0,
        revision1_all_ways_to_say_vip_and_device,
        revision1_vip_without_destination_sees_packets_for_others,
        revision1_device_by_route,
        revision1_comes_back_as_given,
        revision1_kernel_pointer_is_ignored_and_hidden,
        revision1_shares_a_vip_with_revision_0,
        revision1_joins_without_parameters,
        revision1_tells_once_what_is_in_force,
        revision1_rules_decide_as_those_of_revision_0,
    ]
}

/// Makes `rules` the whole table, and checks what they made: the VIP on `eth0` with these nodes.
fn expect_vip(host: &Netns, what: &str, rules: &[Rule], nodes: &str) -> Result<()> {
    let result = host.enter(|| blob::replace(&blob::socket()?, "filter", rules))?;
    result.with_context(|| what.to_string())?;
    ensure!(host.nodes(VIP)? == nodes, "{what}: {}", host.nodes(VIP)?);
    ensure!(
        uses()? == Some(rules.len() as u32),
        "{what}: {:?} uses",
        uses()?
    );
    host.expect_memberships("eth0", MAC, 1)
        .with_context(|| what.to_string())?;
    host.expect_memberships("eth1", MAC, 0)
}

fn flush(host: &Netns) -> Result<()> {
    host.enter(|| blob::replace(&blob::socket()?, "filter", &[]))??;
    expect_no_vip(host, VIP)?;
    ensure!(uses()? == Some(0), "{:?} uses are left", uses()?);
    host.expect_memberships("eth0", MAC, 0)
}

fn revision1_is_answered_beside_revision_0(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let ask = |revision| host.enter(|| blob::revision(&blob::socket()?, "CLUSTERIP", revision));
    ask(0)?.context("revision 0")?;
    ask(1)?.context("revision 1")?;
    for revision in [2, 3, 255] {
        let what = format!("revision {revision}");
        expect_errno(&what, ask(revision)?, libc::EPROTONOSUPPORT)?;
    }
    harness::module::load("ip6_tables")?;
    for revision in [0, 1] {
        let seen = host.enter(|| blob::revision6("CLUSTERIP", revision))?;
        expect_errno("of IPv6", seen, libc::ENOENT)?;
    }
    ctx.expect_silence()
}

fn revision1_all_ways_to_say_vip_and_device(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let other = Ipv4Addr::UNSPECIFIED;
    for (vip, destination) in [
        (other, Some(VIP_ADDRESS)),
        (VIP_ADDRESS, Some(VIP_ADDRESS)),
        (VIP_ADDRESS, None),
    ] {
        for (device, interface) in [("", "eth0"), ("eth0", "eth0"), ("eth0", "")] {
            let what = format!("--vip {vip} -d {destination:?} --dev {device:?} -i {interface:?}");
            let payload = Payload::default().vip(vip).device(device);
            let rule = payload.rule(destination, interface);
            expect_vip(&host, &what, &[rule], "1")?;
            let rows = stat::rows(&host)?;
            ensure!(
                rows.len() == 2 && rows[0].vip == VIP_ADDRESS && rows[0].device == "eth0",
                "{what}: {rows:?}"
            );
            flush(&host)?;
        }
    }
    ctx.expect_silence()
}

/// A firewall's rule: what it matches is for anybody, the VIP is only whose set decides.
fn revision1_vip_without_destination_sees_packets_for_others(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    for (node, number) in cluster.nodes.iter().zip(1..) {
        node.quiet()?;
        node.ns.ip("route add local 10.9.2.0/24 dev lo\n")?;
        let payload = Payload::default().nodes(2, [number]).hash(0, 77);
        let payload = payload.vip(VIP_ADDRESS).device("eth0");
        node.install("filter", &[payload.rule_for_any(blob::LOCAL_IN)])?;
    }
    let mut packets: Vec<_> = flows(60).into_iter().map(|flow| flow.ip).collect();
    for ip in &mut packets {
        *ip = harness::traffic::udp_from(ip.source, Ipv4Addr::new(10, 9, 2, ip.id as u8), ip.id);
    }
    for (packet, takers) in packets.iter().zip(cluster.who_takes(&packets)?) {
        let wanted = jhash::node(0, packet.source.octets(), [0; 4], 77, 2) as usize;
        ensure!(
            takers == [wanted],
            "from {} to {}: {wanted}, not {takers:?}",
            packet.source,
            packet.destination
        );
    }
    Ok(())
}

/// Without `--dev` and `-i` the device is that of the address, as in revision 0.
fn revision1_device_by_route(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("addr add 10.9.0.1/24 dev eth0\n")?;
    let payload = Payload::default().vip(VIP_ADDRESS);
    expect_vip(&host, "by route", &[payload.rule(None, "")], "1")?;
    ctx.expect_silence()
}

/// A payload with something in every field.
fn full() -> Payload {
    let payload = Payload {
        flags: NEW | NO_MARK,
        ..Payload::default().nodes(1000, [2, 32, 33, 64, 65, 999, 1000])
    };
    let payload = payload.hash(4, 0x1234_5678);
    payload.vip(VIP_ADDRESS).device("eth0")
}

fn revision1_comes_back_as_given(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let mut odd = full();
    // What stands behind the name's end is the program's own business.
    odd.device = b"eth0\0behind".to_vec();
    let rules = [
        full().rule(Some(VIP_ADDRESS), "eth0"),
        odd.rule(None, ""),
        Payload::joining().rule(Some(VIP_ADDRESS), ""),
    ];
    expect_vip(&host, "three rules", &rules, "2,32,33,64,65,999,1000")?;
    host.tell(VIP, "-65")?;
    for round in ["first", "second"] {
        let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
        let seen: Vec<&[u8]> = blob::targets(&entries)
            .iter()
            .map(|target| &target[32..])
            .collect();
        let wanted: Vec<&[u8]> = rules.iter().map(|rule| &rule.payload[..]).collect();
        ensure!(seen == wanted, "{round}: {wanted:02x?} became {seen:02x?}");
        // And what has come back can be given again.
        let again: Vec<Rule> = rules
            .iter()
            .zip(&seen)
            .map(|(rule, payload)| Rule {
                payload: payload.to_vec(),
                ..rule.clone()
            })
            .collect();
        host.enter(|| blob::replace(&blob::socket()?, "filter", &again))??;
        ensure!(
            host.nodes(VIP)? == "2,32,33,64,999,1000",
            "{}",
            host.nodes(VIP)?
        );
    }
    ctx.expect_silence()
}

fn revision1_kernel_pointer_is_ignored_and_hidden(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let payload = Payload {
        kernel_only: 0xdead_beef_dead_beef,
        ..full()
    };
    install(&host, &payload.rule(None, ""))??;
    let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
    let targets = blob::targets(&entries);
    let target = targets.first().context("no rule is there")?;
    ensure!(target.len() == 32 + SIZE, "{} bytes", target.len());
    ensure!(target[32..32 + SHARED] == payload.bytes()[..SHARED]);
    ensure!(
        target[32 + SHARED..] == [0; 8],
        "the kernel shows its pointer"
    );
    ensure!(host.nodes(VIP)? == "2,32,33,64,65,999,1000");
    Ok(())
}

/// The VIP is there until the last rule of either revision goes.
fn revision1_shares_a_vip_with_revision_0(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let old = Rule::new(VIP_ADDRESS, "eth0", &blob::Payload::default());
    let new = Payload::default()
        .vip(VIP_ADDRESS)
        .device("eth0")
        .rule(None, "");
    for (first, second) in [(&old, &new), (&new, &old)] {
        expect_vip(&host, "the first one", std::slice::from_ref(first), "1")?;
        expect_vip(&host, "both", &[first.clone(), second.clone()], "1")?;
        host.tell(VIP, "+2")?;
        expect_vip(&host, "the second one", std::slice::from_ref(second), "1,2")?;
        flush(&host)?;
    }
    ctx.expect_silence()
}

fn revision1_joins_without_parameters(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let joining = [
        Payload::joining().rule(Some(VIP_ADDRESS), ""),
        Payload::joining().vip(VIP_ADDRESS).rule(None, ""),
        Payload::joining()
            .vip(VIP_ADDRESS)
            .device("eth0")
            .rule(None, "eth0"),
    ];
    host.enter(|| blob::replace(&blob::socket()?, "mangle", &joining))??;
    ensure!(uses()? == Some(4), "{:?} uses", uses()?);
    host.iptables("-F")?;
    ensure!(host.nodes(VIP)? == "1", "the VIP went with its first rule");
    host.enter(|| blob::replace(&blob::socket()?, "mangle", &[]))??;
    expect_no_vip(&host, VIP)?;
    ctx.expect_silence()
}

/// Parameters of a further rule are not in force; the log says once which are.
fn revision1_tells_once_what_is_in_force(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let first = full().rule(None, "");
    let mut marking = full();
    marking.flags = NEW;
    for other in [
        marking,
        full().nodes(1024, [1]),
        full().hash(5, 0x1234_5678),
        full().hash(4, 7),
    ] {
        let rules = [first.clone(), other.rule(None, "")];
        expect_vip(&host, "two rules", &rules, "2,32,33,64,65,999,1000")?;
        let line = ctx.expect_line(VIP)?;
        ensure!(
            line.starts_with("a further --new rule changes nothing")
                && line.contains(
                    "--total-nodes 1000 --hashmode sourceip-destip --hash-init 305419896"
                )
                && line.contains("eth0")
                && line.contains("--no-mark"),
            "the log says {line:?}"
        );
        flush(&host)?;
    }
    Ok(())
}

/// Where both can say the same.
fn revision1_rules_decide_as_those_of_revision_0(ctx: &mut Ctx) -> Result<()> {
    const SEED: u32 = 0x0102_0304;
    let cluster = Cluster::new(ctx, 3)?;
    let flows = flows(120);
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.clone()).collect();
    for node in &cluster.nodes {
        node.quiet()?;
    }
    for mode in 0..3 {
        for revision in [0, 1] {
            for (node, number) in cluster.nodes.iter().zip(1..) {
                let old = blob::Payload {
                    mode,
                    seed: SEED,
                    ..blob::Payload::default().nodes(3, &[number])
                };
                let new = Payload::default()
                    .nodes(3, [number.into()])
                    .hash(mode, SEED);
                let rule = match revision {
                    0 => Rule::new(VIP_ADDRESS, "eth0", &old),
                    _ => new.rule(Some(VIP_ADDRESS), "eth0"),
                };
                node.install("filter", &[])?;
                node.install("filter", &[rule])?;
            }
            for (flow, takers) in flows.iter().zip(cluster.who_takes(&packets)?) {
                let wanted = flow.node(mode as usize, SEED, 3);
                ensure!(
                    takers == [wanted],
                    "revision {revision}, mode {mode}, from {}: {wanted}, not {takers:?}",
                    flow.ip.source
                );
            }
        }
    }
    Ok(())
}
