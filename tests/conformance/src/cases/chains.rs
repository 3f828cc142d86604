// SPDX-License-Identifier: GPL-2.0-only

//! §1.3: every chain of every table, and chains of an admin's own.

use super::tables::files;
use super::tables::iptables;
use super::tables::key;
use super::tables::nodes;
use super::tables::rules;
use super::tables::state;
use super::tables::usual;
use super::tables::Tables;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob;
use harness::blob::Chain;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::blob::HOOKS;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::rule;
use harness::host::NEW;

pub fn cases() -> Vec<Entry> {
    cases![
        "1.3" => chains_of_filter, chains_of_mangle, chains_of_raw, chains_of_nat, chains_of_security,
            own_chain_of_filter, own_chain_of_mangle, own_chain_of_raw, own_chain_of_nat,
            own_chain_of_security, without_device_of_new_vip, without_device_of_a_vip_that_is_there,
            command_line_filter, command_line_mangle, command_line_raw, command_line_nat,
            command_line_security, command_line_without_device_of_new_vip,
            command_line_without_device_of_a_vip_that_is_there, command_line_own_chain,
            own_chain_is_renamed, own_chain_is_deleted_when_it_is_empty, every_table_at_once;
    ]
}

const TABLES: [&str; 5] = ["filter", "mangle", "raw", "nat", "security"];

/// The hooks of a table.
fn hooks(table: &str) -> impl Iterator<Item = usize> {
    let hooks = blob::hooks(table);
    (0..HOOKS.len()).filter(move |hook| hooks & (1 << hook) != 0)
}

/// A rule in a hook's chain.
fn at(hook: usize, interface: &str) -> Rule {
    let mut rule = Rule::new(VIP_ADDRESS, interface, &Payload::default());
    rule.hook = hook;
    rule
}

/// A new VIP in each chain of a table in turn, with a device even where the command line lets none.
fn chains(case: &mut Case, table: &str) -> Result<()> {
    let tables = Tables::new(case)?;
    for hook in hooks(table) {
        let result = tables.set_in(table, &[at(hook, "eth0")]);
        case.errno(HOOKS[hook], &result);
        case.log(&key(HOOKS[hook], "log"))?;
        case.saw(&key(HOOKS[hook], "nodes"), nodes(&tables.host, VIP)?);
        tables.set_in(table, &[])?;
    }
    case.saw("files", files(&tables.host)?);
    Ok(())
}

fn chains_of_filter(case: &mut Case) -> Result<()> {
    chains(case, "filter")
}

fn chains_of_mangle(case: &mut Case) -> Result<()> {
    chains(case, "mangle")
}

fn chains_of_raw(case: &mut Case) -> Result<()> {
    chains(case, "raw")
}

fn chains_of_nat(case: &mut Case) -> Result<()> {
    chains(case, "nat")
}

fn chains_of_security(case: &mut Case) -> Result<()> {
    chains(case, "security")
}

/// A chain that nothing leads to, and one that each hook leads to in turn.
fn own_chain(case: &mut Case, table: &str) -> Result<()> {
    let tables = Tables::new(case)?;
    for from in [None].into_iter().chain(hooks(table).map(Some)) {
        let chain = Chain {
            name: "own".to_string(),
            from,
            rules: vec![usual()],
        };
        let about = from.map_or("nothing leads to it", |hook| HOOKS[hook]);
        let result = blob::replace_with_chains(&tables.socket, table, &[], &[chain]);
        case.errno(about, &result);
        case.saw(&key(about, "nodes"), nodes(&tables.host, VIP)?);
        tables.set_in(table, &[])?;
    }
    case.log("log")?;
    case.saw("files", files(&tables.host)?);
    Ok(())
}

fn own_chain_of_filter(case: &mut Case) -> Result<()> {
    own_chain(case, "filter")
}

fn own_chain_of_mangle(case: &mut Case) -> Result<()> {
    own_chain(case, "mangle")
}

fn own_chain_of_raw(case: &mut Case) -> Result<()> {
    own_chain(case, "raw")
}

fn own_chain_of_nat(case: &mut Case) -> Result<()> {
    own_chain(case, "nat")
}

fn own_chain_of_security(case: &mut Case) -> Result<()> {
    own_chain(case, "security")
}

/// The chains that packets leave by, for which the command line takes no `-i`.
fn outgoing() -> impl Iterator<Item = (&'static str, usize)> {
    let places = TABLES
        .iter()
        .flat_map(|table| hooks(table).map(|hook| (*table, hook)));
    places.filter(|(_, hook)| *hook > 2)
}

fn without_device_of_new_vip(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (table, hook) in outgoing() {
        let about = key(table, HOOKS[hook]);
        let result = tables.set_in(table, &[at(hook, "")]);
        case.errno(&about, &result);
        case.log(&key(&about, "log"))?;
    }
    case.saw("files", files(&tables.host)?);
    Ok(())
}

fn without_device_of_a_vip_that_is_there(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let (filter, rest): (Vec<_>, Vec<_>) = outgoing().partition(|(table, _)| *table == "filter");
    let rules: Vec<Rule> = filter.iter().map(|(_, hook)| at(*hook, "")).collect();
    let result = tables.set(&[&[usual()], &rules[..]].concat());
    case.errno("filter OUTPUT", &result);
    for (table, hook) in rest {
        let result = tables.set_in(table, &[at(hook, "")]);
        case.errno(&key(table, HOOKS[hook]), &result);
        tables.set_in(table, &[])?;
    }
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

/// What iptables itself lets through, of a new VIP with `-i`, in each chain of a table.
fn command_line(case: &mut Case, table: &str) -> Result<()> {
    let tables = Tables::new(case)?;
    for hook in hooks(table) {
        let line = format!("-t {table} -A {}", rule().replace("INPUT", HOOKS[hook]));
        iptables(case, &tables.host, HOOKS[hook], &line)?;
        case.saw(&key(HOOKS[hook], "nodes"), nodes(&tables.host, VIP)?);
        tables.host.flush()?;
    }
    case.log("log")
}

fn command_line_filter(case: &mut Case) -> Result<()> {
    command_line(case, "filter")
}

fn command_line_mangle(case: &mut Case) -> Result<()> {
    command_line(case, "mangle")
}

fn command_line_raw(case: &mut Case) -> Result<()> {
    command_line(case, "raw")
}

fn command_line_nat(case: &mut Case) -> Result<()> {
    command_line(case, "nat")
}

fn command_line_security(case: &mut Case) -> Result<()> {
    command_line(case, "security")
}

fn command_line_without_device_of_new_vip(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (table, hook) in outgoing() {
        let about = key(table, HOOKS[hook]);
        let line = format!("-t {table} -A {} -d {VIP} {NEW}", HOOKS[hook]);
        iptables(case, &tables.host, &about, &line)?;
        case.log(&key(&about, "log"))?;
    }
    case.saw("files", files(&tables.host)?);
    Ok(())
}

fn command_line_without_device_of_a_vip_that_is_there(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables(&format!("-A {}", rule()))?;
    for (table, hook) in outgoing() {
        let line = format!("-t {table} -A {} -d {VIP} {NEW}", HOOKS[hook]);
        iptables(case, &tables.host, &key(table, HOOKS[hook]), &line)?;
    }
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

fn command_line_own_chain(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables("-N own")?;
    let line = format!("-A own -d {VIP} -i eth0 {NEW}");
    iptables(case, &tables.host, "nothing leads to it", &line)?;
    state(case, &tables.host, "", [1, 0])?;
    iptables(case, &tables.host, "INPUT leads to it", "-A INPUT -j own")?;
    // OUTPUT has no input device: the rule is there and never matches.
    iptables(case, &tables.host, "OUTPUT leads to it", "-A OUTPUT -j own")?;
    state(case, &tables.host, "then", [1, 0])?;
    let line = format!("-D own -d {VIP} -i eth0 {NEW}");
    iptables(case, &tables.host, "deleted", &line)?;
    state(case, &tables.host, "at the end", [0, 0])
}

fn own_chain_is_renamed(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables("-N own")?;
    tables
        .host
        .iptables(&format!("-A own -d {VIP} -i eth0 {NEW}"))?;
    tables.tell("+2")?;
    iptables(case, &tables.host, "renamed", "-E own mine")?;
    state(case, &tables.host, "", [1, 0])
}

/// `-X` takes no chain that has rules.
fn own_chain_is_deleted_when_it_is_empty(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables("-N own")?;
    tables
        .host
        .iptables(&format!("-A own -d {VIP} -i eth0 {NEW}"))?;
    iptables(case, &tables.host, "with a rule", "-X own")?;
    state(case, &tables.host, "", [1, 0])?;
    iptables(case, &tables.host, "emptied", "-F own")?;
    iptables(case, &tables.host, "deleted", "-X own")?;
    state(case, &tables.host, "then", [0, 0])
}

/// One VIP with a rule in each chain of each table, and how many of its rules are left as they go.
fn every_table_at_once(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for table in TABLES {
        let rules: Vec<Rule> = hooks(table).map(|hook| at(hook, "eth0")).collect();
        let result = tables.set_in(table, &rules);
        case.errno(table, &result);
    }
    state(case, &tables.host, "", [1, 0])?;
    for table in TABLES {
        tables.set_in(table, &[])?;
        case.saw(&format!("without {table}"), rules()?);
    }
    case.log("log")?;
    case.saw("MAC", super::tables::joined(&tables.host, "eth0", MAC, 0)?);
    Ok(())
}
