// SPDX-License-Identifier: GPL-2.0-only

//! §4: the hook on ARP while rules come and go, in several namespaces, and beside others' hooks.

use super::arp::ask;
use super::arp::next_of;
use super::arp::node;
use super::arp::question;
use super::arp::rule;
use super::arp::second_wire;
use super::arp::EVERYBODY;
use super::arp::REPLY;
use super::arp::REQUEST;
use super::bench::Bench;
use super::bench::NIC;
use super::bench::NODE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::host::Host;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Arp;
use harness::tap::Tap;
use harness::tap::ETH_ARP;

pub fn cases() -> Vec<Entry> {
    cases![
        "4" => arp_after_flush, arp_after_flush_with_other_vip, arp_rule_in_two_tables,
            arp_rule_without_interface, arp_several_namespaces, arp_nft_chains, arp_of_packet_sockets, arp_vlan
    ]
}

fn arp_after_flush(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench.host.iptables("-F")?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn arp_after_flush_with_other_vip(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let other = rule().replace(VIP, "192.0.2.1");
    bench.host.iptables(&format!("-A INPUT {other}"))?;
    bench.host.iptables("-D INPUT 1")?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn arp_rule_in_two_tables(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench
        .host
        .iptables(&format!("-t mangle -A PREROUTING {}", rule()))?;
    bench.host.iptables("-F")?;
    ask(case, "one left", &tap, VIP_ADDRESS)?;
    bench.host.iptables("-t mangle -F")?;
    ask(case, "none left", &tap, VIP_ADDRESS)
}

/// The first rule binds the VIP to its device, not those that come after it.
fn arp_rule_without_interface(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let other = second_wire(&bench)?;
    let anywhere = rule().replace("-i eth0 ", "");
    bench.host.iptables(&format!("-A INPUT {anywhere}"))?;
    bench.host.iptables("-D INPUT 1")?;
    ask(case, "on eth1", &other, VIP_ADDRESS)?;
    ask(case, "on eth0", &tap, VIP_ADDRESS)
}

/// One VIP, two machines, each with a MAC of its own.
fn arp_several_namespaces(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let second = Host::new(case.ctx.netns("node2")?);
    bench.wire.ip(
        "link add w2 type veth peer name eth0 address 02:00:00:00:00:03 netns node2\nlink set w2 up\n",
    )?;
    second.ip(&format!(
        "link set eth0 up\naddr add {NODE}/24 dev eth0\naddr add {VIP}/24 dev eth0\n"
    ))?;
    let other = Tap::new(&bench.wire, "w2", ETH_ARP)?;
    ask(case, "second, no rule", &other, VIP_ADDRESS)?;
    let rule = rule().replace(MAC, "01:00:5e:00:00:22");
    second.iptables(&format!("-A INPUT {rule}"))?;
    ask(case, "first", &tap, VIP_ADDRESS)?;
    ask(case, "second", &other, VIP_ADDRESS)?;
    bench.host.flush()?;
    ask(case, "first, flushed", &tap, VIP_ADDRESS)?;
    ask(case, "second, with its rule", &other, VIP_ADDRESS)
}

/// Chains of nftables before and after the hook's priority of -1.
fn arp_nft_chains(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let chain = |name: &str, priority: i32| {
        format!(
            "chain {name} {{\n type filter hook output priority {priority};\n arp saddr ether {MAC} counter\n }}\n"
        )
    };
    let table = format!(
        "table arp t {{\n {} {} }}\n",
        chain("before", -2),
        chain("after", 0)
    );
    bench.host.run_with("nft -f -", &table)?;
    ask(case, "answer", &tap, VIP_ADDRESS)?;
    for name in ["before", "after"] {
        let list = bench.host.run(&format!("nft list chain arp t {name}"))?;
        let mut words = list.split_whitespace();
        let count = words.by_ref().skip_while(|word| *word != "packets").nth(1);
        case.saw(name, count.context("no counter")?);
    }
    Ok(())
}

/// What programs send past the kernel's own ARP stays as it is.
fn arp_of_packet_sockets(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let own = Tap::new(&bench.host, "eth0", 0)?;
    let claim = Arp {
        operation: REPLY,
        sender_mac: NIC,
        ..question(VIP_ADDRESS, VIP_ADDRESS)
    };
    for (key, operation) in [("reply", REPLY), ("request", REQUEST)] {
        let arp = Arp {
            operation,
            ..claim.clone()
        };
        own.send(&packet::frame(EVERYBODY, NIC, ETH_ARP, &arp.bytes()))?;
        next_of(case, key, &tap, VIP_ADDRESS)?;
    }
    Ok(())
}

fn arp_vlan(case: &mut Case) -> Result<()> {
    let bench = Bench::new(case)?;
    bench
        .wire
        .ip("link add link w0 name w0.5 type vlan id 5\nlink set w0.5 up\n")?;
    bench.host.ip(&format!(
        "addr del {VIP}/24 dev eth0\nlink add link eth0 name eth0.5 type vlan id 5\nlink set eth0.5 up\n\
         addr add {VIP}/24 dev eth0.5\n"
    ))?;
    bench
        .host
        .iptables(&format!("-A INPUT {}", rule().replace("eth0", "eth0.5")))?;
    ask(
        case,
        "tagged",
        &Tap::new(&bench.wire, "w0.5", ETH_ARP)?,
        VIP_ADDRESS,
    )?;
    ask(
        case,
        "untagged",
        &Tap::new(&bench.wire, "w0", ETH_ARP)?,
        VIP_ADDRESS,
    )
}
