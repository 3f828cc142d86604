// SPDX-License-Identifier: GPL-2.0-only

//! §2.1, what is not validated at all; §2.2, which of a rule's fields matter.

use super::tables::joined;
use super::tables::key;
use super::tables::offer;
use super::tables::one;
use super::tables::other;
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
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP_ADDRESS;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "2.1" => total_zero, total_above_64, total_at_the_bounds, local_node_above_total, local_nodes_twice,
            local_nodes_none, mac_is_unicast, mac_is_zero, mac_is_broadcast, destination_inverted,
            interface_inverted, flags_unknown, source_given, protocol_given, others_inverted;
        "2.2" => destination_of_any_class, destination_names_the_vip, source_is_no_matter,
            out_interface_is_no_matter, interface_mask_is_no_matter, interface_counts_for_a_new_vip,
            interface_is_no_matter_later, interface_altname, interface_loopback, interface_down,
            interface_tunnel;
    ]
}

fn total_zero(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.total = 0))
}

/// Taken, and gone again before anything is written to its file: that would harm the original.
fn total_above_64(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for total in [65, 256, u16::MAX] {
        let rule = with(|payload| payload.total = total);
        offer(case, &tables, &total.to_string(), &rule)?;
    }
    Ok(())
}

fn total_at_the_bounds(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (total, node) in [(1, 1), (16, 16), (32, 32)] {
        let payload = Payload::default().nodes(total, &[node]);
        let rule = Rule::new(VIP_ADDRESS, "eth0", &payload);
        offer(case, &tables, &total.to_string(), &rule)?;
    }
    // Its file shows it or does not; that it is taken is the same.
    let payload = Payload::default().nodes(64, &[1, 64]);
    offer(
        case,
        &tables,
        "64",
        &Rule::new(VIP_ADDRESS, "eth0", &payload),
    )
}

fn local_node_above_total(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for nodes in [&[3][..], &[1, 3], &[64]] {
        let payload = Payload::default().nodes(2, nodes);
        let rule = Rule::new(VIP_ADDRESS, "eth0", &payload);
        offer(case, &tables, &format!("{nodes:?}"), &rule)?;
    }
    Ok(())
}

fn local_nodes_twice(case: &mut Case) -> Result<()> {
    let payload = Payload::default().nodes(5, &[4, 2, 4, 2]);
    one(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}

fn local_nodes_none(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let payload = Payload::default().nodes(2, &[]);
    tables.set(&[Rule::new(VIP_ADDRESS, "eth0", &payload)])?;
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])?;
    case.errno("+2", &tables.tell("+2"));
    state(case, &tables.host, "then", [1, 0])
}

fn mac_is_unicast(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mac in [[2, 0, 0, 0, 0, 1], [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let rule = with(|payload| payload.mac = mac);
        offer(
            case,
            &tables,
            &format!("{:02x}:…:{:02x}", mac[0], mac[5]),
            &rule,
        )?;
    }
    Ok(())
}

fn mac_is_zero(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.mac = [0; 6]))
}

fn mac_is_broadcast(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.mac = [0xff; 6]))
}

fn destination_inverted(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.inverted = blob::INV_DSTIP;
    one(case, &rule)
}

fn interface_inverted(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.inverted = blob::INV_VIA_IN;
    one(case, &rule)
}

fn flags_unknown(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for flags in [3_u32, 0x8000_0001, u32::MAX, 2, 0xffff_fffe] {
        let rule = with(|payload| payload.flags = flags);
        offer(case, &tables, &format!("{flags:#x}"), &rule)?;
    }
    Ok(())
}

fn source_given(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.source = [192, 0, 2, 0].into();
    rule.source_mask = [255, 255, 255, 0].into();
    one(case, &rule)
}

fn protocol_given(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for protocol in [1_u16, 6, 17, 255] {
        let mut rule = usual();
        rule.protocol = protocol;
        offer(case, &tables, &protocol.to_string(), &rule)?;
    }
    Ok(())
}

fn others_inverted(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let bits = [
        ("source", blob::INV_SRCIP),
        ("out interface", blob::INV_VIA_OUT),
        ("protocol", blob::INV_PROTO),
    ];
    for (about, inverted) in bits {
        let mut rule = usual();
        rule.protocol = 6;
        rule.inverted = inverted;
        offer(case, &tables, about, &rule)?;
    }
    Ok(())
}

fn destination_of_any_class(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for vip in [
        "0.0.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        offer(case, &tables, vip, &usual_for(vip))?;
    }
    Ok(())
}

/// Two addresses are two VIPs, whatever else they share.
fn destination_names_the_vip(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut second = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(2, &[2]));
    second.destination = [10, 9, 0, 101].into();
    let result = tables.set(&[usual(), second]);
    case.errno("errno", &result);
    state(case, &tables.host, "", [2, 0])
}

/// A rule that differs in its source only is one more of the same VIP.
fn source_is_no_matter(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    let mut second = usual();
    second.source = Ipv4Addr::new(192, 0, 2, 1);
    second.source_mask = Ipv4Addr::BROADCAST;
    second.protocol = 17;
    let result = tables.set(&[usual(), second]);
    case.errno("errno", &result);
    case.log("log")?;
    state(case, &tables.host, "", [1, 0])
}

fn out_interface_is_no_matter(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for (about, interface) in [("with -i", "eth0"), ("alone", "")] {
        let mut rule = Rule::new(VIP_ADDRESS, interface, &Payload::default());
        rule.hook = 2;
        rule.out_interface = b"eth1\0".to_vec();
        offer(case, &tables, about, &rule)?;
    }
    Ok(())
}

/// How much of a name is compared with a packet's device.
fn interface_mask_is_no_matter(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mask in [0, 3, 4, 5, 16] {
        let mut rule = usual();
        rule.interface_mask = mask;
        offer(case, &tables, &format!("{mask} bytes"), &rule)?;
    }
    Ok(())
}

fn interface_counts_for_a_new_vip(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[Rule::new(VIP_ADDRESS, "eth1", &Payload::default())])?;
    state(case, &tables.host, "", [0, 1])
}

fn interface_is_no_matter_later(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    for interface in ["eth9", "eth+", "+", ""] {
        let mut rule = Rule::new(VIP_ADDRESS, interface, &Payload::default());
        rule.interface_mask = interface.trim_end_matches('+').len();
        let result = tables.set(&[usual(), rule]);
        case.errno(&key(&format!("-i {interface}"), "errno"), &result);
    }
    // Each is another device than eth0, which ours says once.
    case.log("log")?;
    let mut rule = other();
    rule.inverted = blob::INV_VIA_IN;
    let result = tables.set(&[usual(), rule]);
    case.errno("! -i eth1 errno", &result);
    state(case, &tables.host, "", [1, 0])
}

fn interface_altname(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables
        .host
        .ip("link property add dev eth0 altname public\n")?;
    let rule = Rule::new(VIP_ADDRESS, "public", &Payload::default());
    offer(case, &tables, "new VIP", &rule)?;
    let result = tables.set(&[usual(), rule]);
    case.errno("VIP that is there errno", &result);
    case.log("VIP that is there log")
}

fn interface_loopback(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[Rule::new(VIP_ADDRESS, "lo", &Payload::default())])?;
    case.log("log")?;
    state(case, &tables.host, "", [0, 0])?;
    case.saw(
        "MAC on lo",
        joined(&tables.host, "lo", harness::cluster::MAC, 1)?,
    );
    Ok(())
}

fn interface_down(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.ip("link set eth0 down\n")?;
    tables.set(&[usual(), usual_for(SECOND_VIP)])?;
    state(case, &tables.host, "", [2, 0])
}

/// Its hardware address has four bytes.
fn interface_tunnel(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.ip("addr add 192.0.2.1/24 dev eth0\n\
         link add tun7 type ipip local 192.0.2.1 remote 192.0.2.2\nlink set tun7 up\n")?;
    let rule = Rule::new(VIP_ADDRESS, "tun7", &Payload::default());
    offer(case, &tables, "", &rule)
}
