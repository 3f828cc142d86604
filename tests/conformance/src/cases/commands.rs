// SPDX-License-Identifier: GPL-2.0-only

//! §2.6: the words and exit codes of `iptables-legacy` and `iptables-legacy-restore` when the kernel
//! refuses, and what they change when it does not.

use super::tables::files;
use super::tables::inode;
use super::tables::iptables;
use super::tables::key;
use super::tables::listed;
use super::tables::program;
use super::tables::restore;
use super::tables::state;
use super::tables::Tables;
use super::tables::SECOND_MAC;
use super::tables::SECOND_VIP;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::host::rule;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.6" => words_for_einval, words_for_enoent, words_for_a_pattern, words_for_no_interface,
            words_for_local_node_zero, words_for_local_node_above_total, words_for_total_zero,
            words_for_no_new, words_of_insert_and_replace, words_of_check_and_delete,
            delete_names_the_rule_as_given, replace_other_mac, replace_other_parameters,
            restore_names_its_commit, restore_other_mac, restore_other_parameters, restore_what_was_saved,
            restore_test_only, restore_without_flush, restore_moves_a_vip_to_a_later_table,
            restore_moves_a_vip_to_an_earlier_table, shown_with_many_nodes;
    ]
}

/// Adds a rule that is refused, by both programs.
fn words(case: &mut Case, rule: &str) -> Result<()> {
    let tables = Tables::new(case)?;
    iptables(case, &tables.host, "-A", &format!("-A {rule}"))?;
    case.log("log")?;
    case.saw("files", files(&tables.host)?);
    tables.host.flush()?;
    let table = format!("*filter\n-A {rule}\nCOMMIT\n");
    restore(case, &tables.host, "restore", &table)?;
    case.log("restore log")
}

fn words_for_einval(case: &mut Case) -> Result<()> {
    words(case, &rule().replace(VIP, "10.9.0.0/24"))
}

fn words_for_enoent(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("eth0", "eth9"))
}

fn words_for_a_pattern(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("eth0", "eth+"))
}

fn words_for_no_interface(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("-i eth0", ""))
}

fn words_for_local_node_zero(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("--local-node 1", "--local-node 0"))
}

fn words_for_local_node_above_total(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("--local-node 1", "--local-node 3"))
}

fn words_for_total_zero(case: &mut Case) -> Result<()> {
    words(case, &rule().replace("--total-nodes 2", "--total-nodes 0"))
}

fn words_for_no_new(case: &mut Case) -> Result<()> {
    words(case, &format!("INPUT -d {VIP} -i eth0 -j CLUSTERIP"))
}

fn words_of_insert_and_replace(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables("-A INPUT -j ACCEPT")?;
    let missing = rule().replace("eth0", "eth9");
    iptables(case, &tables.host, "-I", &format!("-I {missing}"))?;
    case.log("-I log")?;
    let replace = missing.replace("INPUT", "INPUT 1");
    iptables(case, &tables.host, "-R", &format!("-R {replace}"))?;
    case.log("-R log")?;
    // The rule that was to be replaced is still there.
    let rules = tables.host.run("iptables-legacy -S INPUT")?;
    case.saw("rules", rules.trim().replace('\n', " | "));
    Ok(())
}

fn words_of_check_and_delete(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for command in ["-C", "-D"] {
        iptables(
            case,
            &tables.host,
            command,
            &format!("{command} {}", rule()),
        )?;
    }
    tables.host.iptables(&format!("-A {}", rule()))?;
    for command in ["-C", "-D", "-D"] {
        let about = key(command, "of what is there");
        iptables(case, &tables.host, &about, &format!("{command} {}", rule()))?;
    }
    case.log("log")?;
    state(case, &tables.host, "", [0, 0])
}

/// All of the first 56 bytes are compared, whatever is in force.
fn delete_names_the_rule_as_given(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let given = format!("{} --hash-init 7", rule());
    tables.host.iptables(&format!("-A {given}"))?;
    tables.tell("+2")?;
    for (about, rule) in [
        ("without --hash-init", rule()),
        (
            "other node",
            given.replace("--local-node 1", "--local-node 2"),
        ),
        ("other total", given.replace("nodes 2", "nodes 3")),
        (
            "without parameters",
            format!("INPUT -d {VIP} -i eth0 -j CLUSTERIP"),
        ),
        ("as given", given),
    ] {
        iptables(case, &tables.host, about, &format!("-D {rule}"))?;
    }
    state(case, &tables.host, "", [0, 0])
}

/// A standing VIP, and its file's number.
fn standing(case: &mut Case) -> Result<(Tables, u64)> {
    let tables = Tables::new(case)?;
    tables.host.iptables(&format!("-A {}", rule()))?;
    tables.tell("+2")?;
    case.log("first")?;
    let number = inode(&tables.host)?;
    Ok((tables, number))
}

/// The VIP's state at the end, and whether its file is the same.
fn kept(case: &mut Case, tables: &Tables, number: u64) -> Result<()> {
    case.log("log")?;
    let there = tables.host.has_vip(VIP)?;
    case.saw("same file", there && inode(&tables.host)? == number);
    state(case, &tables.host, "", [1, 0])
}

/// The new table is checked while the old one has its MAC.
fn replace_other_mac(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule().replace("INPUT", "INPUT 1").replace(MAC, SECOND_MAC);
    iptables(case, &tables.host, "-R", &format!("-R {rule}"))?;
    kept(case, &tables, number)
}

fn replace_other_parameters(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule()
        .replace("INPUT", "INPUT 1")
        .replace("nodes 2", "nodes 7");
    iptables(case, &tables.host, "-R", &format!("-R {rule}"))?;
    kept(case, &tables, number)?;
    listed(case, &tables.host, "shown", "filter")
}

/// The line of COMMIT, not of the rule.
fn restore_names_its_commit(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let missing = rule().replace("eth0", "eth9");
    for more in 0..=2 {
        let more_rules = "-A INPUT -j ACCEPT\n".repeat(more);
        let table = format!("*filter\n:INPUT ACCEPT\n-A {missing}\n{more_rules}COMMIT\n");
        restore(
            case,
            &tables.host,
            &format!("{more} rules behind it"),
            &table,
        )?;
    }
    case.log("log")
}

fn restore_other_mac(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule().replace(MAC, SECOND_MAC);
    let table = format!("*filter\n:INPUT DROP\n-A {rule}\nCOMMIT\n");
    restore(case, &tables.host, "restore", &table)?;
    kept(case, &tables, number)
}

fn restore_other_parameters(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule()
        .replace("nodes 2", "nodes 7")
        .replace("node 1", "node 6");
    let table = format!("*filter\n-A {rule}\nCOMMIT\n");
    restore(case, &tables.host, "restore", &table)?;
    kept(case, &tables, number)?;
    case.errno("+6", &tables.tell("+6"));
    listed(case, &tables.host, "shown", "filter")
}

fn restore_what_was_saved(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let saved = tables.host.run("iptables-legacy-save -t filter")?;
    for round in ["restore", "again"] {
        restore(case, &tables.host, round, &saved)?;
    }
    kept(case, &tables, number)?;
    // Into nothing, the nodes are the rule's.
    tables.host.flush()?;
    restore(case, &tables.host, "into nothing", &saved)?;
    state(case, &tables.host, "into nothing", [1, 0])
}

/// The kernel is not asked.
fn restore_test_only(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule().replace(MAC, SECOND_MAC);
    let table = format!("*filter\n-A {rule}\nCOMMIT\n");
    let line = "iptables-legacy-restore --test";
    program(case, &tables.host, "--test", line, &table)?;
    kept(case, &tables, number)
}

fn restore_without_flush(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let rule = rule().replace(VIP, SECOND_VIP);
    let table = format!("*filter\n-A {rule}\nCOMMIT\n");
    let line = "iptables-legacy-restore --noflush";
    program(case, &tables.host, "--noflush", line, &table)?;
    case.log("log")?;
    case.saw("same file", inode(&tables.host)? == number);
    state(case, &tables.host, "", [2, 0])
}

/// `filter` lets go of it before `mangle` takes it: another life, with the rule's nodes.
fn restore_moves_a_vip_to_a_later_table(case: &mut Case) -> Result<()> {
    let (tables, _) = standing(case)?;
    let text = format!("*filter\nCOMMIT\n*mangle\n-A {}\nCOMMIT\n", rule());
    restore(case, &tables.host, "restore", &text)?;
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

/// `mangle` takes it before `filter` lets go.
fn restore_moves_a_vip_to_an_earlier_table(case: &mut Case) -> Result<()> {
    let (tables, number) = standing(case)?;
    let text = format!("*mangle\n-A {}\nCOMMIT\n*filter\nCOMMIT\n", rule());
    restore(case, &tables.host, "restore", &text)?;
    kept(case, &tables, number)
}

/// Of several nodes the command line shows the first one.
fn shown_with_many_nodes(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut payload = harness::blob::Payload::default().nodes(16, &[5, 3, 16]);
    payload.mode = 2;
    let rule = harness::blob::Rule::new(harness::cluster::VIP_ADDRESS, "eth0", &payload);
    tables.set(&[rule])?;
    listed(case, &tables.host, "-S", "filter")?;
    let list = tables.host.run("iptables-legacy -nL INPUT")?;
    case.saw("-L", list.lines().last().unwrap_or("nothing").trim_end());
    Ok(())
}
