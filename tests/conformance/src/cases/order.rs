// SPDX-License-Identifier: GPL-2.0-only

//! §2.1: which of two faults is told, and what a refusal leaves.

use super::tables::files;
use super::tables::key;
use super::tables::one;
use super::tables::rules;
use super::tables::state;
use super::tables::usual;
use super::tables::with;
use super::tables::Tables;
use super::tables::SECOND_MAC_BYTES;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP_ADDRESS;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.1" => order_of_checks, order_of_checks_of_a_vip_that_is_there,
            order_of_size_and_all_else, refusal_leaves_nothing, refusal_leaves_what_is_there;
    ]
}

/// Two faults in each, and the one that is told comes first.
fn order_of_checks(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mode = |payload: &mut Payload| payload.mode = 3;
    let count = |payload: &mut Payload| payload.num_local = 17;
    let node = |payload: &mut Payload| payload.local[0] = 65;
    let joining = |payload: &mut Payload| payload.flags = 0;
    let both = |one: &dyn Fn(&mut Payload), other: &dyn Fn(&mut Payload)| {
        with(|payload| {
            one(payload);
            other(payload);
        })
    };
    let network = |mut rule: Rule| {
        rule.mask = [255, 255, 255, 0].into();
        rule
    };
    let device = |mut rule: Rule, name: &str| {
        rule.interface = name.as_bytes().to_vec();
        rule
    };
    let offers = [
        ("mode, destination", network(with(mode))),
        ("mode, count", both(&mode, &count)),
        ("destination, count", network(with(count))),
        ("destination, node", network(with(node))),
        ("destination, new", network(with(joining))),
        ("count, node", both(&count, &node)),
        ("count, new", both(&count, &joining)),
        ("node, new", both(&node, &joining)),
        ("node, no interface", device(with(node), "")),
        ("new, no interface", device(with(joining), "")),
        ("new, missing interface", device(with(joining), "eth9")),
        ("count, missing interface", device(with(count), "eth9")),
    ];
    for (about, rule) in &offers {
        let result = tables.set(std::slice::from_ref(rule));
        case.errno(&key(about, "errno"), &result);
        case.log(&key(about, "log"))?;
    }
    Ok(())
}

/// The MAC is compared last.
fn order_of_checks_of_a_vip_that_is_there(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let other = |change: &dyn Fn(&mut Payload)| {
        with(|payload| {
            payload.mac = SECOND_MAC_BYTES;
            change(payload);
        })
    };
    tables.set(&[usual()])?;
    case.log("first")?;
    let offers = [
        ("mode, MAC", other(&|payload| payload.mode = 3)),
        ("count, MAC", other(&|payload| payload.num_local = 17)),
        ("node, MAC", other(&|payload| payload.local[0] = 65)),
    ];
    for (about, rule) in offers {
        let result = tables.set(&[usual(), rule]);
        case.errno(&key(about, "errno"), &result);
        case.log(&key(about, "log"))?;
    }
    state(case, &tables.host, "", [1, 0])
}

/// The module is not asked about a payload of another size.
fn order_of_size_and_all_else(case: &mut Case) -> Result<()> {
    let mut rule = with(|payload| payload.mode = 3);
    rule.mask = Ipv4Addr::UNSPECIFIED;
    rule.payload.truncate(56);
    one(case, &rule)
}

/// One of each kind.
fn refusals() -> [(&'static str, Rule); 6] {
    [
        ("mode", with(|payload| payload.mode = 3)),
        ("count", with(|payload| payload.num_local = 17)),
        ("node", with(|payload| payload.local[0] = 65)),
        ("new", with(|payload| payload.flags = 0)),
        ("size", {
            let mut rule = usual();
            rule.payload.resize(72, 0);
            rule
        }),
        ("interface", {
            Rule::new(VIP_ADDRESS, "eth9", &Payload::default())
        }),
    ]
}

fn refusal_leaves_nothing(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (about, rule) in refusals() {
        let result = tables.set(&[rule]);
        case.errno(&key(about, "errno"), &result);
        case.saw(&key(about, "files"), files(&tables.host)?);
        case.saw(&key(about, "rules"), rules()?);
    }
    state(case, &tables.host, "", [0, 0])
}

/// A rule of the VIP stands; the table that replaces it is refused for the rule after it.
fn refusal_leaves_what_is_there(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    tables.tell("+2")?;
    for (about, mut rule) in refusals() {
        rule.destination = [10, 9, 0, 101].into();
        let result = tables.set(&[usual(), rule]);
        case.errno(&key(about, "errno"), &result);
        case.saw(&key(about, "files"), files(&tables.host)?);
        case.saw(&key(about, "rules"), rules()?);
    }
    state(case, &tables.host, "", [1, 0])
}
