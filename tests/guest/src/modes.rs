// SPDX-License-Identifier: GPL-2.0-only

//! All six hash modes by real packets: UDP, TCP, ICMP, ESP and AH, whole and in pieces, in the tables where a rule can
//! see them, and the mark that is left with their connections.

use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::cluster::takers;
use harness::cluster::ALL_MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::marks;
use harness::pace;
use harness::packet;
use harness::packet::Ip;
use harness::revision1::Payload;
use harness::revision1::NEW;
use harness::revision1::NO_MARK;
use harness::tests;
use harness::traffic::datagrams;
use harness::traffic::Datagram;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use std::fs;
use std::net::Ipv4Addr;

const SEED: u32 = 0x1234_5678;
const PLACES: [(&str, usize); 3] = [("filter", blob::LOCAL_IN), ("mangle", 0), ("raw", 0)];

pub fn tests() -> Vec<Test> {
    let mut tests = tests![
        modes_borrow_defragmentation_in_raw,
        modes_pieces_that_stay_pieces_go_to_one_node,
        modes_spi_of_one_gateway_is_spread,
        modes_icmp_errors_pass_in_raw,
        modes_no_mark_leaves_the_mark,
        modes_no_mark_is_of_the_first_rule,
    ];
    for (mode, name) in (0..).zip(ALL_MODES) {
        let name = name.replace('-', "_");
        tests.push(Test {
            name: format!("modes_each_to_its_node_{name}"),
            run: Box::new(move |ctx: &mut Ctx| each_to_its_node(ctx, mode)),
        });
        tests.push(Test {
            name: format!("modes_mark_{name}"),
            run: Box::new(move |ctx: &mut Ctx| mark(ctx, mode)),
        });
    }
    tests
}

/// Many addresses are the nodes' own, so that destinations differ.
fn somewhere(id: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 3, (id % 251) as u8)
}

fn cluster(ctx: &Ctx, nodes: usize) -> Result<Cluster> {
    let cluster = Cluster::new(ctx, nodes)?;
    for node in &cluster.nodes {
        node.quiet()?;
        node.ns.ip("route add local 10.9.3.0/24 dev lo\n")?;
    }
    Ok(cluster)
}

/// Says the VIP and the device itself, for packets to anybody.
fn payload(mode: u32) -> Payload {
    Payload::default()
        .hash(mode, SEED)
        .vip(VIP_ADDRESS)
        .device("eth0")
}

fn packets(datagrams: &[Datagram]) -> Vec<Vec<u8>> {
    datagrams
        .iter()
        .flat_map(|datagram| datagram.packets.clone())
        .collect()
}

fn each_to_its_node(ctx: &mut Ctx, mode: u32) -> Result<()> {
    const NODES: u16 = 3;
    let cluster = cluster(ctx, NODES.into())?;
    let datagrams = datagrams(pace::cut(300, 20) as u16, somewhere);
    for (table, hook) in PLACES {
        for (node, number) in cluster.nodes.iter().zip(1..) {
            let payload = payload(mode).nodes(NODES, [number]);
            node.install(table, &[payload.rule_for_any(hook)])?;
        }
        let heard = cluster.ask(&packets(&datagrams))?;
        let mut shares = [0; NODES as usize];
        for datagram in &datagrams {
            let wanted = datagram.whole.node(mode, SEED, NODES.into()) as usize;
            let seen = takers(&heard, datagram.id)?;
            ensure!(
                seen == [wanted],
                "{table}: {} from {}: {wanted}, not {seen:?}",
                datagram.how,
                datagram.source
            );
            shares[wanted - 1] += 1;
        }
        ensure!(
            !shares.contains(&0),
            "{table}: the nodes' shares are {shares:?}"
        );
        for node in &cluster.nodes {
            node.install(table, &[])?;
        }
    }
    Ok(())
}

/// On a slow kernel what has no answer would be forgotten before it is looked at.
fn remember(cluster: &Cluster) -> Result<()> {
    for node in &cluster.nodes {
        let all = "/proc/sys/net/netfilter";
        for file in node.ns.enter(|| fs::read_dir(all))?? {
            let path = file?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let kinds = ["udp_timeout", "generic_timeout", "icmp_timeout"];
            if kinds
                .iter()
                .any(|kind| name == format!("nf_conntrack_{kind}"))
            {
                node.ns.write(&path, "600")?;
            }
        }
    }
    Ok(())
}

/// One node takes all, and what it has of each datagram is its mark.
fn expect_marks(
    cluster: &Cluster,
    datagrams: &[Datagram],
    mark: impl Fn(&Datagram) -> u32,
) -> Result<()> {
    let node = &cluster.nodes[0];
    let taken = node.ask(&packets(datagrams))?.len();
    ensure!(
        taken == datagrams.len(),
        "{taken} of {} are taken",
        datagrams.len()
    );
    let all = marks::all(&node.ns)?;
    for datagram in datagrams {
        let of_it = all.iter().filter(|(source, _)| *source == datagram.source);
        let seen: Vec<u32> = of_it.map(|(_, mark)| *mark).collect();
        let wanted = [mark(datagram)];
        ensure!(
            seen == wanted,
            "{} from {}: {wanted:?}, not {seen:?}",
            datagram.how,
            datagram.source
        );
    }
    Ok(())
}

fn mark(ctx: &mut Ctx, mode: u32) -> Result<()> {
    let cluster = cluster(ctx, 1)?;
    let datagrams = datagrams(pace::cut(120, 20) as u16, somewhere);
    let number = |datagram: &Datagram| datagram.whole.node(mode, SEED, 1000);
    for (table, hook) in [("filter", blob::LOCAL_IN), ("mangle", 0)] {
        let all = payload(mode).nodes(1000, 1..=1000).rule_for_any(hook);
        cluster.nodes[0].install(table, &[all])?;
        remember(&cluster)?;
        expect_marks(&cluster, &datagrams, number)?;
        // Nobody has answered: each is new again, and marked again.
        cluster.nodes[0].ns.run("conntrack -U -m 99")?;
        expect_marks(&cluster, &datagrams, number)?;
        cluster.nodes[0].install(table, &[])?;
        cluster.nodes[0].ns.run("conntrack -F")?;
    }
    Ok(())
}

fn modes_no_mark_leaves_the_mark(ctx: &mut Ctx) -> Result<()> {
    let cluster = cluster(ctx, 1)?;
    let datagrams = datagrams(40, somewhere);
    for mode in 0..6 {
        for (table, hook) in [("filter", blob::LOCAL_IN), ("mangle", 0)] {
            let payload = Payload {
                flags: NEW | NO_MARK,
                ..payload(mode).nodes(1000, 1..=1000)
            };
            cluster.nodes[0].install(table, &[payload.rule_for_any(hook)])?;
            remember(&cluster)?;
            expect_marks(&cluster, &datagrams, |_| 0)?;
            cluster.nodes[0].ns.run("conntrack -U -m 99")?;
            expect_marks(&cluster, &datagrams, |_| 99)?;
            cluster.nodes[0].install(table, &[])?;
            cluster.nodes[0].ns.run("conntrack -F")?;
        }
    }
    Ok(())
}

/// As the mode, the seed and the total are.
fn modes_no_mark_is_of_the_first_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = cluster(ctx, 1)?;
    let node = &cluster.nodes[0];
    let datagrams = datagrams(20, somewhere);
    let marking = payload(0).nodes(1000, 1..=1000);
    let silent = Payload {
        flags: NEW | NO_MARK,
        ..marking.clone()
    };
    let number = |datagram: &Datagram| datagram.whole.node(0, SEED, 1000);
    for (first, second, marks) in [(&marking, &silent, true), (&silent, &marking, false)] {
        // The second one alone sees packets.
        let mut unseen = first.rule_for_any(blob::LOCAL_IN);
        unseen.source = Ipv4Addr::new(1, 2, 3, 4);
        unseen.source_mask = Ipv4Addr::BROADCAST;
        node.install("filter", &[unseen, second.rule_for_any(blob::LOCAL_IN)])?;
        remember(&cluster)?;
        expect_marks(&cluster, &datagrams, |datagram| {
            if marks {
                number(datagram)
            } else {
                0
            }
        })?;
        node.install("filter", &[])?;
        node.ns.run("conntrack -F")?;
    }
    Ok(())
}

/// Only what looks behind the IP header needs whole packets.
fn modes_borrow_defragmentation_in_raw(ctx: &mut Ctx) -> Result<()> {
    let cluster = cluster(ctx, 1)?;
    let node = &cluster.nodes[0];
    for (mode, name) in (0..).zip(ALL_MODES) {
        ensure!(!node.ns.has_defrag()?, "{name}: there before");
        node.install("raw", &[payload(mode).rule_for_any(0)])?;
        let needs = ["sourceport", "spi"].iter().any(|word| name.contains(word));
        ensure!(node.ns.has_defrag()? == needs, "{name}: {}", !needs);
        let hooks = node.ns.hooks("ip")?;
        ensure!(!hooks.contains("[nf_conntrack]"), "{name}: {hooks}");
        node.install("raw", &[])?;
    }
    ensure!(!node.ns.has_defrag()?, "not given back");
    Ok(())
}

/// What is not put together has no ports and no SPI; all of its pieces are the same node's.
fn modes_pieces_that_stay_pieces_go_to_one_node(ctx: &mut Ctx) -> Result<()> {
    const NODES: u16 = 3;
    let cluster = cluster(ctx, NODES.into())?;
    let datagrams = datagrams(pace::cut(200, 20) as u16, somewhere);
    for node in &cluster.nodes {
        node.ns.run_with(
            "nft -f -",
            "table ip early { chain early { type filter hook prerouting priority -450; notrack; }; }\n",
        )?;
    }
    for mode in [2, 4, 5] {
        for (node, number) in cluster.nodes.iter().zip(1..) {
            let payload = payload(mode).nodes(NODES, [number]);
            node.install("raw", &[payload.rule_for_any(0)])?;
        }
        let heard = cluster.ask(&packets(&datagrams))?;
        let mut differ = 0;
        for datagram in &datagrams {
            let node = |packet: &jhash::Packet| packet.node(mode, SEED, NODES.into()) as usize;
            let wanted = node(&datagram.as_it_comes);
            differ += usize::from(node(&datagram.whole) != wanted);
            let seen = takers(&heard, datagram.id)?;
            ensure!(
                seen == [wanted],
                "mode {mode}: {} from {}: {wanted}, not {seen:?}",
                datagram.how,
                datagram.source
            );
        }
        ensure!(
            mode == 4 || differ > 0,
            "these datagrams cannot tell pieces from whole ones"
        );
        for node in &cluster.nodes {
            node.install("raw", &[])?;
        }
    }
    Ok(())
}

/// What the mode is for: tunnels of one gateway fall to many nodes, each of them always to the same one.
fn modes_spi_of_one_gateway_is_spread(ctx: &mut Ctx) -> Result<()> {
    let cluster = cluster(ctx, 2)?;
    let gateway = Ipv4Addr::new(11, 1, 1, 1);
    for (node, number) in cluster.nodes.iter().zip(1..) {
        let payload = payload(5).nodes(2, [number]);
        let mut rule = payload.rule(Some(VIP_ADDRESS), "eth0");
        rule.hook = 0;
        node.install("mangle", &[rule])?;
    }
    for protocol in [packet::ESP, packet::AH] {
        let packets: Vec<(u32, Ip)> = (1..=60_u16)
            .map(|id| {
                let spi = 0xc000_0000 + u32::from(id % 30);
                let spi_bytes = spi.to_be_bytes();
                let payload = match protocol {
                    packet::ESP => [&spi_bytes[..], &[0, 0, 0, 1], &[7; 24]].concat(),
                    _ => [&[packet::TCP, 4, 0, 0], &spi_bytes[..], &[0; 24]].concat(),
                };
                let mut ip = Ip::new(protocol, gateway, VIP_ADDRESS, payload);
                ip.id = id;
                (spi, ip)
            })
            .collect();
        let ips: Vec<Ip> = packets.iter().map(|(_, ip)| ip.clone()).collect();
        let mut shares = [0; 2];
        for ((spi, _), takers) in packets.iter().zip(cluster.who_takes(&ips)?) {
            let wanted = jhash::Packet {
                source: gateway.octets(),
                destination: VIP_ADDRESS.octets(),
                ports: [0; 4],
                spi: Some(spi.to_be_bytes()),
            };
            let wanted = wanted.node(5, SEED, 2) as usize;
            ensure!(takers == [wanted], "SPI {spi:#x}: {wanted}, not {takers:?}");
            shares[wanted - 1] += 1;
        }
        ensure!(
            shares.iter().all(|share| *share >= 10),
            "the shares are {shares:?}"
        );
    }
    Ok(())
}

fn modes_icmp_errors_pass_in_raw(ctx: &mut Ctx) -> Result<()> {
    let cluster = cluster(ctx, 2)?;
    let router = Ipv4Addr::new(11, 9, 8, 7);
    let sent = harness::traffic::udp_from(VIP_ADDRESS, router, 1).bytes();
    let packets: Vec<Ip> = [3, 4, 5, 11, 12]
        .iter()
        .zip(1..)
        .map(|(kind, id)| {
            let mut ip = Ip::new(
                packet::ICMP,
                router,
                VIP_ADDRESS,
                packet::icmp_error(*kind, &sent),
            );
            ip.id = id;
            ip
        })
        .collect();
    for mode in 3..6 {
        for (node, number) in cluster.nodes.iter().zip(1..) {
            let payload = payload(mode).nodes(2, [number]);
            node.install("raw", &[payload.rule_for_any(0)])?;
        }
        for (packet, takers) in packets.iter().zip(cluster.who_takes(&packets)?) {
            let kind = packet.payload[0];
            ensure!(takers == [1, 2], "mode {mode}, type {kind}: {takers:?}");
        }
        for node in &cluster.nodes {
            ensure!(node.ns.has_vip(VIP)?);
            node.install("raw", &[])?;
        }
    }
    Ok(())
}
