// SPDX-License-Identifier: GPL-2.0-only

//! What connection tracking says of a packet in INPUT, and the mark that is left with it.

use anyhow::ensure;
use anyhow::Result;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::flows;
use harness::marks;
use harness::packet;
use harness::packet::Ip;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::net::Ipv4Addr;

const SEED: u32 = 0xabcd_ef01;

pub fn tests() -> Vec<Test> {
    tests![
        conntrack_untracked_is_dropped,
        conntrack_invalid_is_dropped,
        conntrack_icmp_errors_of_live_flows_pass,
        conntrack_mark_is_the_node_of_new_flows,
        conntrack_mark_of_established_flows_is_kept,
    ]
}

fn conntrack_untracked_is_dropped(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    cluster.rules("filter", "INPUT", "sourceip", SEED)?;
    let packets: Vec<_> = flows(40).iter().map(|flow| flow.ip.bytes()).collect();
    ensure!(
        node.ask(&packets)?.len() == 40,
        "tracked packets are not taken"
    );
    node.ns
        .iptables(&format!("-t raw -A PREROUTING -d {VIP} -j CT --notrack"))?;
    let taken = node.ask(&packets)?.len();
    ensure!(taken == 0, "{taken} untracked packets are taken");
    Ok(())
}

fn conntrack_invalid_is_dropped(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    cluster.rules("filter", "INPUT", "sourceip", SEED)?;
    node.ns
        .write("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0")?;
    let source = Ipv4Addr::new(11, 1, 1, 1);
    let segment = |flags| {
        let payload = packet::tcp((source, VIP_ADDRESS), [40, 0, 0, 80], flags);
        Ip::new(packet::TCP, source, VIP_ADDRESS, payload).bytes()
    };
    // SYN and FIN at once; an ACK out of nothing.
    for flags in [packet::SYN | 1, packet::ACK] {
        ensure!(
            node.ask(&[segment(flags)])?.is_empty(),
            "flags {flags:#x} are taken"
        );
    }
    ensure!(
        node.ask(&[segment(packet::SYN)])?.len() == 1,
        "a SYN is not taken"
    );
    Ok(())
}

fn conntrack_icmp_errors_of_live_flows_pass(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    cluster.rules("filter", "INPUT", "sourceip", SEED)?;
    node.ns.iptables(&format!(
        "-A INPUT -d {VIP} -m pkttype --pkt-type multicast"
    ))?;
    let source = Ipv4Addr::new(11, 1, 1, 1);
    let (there, back) = ([40, 0, 0, 80], [0, 80, 40, 0]);
    let flow = Ip::new(
        packet::UDP,
        source,
        VIP_ADDRESS,
        packet::udp((source, VIP_ADDRESS), there, b"hello"),
    );
    ensure!(
        node.ask(&[flow.bytes()])?.len() == 1,
        "the flow is not taken"
    );
    // Without any share the errors come through still; they may come from anywhere.
    node.ns.tell(VIP, "-1")?;
    let answer = Ip::new(
        packet::UDP,
        VIP_ADDRESS,
        source,
        packet::udp((VIP_ADDRESS, source), back, b"hello"),
    );
    for (number, kind) in [3, 4, 11, 12].into_iter().enumerate() {
        let router = Ipv4Addr::new(11, 7, 7, number as u8);
        let error = Ip::new(
            packet::ICMP,
            router,
            VIP_ADDRESS,
            packet::icmp_error(kind, &answer.bytes()),
        );
        ensure!(
            node.ask(&[error.bytes()])?.len() == 1,
            "type {kind} is not taken"
        );
    }
    ensure!(
        node.ask(&[flow.bytes()])?.is_empty(),
        "the flow is still taken"
    );
    let counters = node.ns.counters("filter", "INPUT")?;
    ensure!(
        counters[1] == 4,
        "the errors' packet type was changed: {counters:?}"
    );
    // About a flow that nobody knows.
    let strange = Ip::new(
        packet::UDP,
        VIP_ADDRESS,
        source,
        packet::udp((VIP_ADDRESS, source), [9, 9, 9, 9], b"hello"),
    );
    let error = Ip::new(
        packet::ICMP,
        source,
        VIP_ADDRESS,
        packet::icmp_error(3, &strange.bytes()),
    );
    ensure!(
        node.ask(&[error.bytes()])?.is_empty(),
        "an error about nothing is taken"
    );
    Ok(())
}

/// One node that has all 16 numbers.
fn sixteen(ctx: &mut Ctx) -> Result<Cluster> {
    let cluster = Cluster::new(ctx, 1)?;
    let ns = &cluster.nodes[0].ns;
    ns.restore(&format!(
        "*filter\n:OUTPUT DROP\n-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport \
         --clustermac {MAC} --total-nodes 16 --local-node 1 --hash-init {SEED}\nCOMMIT\n"
    ))?;
    (2..=16).try_for_each(|node| ns.tell(VIP, &format!("+{node}")))?;
    Ok(cluster)
}

/// On a slow kernel what has no answer would be forgotten before it is looked at: SCTP's within seconds.
fn remember(node: &Netns) -> Result<()> {
    let all = "/proc/sys/net/netfilter";
    for file in node.enter(|| fs::read_dir(all))?? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["nf_conntrack_sctp_timeout", "nf_conntrack_udp_timeout"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            node.write(&path, "600")?;
        }
    }
    Ok(())
}

fn conntrack_mark_is_the_node_of_new_flows(ctx: &mut Ctx) -> Result<()> {
    let cluster = sixteen(ctx)?;
    remember(&cluster.nodes[0].ns)?;
    // Those that nothing answers: connection tracking sees answers, dropped or not.
    let silent = [packet::UDP, packet::SCTP];
    let flows: Vec<_> = flows(64)
        .into_iter()
        .filter(|flow| silent.contains(&flow.ip.protocol))
        .collect();
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    // The second packet of a flow without an answer is new as well.
    for round in ["first", "second"] {
        ensure!(
            cluster.nodes[0].ask(&packets)?.len() == flows.len(),
            "not all packets were taken"
        );
        let all = marks::all(&cluster.nodes[0].ns)?;
        for flow in &flows {
            let of_flow = all.iter().filter(|(source, _)| *source == flow.ip.source);
            let marks: Vec<u32> = of_flow.map(|(_, mark)| *mark).collect();
            let wanted = [flow.node(1, SEED, 16) as u32];
            ensure!(
                marks == wanted,
                "{round}, from {}: {marks:?}, not {wanted:?}",
                flow.ip.source
            );
        }
        cluster.nodes[0]
            .ns
            .iptables("-t mangle -A PREROUTING -j CONNMARK --set-mark 99")?;
    }
    Ok(())
}

fn conntrack_mark_of_established_flows_is_kept(ctx: &mut Ctx) -> Result<()> {
    let cluster = sixteen(ctx)?;
    let node = &cluster.nodes[0];
    // Let the echo be answered.
    node.ns.iptables("-P OUTPUT ACCEPT")?;
    node.ns
        .ip("neigh add 10.9.0.254 lladdr 02:00:00:00:01:00 dev eth0\n")?;
    let source = Ipv4Addr::new(11, 1, 1, 1);
    let echo = Ip::new(
        packet::ICMP,
        source,
        VIP_ADDRESS,
        packet::icmp(packet::ECHO, 5, b"hello"),
    )
    .bytes();
    let wanted = jhash::node(1, source.octets(), [0; 4], SEED, 16);
    ensure!(
        node.ask(&[echo.clone()])?.len() == 1,
        "the echo is not taken"
    );
    ensure!(
        marks::of(&node.ns, source)? == [wanted],
        "{:?}",
        marks::of(&node.ns, source)?
    );
    node.ns
        .iptables("-t mangle -A PREROUTING -j CONNMARK --set-mark 99")?;
    ensure!(
        node.ask(&[echo])?.len() == 1,
        "the second echo is not taken"
    );
    ensure!(
        marks::of(&node.ns, source)? == [99],
        "overwritten: {:?}",
        marks::of(&node.ns, source)?
    );
    Ok(())
}
