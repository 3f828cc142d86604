// SPDX-License-Identifier: GPL-2.0-only

//! §2.4: further rules of a VIP that is there.

use super::tables::key;
use super::tables::nodes;
use super::tables::other;
use super::tables::state;
use super::tables::usual;
use super::tables::with;
use super::tables::Tables;
use super::tables::SECOND_MAC_BYTES;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::host::Host;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::flows;
use harness::host::program;
use harness::host::rule;
use harness::packet;
use harness::Cluster;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.4" => same_again, same_mac_other_parameters, same_mac_other_parameters_in_another_table,
            total_of_the_first_is_in_force, hash_of_the_first_is_in_force, other_mac,
            other_mac_in_another_table, other_mac_of_another_vip, join_as_the_command_line_does,
            join_with_the_right_mac, join_with_a_wrong_mac, join_in_another_table,
            join_on_another_device, join_by_command_line, batch_joins_before_it_makes,
            batch_joins_after_it_makes, batch_first_decides, batch_mac_of_the_first_decides,
            namespaces_are_apart;
    ]
}

/// Adds rules to the usual one, and says what became of it.
fn add(case: &mut Case, tables: &Tables, about: &str, second: &Rule) -> Result<()> {
    let result = tables.set(&[usual(), second.clone()]);
    case.errno(&key(about, "errno"), &result);
    case.log(&key(about, "log"))?;
    state(case, &tables.host, about, [1, 0])
}

/// A machine with the usual rule and both nodes.
fn standing(case: &mut Case) -> Result<Tables> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.tell("+2")?;
    case.log("first")?;
    Ok(tables)
}

fn same_again(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    add(case, &tables, "", &usual())
}

fn same_mac_other_parameters(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    add(case, &tables, "", &other())
}

fn same_mac_other_parameters_in_another_table(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let result = tables.set_in("mangle", &[other()]);
    case.errno("errno", &result);
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])?;
    // The one whose parameters are in force goes; they stay.
    tables.set(&[])?;
    state(case, &tables.host, "first gone", [1, 0])?;
    case.errno("+6", &tables.tell("+6"));
    Ok(())
}

fn total_of_the_first_is_in_force(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    tables.set(&[usual(), other()])?;
    for command in ["+3", "+7", "-6", "-2"] {
        case.errno(command, &tables.tell(command));
    }
    case.saw("nodes", nodes(&tables.host, VIP)?);
    Ok(())
}

/// Of forty flows, those that pass two rules of which the second would name others.
fn hash_of_the_first_is_in_force(case: &mut Case) -> Result<()> {
    program("modprobe -a ipt_CLUSTERIP ip_tables")?;
    let mut cluster = Cluster::new(&case.ctx, 1)?;
    let node = &cluster.nodes[0];
    let first = format!("-A {}\n", rule());
    let second = first
        .replace("sourceip", "sourceip-sourceport-destport")
        .replace("nodes 2", "nodes 5");
    let packets: Vec<_> = flows(160)
        .iter()
        .filter(|flow| flow.ip.protocol == packet::UDP)
        .map(|flow| flow.ip.bytes())
        .collect();
    for (about, rules) in [
        ("first alone", first.clone()),
        ("both", first + &second),
        ("second alone", second.clone()),
        ("none", String::new()),
        ("second anew", second),
    ] {
        let table = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT DROP\n";
        node.ns.restore(&format!("{table}{rules}COMMIT\n"))?;
        let heard = node.ask(&packets)?;
        let mut numbers: Vec<u16> = heard.iter().map(|heard| heard.id).collect();
        numbers.sort();
        case.saw(about, format!("{numbers:?}"));
    }
    // As with a host, its rules go before it does.
    drop(Host::new(cluster.nodes.remove(0).ns));
    Ok(())
}

fn other_mac(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    add(
        case,
        &tables,
        "",
        &with(|payload| payload.mac = SECOND_MAC_BYTES),
    )?;
    // One bit in the last byte counts, and one in the first.
    for (about, place) in [("first byte", 0), ("last byte", 5)] {
        let rule = with(|payload| payload.mac[place] ^= 2);
        add(case, &tables, about, &rule)?;
    }
    Ok(())
}

fn other_mac_in_another_table(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let rule = with(|payload| payload.mac = SECOND_MAC_BYTES);
    let result = tables.set_in("mangle", &[rule]);
    case.errno("errno", &result);
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

fn other_mac_of_another_vip(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let mut rule = with(|payload| payload.mac = SECOND_MAC_BYTES);
    rule.destination = [10, 9, 0, 101].into();
    add(case, &tables, "", &rule)
}

/// All zeros: no `--new`, no MAC.
fn join_as_the_command_line_does(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::joining());
    add(case, &tables, "", &rule)
}

fn joining(mac: [u8; 6]) -> Payload {
    let mut payload = Payload::joining();
    payload.mac = mac;
    payload
}

fn join_with_the_right_mac(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &joining(MAC_BYTES));
    add(case, &tables, "", &rule)
}

fn join_with_a_wrong_mac(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &joining(SECOND_MAC_BYTES));
    add(case, &tables, "", &rule)
}

fn join_in_another_table(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    for table in ["mangle", "raw", "nat", "security"] {
        let mut rule = Rule::new(VIP_ADDRESS, "", &joining(MAC_BYTES));
        rule.hook = if table == "raw" { 0 } else { 1 };
        let result = tables.set_in(table, &[rule]);
        case.errno(table, &result);
    }
    tables.set(&[])?;
    state(case, &tables.host, "first gone", [1, 0])
}

fn join_on_another_device(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    for device in ["eth1", "eth9", ""] {
        let rule = Rule::new(VIP_ADDRESS, device, &joining(MAC_BYTES));
        add(case, &tables, &format!("-i {device}"), &rule)?;
    }
    Ok(())
}

fn join_by_command_line(case: &mut Case) -> Result<()> {
    let tables = standing(case)?;
    let line = format!("-A INPUT -d {VIP} -p tcp -j CLUSTERIP");
    super::tables::iptables(case, &tables.host, "-A", &line)?;
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

fn batch(case: &mut Case, rules: &[Rule]) -> Result<()> {
    let tables = Tables::new(case)?;
    let result = tables.set(rules);
    case.errno("errno", &result);
    case.log("log")?;
    let there = u32::from(result.is_ok());
    state(case, &tables.host, "", [there, 0])
}

fn batch_joins_before_it_makes(case: &mut Case) -> Result<()> {
    let rule = Rule::new(VIP_ADDRESS, "eth0", &joining(MAC_BYTES));
    batch(case, &[rule, usual()])
}

fn batch_joins_after_it_makes(case: &mut Case) -> Result<()> {
    let rule = Rule::new(VIP_ADDRESS, "eth0", &joining(MAC_BYTES));
    batch(case, &[usual(), rule])
}

fn batch_first_decides(case: &mut Case) -> Result<()> {
    let first = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(5, &[5]));
    batch(case, &[first, usual()])
}

fn batch_mac_of_the_first_decides(case: &mut Case) -> Result<()> {
    let second = with(|payload| payload.mac = SECOND_MAC_BYTES);
    batch(case, &[usual(), second])
}

/// One VIP in two namespaces, with a MAC and nodes of its own in each.
fn namespaces_are_apart(case: &mut Case) -> Result<()> {
    let one = standing(case)?;
    let two = Tables::named(case, "second")?;
    let mut payload = Payload::default().nodes(3, &[3]);
    payload.mac = SECOND_MAC_BYTES;
    let result = two.set(&[Rule::new(VIP_ADDRESS, "eth0", &payload)]);
    case.errno("errno", &result);
    case.saw("one", nodes(&one.host, VIP)?);
    case.saw("two", nodes(&two.host, VIP)?);
    case.errno("join in the other", &one.set(&[usual(), usual()]));
    one.set(&[])?;
    case.saw("one gone", nodes(&one.host, VIP)?);
    case.saw("two stays", nodes(&two.host, VIP)?);
    Ok(())
}
