// SPDX-License-Identifier: GPL-2.0-only

//! §5: for how many a device hears the cluster's MAC.

use super::devices::batch;
use super::devices::hearers;
use super::devices::look;
use super::devices::put;
use super::devices::rule;
use super::devices::with_rule;
use super::devices::MAC;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "5" => one_vip_many_rules, two_vips_one_mac, two_vips_one_mac_renamed, two_vips_two_macs,
            static_before, static_after, static_taken_away, static_renamed, vlan_device,
            refused_table_leaves_nothing, shown_by_ip, many_vips_follow_name
    ]
}

fn other(last: u8, mac: [u8; 6]) -> Rule {
    let payload = Payload {
        mac,
        ..Payload::default()
    };
    Rule::new(Ipv4Addr::new(10, 9, 0, last), "eth0", &payload)
}

fn one_vip_many_rules(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    put(&host, "filter", &[rule("eth0"), rule("eth0"), rule("")])??;
    look(case, "three in one table", &host)?;
    put(&host, "mangle", &[rule("eth0")])??;
    look(case, "one more in another", &host)?;
    put(&host, "filter", &[])??;
    look(case, "the last", &host)?;
    put(&host, "mangle", &[])??;
    look(case, "none", &host)
}

fn two_vips_one_mac(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let second = other(101, harness::cluster::MAC_BYTES);
    put(&host, "filter", &[rule("eth0"), second.clone()])??;
    case.saw("two", hearers(&host, MAC)?);
    put(&host, "filter", &[second])??;
    case.saw("one", hearers(&host, MAC)?);
    put(&host, "filter", &[])??;
    case.saw("none", hearers(&host, MAC)?);
    Ok(())
}

fn two_vips_one_mac_renamed(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    put(
        &host,
        "filter",
        &[rule("eth0"), other(101, harness::cluster::MAC_BYTES)],
    )??;
    batch(&host, "link set eth0 name away")?;
    case.saw("away", hearers(&host, MAC)?);
    batch(&host, "link set eth1 name eth0")?;
    case.saw("another has the name", hearers(&host, MAC)?);
    Ok(())
}

fn two_vips_two_macs(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    put(
        &host,
        "filter",
        &[rule("eth0"), other(101, [1, 0, 0x5e, 0, 0, 0x21])],
    )??;
    case.saw("first", hearers(&host, MAC)?);
    case.saw("second", hearers(&host, "01:00:5e:00:00:21")?);
    put(&host, "filter", &[rule("eth0")])??;
    case.saw("second, rule gone", hearers(&host, "01:00:5e:00:00:21")?);
    Ok(())
}

fn static_before(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    look(case, "by hand", &host)?;
    put(&host, "filter", &[rule("eth0")])??;
    look(case, "with the rule", &host)?;
    host.flush()?;
    look(case, "flushed", &host)
}

fn static_after(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    look(case, "by hand too", &host)?;
    host.flush()?;
    look(case, "flushed", &host)
}

fn static_taken_away(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    // `ip` ends with such a line, whatever comes after it.
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    host.ip(&format!("maddr del {MAC} dev eth0\n"))?;
    look(case, "taken away again", &host)
}

/// What was given by hand stays with its device.
fn static_renamed(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    batch(&host, "link set eth0 name away\n")?;
    look(case, "away", &host)?;
    host.flush()?;
    look(case, "flushed", &host)
}

/// It hands what it hears on to the device below.
fn vlan_device(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    host.ip("link add link eth0 name eth0.5 type vlan id 5\nlink set eth0.5 up\n")?;
    put(&host, "filter", &[rule("eth0.5")])??;
    look(case, "rule", &host)?;
    host.flush()?;
    look(case, "flushed", &host)
}

/// The first of its rules is good, the second is not.
fn refused_table_leaves_nothing(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let result = put(
        &host,
        "filter",
        &[rule("eth0"), other(101, [1; 6]), rule_of_nowhere()],
    )?;
    case.errno("errno", &result);
    look(case, "VIP", &host)?;
    let result = put(&host, "filter", &[rule("eth0")])?;
    case.errno("then", &result);
    look(case, "VIP then", &host)
}

fn rule_of_nowhere() -> Rule {
    Rule::new(Ipv4Addr::new(10, 9, 0, 102), "nowhere", &Payload::default())
}

/// As an admin looks at it.
fn shown_by_ip(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    put(
        &host,
        "filter",
        &[rule("eth0"), other(101, harness::cluster::MAC_BYTES)],
    )??;
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    let list = host.run("ip maddr show dev eth0")?;
    let line = list.lines().find(|line| line.contains(MAC));
    case.saw("line", line.map_or("none", str::trim));
    Ok(())
}

fn many_vips_follow_name(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let rules: Vec<Rule> = (101..=200)
        .map(|last| other(last, harness::cluster::MAC_BYTES))
        .collect();
    put(&host, "filter", &rules)??;
    case.saw("at first", hearers(&host, MAC)?);
    batch(&host, "link set eth0 name away")?;
    case.saw("away", hearers(&host, MAC)?);
    batch(&host, "link set eth1 name eth0")?;
    case.saw("another has the name", hearers(&host, MAC)?);
    host.flush()?;
    case.saw("flushed", hearers(&host, MAC)?);
    Ok(())
}
