// SPDX-License-Identifier: GPL-2.0-only

//! Bugs in the check of a rule.

use super::machine;
use crate::checks::install;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d5_joining_rule_is_refused,
        bug_d6_other_parameters_are_passed_over,
        bug_d10_local_node_above_the_total,
        bug_d11_inverted_destination,
        bug_d12_no_word_of_the_vip,
        bug_d16_unknown_mode_is_taken,
        bug_d17_membership_that_fails,
        bug_d22_altname_is_taken,
        bug_2005_pointer_from_userspace,
        bug_2005_rules_are_miscounted,
        bug_2015_rule_of_nftables,
        bug_2018_local_nodes_beyond_the_payload,
        bug_2018_second_rule_with_another_mac,
        bug_2021_reference_lost_on_another_mac,
    ]
}

/// The rule that makes the VIP.
fn usual() -> Rule {
    Rule::new(VIP_ADDRESS, "eth0", &Payload::default())
}

fn of(payload: Payload) -> Rule {
    Rule::new(VIP_ADDRESS, "eth0", &payload)
}

fn set(host: &Netns, rules: &[Rule]) -> Result<std::io::Result<()>> {
    host.enter(|| blob::replace(&blob::socket()?, "filter", rules))
}

/// Checks that a rule is refused, and makes room again if it was not.
fn refused(host: &Netns, what: &str, rule: &Rule, errno: i32) -> Result<()> {
    let seen = install(host, rule)?;
    set(host, &[])??;
    expect_errno(what, seen, errno)?;
    expect_no_vip(host, VIP)
}

/// A rule without `--new` joins the VIP that is there.
fn bug_d5_joining_rule_is_refused(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let joining = of(Payload::joining());
    let joined = set(&host, &[usual(), joining])?;
    set(&host, &[])??;
    ensure!(joined.is_ok(), "a rule without --new does not join");
    Ok(())
}

/// What a second rule says and what is in force are two things: the log has to say so.
fn bug_d6_other_parameters_are_passed_over(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    install(&host, &usual())??;
    ctx.log()?;
    let mut other = Payload::default().nodes(5, &[4]);
    other.seed = 7;
    set(&host, &[usual(), of(other)])??;
    let lines = ctx.log()?;
    ensure!(
        lines.iter().any(|line| line.contains(VIP)),
        "no word of other parameters: {lines:?}"
    );
    // Another MAC is refused; which one was meant is to be found out of the log as well.
    let mac = Payload {
        mac: [1, 0, 0x5e, 0, 0, 0x66],
        ..Payload::default()
    };
    let seen = set(&host, &[usual(), of(mac)])?;
    expect_errno("another MAC", seen, libc::EINVAL)?;
    let lines = ctx.log()?;
    ensure!(
        lines.iter().any(|line| line.contains(VIP)),
        "no word of another MAC: {lines:?}"
    );
    set(&host, &[])??;
    Ok(())
}

/// Such a node could never be removed.
fn bug_d10_local_node_above_the_total(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for (total, nodes) in [(2, &[3][..]), (1, &[1, 2]), (63, &[64])] {
        let rule = of(Payload::default().nodes(total, nodes));
        refused(&host, "a local node above the total", &rule, libc::EINVAL)?;
    }
    let rule = of(Payload::default().nodes(0, &[1]));
    refused(&host, "a cluster of no node", &rule, libc::EINVAL)
}

/// `! -d VIP` is for every address but the one that it names.
fn bug_d11_inverted_destination(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for (inverted, what) in [
        (blob::INV_DSTIP, "an inverted destination"),
        (blob::INV_VIA_IN, "an inverted device"),
    ] {
        let rule = Rule {
            inverted,
            ..usual()
        };
        refused(&host, what, &rule, libc::EINVAL)?;
    }
    Ok(())
}

/// `iptables` knows one sentence for an interface that is not there, and that is about chains: the log
/// has to say which rule is meant and what to do.
fn bug_d12_no_word_of_the_vip(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let mut rule = Rule::new(VIP_ADDRESS, "eth+", &Payload::default());
    rule.interface_mask = 3;
    refused(&host, "-i eth+", &rule, libc::ENOENT)?;
    ctx.expect_refusal("no such interface eth+", VIP)
}

/// The original ended the kernel when a packet met such a mode; no rule may have one.
fn bug_d16_unknown_mode_is_taken(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for mode in [3, 4, 255, 256, u32::MAX] {
        let rule = of(Payload {
            mode,
            ..Payload::default()
        });
        refused(&host, "an unknown mode", &rule, libc::EINVAL)?;
    }
    Ok(())
}

/// A tunnel's addresses are of four bytes: it can't hear the MAC, and the rule would be for nothing.
fn bug_d17_membership_that_fails(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    host.ip("addr add 192.0.2.1/24 dev eth0\nlink add tun7 type ipip local 192.0.2.1 remote 192.0.2.2\nlink set tun7 up\n")?;
    let rule = Rule::new(VIP_ADDRESS, "tun7", &Payload::default());
    refused(&host, "a device that can't have it", &rule, libc::EINVAL)
}

/// Packets come in by a device's name, and never by another one that it has.
fn bug_d22_altname_is_taken(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    let rule = Rule::new(VIP_ADDRESS, "public", &Payload::default());
    refused(&host, "a VIP on an altname", &rule, libc::EINVAL)
}

/// Where the kernel keeps its pointer, userspace may have written anything.
fn bug_2005_pointer_from_userspace(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for config in [1, 0xdead_beef_dead_beef, u64::MAX] {
        let rule = of(Payload {
            config,
            ..Payload::default()
        });
        set(&host, &[rule.clone(), rule])??;
        ensure!(host.nodes(VIP)? == "1", "{config:#x}: no VIP");
        let shown = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
        for target in blob::targets(&shown) {
            ensure!(
                target[32 + 56..] == [0; 8],
                "{config:#x}: the kernel shows its pointer"
            );
        }
        set(&host, &[])??;
        expect_no_vip(&host, VIP)?;
    }
    Ok(())
}

/// Each rule counts once: the VIP goes with the last one, not before and not never.
fn bug_2005_rules_are_miscounted(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for count in [3, 2, 1, 4, 1, 0, 1, 0] {
        set(&host, &vec![usual(); count])??;
        ensure!(
            host.has_vip(VIP)? == (count > 0),
            "{count} rules: the VIP is there or not, and should be the other"
        );
        ensure!(
            uses()? == Some(count as u32),
            "{count} rules: {:?}",
            uses()?
        );
        host.expect_memberships("eth0", MAC, u32::from(count > 0))?;
    }
    Ok(())
}

/// nftables asks without a rule that could be looked at.
fn bug_2015_rule_of_nftables(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let line = format!("iptables-nft -A {}", harness::host::rule());
    let error = host.fails(&line)?;
    ensure!(
        error.contains("(Operation not supported)"),
        "nftables is told: {error}"
    );
    expect_no_vip(&host, VIP)
}

/// A count of more local nodes than the payload has room for; and numbers that no set has.
fn bug_2018_local_nodes_beyond_the_payload(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for num_local in [17, 64, 255, u16::MAX] {
        let rule = of(Payload {
            num_local,
            ..Payload::default().nodes(16, &[1; 16])
        });
        refused(&host, "too many local nodes", &rule, libc::EINVAL)?;
    }
    for nodes in [&[1, 0][..], &[65], &[u16::MAX]] {
        let rule = of(Payload::default().nodes(64, nodes));
        refused(&host, "a node that is none", &rule, libc::EINVAL)?;
    }
    Ok(())
}

/// One VIP can't have two MACs.
fn bug_2018_second_rule_with_another_mac(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let other = of(Payload {
        mac: [1, 0, 0x5e, 0, 0, 0x66],
        ..Payload::default()
    });
    install(&host, &usual())??;
    let seen = set(&host, &[usual(), other])?;
    set(&host, &[])??;
    expect_errno("another MAC", seen, libc::EINVAL)
}

/// A rule that is refused for its MAC leaves no reference behind.
fn bug_2021_reference_lost_on_another_mac(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let other = of(Payload {
        mac: [1, 0, 0x5e, 0, 0, 0x66],
        ..Payload::default()
    });
    install(&host, &usual())??;
    for _ in 0..5 {
        let seen = set(&host, &[usual(), other.clone()])?;
        expect_errno("another MAC", seen, libc::EINVAL)?;
    }
    ensure!(uses()? == Some(1), "{:?} uses", uses()?);
    set(&host, &[])??;
    ensure!(!host.has_vip(VIP)?, "the VIP stays without a rule");
    expect_no_vip(&host, VIP)?;
    // What is made now is another one.
    let mut anew = of(Payload::default().nodes(9, &[7]));
    anew.destination = Ipv4Addr::from(VIP_ADDRESS.to_bits());
    install(&host, &anew)??;
    ensure!(host.nodes(VIP)? == "7", "the VIP of before is there still");
    set(&host, &[])??;
    Ok(())
}
