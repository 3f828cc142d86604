// SPDX-License-Identifier: GPL-2.0-only

//! §3.1: the same rule in other tables and chains, and what the stack makes of the packet type.

use super::bench::first;
use super::bench::input;
use super::bench::rule_of;
use super::bench::seen;
use super::bench::sources;
use super::bench::to_vip;
use super::bench::udp;
use super::bench::Bench;
use super::bench::NIC;
use super::bench::NODE;
use super::bench::SOURCE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Ip;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::UdpSocket;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.1" => raw_prerouting, raw_prerouting_of_sixteen, raw_after_notrack, raw_with_zone_template,
            raw_zone_template_marks, mangle_prerouting, mangle_input, security_input, nat_prerouting,
            nat_input, output_chain, forward_is_too_late, forward_of_own_mac, forward_by_mangle,
            forward_by_mangle_of_others, tcp_without_rule, tcp_with_rule, tcp_of_two,
            drop_unicast_in_l2_multicast
    ]
}

/// The rule in a table's chain, and in INPUT what is seen later.
fn in_chain(table: &str, chain: &str, rule: &str) -> String {
    format!(
        "*{table}\n-A {chain} {rule}COMMIT\n*filter\n{}COMMIT\n",
        seen("INPUT")
    )
}

fn eight(case: &mut Case, bench: &Bench) -> Result<()> {
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "packets", &packets)
}

fn raw_prerouting(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(case, &in_chain("raw", "PREROUTING", &rule))?;
    eight(case, &bench)
}

fn raw_prerouting_of_sixteen(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[2], 16, 1);
    let bench = Bench::with(case, &in_chain("raw", "PREROUTING", &rule))?;
    bench.take_all(VIP, 16)?;
    bench.show(
        case,
        [
            ("TCP", first(packet::TCP, SOURCE)),
            ("UDP", first(packet::UDP, SOURCE)),
            ("ICMP", first(packet::ICMP, SOURCE)),
        ],
    )
}

fn raw_after_notrack(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 1, 1);
    let notrack = format!("-d {VIP} -j CT --notrack\n-A PREROUTING {rule}");
    let bench = Bench::with(case, &in_chain("raw", "PREROUTING", &notrack))?;
    eight(case, &bench)
}

/// A template is there where conntrack's own entry is not yet.
fn raw_with_zone_template(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let zone = format!("-d {VIP} -j CT --zone 5\n-A PREROUTING {rule}");
    let bench = Bench::with(case, &in_chain("raw", "PREROUTING", &zone))?;
    eight(case, &bench)
}

/// The rules behind it in the same chain see the template.
fn raw_zone_template_marks(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 16, 1);
    let bench = Bench::with(
        case,
        &format!(
            "*raw\n-A PREROUTING -d {VIP} -j CT --zone 5\n-A PREROUTING {rule}{}COMMIT\n",
            seen("PREROUTING")
        ),
    )?;
    bench.take_all(VIP, 16)?;
    eight(case, &bench)?;
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("marks of the entries", format!("{marks:?}"));
    Ok(())
}

fn mangle_prerouting(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(case, &in_chain("mangle", "PREROUTING", &rule))?;
    eight(case, &bench)
}

fn mangle_input(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(case, &in_chain("mangle", "INPUT", &rule))?;
    eight(case, &bench)
}

fn security_input(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(
        case,
        &format!("*security\n-A INPUT {rule}{}COMMIT\n", seen("INPUT")),
    )?;
    eight(case, &bench)
}

/// Only a flow's first packet comes to `nat`.
fn nat_prerouting(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(case, &in_chain("nat", "PREROUTING", &rule))?;
    eight(case, &bench)?;
    bench.host.tell(VIP, "-1")?;
    bench.host.tell(VIP, "+2")?;
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "again, as the other node", &packets)
}

fn nat_input(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(
        case,
        &format!("*nat\n-A INPUT {rule}{}COMMIT\n", seen("INPUT")),
    )?;
    eight(case, &bench)?;
    bench.host.tell(VIP, "-1")?;
    bench.host.tell(VIP, "+2")?;
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "again, as the other node", &packets)
}

/// A VIP that is not the node's, asked by the node itself; the first rule is where `-i` is allowed.
fn output_chain(case: &mut Case) -> Result<()> {
    let rule = rule_of("10.9.0.150", MODES[2], 2, 1);
    let anywhere = rule.replace("-i eth0 ", "");
    let bench = Bench::with(
        case,
        &format!("*filter\n-A INPUT {rule}-A OUTPUT {anywhere}-A OUTPUT -d 10.9.0.150\nCOMMIT\n"),
    )?;
    bench
        .host
        .ip("neigh add 10.9.0.150 lladdr 02:00:00:00:01:00 dev eth0\n")?;
    let mut fates = Vec::new();
    for port in 4000..4012 {
        let socket = bench.host.enter(|| UdpSocket::bind((NODE, port)))??;
        let sent = socket.send_to(b"hello", ("10.9.0.150", 9));
        fates.push(sent.map_or_else(|error| crate::case::errno_name(&error), |_| "sent".into()));
    }
    case.saw("packets", fates.join(", "));
    let counters = bench.host.counters("filter", "OUTPUT")?;
    case.saw("matched by the rule and the next", format!("{counters:?}"));
    let marks = bench.marks("-d 10.9.0.150")?;
    case.saw("marks of the entries", format!("{marks:?}"));
    Ok(())
}

/// A router for the VIP, which is behind its second device; says what comes out there.
fn forward(case: &mut Case, rules: &str, mac: packet::Mac) -> Result<()> {
    let bench = Bench::with(case, rules)?;
    bench
        .wire
        .ip("link add w1 type veth peer name eth1 netns node\nlink set w1 up\n")?;
    bench.host.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    bench.host.ip(&format!(
        "link set eth1 up\naddr del {VIP}/24 dev eth0\naddr add 10.8.0.1/24 dev eth1\n\
         route add {VIP}/32 dev eth1\nneigh add {VIP} lladdr 02:00:00:00:02:00 dev eth1\n"
    ))?;
    let behind = Tap::new(&bench.wire, "w1", ETH_IP)?;
    let mut frames = Vec::new();
    let mut wanted = Vec::new();
    for source in sources(8) {
        let id = bench.next_id();
        let ip = Ip { id, ..udp(source) };
        wanted.push((source, id));
        frames.push(packet::frame(mac, CLIENT_MAC, ETH_IP, &ip.bytes()));
    }
    bench.fates(&frames)?;
    let mut came = Vec::new();
    while let Some(frame) = behind.receive()? {
        came.push(u16::from_be_bytes([frame[18], frame[19]]));
    }
    let list: Vec<String> = wanted
        .iter()
        .map(|(source, id)| {
            format!(
                "{source}: {}",
                if came.contains(id) {
                    "forwarded"
                } else {
                    "dropped"
                }
            )
        })
        .collect();
    case.saw("packets", list.join("; "));
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("marks of the entries", format!("{marks:?}"));
    Ok(())
}

/// Behind `ip_forward()`, which drops what is not to this host.
fn forward_is_too_late(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let rules = format!("*filter\n-A FORWARD {rule}COMMIT\n");
    forward(case, &rules, harness::cluster::MAC_BYTES)
}

fn forward_of_own_mac(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    forward(case, &format!("*filter\n-A FORWARD {rule}COMMIT\n"), NIC)
}

fn forward_by_mangle(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let rules = format!("*mangle\n-A PREROUTING {rule}COMMIT\n");
    forward(case, &rules, harness::cluster::MAC_BYTES)
}

fn forward_by_mangle_of_others(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 2);
    let rules = format!("*mangle\n-A PREROUTING {rule}COMMIT\n");
    forward(case, &rules, harness::cluster::MAC_BYTES)
}

/// Whether a server on the VIP answers a SYN to the cluster's MAC.
fn tcp(case: &mut Case, key: &str, rules: &str) -> Result<()> {
    let bench = Bench::with(case, rules)?;
    bench.talk()?;
    let _listener = bench
        .host
        .enter(|| TcpListener::bind((VIP_ADDRESS, 8080)))??;
    let answers = Tap::new(&bench.wire, "w0", ETH_IP)?;
    let syn = to_vip(&first(packet::TCP, SOURCE).bytes());
    let echo = Ip::new(
        packet::ICMP,
        SOURCE,
        NODE,
        packet::icmp(packet::ECHO, 5, b"last"),
    );
    let echo = packet::frame(NIC, CLIENT_MAC, ETH_IP, &echo.bytes());
    bench.fates(&[syn, echo])?;
    let mut seen = "no answer".to_string();
    let protocol = |frame: &[u8]| frame.get(23).copied();
    loop {
        let frame = answers.wait("answer to the echo", |frame| frame.len() > 34)?;
        match protocol(&frame) {
            Some(packet::TCP) => seen = format!("flags {:#04x}", frame[47]),
            _ => break,
        }
    }
    case.saw(key, seen);
    Ok(())
}

/// TCP takes nothing that came to a group.
fn tcp_without_rule(case: &mut Case) -> Result<()> {
    tcp(case, "answer", "*filter\nCOMMIT\n")
}

fn tcp_with_rule(case: &mut Case) -> Result<()> {
    tcp(case, "answer", &input("sourceip", 1, 1))
}

fn tcp_of_two(case: &mut Case) -> Result<()> {
    tcp(case, "node 1 of 2", &input("sourceip", 2, 1))?;
    tcp(case, "node 2 of 2", &input("sourceip", 2, 2))
}

/// The stack drops them between PREROUTING and INPUT.
fn drop_unicast_in_l2_multicast(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 1, 1);
    let vip = Ipv4Addr::new(10, 9, 0, 101);
    let other = rule_of("10.9.0.101", MODES[0], 1, 1);
    let bench = Bench::with(
        case,
        &format!(
            "*mangle\n-A PREROUTING {other}COMMIT\n*filter\n-A INPUT {rule}{}COMMIT\n",
            seen("INPUT")
        ),
    )?;
    bench.host.ip(&format!("addr add {vip}/24 dev eth0\n"))?;
    for switch in ["0", "1"] {
        for name in ["all", "eth0"] {
            let path = format!("/proc/sys/net/ipv4/conf/{name}/drop_unicast_in_l2_multicast");
            bench.host.write(path, switch)?;
        }
        for (name, destination) in [("INPUT", VIP_ADDRESS), ("PREROUTING", vip)] {
            let id = bench.next_id();
            let mut ip = Ip::new(packet::ESP, SOURCE, destination, vec![0; 12]);
            ip.id = id;
            let frames = [to_vip(&ip.bytes())];
            bench.show_frames(
                case,
                &format!("rule in {name}, switch {switch}"),
                id,
                &frames,
            )?;
        }
    }
    Ok(())
}
