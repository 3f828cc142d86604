// SPDX-License-Identifier: GPL-2.0-only

//! A rule with several faults is refused for the first of them, in the order of the original's
//! checks: who knows the original's lines meets no other one here.

use crate::checks::install;
use crate::checks::refused;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        order_of_checks_of_a_new_vip,
        order_of_checks_of_a_first_rule_without_new,
        order_of_checks_of_a_joining_rule,
    ]
}

/// A rule with every fault there is; what its payload says is to be written to it yet.
fn all_wrong() -> (Rule, Payload) {
    let mut payload = Payload {
        mac: [2, 0, 0, 0, 0, 1],
        total: 65,
        num_local: 17,
        mode: 9,
        ..Payload::default()
    };
    payload.local[..2].copy_from_slice(&[3, 0]);
    let mut rule = Rule::new(VIP_ADDRESS, "eth+", &payload);
    rule.interface_mask = 3;
    rule.mask = Ipv4Addr::new(255, 255, 255, 0);
    rule.inverted = blob::INV_DSTIP | blob::INV_VIA_IN;
    (rule, payload)
}

/// A fault: its error, how its line begins, and what puts it right.
type Fault = (i32, &'static str, fn(&mut Rule, &mut Payload));

/// The faults that no rule may have.
const FAULTS: [Fault; 5] = [
    (libc::EINVAL, "unknown mode 9", |_, payload| {
        payload.mode = 0
    }),
    (libc::EINVAL, "Please specify destination IP", |rule, _| {
        rule.mask = Ipv4Addr::BROADCAST
    }),
    (libc::EINVAL, "Please specify destination IP", |rule, _| {
        rule.inverted = blob::INV_VIA_IN
    }),
    (libc::EINVAL, "bad num_local_nodes 17", |_, payload| {
        payload.num_local = 2
    }),
    (libc::EINVAL, "bad local_nodes[1] 0", |_, payload| {
        payload.num_local = 1
    }),
];

/// Puts a rule's faults right one by one; each time the next one is the one that is named.
fn put_right(
    ctx: &mut Ctx,
    host: &Netns,
    (rule, payload): (&mut Rule, &mut Payload),
    faults: &[Fault],
) -> Result<()> {
    let mut before = String::new();
    for (errno, begin, remedy) in faults {
        rule.payload = payload.bytes();
        expect_errno(begin, install(host, rule)?, *errno)?;
        let line = ctx.expect_line(VIP)?;
        ensure!(line != before, "putting it right changed nothing: {line}");
        ensure!(
            line.starts_with(begin),
            "the line should begin with {begin:?}, it is {line:?}"
        );
        before = line;
        remedy(rule, payload);
    }
    rule.payload = payload.bytes();
    Ok(())
}

fn order_of_checks_of_a_new_vip(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let (mut rule, mut payload) = all_wrong();
    rule.payload.resize(56, 0);
    refused(&host, "a payload that is too short", &rule, libc::EINVAL)?;
    ctx.expect_silence()?;
    put_right(ctx, &host, (&mut rule, &mut payload), &FAULTS)?;
    let of_a_new_vip: [Fault; 7] = [
        (libc::EINVAL, "bad num_total_nodes 65", |_, payload| {
            payload.total = 2
        }),
        (
            libc::EINVAL,
            "local node 3 is above num_total_nodes 2",
            |_, payload| payload.local[0] = 2,
        ),
        (
            libc::EINVAL,
            "MAC 02:00:00:00:00:01 is not multicast",
            |_, payload| payload.mac[0] = 3,
        ),
        (
            libc::EINVAL,
            "Please specify an interface name",
            |rule, _| rule.inverted = 0,
        ),
        (libc::ENOENT, "no such interface eth+", |rule, _| {
            rule.interface = b"eth9".to_vec();
            rule.interface_mask = 5;
        }),
        (libc::ENOENT, "no such interface eth9", |rule, _| {
            rule.interface.clear();
            rule.interface_mask = 0;
        }),
        (
            libc::EINVAL,
            "Please specify an interface name",
            |rule, _| {
                rule.interface = b"eth0".to_vec();
                rule.interface_mask = 5;
            },
        ),
    ];
    put_right(ctx, &host, (&mut rule, &mut payload), &of_a_new_vip)?;
    expect_no_vip(&host, VIP)?;
    ensure!(uses()? == Some(0), "a refused rule still uses the module");
    install(&host, &rule)??;
    ensure!(host.nodes(VIP)? == "2");
    ctx.expect_silence()
}

/// That a VIP is not there comes before all that would be wrong with a new one.
fn order_of_checks_of_a_first_rule_without_new(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let (mut rule, mut payload) = all_wrong();
    // Only the first bit is --new.
    payload.flags = 0xffff_fffe;
    put_right(ctx, &host, (&mut rule, &mut payload), &FAULTS)?;
    refused(&host, "a first rule without --new", &rule, libc::EINVAL)?;
    ctx.expect_refusal(&format!("no config found for {VIP}, need 'new'"), VIP)
}

/// A rule that joins a VIP is checked for what it is, and then for its MAC, and for nothing else.
fn order_of_checks_of_a_joining_rule(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-t mangle -A {}", rule()))?;
    let (mut rule, mut payload) = all_wrong();
    put_right(ctx, &host, (&mut rule, &mut payload), &FAULTS)?;
    let of_a_joining_rule: [Fault; 3] = [
        (libc::EINVAL, "bad num_total_nodes 65", |_, payload| {
            payload.total = 2
        }),
        (
            libc::EINVAL,
            "local node 3 is above num_total_nodes 2",
            |_, payload| payload.local[0] = 2,
        ),
        (
            libc::EINVAL,
            "clustermac 02:00:00:00:00:01 differs",
            |_, payload| {
                payload.mac = MAC_BYTES;
            },
        ),
    ];
    put_right(ctx, &host, (&mut rule, &mut payload), &of_a_joining_rule)?;
    ensure!(uses()? == Some(1), "a refused rule still uses the module");
    // `! -i eth+` is left, which only a new VIP cannot have.
    install(&host, &rule)??;
    ensure!(uses()? == Some(2));
    ensure!(host.nodes(VIP)? == "1");
    Ok(())
}
