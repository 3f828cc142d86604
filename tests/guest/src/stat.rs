// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/stat/ipt_CLUSTERIP`: what is counted, and for whom. The file itself: `stat_file.rs`.

use crate::checks::install;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::host::host;
use harness::neighbour::Neighbour;
use harness::pace;
use harness::revision1::Payload;
use harness::stat::rows;
use harness::stat::rows_of;
use harness::stat::Row;
use harness::sys;
use harness::tests;
use harness::traffic::datagrams;
use harness::traffic::packets;
use harness::Cluster;
use harness::Ctx;
use harness::Test;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::UdpSocket;

pub fn tests() -> Vec<Test> {
    tests![
        stat_every_field,
        stat_counts_each_packet_of_each_number,
        stat_counts_what_a_rule_of_revision_0_does,
        stat_counts_for_the_set_of_the_moment,
        stat_counts_arp,
        stat_generation,
        stat_device_comes_and_goes,
    ]
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 101);

fn stat_every_field(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let mut payload = Payload::default().nodes(5, [2, 4]).hash(4, 0xdead_beef);
    payload.mac = [0x01, 0x00, 0x5e, 0xab, 0x0c, 0xff];
    let rules = [
        payload.rule(Some(VIP_ADDRESS), "eth1"),
        Rule::new(OTHER, "eth0", &blob::Payload::default()),
    ];
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    let index = |name: &str| -> Result<u32> {
        let index = host.enter(|| sys::device_number(name))??;
        Ok(u32::try_from(index)?)
    };
    let first = Row {
        vip: VIP_ADDRESS,
        number: 1,
        mine: false,
        accepted: 0,
        left: 0,
        arp: 0,
        generation: 1,
        total: 5,
        hashmode: "sourceip-destip".to_string(),
        hash_init: 0xdead_beef,
        clustermac: "01:00:5E:AB:0C:FF".to_string(),
        device: "eth1".to_string(),
        ifindex: index("eth1")?,
    };
    for (row, number) in rows_of(&host, VIP_ADDRESS)?.into_iter().zip(1..) {
        let mine = [2, 4].contains(&number);
        let wanted = Row {
            number,
            mine,
            ..first.clone()
        };
        ensure!(row == wanted, "{wanted:?} became {row:?}");
    }
    let others = rows_of(&host, OTHER)?;
    let wanted = Row {
        vip: OTHER,
        mine: true,
        total: 2,
        hashmode: "sourceip".to_string(),
        hash_init: 0,
        clustermac: "01:00:5E:00:00:20".to_string(),
        device: "eth0".to_string(),
        ifindex: index("eth0")?,
        ..first
    };
    ensure!(others[0] == wanted, "{wanted:?} became {:?}", others[0]);
    ensure!(rows(&host)?.len() == 7, "{:?}", rows(&host)?);
    Ok(())
}

/// Of each number, what the nodes of a cluster count must be what was sent of it: accepted by its own, left by all others.
fn stat_counts_each_packet_of_each_number(ctx: &mut Ctx) -> Result<()> {
    const TOTAL: u32 = 100;
    let cluster = Cluster::new(ctx, 2)?;
    let datagrams = datagrams(pace::cut(200, 60) as u16, |_| VIP_ADDRESS);
    let packets = packets(&datagrams);
    for node in &cluster.nodes {
        node.quiet()?;
    }
    for mode in 0..6 {
        for (table, hook) in [("filter", blob::LOCAL_IN), ("mangle", 0), ("raw", 0)] {
            for (node, number) in cluster.nodes.iter().zip(1..) {
                let payload = Payload::default().nodes(TOTAL as u16, (number..=TOTAL).step_by(2));
                let mut rule = payload.hash(mode, 7).rule(Some(VIP_ADDRESS), "eth0");
                rule.hook = hook;
                node.install(table, &[rule])?;
            }
            cluster.ask(&packets)?;
            let mut sent = vec![0_u64; TOTAL as usize + 1];
            // In raw, pieces are pieces where nothing behind the IP header is hashed.
            let together = table != "raw" || [1, 2, 5].contains(&mode);
            for one in &datagrams {
                let times = if together {
                    1
                } else {
                    one.packets.len() as u64
                };
                sent[one.whole.node(mode, 7, TOTAL) as usize] += times;
            }
            for (node, number) in cluster.nodes.iter().zip(1..) {
                for row in rows_of(&node.ns, VIP_ADDRESS)? {
                    let mine = row.number % 2 == number % 2;
                    let count = sent[row.number as usize];
                    let wanted = if mine { (count, 0) } else { (0, count) };
                    ensure!(
                        row.mine == mine && (row.accepted, row.left) == wanted,
                        "{table}, mode {mode}, node {number}: accepted, left {wanted:?}, but {row:?}"
                    );
                }
                node.install(table, &[])?;
            }
        }
    }
    Ok(())
}

fn stat_counts_what_a_rule_of_revision_0_does(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 2)?;
    cluster.rules("filter", "INPUT", "sourceip", 7)?;
    let datagrams = datagrams(60, |_| VIP_ADDRESS);
    let packets = packets(&datagrams);
    cluster.ask(&packets)?;
    let mut sent = [0; 2];
    for one in &datagrams {
        sent[one.whole.node(0, 7, 2) as usize - 1] += 1;
    }
    ensure!(sent.iter().all(|count| *count > 0));
    for (node, mine) in cluster.nodes.iter().zip(1..) {
        let seen: Vec<_> = rows_of(&node.ns, VIP_ADDRESS)?
            .iter()
            .map(|row| (row.mine, row.accepted, row.left))
            .collect();
        let wanted: Vec<_> = (1..)
            .zip(sent)
            .map(|(number, count)| match number == mine {
                true => (true, count, 0),
                false => (false, 0, count),
            })
            .collect();
        ensure!(seen == wanted, "node {mine}: {wanted:?} became {seen:?}");
    }
    Ok(())
}

/// What was counted before the set changed stays.
fn stat_counts_for_the_set_of_the_moment(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    node.quiet()?;
    let payload = Payload::default().nodes(1, [1]);
    node.install("filter", &[payload.rule(Some(VIP_ADDRESS), "eth0")])?;
    let datagrams = datagrams(30, |_| VIP_ADDRESS);
    let packets = packets(&datagrams);
    let mut wanted = (0, 0);
    for (command, times) in [
        ("=1", 2),
        ("-1", 3),
        ("=none", 1),
        ("+1", 1),
        ("=none\n", 2),
    ] {
        node.ns.tell(VIP, command)?;
        let mine = node.ns.nodes(VIP)? == "1";
        for _ in 0..times {
            node.ask(&packets)?;
            let counter = if mine { &mut wanted.0 } else { &mut wanted.1 };
            *counter += datagrams.len() as u64;
        }
        let row = &rows_of(&node.ns, VIP_ADDRESS)?[0];
        ensure!(
            row.mine == mine && (row.accepted, row.left) == wanted,
            "after {command:?}: {wanted:?} became {row:?}"
        );
    }
    Ok(())
}

fn stat_counts_arp(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip(&format!(
        "addr add {VIP}/24 dev eth0\naddr add {OTHER}/24 dev eth0\naddr add 10.9.0.1/24 dev eth0\n"
    ))?;
    let payload = Payload::default().nodes(3, [1]);
    let rules = [
        payload.rule(Some(VIP_ADDRESS), "eth0"),
        payload.rule(Some(OTHER), "eth0"),
    ];
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    let neighbour = Neighbour::new(&host, "eth1")?;
    let arp = |vip| -> Result<u64> {
        let rows = rows_of(&host, vip)?;
        ensure!(
            rows.iter().all(|row| row.arp == rows[0].arp),
            "not the VIP's: {rows:?}"
        );
        Ok(rows[0].arp)
    };
    for asked in 1..=7 {
        neighbour.asks(VIP_ADDRESS)?;
        ensure!(
            arp(VIP_ADDRESS)? == asked,
            "asked {asked} times: {}",
            arp(VIP_ADDRESS)?
        );
    }
    // An empty set answers, too; another address is not the VIP's.
    host.tell(VIP, "=none")?;
    neighbour.asks(VIP_ADDRESS)?;
    ensure!(neighbour.asks(Ipv4Addr::new(10, 9, 0, 1))? != MAC_BYTES);
    ensure!(
        (arp(VIP_ADDRESS)?, arp(OTHER)?) == (8, 0),
        "{} and {}",
        arp(VIP_ADDRESS)?,
        arp(OTHER)?
    );
    neighbour.asks(OTHER)?;
    ensure!(
        (arp(VIP_ADDRESS)?, arp(OTHER)?) == (8, 1),
        "{} and {}",
        arp(VIP_ADDRESS)?,
        arp(OTHER)?
    );
    // A request of its own, that names the VIP as its sender.
    host.write("/proc/sys/net/ipv4/neigh/eth0/mcast_solicit", "1")?;
    host.enter(|| UdpSocket::bind((VIP_ADDRESS, 0))?.send_to(b"", "10.9.0.200:9"))??;
    eventually("a request", || Ok(arp(VIP_ADDRESS)? == 9))
}

/// From 1, and one more with each change; not with what changes nothing.
fn stat_generation(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    install(
        &host,
        &Payload::default()
            .nodes(1000, [1])
            .rule(Some(VIP_ADDRESS), "eth0"),
    )??;
    let mut options = OpenOptions::new();
    let mut file = host.open(VIP, options.write(true))?;
    let mut wanted = 1;
    for (command, changes) in [
        ("+2", true),
        ("+2", false),
        ("-7", false),
        ("-2", true),
        ("=1", false),
        ("=1,1000", true),
        ("=1000,1\n", false),
        ("=1001", false),
        ("=x", false),
        ("=none", true),
        ("=none", false),
        ("=1-1000", true),
    ] {
        let _ = file.write(command.as_bytes());
        wanted += u32::from(changes);
        let rows = rows_of(&host, VIP_ADDRESS)?;
        ensure!(
            rows.iter().all(|row| row.generation == wanted),
            "after {command:?}: {}, not {wanted}",
            rows[0].generation
        );
    }
    host.iptables("-F")?;
    install(&host, &Payload::default().rule(Some(VIP_ADDRESS), "eth0"))??;
    ensure!(rows(&host)?[0].generation == 1, "a new VIP begins anew");
    Ok(())
}

fn stat_device_comes_and_goes(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    install(&host, &Payload::default().rule(Some(VIP_ADDRESS), "eth0"))??;
    let seen = || -> Result<(String, u32)> {
        let row = rows_of(&host, VIP_ADDRESS)?.remove(0);
        Ok((row.device, row.ifindex))
    };
    let (name, first) = seen()?;
    ensure!(name == "eth0" && first != 0, "{name}, {first}");
    host.ip("link set eth0 down\nlink set eth0 name away\n")?;
    eventually("no device", || Ok(seen()? == ("eth0".to_string(), 0)))?;
    host.ip("link add eth0 type dummy\n")?;
    eventually("another device", || {
        let (name, index) = seen()?;
        Ok(name == "eth0" && index != 0 && index != first)
    })?;
    host.ip("link del eth0\nlink set away name eth0\n")?;
    eventually("the first device", || {
        Ok(seen()? == ("eth0".to_string(), first))
    })
}
