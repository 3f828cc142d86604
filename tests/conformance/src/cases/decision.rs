// SPDX-License-Identifier: GPL-2.0-only

//! §3.1: what becomes of a packet, by what conntrack says of it.

use super::bench::first;
use super::bench::input;
use super::bench::rule_of;
use super::bench::seen;
use super::bench::sources;
use super::bench::to_vip;
use super::bench::udp;
use super::bench::Bench;
use super::bench::NIC;
use super::bench::SEED;
use super::bench::SOURCE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Ip;
use harness::tap::ETH_IP;
use std::net::Ipv4Addr;
use std::net::UdpSocket;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.1" => new_udp, new_tcp, new_icmp, total_one, total_zero_packets, local_node_outside_total,
            untracked, invalid_tcp_flags, invalid_checksum, mid_stream_strict, mid_stream_loose,
            icmp_errors_of_live_flows, icmp_errors_of_own_flows, icmp_errors_of_nothing,
            icmp_errors_need_no_node, established, packet_types, later_rules_decide, user_chain,
            first_rule_counts, two_vips
    ]
}

/// Two nodes of which it is the first.
fn half(case: &mut Case) -> Result<Bench> {
    Bench::with(case, &input("sourceip-sourceport", 2, 1))
}

fn new_of(case: &mut Case, protocol: u8) -> Result<()> {
    let bench = half(case)?;
    let packets: Vec<Ip> = sources(8).map(|source| first(protocol, source)).collect();
    bench.show_sources(case, "packets", &packets)?;
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("marks of the entries that stay", format!("{marks:?}"));
    Ok(())
}

fn new_udp(case: &mut Case) -> Result<()> {
    new_of(case, packet::UDP)
}

fn new_tcp(case: &mut Case) -> Result<()> {
    new_of(case, packet::TCP)
}

/// Without ports there is one node for a source, and these are of both.
fn new_icmp(case: &mut Case) -> Result<()> {
    new_of(case, packet::ICMP)
}

fn total_one(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    let packets: Vec<Ip> = sources(4).map(udp).collect();
    bench.show_sources(case, "packets", &packets)
}

/// A rule in `mangle` PREROUTING with a payload that the command line refuses.
fn by_payload(case: &mut Case, payload: &Payload) -> Result<()> {
    let bench = Bench::with(case, &format!("*filter\n{}COMMIT\n", seen("INPUT")))?;
    let rule = Rule {
        hook: 0,
        ..Rule::new(VIP_ADDRESS, "eth0", payload)
    };
    let result = bench.host.enter(|| {
        let socket = blob::socket()?;
        blob::replace(&socket, "mangle", std::slice::from_ref(&rule))
    })?;
    case.errno("errno", &result);
    let packets: Vec<Ip> = sources(4).map(udp).collect();
    bench.show_sources(case, "packets", &packets)
}

fn total_zero_packets(case: &mut Case) -> Result<()> {
    by_payload(case, &Payload::default().nodes(0, &[1]))
}

fn local_node_outside_total(case: &mut Case) -> Result<()> {
    by_payload(case, &Payload::default().nodes(2, &[3]))
}

fn untracked(case: &mut Case) -> Result<()> {
    let rules = format!("*raw\n-A PREROUTING -d {VIP} -j CT --notrack\nCOMMIT\n");
    let bench = Bench::with(case, &(rules + &input("sourceip", 1, 1)))?;
    bench.show(case, of_all_kinds())
}

fn of_all_kinds() -> [(&'static str, Ip); 4] {
    [
        ("TCP", first(packet::TCP, SOURCE)),
        ("UDP", first(packet::UDP, SOURCE)),
        ("ICMP", first(packet::ICMP, SOURCE)),
        ("ESP", first(packet::ESP, SOURCE)),
    ]
}

/// A segment of a flow that nobody knows.
fn segment(flags: u8) -> Ip {
    let payload = packet::tcp((SOURCE, VIP_ADDRESS), [0x9c, flags, 0, 80], flags);
    Ip::new(packet::TCP, SOURCE, VIP_ADDRESS, payload)
}

fn invalid_tcp_flags(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    bench.show(
        case,
        [
            ("none", segment(0)),
            ("SYN FIN", segment(3)),
            ("SYN RST", segment(6)),
            ("all", segment(0x3f)),
            ("SYN ACK", segment(0x12)),
            ("SYN", segment(2)),
        ],
    )
}

fn invalid_checksum(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    let broken = |protocol, at: usize| {
        let mut ip = first(protocol, SOURCE);
        ip.payload[at] ^= 1;
        ip
    };
    bench.show(
        case,
        [
            ("TCP", broken(packet::TCP, 16)),
            ("UDP", broken(packet::UDP, 6)),
            ("ICMP", broken(packet::ICMP, 2)),
            ("SCTP", broken(packet::SCTP, 8)),
        ],
    )
}

fn mid_stream(case: &mut Case, loose: &str) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    bench
        .host
        .write("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", loose)?;
    bench.show(
        case,
        [
            ("ACK", segment(0x10)),
            ("PSH ACK", segment(0x18)),
            ("FIN ACK", segment(0x11)),
            ("RST", segment(4)),
        ],
    )
}

fn mid_stream_strict(case: &mut Case) -> Result<()> {
    mid_stream(case, "0")
}

fn mid_stream_loose(case: &mut Case) -> Result<()> {
    mid_stream(case, "1")
}

/// ICMP errors from routers about a packet of the node.
fn errors_about(answer: &Ip) -> [(&'static str, Ip); 5] {
    let quoted = answer.bytes();
    [
        ("unreachable", 3),
        ("source quench", 4),
        ("redirect", 5),
        ("time exceeded", 11),
        ("parameter problem", 12),
    ]
    .map(|(name, kind)| {
        let router = Ipv4Addr::new(198, 51, 100, kind);
        let error = packet::icmp_error(kind, &quoted);
        (name, Ip::new(packet::ICMP, router, VIP_ADDRESS, error))
    })
}

/// What the node would answer to a packet.
fn answer(ip: &Ip) -> Ip {
    let ends = (VIP_ADDRESS, ip.source);
    let p = &ip.payload;
    let back = packet::udp(ends, [p[2], p[3], p[0], p[1]], b"hello");
    Ip::new(packet::UDP, VIP_ADDRESS, ip.source, back)
}

fn icmp_errors_of_live_flows(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[0])?;
    bench.show(case, [("flow", udp(SOURCE))])?;
    bench.show(case, errors_about(&answer(&udp(SOURCE))))
}

/// The flow was begun by the node: RELATED, in the direction of its answers.
fn icmp_errors_of_own_flows(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[0])?;
    bench.talk()?;
    let socket = bench
        .host
        .enter(|| UdpSocket::bind((VIP_ADDRESS, 4000)))??;
    socket.send_to(b"hello", (SOURCE, 53))?;
    let sent = packet::udp((VIP_ADDRESS, SOURCE), [0x0f, 0xa0, 0, 53], b"hello");
    let sent = Ip::new(packet::UDP, VIP_ADDRESS, SOURCE, sent);
    bench.show(case, errors_about(&sent))?;
    let marks = bench.marks(&format!("-s {VIP}"))?;
    case.saw("mark", format!("{marks:?}"));
    Ok(())
}

fn icmp_errors_of_nothing(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    bench.show(case, errors_about(&answer(&udp(SOURCE))))
}

fn icmp_errors_need_no_node(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input("sourceip", 1, 1))?;
    bench.show(case, [("flow", udp(SOURCE))])?;
    bench.host.tell(VIP, "-1")?;
    bench.show(case, [("flow without a node", udp(SOURCE))])?;
    bench.show(case, errors_about(&answer(&udp(SOURCE))))
}

/// An answered echo; its connection mark is set by others then.
fn established(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[0])?;
    bench.talk()?;
    bench.show(case, [("first echo", first(packet::ICMP, SOURCE))])?;
    bench.show(case, [("second echo", first(packet::ICMP, SOURCE))])?;
    bench
        .host
        .iptables("-t mangle -A PREROUTING -j CONNMARK --set-mark 99")?;
    bench.show(
        case,
        [("third echo, marked 99", first(packet::ICMP, SOURCE))],
    )
}

/// Whatever it was.
fn packet_types(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[0])?;
    for (name, mac) in [
        ("to everybody", [0xff; 6]),
        ("to the cluster", harness::cluster::MAC_BYTES),
        ("to another group", [1, 0, 0x5e, 9, 9, 9]),
        ("to the node", NIC),
        ("to somebody else", [2, 9, 9, 9, 9, 9]),
    ] {
        let id = bench.next_id();
        let ip = Ip { id, ..udp(SOURCE) };
        let frame = packet::frame(mac, CLIENT_MAC, ETH_IP, &ip.bytes());
        bench.show_frames(case, name, id, &[frame])?;
    }
    Ok(())
}

/// CLUSTERIP accepts nothing by itself.
fn later_rules_decide(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 1, 1);
    let drop = format!("-A INPUT -d {VIP} -p udp -j DROP\n");
    let bench = Bench::with(
        case,
        &format!("*filter\n-A INPUT {rule}{drop}{}COMMIT\n", seen("INPUT")),
    )?;
    bench.show(case, of_all_kinds())?;
    let counters = bench.host.counters("filter", "INPUT")?;
    case.saw(
        "matched by the rule and the next",
        format!("{:?}", &counters[..2]),
    );
    Ok(())
}

/// A chain of one's own is gone on with behind the rule, and then the one that called it.
fn user_chain(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[0], 2, 1);
    let bench = Bench::with(
        case,
        &format!(
            "*filter\n:VIPS -\n-A INPUT -d {VIP} -j VIPS\n-A VIPS {rule}-A VIPS -d {VIP}\n{}COMMIT\n",
            seen("INPUT")
        ),
    )?;
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "packets", &packets)?;
    let counters = bench.host.counters("filter", "VIPS")?;
    case.saw("matched by the rule and the next", format!("{counters:?}"));
    Ok(())
}

/// What a VIP's further rules say of hash and nodes means nothing.
fn first_rule_counts(case: &mut Case) -> Result<()> {
    let first = rule_of(VIP, MODES[0], 2, 1).replace("-i eth0", "-i eth0 -s 203.0.113.1");
    let second =
        rule_of(VIP, MODES[1], 16, 5).replace(&format!("--hash-init {SEED}"), "--hash-init 7");
    let bench = Bench::with(
        case,
        &format!(
            "*filter\n-A INPUT {first}-A INPUT {second}{}COMMIT\n",
            seen("INPUT")
        ),
    )?;
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "packets", &packets)
}

fn two_vips(case: &mut Case) -> Result<()> {
    let other = Ipv4Addr::new(10, 9, 0, 101);
    let rules = [
        format!("-A INPUT {}", rule_of(VIP, MODES[0], 3, 1)),
        format!("-A INPUT {}", rule_of("10.9.0.101", MODES[1], 5, 2)),
    ];
    let bench = Bench::with(
        case,
        &format!("*filter\n{}{}COMMIT\n", rules.concat(), seen("INPUT")),
    )?;
    bench.host.ip(&format!("addr add {other}/24 dev eth0\n"))?;
    for destination in [VIP_ADDRESS, other] {
        let packets: Vec<Ip> = sources(8)
            .map(|source| {
                let payload = packet::udp((source, destination), super::bench::PORTS, b"hello");
                Ip::new(packet::UDP, source, destination, payload)
            })
            .collect();
        bench.show_sources(case, &destination.to_string(), &packets)?;
    }
    // Those of neither.
    let own = Ip::new(packet::ESP, SOURCE, super::bench::NODE, vec![0; 12]);
    let id = bench.next_id();
    let frame = to_vip(&Ip { id, ..own }.bytes());
    bench.show_frames(case, "to no VIP", id, &[frame])
}
