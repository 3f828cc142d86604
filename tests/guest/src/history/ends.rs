// SPDX-License-Identifier: GPL-2.0-only

//! Bugs at an end: of a rule, a VIP, a device, a namespace.

use super::machine;
use crate::namespaces;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::flushed::Flushed;
use harness::host::host;
use harness::host::named;
use harness::host::rule;
use harness::neighbour::Neighbour;
use harness::pace;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d8_hook_goes_with_another_vip,
        bug_2013_vip_of_another_namespace,
        bug_2017_device_is_held,
        bug_2017_namespace_ends_before_its_rules,
        bug_2017_conntrack_is_not_given_back,
        bug_2018_warning_at_the_end_of_a_namespace,
        bug_2021_hook_without_a_rule,
    ]
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 101);

fn of(vip: Ipv4Addr) -> Rule {
    Rule::new(vip, "eth0", &Payload::default())
}

fn set(host: &Netns, table: &str, rules: &[Rule]) -> Result<()> {
    host.enter(|| blob::replace(&blob::socket()?, table, rules))??;
    Ok(())
}

/// The hook is everybody's: it goes with the last VIP, and with no other.
fn bug_d8_hook_goes_with_another_vip(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    host.ip(&format!("addr add {VIP}/24 dev eth0\n"))?;
    let answer = || Neighbour::new(&host, "eth1")?.asks(VIP_ADDRESS);
    for turn in 0..10 {
        set(&host, "filter", &[of(VIP_ADDRESS)])?;
        set(&host, "mangle", &[of(OTHER)])?;
        set(&host, "mangle", &[])?;
        ensure!(host.has_arp_hook()?, "turn {turn}: no ARP hook for a VIP");
        ensure!(answer()? == MAC_BYTES, "turn {turn}: the MAC of the answer");
        set(&host, "filter", &[])?;
        ensure!(!host.has_arp_hook()?, "turn {turn}: an ARP hook for no VIP");
        ensure!(answer()? != MAC_BYTES, "turn {turn}: the MAC without a VIP");
    }
    Ok(())
}

/// Before the module knew of namespaces, one had the VIPs of all.
fn bug_2013_vip_of_another_namespace(ctx: &mut Ctx) -> Result<()> {
    let one = machine(ctx)?;
    let two = Flushed::new(named(ctx, "other")?);
    two.ip("link set eth0 name uplink\n")?;
    let mut elsewhere = Rule::new(VIP_ADDRESS, "uplink", &Payload::default().nodes(9, &[7]));
    set(&one, "filter", &[of(VIP_ADDRESS)])?;
    ensure!(!two.has_vip(VIP)?, "another namespace's file");
    set(&two, "filter", &[elsewhere.clone()])?;
    ensure!(one.nodes(VIP)? == "1" && two.nodes(VIP)? == "7");
    one.expect_memberships("eth0", MAC, 1)?;
    two.expect_memberships("uplink", MAC, 1)?;
    // A device of the name that the other's VIP follows.
    one.ip("link set eth0 name away\nlink set away name uplink\n")?;
    one.expect_memberships("uplink", MAC, 0)?;
    two.expect_memberships("uplink", MAC, 1)?;
    set(&one, "filter", &[])?;
    ensure!(two.nodes(VIP)? == "7", "it went with another namespace's");
    elsewhere.destination = OTHER;
    set(&two, "filter", &[elsewhere])?;
    set(&two, "filter", &[])
}

/// A device goes when it is told to, whatever VIP is on it.
fn bug_2017_device_is_held(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    set(&host, "filter", &[of(VIP_ADDRESS)])?;
    let mut deletion =
        host.enter(|| Command::new("ip").args(["link", "del", "eth0"]).spawn())??;
    let limit = pace::patience(Duration::from_secs(5));
    let deadline = Instant::now() + limit;
    while deletion.try_wait()?.is_none() {
        if Instant::now() > deadline {
            bail!("eth0 is not gone after {limit:?}: somebody holds it");
        }
        thread::sleep(Duration::from_millis(10));
    }
    ensure!(host.nodes(VIP)? == "1", "the VIP goes with its device");
    set(&host, "filter", &[])
}

/// A namespace's files go at its end, and its rules before or after.
fn bug_2017_namespace_ends_before_its_rules(ctx: &mut Ctx) -> Result<()> {
    namespaces::namespaces_end_with_rules_loaded_after_the_tables(ctx)?;
    namespaces::namespaces_end_with_rules_loaded_before_the_tables(ctx)
}

/// Each rule takes connection tracking once, and gives it back.
fn bug_2017_conntrack_is_not_given_back(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let tracked = || -> Result<bool> { Ok(host.hooks("ip")?.contains("[nf_conntrack]")) };
    ensure!(
        !tracked()?,
        "connections are tracked before there is a rule"
    );
    for turn in 0..3 {
        set(&host, "filter", &[of(VIP_ADDRESS), of(OTHER)])?;
        ensure!(tracked()?, "turn {turn}: connections are not tracked");
        set(&host, "filter", &[of(VIP_ADDRESS)])?;
        ensure!(tracked()?, "turn {turn}: not tracked for the rule left");
        set(&host, "filter", &[])?;
        ensure!(!tracked()?, "turn {turn}: still tracked without a rule");
    }
    Ok(())
}

/// Rules that outlive their namespace's end are nothing to warn of.
fn bug_2018_warning_at_the_end_of_a_namespace(ctx: &mut Ctx) -> Result<()> {
    // The one loaded last ends first.
    for order in [
        ["iptable_filter", "ipt_CLUSTERIP"],
        ["ipt_CLUSTERIP", "iptable_filter"],
    ] {
        crate::module::reload(&order)?;
        let host = host(ctx)?;
        set(&host, "filter", &[of(VIP_ADDRESS), of(OTHER)])?;
        ctx.kernel_log()?;
        drop(host);
        eventually("the namespace's rules gone", || Ok(uses()? == Some(0)))?;
        let lines = ctx.kernel_log()?;
        let about = |line: &&String| line.contains("WARNING") || line.contains("CLUSTERIP");
        let lines: Vec<_> = lines.iter().filter(about).collect();
        ensure!(lines.is_empty(), "the kernel says {lines:?}");
    }
    Ok(())
}

/// Whoever has no rule has no hook either, and pays nothing for the module.
fn bug_2021_hook_without_a_rule(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    let idle = named(ctx, "idle")?;
    ensure!(!host.has_arp_hook()?, "a hook before the first rule");
    // Refused ones do not count.
    host.fails(&format!(
        "iptables-legacy -A {}",
        rule().replace("eth0", "eth9")
    ))?;
    ensure!(!host.has_arp_hook()?, "a hook for a rule that was refused");
    set(&host, "filter", &[of(VIP_ADDRESS)])?;
    ensure!(host.has_arp_hook()?, "no hook with a rule");
    ensure!(!idle.has_arp_hook()?, "a hook in a namespace without rules");
    set(&host, "filter", &[])?;
    ensure!(!host.has_arp_hook()?, "a hook after the last rule");
    Ok(())
}
