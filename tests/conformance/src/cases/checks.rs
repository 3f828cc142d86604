// SPDX-License-Identifier: GPL-2.0-only

//! §2.1: which rules are refused, and what is said of them.

use super::tables::files;
use super::tables::key;
use super::tables::offer;
use super::tables::offer_all;
use super::tables::one;
use super::tables::program;
use super::tables::rules;
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
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::rule;
use harness::host::NEW;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.1" => compat_of_nftables, compat_of_nftables_restore, compat_of_nftables_join,
            mode_unknown, destination_is_a_network, destination_is_none, too_many_local_nodes,
            local_node_is_no_node, local_node_zero_alone, local_node_by_its_place, need_new,
            need_new_by_command_line, interface_is_not_named, interface_is_found, interface_is_missing,
            interface_is_a_pattern, interface_name_without_end, interface_name_of_odd_bytes,
            mac_differs, deprecated_once_in_a_namespace, deprecated_after_a_refusal;
    ]
}

/// The line, without what ours adds about the remedy.
fn compat_line(case: &mut Case, about: &str) -> Result<()> {
    let lines: Vec<String> = case
        .sentences()?
        .iter()
        .map(|line| line.split(": use ").next().unwrap_or("").to_string())
        .collect();
    case.saw(about, lines.join(" | "));
    Ok(())
}

fn compat_of_nftables(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for command in ["-A", "-I"] {
        let line = format!("iptables-nft {command} {}", rule());
        program(case, &tables.host, command, &line, "")?;
        compat_line(case, &key(command, "log"))?;
    }
    case.saw("files", files(&tables.host)?);
    case.saw("rules", rules()?);
    Ok(())
}

fn compat_of_nftables_restore(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let table = format!("*filter\n-A {}\nCOMMIT\n", rule());
    program(
        case,
        &tables.host,
        "restore",
        "iptables-nft-restore",
        &table,
    )?;
    compat_line(case, "log")
}

/// Without `--new`, of a VIP that is there by a rule of the other kind of table.
fn compat_of_nftables_join(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    let line = format!("iptables-nft -A INPUT -d {VIP} -j CLUSTERIP");
    program(case, &tables.host, "-A", &line, "")?;
    compat_line(case, "log")?;
    case.saw("files", files(&tables.host)?);
    Ok(())
}

fn mode_unknown(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mode in [3, 255, 256, 0x100_0000, u32::MAX] {
        let rule = with(|payload| payload.mode = mode);
        offer(case, &tables, &mode.to_string(), &rule)?;
    }
    Ok(())
}

fn destination_is_a_network(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mask in [
        [0, 0, 0, 0],
        [255, 255, 255, 0],
        [255, 255, 255, 254],
        [127, 255, 255, 255],
    ] {
        let mut rule = usual();
        rule.mask = mask.into();
        offer(case, &tables, &format!("mask {}", rule.mask), &rule)?;
    }
    Ok(())
}

fn destination_is_none(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mask in [Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED] {
        let mut rule = usual();
        rule.destination = Ipv4Addr::UNSPECIFIED;
        rule.mask = mask;
        offer(case, &tables, &format!("mask {mask}"), &rule)?;
    }
    Ok(())
}

fn too_many_local_nodes(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for count in [17, 64, u16::MAX] {
        let rule = with(|payload| payload.num_local = count);
        offer(case, &tables, &count.to_string(), &rule)?;
    }
    Ok(())
}

fn local_node_is_no_node(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for node in [65, 256, u16::MAX] {
        let rule = with(|payload| payload.local[0] = node);
        offer(case, &tables, &node.to_string(), &rule)?;
    }
    Ok(())
}

fn local_node_zero_alone(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.local[0] = 0))
}

/// The first one that is none is named, with its place.
fn local_node_by_its_place(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut last = [1; 16];
    last[15] = 65;
    let lists: [(&str, &[u16]); 4] = [
        ("0,0", &[0, 0]),
        ("1,0", &[1, 0]),
        ("1,70,80", &[1, 70, 80]),
        ("65 at the end", &last),
    ];
    for (about, nodes) in lists {
        let payload = Payload::default().nodes(16, nodes);
        offer(
            case,
            &tables,
            about,
            &Rule::new(VIP_ADDRESS, "eth0", &payload),
        )?;
    }
    Ok(())
}

fn need_new(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.flags = 0))
}

fn need_new_by_command_line(case: &mut Case) -> Result<()> {
    let payload = Payload::joining();
    one(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}

fn interface_is_not_named(case: &mut Case) -> Result<()> {
    one(case, &Rule::new(VIP_ADDRESS, "", &Payload::default()))
}

/// The same, where the address tells the device.
fn interface_is_found(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.ip(&format!("addr add {VIP}/24 dev eth1\n"))?;
    let rule = Rule::new(VIP_ADDRESS, "", &Payload::default());
    offer(case, &tables, "", &rule)
}

fn interface_is_missing(case: &mut Case) -> Result<()> {
    one(case, &Rule::new(VIP_ADDRESS, "eth9", &Payload::default()))
}

/// As the command line writes them.
fn interface_is_a_pattern(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (name, mask) in [("eth+", 3), ("eth0+", 4), ("+", 0)] {
        let mut rule = Rule::new(VIP_ADDRESS, name, &Payload::default());
        rule.interface_mask = mask;
        offer(case, &tables, name, &rule)?;
    }
    Ok(())
}

/// Sixteen bytes and no NUL.
fn interface_name_without_end(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.interface = b"abcdefghijklmnop".to_vec();
    rule.interface_mask = 16;
    one(case, &rule)
}

fn interface_name_of_odd_bytes(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let names: [(&str, &[u8]); 4] = [
        ("a newline", b"a\nb"),
        ("a tab", b"a\tb"),
        ("percent", b"%s%n%p"),
        ("bytes behind its end", b"eth9\0zz"),
    ];
    for (about, name) in names {
        let mut rule = usual();
        rule.interface = name.to_vec();
        rule.interface_mask = name.len() + 1;
        offer(case, &tables, about, &rule)?;
    }
    Ok(())
}

fn mac_differs(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let differs = with(|payload| payload.mac = SECOND_MAC_BYTES);
    offer_all(case, &tables, "", &[usual(), differs])
}

/// All lines of a namespace, the one that other cases pass over among them.
fn deprecated_once_in_a_namespace(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let steps: [(&str, &[Rule]); 4] = [
        ("first rule", &[usual()]),
        ("again", &[usual()]),
        ("flushed", &[]),
        ("first rule again", &[usual()]),
    ];
    for (about, rules) in steps {
        tables.set(rules)?;
        let lines = case.ctx.log()?;
        case.saw(about, format!("{lines:?}"));
    }
    let second = Tables::named(case, "second")?;
    second.set(&[usual()])?;
    let lines = case.ctx.log()?;
    case.saw("another namespace", format!("{lines:?}"));
    Ok(())
}

fn deprecated_after_a_refusal(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let refused = tables.set(&[with(|payload| payload.mode = 3)]);
    case.errno("refused", &refused);
    let lines = case.sentences()?;
    case.saw("refused log", lines.join(" | "));
    let line = format!("-A INPUT -d {VIP} -i eth0 {NEW}");
    tables.host.iptables(&line)?;
    let lines = case.ctx.log()?;
    case.saw("then taken", format!("{lines:?}"));
    Ok(())
}
