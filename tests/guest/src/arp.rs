// SPDX-License-Identifier: GPL-2.0-only

//! What a node says by ARP: the VIP is at the cluster's MAC, all else as it is.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::program;
use harness::host::rule;
use harness::packet;
use harness::packet::Arp;
use harness::packet::Mac;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;
use std::net::UdpSocket;

pub fn tests() -> Vec<Test> {
    tests![
        arp_request_is_answered_with_the_cluster_mac,
        arp_probe_is_answered_with_the_cluster_mac,
        arp_gratuitous_is_mangled,
        arp_own_request_is_mangled,
        arp_other_address_is_untouched,
        arp_other_interface_is_untouched,
        arp_vlan_device,
        arp_empty_set_answers_still,
        arp_after_flush_the_real_mac,
        arp_follows_the_device_name,
        arp_hook_is_there_while_rules_are,
        arp_filter_chains_see_the_cluster_mac,
    ]
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const NIC: Mac = [2, 0, 0, 0, 0, 1];
const NIC1: Mac = [2, 0, 0, 0, 0, 2];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const EVERYBODY: Mac = [0xff; 6];

/// A node with two devices, and the far ends of their cables.
struct Bench {
    node: Netns,
    wire: Netns,
    eth0: Tap,
    eth1: Tap,
}

fn bench(ctx: &mut Ctx) -> Result<Bench> {
    program("modprobe ipt_CLUSTERIP")?;
    let (node, wire) = (ctx.netns("node")?, ctx.netns("wire")?);
    wire.ip(
        "link add w0 type veth peer name eth0 address 02:00:00:00:00:01 netns node\n\
         link add w1 type veth peer name eth1 address 02:00:00:00:00:02 netns node\n\
         link set w0 up\nlink set w1 up\n",
    )?;
    node.ip(&format!(
        "link set lo up\nlink set eth0 up\nlink set eth1 up\naddr add {OWN}/24 dev eth0\naddr add {VIP}/24 dev eth0\n"
    ))?;
    node.iptables(&format!("-A {}", rule()))?;
    let (eth0, eth1) = (
        Tap::new(&wire, "w0", ETH_ARP)?,
        Tap::new(&wire, "w1", ETH_ARP)?,
    );
    eth0.expect_carrier()?;
    eth1.expect_carrier()?;
    Ok(Bench {
        node,
        wire,
        eth0,
        eth1,
    })
}

/// Asks who has `target`, and checks the answer's every field.
fn ask(tap: &Tap, sender: Ipv4Addr, target: Ipv4Addr, wanted: Mac, nic: Mac) -> Result<()> {
    let question = Arp {
        operation: REQUEST,
        sender_mac: CLIENT_MAC,
        sender,
        target_mac: [0; 6],
        target,
    };
    // A device hears its VLAN's answers too, their tag taken off: those of before are not meant.
    while tap.receive()?.is_some() {}
    tap.send(&packet::frame(
        EVERYBODY,
        CLIENT_MAC,
        ETH_ARP,
        &question.bytes(),
    ))?;
    let (frame, answer) = heard(tap, "answer", |arp| arp.operation == REPLY)?;
    let right = Arp {
        operation: REPLY,
        sender_mac: wanted,
        sender: target,
        target_mac: CLIENT_MAC,
        target: sender,
    };
    ensure!(
        answer == right,
        "the answer should be {right:02x?}, it is {answer:02x?}"
    );
    ensure!(
        frame[..6] == CLIENT_MAC,
        "the answer goes to {:02x?}",
        &frame[..6]
    );
    ensure!(
        frame[6..12] == nic,
        "the answer's Ethernet source is {:02x?}",
        &frame[6..12]
    );
    Ok(())
}

/// The next ARP packet of a kind, and its frame.
fn heard(tap: &Tap, what: &str, wanted: impl Fn(&Arp) -> bool) -> Result<(Vec<u8>, Arp)> {
    let content = |frame: &[u8]| frame.get(14..).and_then(Arp::parse);
    let frame = tap.wait(what, |frame| content(frame).is_some_and(|arp| wanted(&arp)))?;
    let arp = content(&frame).context("a strange frame")?;
    Ok((frame, arp))
}

fn arp_request_is_answered_with_the_cluster_mac(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    for _ in 0..3 {
        ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)?;
    }
    Ok(())
}

fn arp_probe_is_answered_with_the_cluster_mac(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    ask(
        &bench.eth0,
        Ipv4Addr::UNSPECIFIED,
        VIP_ADDRESS,
        MAC_BYTES,
        NIC,
    )
}

fn arp_gratuitous_is_mangled(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    bench
        .node
        .write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1")?;
    bench.node.ip("link set eth0 down\nlink set eth0 up\n")?;
    for (address, wanted) in [(OWN, NIC), (VIP_ADDRESS, MAC_BYTES)] {
        let (frame, arp) = heard(&bench.eth0, "gratuitous ARP", |arp| arp.sender == address)?;
        ensure!(
            arp.target == address && arp.sender_mac == wanted,
            "{arp:02x?}"
        );
        ensure!(
            frame[6..12] == NIC,
            "its Ethernet source is {:02x?}",
            &frame[6..12]
        );
    }
    Ok(())
}

fn arp_own_request_is_mangled(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    for (address, target, wanted) in [
        (VIP_ADDRESS, Ipv4Addr::new(10, 9, 0, 81), MAC_BYTES),
        (OWN, Ipv4Addr::new(10, 9, 0, 82), NIC),
    ] {
        let socket = bench.node.enter(|| UdpSocket::bind((address, 0)))??;
        socket.send_to(b"hello", (target, 9))?;
        let (frame, arp) = heard(&bench.eth0, "question", |arp| arp.target == target)?;
        let right = Arp {
            operation: REQUEST,
            sender_mac: wanted,
            sender: address,
            target_mac: [0; 6],
            target,
        };
        ensure!(
            arp == right,
            "the question should be {right:02x?}, it is {arp:02x?}"
        );
        ensure!(
            frame[..6] == EVERYBODY && frame[6..12] == NIC,
            "{:02x?}",
            &frame[..12]
        );
    }
    Ok(())
}

fn arp_other_address_is_untouched(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    ask(&bench.eth0, CLIENT, OWN, NIC, NIC)?;
    // Another VIP has its own MAC.
    bench.node.ip("addr add 10.9.0.101/24 dev eth0\n")?;
    ask(&bench.eth0, CLIENT, Ipv4Addr::new(10, 9, 0, 101), NIC, NIC)?;
    let other = rule()
        .replace(VIP, "10.9.0.101")
        .replace(MAC, "01:00:5e:00:00:21");
    bench.node.iptables(&format!("-A {other}"))?;
    ask(
        &bench.eth0,
        CLIENT,
        Ipv4Addr::new(10, 9, 0, 101),
        [1, 0, 0x5e, 0, 0, 0x21],
        NIC,
    )?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)
}

fn arp_other_interface_is_untouched(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    ask(&bench.eth1, CLIENT, VIP_ADDRESS, NIC1, NIC1)?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)
}

fn arp_vlan_device(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    let vip = Ipv4Addr::new(10, 9, 5, 100);
    bench
        .wire
        .ip("link add link w0 name w0.5 type vlan id 5\nlink set w0.5 up\n")?;
    bench.node.ip(&format!(
        "link add link eth0 name eth0.5 type vlan id 5\nlink set eth0.5 up\naddr add {vip}/24 dev eth0.5\n"
    ))?;
    let other = rule()
        .replace(VIP, "10.9.5.100")
        .replace("eth0", "eth0.5")
        .replace(MAC, "01:00:5e:00:00:55");
    bench.node.iptables(&format!("-A {other}"))?;
    // A VLAN device hands what it hears on to the device under it, and counts that as a user.
    bench
        .node
        .expect_memberships("eth0.5", "01:00:5e:00:00:55", 2)?;
    bench
        .node
        .expect_memberships("eth0", "01:00:5e:00:00:55", 1)?;
    let tagged = Tap::new(&bench.wire, "w0.5", ETH_ARP)?;
    let client = Ipv4Addr::new(10, 9, 5, 77);
    ask(&tagged, client, vip, [1, 0, 0x5e, 0, 0, 0x55], NIC)?;
    // The same address asked for without the tag, and the other VIP with it.
    ask(&bench.eth0, client, vip, NIC, NIC)?;
    ask(&tagged, client, VIP_ADDRESS, NIC, NIC)?;
    bench.node.iptables(&format!("-D {other}"))?;
    bench
        .node
        .expect_memberships("eth0.5", "01:00:5e:00:00:55", 0)?;
    bench
        .node
        .expect_memberships("eth0", "01:00:5e:00:00:55", 0)?;
    ask(&tagged, client, vip, NIC, NIC)
}

fn arp_empty_set_answers_still(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    bench.node.tell(VIP, "-1")?;
    ensure!(bench.node.nodes(VIP)?.is_empty());
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)
}

fn arp_after_flush_the_real_mac(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)?;
    // Another VIP keeps the hook there.
    bench
        .node
        .iptables(&format!("-A {}", rule().replace(VIP, "192.0.2.1")))?;
    bench.node.iptables(&format!("-D {}", rule()))?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, NIC, NIC)?;
    bench.node.iptables("-F")?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, NIC, NIC)
}

fn arp_follows_the_device_name(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    bench.node.ip("link set eth0 name was0\n")?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, NIC, NIC)?;
    bench.node.ip("link set eth1 name eth0\n")?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, NIC, NIC)?;
    ask(&bench.eth1, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC1)?;
    bench
        .node
        .ip("link set eth0 name eth1\nlink set was0 name eth0\n")?;
    ask(&bench.eth1, CLIENT, VIP_ADDRESS, NIC1, NIC1)?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)
}

fn arp_hook_is_there_while_rules_are(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    let once = |node: &Netns| -> Result<bool> {
        let hooks = node.hooks("arp")?;
        let lines: Vec<_> = hooks
            .lines()
            .filter(|line| line.contains("[ipt_CLUSTERIP]"))
            .collect();
        ensure!(lines.len() <= 1, "it is there twice: {hooks}");
        ensure!(
            lines.iter().all(|line| line.contains("-0000000001")),
            "its priority: {hooks}"
        );
        Ok(lines.len() == 1)
    };
    ensure!(once(&bench.node)?, "not there with the first rule");
    bench
        .node
        .iptables(&format!("-A {}", rule().replace(VIP, "192.0.2.1")))?;
    bench.node.iptables(&format!("-t mangle -A {}", rule()))?;
    ensure!(once(&bench.node)?);
    bench.node.iptables("-F")?;
    ensure!(once(&bench.node)?, "gone with a rule left");
    ensure!(!once(&bench.wire)?, "there in a namespace without rules");
    bench.node.iptables("-t mangle -F")?;
    ensure!(!once(&bench.node)?, "there without a rule");
    Ok(())
}

/// An ARP output chain of nftables at priority 0 comes after the hook.
fn arp_filter_chains_see_the_cluster_mac(ctx: &mut Ctx) -> Result<()> {
    let bench = bench(ctx)?;
    bench.node.run_with(
        "nft -f -",
        &format!(
            "table arp t {{\n chain before {{\n type filter hook output priority -2;\n arp saddr ether {MAC} counter\n }}\n \
             chain after {{\n type filter hook output priority 0;\n arp saddr ether {MAC} counter\n }}\n}}\n"
        ),
    )?;
    ask(&bench.eth0, CLIENT, VIP_ADDRESS, MAC_BYTES, NIC)?;
    for (chain, wanted) in [("before", "packets 0 "), ("after", "packets 1 ")] {
        let list = bench.node.run(&format!("nft list chain arp t {chain}"))?;
        ensure!(list.contains(wanted), "{chain}: {list}");
    }
    Ok(())
}
