// SPDX-License-Identifier: GPL-2.0-only

//! §2.6: a table that replaces another, what survives it, and what becomes of one that is refused.

use super::tables::files;
use super::tables::inode;
use super::tables::iptables;
use super::tables::key;
use super::tables::other;
use super::tables::rules;
use super::tables::state;
use super::tables::usual;
use super::tables::usual_for;
use super::tables::with;
use super::tables::Tables;
use super::tables::SECOND_VIP;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::rule;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.6" => survives_other_rules, survives_more_and_fewer_rules, survives_the_rule_that_made_it,
            survives_its_own_dump, survives_other_parameters, survives_a_change_of_the_chain,
            survives_the_end_of_its_device, survives_a_rename_of_its_device, one_vip_for_another,
            vips_change_places, refused_at_each_place, refused_over_a_standing_table,
            refused_for_its_device_over_a_standing_table, refused_after_a_new_vip,
            refused_often, refused_in_one_of_two_tables, then_the_last_rule_goes;
    ]
}

/// The VIP's file is the same, what it says, who hears.
fn kept(case: &mut Case, tables: &Tables, about: &str, number: u64) -> Result<()> {
    let same = tables.host.has_vip(VIP)? && inode(&tables.host)? == number;
    case.saw(&key(about, "same file"), same);
    state(case, &tables.host, about, [1, 0])
}

/// A VIP whose nodes are not those of its rule, and its file's number.
fn changed(case: &mut Case) -> Result<(Tables, u64)> {
    let tables = Tables::new(case)?;
    tables.host.iptables(&format!("-A {}", rule()))?;
    tables.tell("+2")?;
    tables.tell("-1")?;
    case.log("first")?;
    let number = inode(&tables.host)?;
    Ok((tables, number))
}

fn survives_other_rules(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    for step in [
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -p udp -j ACCEPT",
        "-D INPUT -p udp -j ACCEPT",
        "-R INPUT 2 -p tcp --dport 23 -j ACCEPT",
        "-Z",
        "-Z INPUT 1",
        "-P FORWARD DROP",
        "-N own",
        "-t mangle -A INPUT -j ACCEPT",
    ] {
        iptables(case, &tables.host, step, step)?;
        let same = inode(&tables.host)? == number;
        case.saw(&key(step, "same file"), same);
    }
    case.log("log")?;
    kept(case, &tables, "", number)
}

fn survives_more_and_fewer_rules(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    for count in [1, 3, 7, 2, 1] {
        tables.set(&vec![usual(); count])?;
        kept(case, &tables, &count.to_string(), number)?;
    }
    case.log("log")
}

fn survives_the_rule_that_made_it(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let mut narrow = usual();
    narrow.protocol = 6;
    tables.set(&[usual(), narrow.clone()])?;
    tables.set(&[narrow])?;
    case.log("log")?;
    kept(case, &tables, "", number)
}

fn survives_its_own_dump(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    for round in 1..=2 {
        let mut rule = usual();
        rule.payload = tables.dump("filter")?[0][32..].to_vec();
        let result = tables.set(&[rule]);
        case.errno(&format!("round {round}"), &result);
    }
    case.log("log")?;
    kept(case, &tables, "", number)
}

/// What the rule says is shown and not in force.
fn survives_other_parameters(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let result = tables.set(&[other()]);
    case.errno("errno", &result);
    case.log("log")?;
    kept(case, &tables, "", number)?;
    case.errno("+6", &tables.tell("+6"));
    case.errno("+1", &tables.tell("+1"));
    super::tables::listed(case, &tables.host, "shown", "filter")?;
    // Once more, and back.
    tables.set(&[other()])?;
    tables.set(&[usual()])?;
    tables.set(&[other()])?;
    case.log("log of three more")?;
    kept(case, &tables, "then", number)
}

fn survives_a_change_of_the_chain(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    for hook in [2, 3, 1] {
        let mut rule = usual();
        rule.hook = hook;
        let result = tables.set(&[rule]);
        case.errno(&key("hook", &hook.to_string()), &result);
    }
    kept(case, &tables, "", number)
}

fn survives_the_end_of_its_device(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    tables.host.ip("link del eth0\n")?;
    let result = tables.set(&[usual(), usual()]);
    case.errno("errno", &result);
    case.errno("+1", &tables.tell("+1"));
    case.log("log")?;
    case.saw("same file", inode(&tables.host)? == number);
    state(case, &tables.host, "", [0, 0])?;
    // Its last rule goes, and the next one would be a new VIP's.
    tables.set(&[])?;
    let result = tables.set(&[usual()]);
    case.errno("anew", &result);
    case.log("anew log")?;
    state(case, &tables.host, "then", [0, 0])
}

fn survives_a_rename_of_its_device(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    tables
        .host
        .ip("link set eth0 down\nlink set eth0 name wan0\n")?;
    let result = tables.set(&[usual()]);
    case.errno("errno", &result);
    case.log("log")?;
    case.saw("same file", inode(&tables.host)? == number);
    state(case, &tables.host, "", [0, 0])
}

/// The old table's VIP is there until the new one's is.
fn one_vip_for_another(case: &mut Case) -> Result<()> {
    let (tables, _) = changed(case)?;
    let result = tables.set(&[usual_for(SECOND_VIP)]);
    case.errno("errno", &result);
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

fn vips_change_places(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    tables.set(&[usual(), usual_for(SECOND_VIP)])?;
    tables.set(&[usual_for(SECOND_VIP), usual()])?;
    case.log("log")?;
    case.saw("same file", inode(&tables.host)? == number);
    state(case, &tables.host, "", [2, 0])
}

fn bad() -> Rule {
    let mut rule = with(|payload| payload.mode = 3);
    rule.destination = [10, 9, 0, 102].into();
    rule
}

/// A table of three rules of two VIPs, and a bad one before, among and behind them.
fn refused_at_each_place(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for place in 0..=3 {
        let mut table = vec![usual(), usual_for(SECOND_VIP), usual()];
        table.insert(place, bad());
        let result = tables.set(&table);
        case.errno(&format!("{place} errno"), &result);
        case.log(&format!("{place} log"))?;
        state(case, &tables.host, &place.to_string(), [0, 0])?;
    }
    Ok(())
}

fn refused_over_a_standing_table(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let result = tables.set(&[usual(), usual(), bad()]);
    case.errno("errno", &result);
    case.log("log")?;
    kept(case, &tables, "", number)
}

fn refused_for_its_device_over_a_standing_table(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let mut missing = Rule::new(VIP_ADDRESS, "eth9", &Payload::default());
    missing.destination = [10, 9, 0, 102].into();
    let result = tables.set(&[usual(), missing]);
    case.errno("errno", &result);
    case.log("log")?;
    kept(case, &tables, "", number)
}

/// The new VIP is there for a moment; the one that stood stays.
fn refused_after_a_new_vip(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let result = tables.set(&[usual_for(SECOND_VIP), usual(), bad()]);
    case.errno("errno", &result);
    case.log("log")?;
    kept(case, &tables, "", number)
}

fn refused_often(case: &mut Case) -> Result<()> {
    let (tables, number) = changed(case)?;
    let table = [usual(), usual_for(SECOND_VIP), usual(), bad()];
    let refused = (0..30).filter(|_| tables.set(&table).is_err()).count();
    case.saw("refused", refused);
    kept(case, &tables, "", number)
}

/// Each table is a transaction of its own.
fn refused_in_one_of_two_tables(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let text = format!(
        "*mangle\n-A {}\nCOMMIT\n*filter\n-A {}\n-A {}\nCOMMIT\n",
        rule(),
        rule(),
        rule().replace("eth0", "eth9").replace(VIP, SECOND_VIP)
    );
    super::tables::restore(case, &tables.host, "restore", &text)?;
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])?;
    tables.host.flush()?;
    case.saw("files", files(&tables.host)?);
    Ok(())
}

/// Refusals count nothing: what stands ends with its one rule.
fn then_the_last_rule_goes(case: &mut Case) -> Result<()> {
    let (tables, _) = changed(case)?;
    for _ in 0..5 {
        let result = tables.set(&[usual(), usual(), bad()]);
        case.errno("refused", &result);
    }
    case.saw("rules", rules()?);
    tables.set(&[])?;
    state(case, &tables.host, "", [0, 0])
}
