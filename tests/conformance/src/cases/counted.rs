// SPDX-License-Identifier: GPL-2.0-only

//! §2.5: what is counted, and what comes with the first rule and goes with the last.

use super::tables::joined;
use super::tables::key;
use super::tables::rules;
use super::tables::usual;
use super::tables::usual_for;
use super::tables::with;
use super::tables::Tables;
use super::tables::SECOND_VIP;
use crate::case::errno_name;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::MAC;
use harness::hooks;
use harness::host::rule;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.5" => use_count, use_count_of_two_namespaces, use_count_of_refusals, hooks_with_the_first_rule,
            hooks_of_raw, hooks_of_the_second_rule, hooks_of_two_tables;
    ]
}

/// After each replacement.
fn use_count(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    case.saw("none", rules()?);
    for count in [1, 2, 5, 2, 0, 1] {
        tables.set(&vec![usual(); count])?;
        case.saw(&count.to_string(), rules()?);
    }
    tables.set_in("mangle", &[usual(), usual_for(SECOND_VIP)])?;
    case.saw("and two in mangle", rules()?);
    Ok(())
}

fn use_count_of_two_namespaces(case: &mut Case) -> Result<()> {
    let one = Tables::new(case)?;
    let two = Tables::named(case, "second")?;
    one.set(&[usual(), usual()])?;
    two.set(&[usual()])?;
    case.saw("both", rules()?);
    one.set(&[])?;
    case.saw("one", rules()?);
    two.set(&[])?;
    case.saw("none", rules()?);
    Ok(())
}

fn use_count_of_refusals(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let bad = with(|payload| payload.mode = 3);
    for count in [0, 1, 3] {
        let mut table = vec![usual(); count];
        table.push(bad.clone());
        let result = tables.set(&table);
        case.errno(&format!("bad after {count}"), &result);
        case.saw(&format!("rules after {count}"), rules()?);
    }
    Ok(())
}

/// Whether connections are tracked: a datagram to oneself is counted, or is not.
fn tracked(tables: &Tables) -> Result<bool> {
    // Each datagram is the first of its flow.
    static PORT: AtomicU16 = AtomicU16::new(2000);
    let count = || -> Result<u32> {
        let text = tables
            .host
            .read("/proc/sys/net/netfilter/nf_conntrack_count")?;
        Ok(text.trim().parse()?)
    };
    let before = count()?;
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    tables.host.enter(|| -> io::Result<usize> {
        UdpSocket::bind("127.0.0.1:1999")?.send_to(b"hello", ("127.0.0.1", port))
    })??;
    Ok(count()? > before)
}

/// What comes with rules: the hook of ARP, where the kernel can tell, and conntrack's.
fn hooks(case: &mut Case, tables: &Tables, about: &str) -> Result<()> {
    let there = tables
        .host
        .enter(|| hooks::has("ipt_CLUSTERIP", hooks::ARP_OUT))?;
    let value = there.map_or_else(|error| errno_name(&error), |there| there.to_string());
    case.saw(&key(about, "ARP"), value);
    case.saw(&key(about, "conntrack"), tracked(tables)?);
    Ok(())
}

fn hooks_with_the_first_rule(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    hooks(case, &tables, "before")?;
    tables.set(&[usual()])?;
    hooks(case, &tables, "with a rule")?;
    tables.set(&[])?;
    hooks(case, &tables, "without")?;
    let refused = tables.set(&[usual(), with(|payload| payload.mode = 3)]);
    case.errno("refused", &refused);
    hooks(case, &tables, "after a refusal")
}

fn hooks_of_raw(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut rule = usual();
    rule.hook = 0;
    tables.set_in("raw", &[rule])?;
    hooks(case, &tables, "in raw")
}

fn hooks_of_the_second_rule(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual(), usual_for(SECOND_VIP)])?;
    hooks(case, &tables, "two")?;
    tables.set(&[usual_for(SECOND_VIP)])?;
    hooks(case, &tables, "one")?;
    tables.host.iptables(&format!("-A {}", rule()))?;
    tables.set(&[])?;
    hooks(case, &tables, "none")?;
    case.saw("MAC", joined(&tables.host, "eth0", MAC, 0)?);
    Ok(())
}

fn hooks_of_two_tables(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.set_in("mangle", &[usual_for(SECOND_VIP)])?;
    tables.set(&[])?;
    hooks(case, &tables, "one left")?;
    tables.set_in("mangle", &[])?;
    hooks(case, &tables, "none left")
}
