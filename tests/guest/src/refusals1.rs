// SPDX-License-Identifier: GPL-2.0-only

//! Rules of revision 1 that are refused: the error number, one line in the log, and nothing left behind.

use crate::checks::refused;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::revision1::Payload;
use harness::revision1::NEW;
use harness::revision1::SIZE;
use harness::tests;
use harness::Ctx;
use harness::Test;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        refusals1_payload_of_wrong_size,
        refusals1_unknown_flags,
        refusals1_unknown_mode,
        refusals1_device_name_without_end,
        refusals1_totals_and_local_nodes,
        refusals1_no_address,
        refusals1_two_addresses,
        refusals1_two_devices,
        refusals1_devices_that_are_none,
        refusals1_need_new_and_a_multicast_mac,
        refusals1_of_a_rule_that_joins,
    ]
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 101);

/// Says its VIP and its device itself.
fn good() -> Payload {
    Payload::default().vip(VIP_ADDRESS).device("eth0")
}

/// A payload that must be refused with `EINVAL` and this sentence.
fn expect(ctx: &mut Ctx, payload: &Payload, sentence: &str) -> Result<()> {
    let host = host(ctx)?;
    refused(&host, sentence, &payload.rule(None, ""), libc::EINVAL)?;
    ctx.expect_refusal(sentence, VIP)?;
    expect_no_vip(&host, VIP)?;
    host.expect_memberships("eth0", MAC, 0)?;
    ensure!(!host.has_arp_hook()?, "{sentence}: the ARP hook is there");
    Ok(())
}

fn refusals1_payload_of_wrong_size(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for size in [0, 64, 168, 184, 256] {
        let mut rule = good().rule(None, "");
        rule.payload.resize(size, 0);
        let what = format!("a payload of {size} bytes");
        refused(&host, &what, &rule, libc::EINVAL)?;
        // x_tables itself says so, before the module is asked.
        let lines = ctx.kernel_log()?;
        let line = format!(
            "x_tables: ip_tables: CLUSTERIP.1 target: invalid size {SIZE} (kernel) != (user) {size}"
        );
        ensure!(lines == [line.as_str()], "{line:?} became {lines:?}");
    }
    // Neither revision takes the other's.
    let mut rule = good().rule(None, "");
    rule.revision = 0;
    refused(&host, "176 bytes of revision 0", &rule, libc::EINVAL)?;
    rule.revision = 2;
    refused(&host, "revision 2", &rule, libc::ENOENT)
}

fn refusals1_unknown_flags(ctx: &mut Ctx) -> Result<()> {
    for flags in [4, 5, 0x8000_0001, u32::MAX] {
        let payload = Payload { flags, ..good() };
        expect(ctx, &payload, &format!("unknown flags {flags:#x}"))?;
    }
    Ok(())
}

fn refusals1_unknown_mode(ctx: &mut Ctx) -> Result<()> {
    for mode in [6, 7, 256, u32::MAX] {
        expect(ctx, &good().hash(mode, 0), &format!("unknown mode {mode}"))?;
    }
    Ok(())
}

fn refusals1_device_name_without_end(ctx: &mut Ctx) -> Result<()> {
    let payload = Payload {
        device: b"abcdefghijklmnop".to_vec(),
        ..good()
    };
    expect(ctx, &payload, "bad device name")
}

fn refusals1_totals_and_local_nodes(ctx: &mut Ctx) -> Result<()> {
    for total in [0, 1025, 2048, u16::MAX] {
        let sentence = format!("bad num_total_nodes {total} (1 to 1024)");
        expect(ctx, &good().nodes(total, [1]), &sentence)?;
    }
    for (total, nodes, highest) in [
        (1, vec![2], 2),
        (64, vec![1, 65], 65),
        (999, vec![1000, 5], 1000),
        (1023, vec![1024], 1024),
        (2, vec![1, 3, 700], 700),
    ] {
        let sentence = format!("local node {highest} is above num_total_nodes {total}");
        expect(ctx, &good().nodes(total, nodes), &sentence)?;
    }
    let host = host(ctx)?;
    for total in [1, 64, 65, 1024] {
        let rule = good().nodes(total, [total.into()]).rule(None, "");
        crate::checks::install(&host, &rule)??;
        ensure!(host.nodes(VIP)? == total.to_string());
        host.iptables("-F")?;
    }
    ctx.expect_silence()
}

fn refusals1_no_address(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let sentence = "Please specify destination IP";
    let silent = Payload::default().device("eth0");
    refused(
        &host,
        "no address at all",
        &silent.rule(None, ""),
        libc::EINVAL,
    )?;
    ctx.expect_refusal(sentence, "0.0.0.0")?;
    for payload in [&silent, &good()] {
        for bits in [8, 24, 31] {
            let mut rule = payload.rule(Some(VIP_ADDRESS), "");
            rule.mask = (u32::MAX << (32 - bits)).into();
            refused(&host, "a network", &rule, libc::EINVAL)?;
            ctx.expect_refusal(sentence, VIP)?;
        }
        let mut rule = payload.rule(Some(VIP_ADDRESS), "");
        rule.inverted = blob::INV_DSTIP;
        refused(&host, "! -d", &rule, libc::EINVAL)?;
        ctx.expect_refusal(sentence, VIP)?;
    }
    Ok(())
}

fn refusals1_two_addresses(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for payload in [good(), Payload::joining().vip(VIP_ADDRESS)] {
        let rule = payload.rule(Some(OTHER), "");
        refused(&host, "-d is not --vip", &rule, libc::EINVAL)?;
        let line = ctx.expect_line(VIP)?;
        let names_both = line.contains(&OTHER.to_string()) && line.contains("--vip");
        ensure!(names_both, "the log says {line:?}");
        expect_no_vip(&host, VIP)?;
    }
    Ok(())
}

fn refusals1_two_devices(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let mut rules = vec![("another one", good().rule(None, "eth1"))];
    let mut rule = good().rule(None, "eth0");
    rule.inverted = blob::INV_VIA_IN;
    rules.push(("! -i eth0", rule));
    let mut rule = good().rule(None, "eth1");
    rule.inverted = blob::INV_VIA_IN;
    rules.push(("! -i eth1", rule));
    for (name, mask) in [("eth+", 3), ("eth0+", 4), ("+", 0)] {
        let mut rule = good().rule(None, name);
        rule.interface_mask = mask;
        rules.push((name, rule));
    }
    for (what, rule) in rules {
        refused(&host, what, &rule, libc::EINVAL)?;
        let line = ctx.expect_line(VIP)?;
        ensure!(
            line.contains("eth0") && line.contains("--dev") && line.contains("-i"),
            "{what}: the log says {line:?}"
        );
        expect_no_vip(&host, VIP)?;
    }
    Ok(())
}

fn refusals1_devices_that_are_none(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    for name in ["eth9", "eth+", "+", "a b"] {
        let rule = Payload::default().vip(VIP_ADDRESS).device(name);
        refused(&host, name, &rule.rule(None, ""), libc::ENOENT)?;
        ctx.expect_refusal(&format!("no such interface {name}"), VIP)?;
    }
    let rule = Payload::default().vip(VIP_ADDRESS).device("public");
    refused(&host, "another name", &rule.rule(None, ""), libc::EINVAL)?;
    ctx.expect_refusal("public is an alternative name", VIP)?;
    let rule = Payload::default().vip(VIP_ADDRESS);
    refused(&host, "no route", &rule.rule(None, ""), libc::EINVAL)?;
    ctx.expect_refusal("Please specify an interface name", VIP)
}

fn refusals1_need_new_and_a_multicast_mac(ctx: &mut Ctx) -> Result<()> {
    let payload = Payload { flags: 0, ..good() };
    expect(
        ctx,
        &payload,
        &format!("no config found for {VIP}, need 'new'"),
    )?;
    let payload = Payload {
        mac: [2, 0, 0, 0, 0, 1],
        ..good()
    };
    expect(ctx, &payload, "MAC 02:00:00:00:00:01 is not multicast")
}

/// Of a rule that joins, what it says is checked as far as it says something.
fn refusals1_of_a_rule_that_joins(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    crate::checks::install(&host, &good().rule(None, ""))??;
    let add = |payload: &Payload| {
        let rules = [good().rule(None, ""), payload.rule(None, "")];
        host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))
    };
    let joining = Payload::joining().vip(VIP_ADDRESS);
    let cases = [
        (
            Payload {
                flags: 4,
                ..joining.clone()
            },
            "unknown flags 0x4",
        ),
        (joining.clone().hash(6, 0), "unknown mode 6"),
        (
            Payload {
                mac: [1, 0, 0, 0, 0, 1],
                ..good()
            },
            "clustermac 01:00:00:00:00:01 differs",
        ),
        (
            good().nodes(1025, [1]),
            "bad num_total_nodes 1025 (1 to 1024)",
        ),
    ];
    for (payload, sentence) in &cases {
        expect_errno(sentence, add(payload)?, libc::EINVAL)?;
        ctx.expect_refusal(sentence, VIP)?;
        ensure!(uses()? == Some(1), "{sentence}: {:?} uses", uses()?);
        ensure!(host.nodes(VIP)? == "1", "{sentence}: {}", host.nodes(VIP)?);
    }
    // No parameters at all, and such as nobody looks at.
    add(&joining)??;
    let spare = Payload {
        flags: 0,
        ..joining.nodes(0, [1024])
    };
    add(&spare)??;
    ensure!(uses()? == Some(2) && spare.flags & NEW == 0);
    ctx.expect_silence()
}
