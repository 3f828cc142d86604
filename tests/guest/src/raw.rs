// SPDX-License-Identifier: GPL-2.0-only

//! The raw table, where there is no connection tracking: the rule decides by itself, and names the
//! node that it would name in INPUT.

use anyhow::ensure;
use anyhow::Result;
use harness::cluster::takers;
use harness::cluster::Node;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::flows;
use harness::host::host;
use harness::host::NEW;
use harness::pace;
use harness::packet;
use harness::packet::Ip;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use std::net::Ipv4Addr;

const SEED: u32 = 0x1234_5678;
const NODES: usize = 3;
const PLACES: [(&str, &str); 3] = [
    ("raw", "PREROUTING"),
    ("filter", "INPUT"),
    ("mangle", "PREROUTING"),
];

pub fn tests() -> Vec<Test> {
    let mut tests = tests![
        raw_icmp_errors_pass_untouched,
        raw_other_icmp_is_hashed,
        raw_mine_becomes_host_and_goes_on,
        raw_takes_no_conntrack,
        raw_port_modes_borrow_defragmentation,
        raw_joining_rule_borrows_defragmentation,
        raw_fragments_without_defragmentation_go_to_one_node,
        raw_template_is_not_written_d15,
        template_of_nftables_is_not_written_d15,
    ];
    for (mode, name) in MODES.iter().enumerate() {
        tests.push(Test {
            name: format!("raw_names_same_node_as_input_{}", name.replace('-', "_")),
            run: Box::new(move |ctx: &mut Ctx| same_node(ctx, mode)),
        });
    }
    tests
}

/// A datagram, as it goes over the wire, and what it is hashed by.
struct Datagram {
    how: &'static str,
    id: u16,
    source: Ipv4Addr,
    ports: [u8; 4],
    packets: Vec<Vec<u8>>,
}

/// Whole, with IP options, in pieces, in pieces that arrive in the wrong order.
fn datagrams() -> Vec<Datagram> {
    let mut datagrams = Vec::new();
    for number in 0..pace::cut(60, 4) as u16 {
        let source = Ipv4Addr::new(11, 2, 3, number as u8);
        let [high, low] = (1024 + 7 * number).to_be_bytes();
        let ports = [high, low, 1, number as u8];
        let payload = packet::udp((source, VIP_ADDRESS), ports, &[7; 92]);
        let mut ip = Ip::new(packet::UDP, source, VIP_ADDRESS, payload);
        let mut add = |how, id, ip: &Ip, packets| {
            datagrams.push(Datagram {
                how,
                id,
                source: ip.source,
                ports,
                packets,
            })
        };
        for options in [vec![], packet::IP_OPTIONS.to_vec()] {
            let (plain, base) = (options.is_empty(), 1 + 10 * number);
            ip.options = options;
            let base = if plain { base } else { base + 3 };
            let hows = if plain {
                ["whole", "in pieces", "in pieces, the last one first"]
            } else {
                [
                    "with options",
                    "with options, in pieces",
                    "with options, in pieces, the last one first",
                ]
            };
            ip.id = base;
            add(hows[0], base, &ip, vec![ip.bytes()]);
            ip.id = base + 1;
            add(hows[1], base + 1, &ip, ip.fragments(40));
            ip.id = base + 2;
            let mut pieces = ip.fragments(40);
            pieces.reverse();
            add(hows[2], base + 2, &ip, pieces);
        }
    }
    datagrams
}

fn same_node(ctx: &mut Ctx, mode: usize) -> Result<()> {
    let cluster = Cluster::new(ctx, NODES)?;
    let datagrams = datagrams();
    let flows = flows(pace::cut(400, 8) as u16);
    for (table, chain) in PLACES {
        cluster.rules(table, chain, MODES[mode], SEED)?;
        let packets: Vec<_> = datagrams
            .iter()
            .flat_map(|datagram| datagram.packets.clone())
            .collect();
        let heard = cluster.ask(&packets)?;
        for datagram in &datagrams {
            let takers = takers(&heard, datagram.id)?;
            let source = datagram.source.octets();
            let wanted =
                jhash::node(mode as u32, source, datagram.ports, SEED, NODES as u32) as usize;
            ensure!(
                takers == [wanted],
                "{table}: a datagram {} from {} should be taken by {wanted}, was by {takers:?}",
                datagram.how,
                datagram.source
            );
        }
        let packets: Vec<_> = flows.iter().map(|flow| flow.ip.clone()).collect();
        for (flow, takers) in flows.iter().zip(cluster.who_takes(&packets)?) {
            let wanted = flow.node(mode, SEED, NODES);
            ensure!(
                takers == [wanted],
                "{table}: protocol {}: {wanted}, not {takers:?}",
                flow.ip.protocol
            );
        }
        for node in &cluster.nodes {
            node.ns.iptables(&format!("-t {table} -F"))?;
        }
    }
    Ok(())
}

/// An ICMP packet of some type; errors quote a packet that a node would have sent.
fn icmp(kind: u8, id: u16) -> Ip {
    let source = Ipv4Addr::new(11, 9, 8, 7);
    let sent = Ip::new(
        packet::UDP,
        VIP_ADDRESS,
        source,
        packet::udp((VIP_ADDRESS, source), [0, 80, 5, 6], b"answer"),
    );
    let payload = match kind {
        3 | 4 | 5 | 11 | 12 => packet::icmp_error(kind, &sent.bytes()),
        _ => packet::icmp(kind, id, &[0; 12]),
    };
    let mut ip = Ip::new(packet::ICMP, source, VIP_ADDRESS, payload);
    ip.id = id;
    ip
}

fn raw_icmp_errors_pass_untouched(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    for mode in MODES {
        cluster.rules("raw", "PREROUTING", mode, SEED)?;
        for node in &cluster.nodes {
            node.ns.iptables(&format!(
                "-t raw -A PREROUTING -d {VIP} -m pkttype --pkt-type multicast"
            ))?;
        }
        let packets: Vec<Ip> = [3, 4, 5, 11, 12]
            .iter()
            .zip(1..)
            .map(|(kind, id)| icmp(*kind, id))
            .collect();
        for (packet, takers) in packets.iter().zip(cluster.who_takes(&packets)?) {
            ensure!(
                takers == [1, 2],
                "{mode}: type {}: {takers:?}",
                packet.payload[0]
            );
        }
        for node in &cluster.nodes {
            let counters = node.ns.counters("raw", "PREROUTING")?;
            ensure!(
                counters == [5, 5],
                "{mode}: the errors' packet type was changed: {counters:?}"
            );
        }
    }
    Ok(())
}

fn raw_other_icmp_is_hashed(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    for (mode, name) in MODES.iter().enumerate() {
        cluster.rules("raw", "PREROUTING", name, SEED)?;
        let kinds = [
            0, 1, 2, 6, 8, 9, 10, 13, 14, 15, 16, 17, 18, 30, 42, 43, 255,
        ];
        let packets: Vec<Ip> = kinds
            .iter()
            .zip(1..)
            .map(|(kind, id)| icmp(*kind, id))
            .collect();
        let source = packets[0].source.octets();
        let wanted = jhash::node(mode as u32, source, [0; 4], SEED, 2) as usize;
        for (packet, takers) in packets.iter().zip(cluster.who_takes(&packets)?) {
            ensure!(
                takers == [wanted],
                "{name}: type {}: {takers:?}",
                packet.payload[0]
            );
        }
    }
    Ok(())
}

fn raw_mine_becomes_host_and_goes_on(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    cluster.rules("raw", "PREROUTING", "sourceip", SEED)?;
    for node in &cluster.nodes {
        node.ns.iptables(&format!(
            "-t raw -A PREROUTING -d {VIP} -m pkttype --pkt-type unicast"
        ))?;
        node.ns.iptables(&format!(
            "-t raw -A PREROUTING -d {VIP} -m pkttype ! --pkt-type unicast"
        ))?;
    }
    let flows = flows(40);
    cluster.who_takes(&flows.iter().map(|flow| flow.ip.clone()).collect::<Vec<_>>())?;
    for (node, number) in cluster.nodes.iter().zip(1..) {
        let mine = flows
            .iter()
            .filter(|flow| flow.node(0, SEED, 2) == number)
            .count() as u64;
        ensure!(
            0 < mine && mine < 40,
            "node {number} has {mine} of 40 flows"
        );
        let counters = node.ns.counters("raw", "PREROUTING")?;
        ensure!(
            counters == [40, mine, 0],
            "seen, to this host, to others: {counters:?}"
        );
    }
    Ok(())
}

fn raw_takes_no_conntrack(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    for mode in MODES {
        cluster.rules("raw", "PREROUTING", mode, SEED)?;
        let hooks = node.ns.hooks("ip")?;
        ensure!(!hooks.contains("[nf_conntrack]"), "{mode}: {hooks}");
        let heard = node.ask(&[flows(1)[0].ip.bytes()])?;
        ensure!(heard.len() == 1, "{mode}: the packet was not taken");
        node.ns.iptables("-t raw -F")?;
    }
    let count = node.ns.read("/proc/sys/net/netfilter/nf_conntrack_count")?;
    ensure!(count.trim() == "0", "{count} connections");
    Ok(())
}

fn raw_port_modes_borrow_defragmentation(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = |mode: &str, vip: &str| {
        format!(
            "PREROUTING -d {vip} -i eth0 {}",
            NEW.replace("sourceip", mode)
        )
    };
    ensure!(!host.has_defrag()?, "there at first");
    host.iptables(&format!("-t raw -A {}", rule("sourceip", VIP)))?;
    ensure!(!host.has_defrag()?, "sourceip needs none");
    for mode in &MODES[1..] {
        let (one, two) = (rule(mode, "10.9.0.101"), rule(mode, "10.9.0.102"));
        host.iptables(&format!("-t raw -A {one}"))?;
        ensure!(host.has_defrag()?, "{mode} needs it");
        host.iptables(&format!("-t raw -A {two}"))?;
        host.iptables(&format!("-t raw -D {one}"))?;
        ensure!(host.has_defrag()?, "{mode}: the second rule needs it still");
        // A rule that fails gives back what it took.
        host.fails(&format!(
            "iptables-legacy -t raw -A {}",
            one.replace("eth0", "eth9")
        ))?;
        host.iptables(&format!("-t raw -D {two}"))?;
        ensure!(!host.has_defrag()?, "{mode}: not given back");
    }
    Ok(())
}

/// The mode in force is the VIP's, not the rule's own.
fn raw_joining_rule_borrows_defragmentation(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let new = NEW.replace("sourceip", "sourceip-sourceport");
    host.iptables(&format!("-A INPUT -d {VIP} -i eth0 {new}"))?;
    host.iptables(&format!("-t raw -A PREROUTING -d {VIP} -j CLUSTERIP"))?;
    host.iptables("-F")?;
    ensure!(host.has_defrag()?, "given back with the first rule");
    ensure!(
        !host.hooks("ip")?.contains("[nf_conntrack]"),
        "conntrack stays"
    );
    host.iptables("-t raw -F")?;
    ensure!(!host.has_defrag()?, "not given back");
    Ok(())
}

fn raw_fragments_without_defragmentation_go_to_one_node(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, NODES)?;
    cluster.rules("raw", "PREROUTING", "sourceip-sourceport-destport", SEED)?;
    for node in &cluster.nodes {
        // Packets that are not tracked are not put together either.
        node.ns.run_with(
            "nft -f -",
            "table ip early { chain early { type filter hook prerouting priority -450; notrack; }; }\n",
        )?;
    }
    let datagrams = datagrams();
    let packets: Vec<_> = datagrams
        .iter()
        .flat_map(|datagram| datagram.packets.clone())
        .collect();
    let heard = cluster.ask(&packets)?;
    let mut differ = 0;
    for datagram in &datagrams {
        let whole = datagram.packets.len() == 1;
        let ports = if whole { datagram.ports } else { [0; 4] };
        let node =
            |ports| jhash::node(2, datagram.source.octets(), ports, SEED, NODES as u32) as usize;
        differ += usize::from(node(ports) != node(datagram.ports));
        let takers = takers(&heard, datagram.id)?;
        ensure!(
            takers == [node(ports)],
            "{} from {}: {takers:?}",
            datagram.how,
            datagram.source
        );
    }
    ensure!(differ > 0, "these datagrams cannot tell ports from none");
    Ok(())
}

/// D15: a template is shared by all packets that match its rule.
fn raw_template_is_not_written_d15(ctx: &mut Ctx) -> Result<()> {
    template_is_not_written(&Cluster::new(ctx, 1)?.nodes[0])
}

/// A node's rules are left in place.
pub fn template_is_not_written(node: &Node) -> Result<()> {
    node.ns.restore(&format!(
        "*filter\n:OUTPUT DROP\n-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n\
         *raw\n-A PREROUTING -d {VIP} -j CT --zone 1\n-A PREROUTING -d {VIP} -i eth0 {NEW}\n\
         -A PREROUTING -d {VIP} -m connmark ! --mark 0\n-A PREROUTING -d {VIP}\nCOMMIT\n"
    ))?;
    node.ns.tell(VIP, "+2")?;
    let packets: Vec<_> = flows(20).iter().map(|flow| flow.ip.bytes()).collect();
    ensure!(
        node.ask(&packets)?.len() == 20,
        "not all packets were taken"
    );
    let counters = node.ns.counters("raw", "PREROUTING")?;
    ensure!(
        counters == [20, 20, 0, 20],
        "seen with a mark: {counters:?}"
    );
    Ok(())
}

/// D15: nftables gives a template to what has no connection, in any chain behind conntrack's hook.
fn template_of_nftables_is_not_written_d15(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    node.ns.restore(&format!(
        "*filter\n:OUTPUT DROP\n-A INPUT -d {VIP} -i eth0 {NEW}\n\
         -A INPUT -d {VIP} -m connmark ! --mark 0\n-A INPUT -d {VIP} -j ACCEPT\nCOMMIT\n\
         *raw\n-A PREROUTING -d {VIP} -j CT --notrack\nCOMMIT\n"
    ))?;
    node.ns.run_with(
        "nft -f -",
        "add table ip zones\n\
         add chain ip zones early { type filter hook prerouting priority -150; }\n\
         add rule ip zones early ct zone set 1\n",
    )?;
    node.ns.tell(VIP, "+2")?;
    let packets: Vec<_> = flows(20).iter().map(|flow| flow.ip.bytes()).collect();
    node.ask(&packets)?;
    let counters = node.ns.counters("filter", "INPUT")?;
    ensure!(counters == [20, 0, 20], "seen with a mark: {counters:?}");
    Ok(())
}
