// SPDX-License-Identifier: GPL-2.0-only

//! Any bytes as the payload of a rule: 56 of revision 0, and 168 of revision 1. What of it is in force, or the sentence
//! that refuses it, is what a reading by offsets says.

#![no_main]

use host::cluster::abi::Payload;
use host::cluster::abi::TargetInfo;
use host::cluster::abi::TargetInfo1;
use host::cluster::hash::Mode;
use host::cluster::node::NodeSet;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use zerocopy::FromBytes;

fuzz_target!(|data: &[u8]| {
    revision_0(data);
    revision_1(data);
});

fn half(data: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([data[at], data[at + 1]])
}

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}

fn revision_0(data: &[u8]) {
    let Ok((payload, _)) = TargetInfo::read_from_prefix(data) else {
        assert!(data.len() < 56);
        return;
    };
    let half = |at: usize| half(data, at);
    let word = |at: usize| word(data, at);

    assert_eq!(payload.is_new(), word(0) % 2 == 1);
    assert!(payload.marks() && payload.vip().is_none() && payload.device().is_none());
    assert_eq!(payload.clustermac, data[4..10]);
    assert_eq!(payload.hash_initval, word(52));

    let names = [
        "sourceip",
        "sourceip-sourceport",
        "sourceip-sourceport-destport",
    ];
    let mode = word(48);
    match payload.mode() {
        Ok(mode_seen) => {
            assert_eq!(Some(&mode_seen.name()), names.get(mode as usize));
            assert_eq!(mode_seen.to_abi(), mode);
        }
        Err(refusal) => {
            assert!(mode > 2);
            assert_eq!(refusal.to_string(), format!("unknown mode {mode}"));
        }
    }

    let (total, count) = (half(10), usize::from(half(12)));
    let nodes: Vec<u16> = (0..count.min(16))
        .map(|number| half(14 + 2 * number))
        .collect();
    let local = local(count, &nodes);
    let seen = payload.local().map(numbers);
    assert_eq!(seen.map_err(|refusal| refusal.to_string()), local);

    let seen = payload.nodes();
    if let Err(refusal) = &seen {
        assert!(!refusal.remedy().is_empty());
    }
    let seen = seen.map(|(total, set)| (total.get(), numbers(set)));
    let wanted = local.and_then(
        |local| match (total, nodes.iter().find(|&&node| node > total)) {
            (0 | 65.., _) => Err(format!("bad num_total_nodes {total} (1 to 64)")),
            (_, Some(node)) => Err(format!(
                "local node {node} is above num_total_nodes {total}"
            )),
            (_, None) => Ok((u32::from(total), local)),
        },
    );
    assert_eq!(seen.map_err(|refusal| refusal.to_string()), wanted);
}

fn revision_1(data: &[u8]) {
    let Ok((payload, _)) = TargetInfo1::read_from_prefix(data) else {
        assert!(data.len() < 168);
        return;
    };
    let (flags, total, mode) = (word(data, 0), half(data, 10), word(data, 12));
    assert_eq!(payload.is_new(), flags % 2 == 1);
    assert_eq!(payload.marks(), flags / 2 % 2 == 0);
    assert_eq!(payload.mac().octets(), data[4..10]);
    assert_eq!(payload.seed(), word(data, 16));
    let vip = payload.vip().map(|vip| vip.octets());
    assert_eq!(vip.unwrap_or_default(), data[20..24]);
    let name = &data[24..40];
    assert_eq!(payload.device().is_some(), name[0] != 0);
    assert!(payload.device().is_none_or(|seen| seen == name));

    let wanted = match mode {
        _ if flags > 3 => Err(format!("unknown flags {flags:#x}")),
        _ if !name.contains(&0) => Err("bad device name".to_string()),
        0..=5 => Ok(mode),
        _ => Err(format!("unknown mode {mode}")),
    };
    let seen = payload.mode().map(Mode::to_abi);
    assert_eq!(seen.map_err(|refusal| refusal.to_string()), wanted);

    let bit = |number: &u32| {
        (word(data, 40 + (number - 1) as usize / 32 * 4) >> ((number - 1) % 32)) & 1 == 1
    };
    let local: BTreeSet<u32> = (1..=1024).filter(bit).collect();
    assert_eq!(payload.local().map(numbers), Ok(local.clone()));
    let wanted = match (total, local.last()) {
        (0 | 1025.., _) => Err(format!("bad num_total_nodes {total} (1 to 1024)")),
        (_, Some(node)) if *node > u32::from(total) => Err(format!(
            "local node {node} is above num_total_nodes {total}"
        )),
        _ => Ok((u32::from(total), local)),
    };
    let seen = payload
        .nodes()
        .map(|(total, set)| (total.get(), numbers(set)));
    assert_eq!(seen.map_err(|refusal| refusal.to_string()), wanted);
}

fn numbers(set: NodeSet) -> BTreeSet<u32> {
    set.iter().map(|node| node.get()).collect()
}

/// The local nodes; the number 0 alone is none.
fn local(count: usize, nodes: &[u16]) -> Result<BTreeSet<u32>, String> {
    if count > 16 {
        return Err(format!("bad num_local_nodes {count}"));
    }
    if nodes == [0] {
        return Ok(BTreeSet::new());
    }
    match nodes
        .iter()
        .enumerate()
        .find(|(_, node)| !(1..=64).contains(*node))
    {
        Some((index, node)) => Err(format!("bad local_nodes[{index}] {node}")),
        None => Ok(nodes.iter().copied().map(u32::from).collect()),
    }
}
