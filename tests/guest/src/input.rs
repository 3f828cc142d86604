// SPDX-License-Identifier: GPL-2.0-only

//! The packet path in INPUT: which bytes are hashed, what becomes of a packet, and a whole cluster of
//! real sockets behind a bridge.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::takers;
use harness::cluster::MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::flows;
use harness::flow::transport;
use harness::pace;
use harness::packet;
use harness::packet::Ip;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use std::io;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        input_protocol_vectors,
        input_nonlinear_headers_name_same_node,
        raw_nonlinear_headers_name_same_node,
        input_mine_becomes_host_and_goes_on,
        input_set_changes_hold_for_the_next_packet,
        input_no_line_per_packet_d13,
        input_real_connections_behind_a_bridge,
    ]
}

const SEED: u32 = 0xabcd_ef01;

/// §3.4: which bytes of which protocol are hashed, with 16 nodes.
pub fn input_protocol_vectors(ctx: &mut Ctx) -> Result<()> {
    let source = Ipv4Addr::new(10, 0, 0, 7);
    let other = Ipv4Addr::new(10, 0, 0, 8);
    let ports = [0x9c, 0x40, 0x1f, 0x90];
    let with_ports = |protocol| {
        Ip::new(
            protocol,
            source,
            VIP_ADDRESS,
            transport(protocol, source, ports, 1),
        )
    };
    let plain =
        |protocol, source, payload: &[u8]| Ip::new(protocol, source, VIP_ADDRESS, payload.to_vec());
    let spi = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1, 0, 0, 0, 0];
    let ah = [
        packet::TCP,
        4,
        0,
        0,
        0x55,
        0x66,
        0x77,
        0x88,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
    ];
    let icmp = |kind| packet::icmp(kind, 77, &[0; 12]);
    let mut options = with_ports(packet::UDP);
    options.options = packet::IP_OPTIONS.to_vec();
    // (name, packet, node)
    let mut vectors = vec![
        ("TCP", with_ports(packet::TCP), 12),
        ("UDP", with_ports(packet::UDP), 12),
        ("SCTP", with_ports(packet::SCTP), 12),
        ("UDP-Lite", with_ports(136), 12),
        ("DCCP", with_ports(33), 12),
        ("UDP with options", options, 12),
        ("ESP", plain(packet::ESP, source, &spi), 15),
        ("AH", plain(packet::AH, source, &ah), 7),
        (
            "ICMP echo",
            plain(packet::ICMP, source, &icmp(packet::ECHO)),
            1,
        ),
        (
            "ICMP timestamp",
            plain(packet::ICMP, source, &icmp(packet::TIMESTAMP)),
            1,
        ),
        ("GRE", plain(47, source, &[0, 0, 8, 0, 1, 2, 3, 4]), 1),
        (
            "IPIP",
            plain(4, source, &with_ports(packet::UDP).bytes()),
            1,
        ),
        ("protocol 253", plain(253, source, &spi), 1),
        ("ESP of 3 bytes", plain(packet::ESP, source, &spi[..3]), 1),
        ("AH of 7 bytes", plain(packet::AH, other, &ah[..7]), 4),
    ];
    vectors
        .iter_mut()
        .zip(1..)
        .for_each(|((_, ip, _), id)| ip.id = id);
    let fragments = Ip {
        id: 100,
        ..with_ports(packet::UDP)
    }
    .fragments(8);

    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    for (table, chain) in [("filter", "INPUT"), ("raw", "PREROUTING")] {
        node.ns.restore(&format!(
            "*filter\n:OUTPUT DROP\nCOMMIT\n*{table}\n-A {chain} -d {VIP} -i eth0 -j CLUSTERIP --new \
             --hashmode sourceip-sourceport-destport --clustermac {MAC} --total-nodes 16 --local-node 0 --hash-init {SEED}\nCOMMIT\n"
        ))?;
        let mut packets: Vec<_> = vectors.iter().map(|(_, ip, _)| ip.bytes()).collect();
        packets.extend(fragments.clone());
        let mut seen = vec![Vec::new(); 101];
        for number in 1..=16 {
            node.ns.tell(VIP, &format!("+{number}"))?;
            for packet in node.ask(&packets)? {
                seen[usize::from(packet.id)].push(number);
            }
            node.ns.tell(VIP, &format!("-{number}"))?;
        }
        for (name, ip, wanted) in &vectors {
            let seen = &seen[usize::from(ip.id)];
            ensure!(
                seen == &[*wanted],
                "{table}: {name} belongs to node {wanted}, not {seen:?}"
            );
        }
        ensure!(
            seen[100] == [12],
            "{table}: UDP in pieces belongs to node 12, not {:?}",
            seen[100]
        );
        node.ns.iptables(&format!("-t {table} -F"))?;
    }
    Ok(())
}

fn input_nonlinear_headers_name_same_node(ctx: &mut Ctx) -> Result<()> {
    nonlinear(ctx, "filter", "INPUT")
}

fn raw_nonlinear_headers_name_same_node(ctx: &mut Ctx) -> Result<()> {
    nonlinear(ctx, "raw", "PREROUTING")
}

fn nonlinear(ctx: &mut Ctx, table: &str, chain: &str) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    for node in &cluster.nodes {
        // It would make the header linear on the way to INPUT.
        for name in ["ip_early_demux", "udp_early_demux", "tcp_early_demux"] {
            node.ns.write(format!("/proc/sys/net/ipv4/{name}"), "0")?;
        }
    }
    let flows = flows(pace::cut(240, 8) as u16);
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    for (mode, name) in MODES.iter().enumerate() {
        cluster.rules(table, chain, name, SEED)?;
        let linear = cluster.ask(&packets)?;
        let paged = cluster
            .nodes
            .iter()
            .zip(1..)
            .map(|(node, number)| node.ask_by_ring(&cluster.wire, number, &packets))
            .collect::<Result<Vec<_>>>()?;
        for flow in &flows {
            let wanted = [flow.node(mode, SEED, 2)];
            let protocol = flow.ip.protocol;
            let linear = takers(&linear, flow.ip.id)?;
            ensure!(
                linear == wanted,
                "{name}: linear, protocol {protocol}: {wanted:?}, not {linear:?}"
            );
            let paged = takers(&paged, flow.ip.id)?;
            ensure!(
                paged == wanted,
                "{name}: not linear, protocol {protocol}: {wanted:?}, not {paged:?}"
            );
        }
        for node in &cluster.nodes {
            node.ns.iptables(&format!("-t {table} -F"))?;
        }
    }
    Ok(())
}

fn input_mine_becomes_host_and_goes_on(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    cluster.rules("filter", "INPUT", "sourceip", SEED)?;
    for node in &cluster.nodes {
        node.ns
            .iptables(&format!("-A INPUT -d {VIP} -m pkttype --pkt-type unicast"))?;
        node.ns.iptables(&format!(
            "-A INPUT -d {VIP} -m pkttype ! --pkt-type unicast"
        ))?;
    }
    let flows = flows(40);
    cluster.who_takes(&flows.iter().map(|flow| flow.ip.clone()).collect::<Vec<_>>())?;
    for (node, number) in cluster.nodes.iter().zip(1..) {
        let mine = flows
            .iter()
            .filter(|flow| flow.node(0, SEED, 2) == number)
            .count() as u64;
        let counters = node.ns.counters("filter", "INPUT")?;
        ensure!(
            counters == [40, mine, 0],
            "seen, to this host, to others: {counters:?}"
        );
    }
    Ok(())
}

fn input_set_changes_hold_for_the_next_packet(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    cluster.rules("filter", "INPUT", "sourceip", SEED)?;
    let packet = [flows(1)[0].ip.bytes()];
    for round in 0..20 {
        ensure!(
            node.ask(&packet)?.len() == 1,
            "round {round}: not taken after +1"
        );
        node.ns.tell(VIP, "-1")?;
        ensure!(
            node.ask(&packet)?.is_empty(),
            "round {round}: taken after -1"
        );
        node.ns.tell(VIP, "+1")?;
    }
    Ok(())
}

fn input_no_line_per_packet_d13(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    no_line_per_packet(ctx, &cluster)
}

/// The history calls it by the name of a bug, in a cluster of its own.
pub fn no_line_per_packet(ctx: &mut Ctx, cluster: &Cluster) -> Result<()> {
    let node = &cluster.nodes[0];
    let source = Ipv4Addr::new(11, 1, 1, 1);
    let packets: Vec<_> = [packet::ICMP, 47, 4, 2, 253]
        .into_iter()
        .map(|protocol| {
            Ip::new(
                protocol,
                source,
                VIP_ADDRESS,
                packet::icmp(packet::ECHO, 5, &[0; 12]),
            )
            .bytes()
        })
        .collect();
    for mode in MODES {
        for (table, chain) in [("filter", "INPUT"), ("raw", "PREROUTING")] {
            cluster.rules(table, chain, mode, SEED)?;
            ctx.log()?;
            let taken = node.ask(&packets)?.len();
            ensure!(taken > 0, "{mode}: no packet was taken");
            ctx.expect_silence()?;
            node.ns.iptables(&format!("-t {table} -F"))?;
        }
    }
    Ok(())
}

/// Three nodes and a client on a bridge that floods, as a switch does; nothing but the VIP's own
/// ARP answer tells the client where to go.
fn input_real_connections_behind_a_bridge(ctx: &mut Ctx) -> Result<()> {
    let bridge = ctx.netns("switch")?;
    bridge.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up\n")?;
    let mut machines = Vec::new();
    for number in 1..=4_u32 {
        let machine = ctx.netns(&format!("machine{number}"))?;
        bridge.ip(&format!(
            "link add p{number} type veth peer name eth0 netns machine{number}\n\
             link set p{number} master br0 up\n"
        ))?;
        machine.ip(&format!(
            "link set lo up\nlink set eth0 up\naddr add 10.9.0.{number}/24 dev eth0\n"
        ))?;
        machines.push(machine);
    }
    let client = machines.pop().context("no client")?;
    let mut listeners = Vec::new();
    for (node, number) in machines.iter().zip(1..) {
        node.ip(&format!("addr add {VIP}/24 dev eth0\n"))?;
        node.iptables(&format!(
            "-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport-destport \
             --clustermac {MAC} --total-nodes 3 --local-node {number} --hash-init {SEED}"
        ))?;
        let listener = node.enter(|| TcpListener::bind((VIP_ADDRESS, 80)))??;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    for _ in 0..30 {
        let address = (VIP_ADDRESS, 80).into();
        let stream = client
            .enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)))?
            .context("nobody answers the client")?;
        let [high, low] = stream.local_addr()?.port().to_be_bytes();
        let wanted = jhash::node(2, [10, 9, 0, 4], [high, low, 0, 80], SEED, 3);
        let mut answered = Vec::new();
        for (listener, number) in listeners.iter().zip(1..) {
            match listener.accept() {
                Ok(_) => answered.push(number),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(
            answered == [wanted],
            "{answered:?} answered, it was for {wanted}"
        );
    }
    let neighbours = client.run("ip neigh show")?;
    ensure!(
        neighbours.contains(MAC),
        "the client knows the VIP as {neighbours}"
    );
    Ok(())
}
