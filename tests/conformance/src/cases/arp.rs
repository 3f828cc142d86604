// SPDX-License-Identifier: GPL-2.0-only

//! §4: which ARP frames carry the cluster's MAC, and all else of them.

use super::bench::rule_of;
use super::bench::Bench;
use super::bench::NIC;
use super::bench::NODE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Arp;
use harness::packet::Mac;
use harness::sys;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use std::net::Ipv4Addr;
use std::net::UdpSocket;

pub fn cases() -> Vec<Entry> {
    cases![
        "4" => arp_request, arp_request_to_unicast, arp_probe, arp_gratuitous_of_others,
            arp_of_no_address, arp_proxied, arp_own_request, arp_own_request_of_other_address,
            arp_announcement, arp_other_address, arp_other_vip, arp_other_interface, arp_empty_set
    ]
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
pub const REQUEST: u16 = 1;
pub const REPLY: u16 = 2;
pub const EVERYBODY: Mac = [0xff; 6];
/// Who asks the last question.
const LAST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 78);

pub fn rule() -> String {
    rule_of(VIP, MODES[0], 2, 1)
}

/// A node with the rule in INPUT, and what is said on its wire.
pub fn node(case: &mut Case) -> Result<(Bench, Tap)> {
    let bench = Bench::with(case, &format!("*filter\n-A INPUT {}COMMIT\n", rule()))?;
    let tap = Tap::new(&bench.wire, "w0", ETH_ARP)?;
    Ok((bench, tap))
}

pub fn question(sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
    Arp {
        operation: REQUEST,
        sender_mac: CLIENT_MAC,
        sender,
        target_mac: [0; 6],
        target,
    }
}

fn mac(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// A frame with all that it says.
fn words(frame: &[u8]) -> String {
    let Some(arp) = frame.get(14..).and_then(Arp::parse) else {
        return format!("{frame:02x?}");
    };
    let operation = match arp.operation {
        REQUEST => "request",
        REPLY => "reply",
        _ => "other",
    };
    format!(
        "{operation} of {} bytes from {} to {}: sender {} {}, target {} {}",
        frame.len(),
        mac(&frame[6..12]),
        mac(&frame[..6]),
        mac(&arp.sender_mac),
        arp.sender,
        mac(&arp.target_mac),
        arp.target
    )
}

/// Puts a frame on the wire, and says what is said to it.
fn say(case: &mut Case, key: &str, tap: &Tap, to: Mac, arp: &Arp) -> Result<()> {
    tap.expect_carrier()?;
    while tap.receive()?.is_some() {}
    let frame = |to, arp: &Arp| packet::frame(to, CLIENT_MAC, ETH_ARP, &arp.bytes());
    sys::stay_on_processor(Some(0))?;
    // The node has that address on either of its devices, and answers after all else.
    let sent = tap
        .send(&frame(to, arp))
        .and_then(|()| tap.send(&frame(EVERYBODY, &question(LAST, NODE))));
    sys::stay_on_processor(None)?;
    sent?;
    let mut heard = Vec::new();
    loop {
        let frame = tap.wait("answer to the last question", |frame| frame.len() >= 42)?;
        if frame[38..42] == LAST.octets() {
            break;
        }
        heard.push(words(&frame));
    }
    let heard = match heard.is_empty() {
        true => "nothing".to_string(),
        false => heard.join("; "),
    };
    case.saw(key, heard);
    Ok(())
}

/// Asks for an address, and says the answer.
pub fn ask(case: &mut Case, key: &str, tap: &Tap, target: Ipv4Addr) -> Result<()> {
    say(case, key, tap, EVERYBODY, &question(CLIENT, target))
}

/// The next frame whose sender is `sender`.
pub fn next_of(case: &mut Case, key: &str, tap: &Tap, sender: Ipv4Addr) -> Result<()> {
    let frame = tap.wait(key, |frame| {
        let arp = frame.get(14..).and_then(Arp::parse);
        arp.is_some_and(|arp| arp.sender == sender && arp.target != LAST)
    })?;
    case.saw(key, words(&frame));
    Ok(())
}

fn arp_request(case: &mut Case) -> Result<()> {
    let (_bench, tap) = node(case)?;
    ask(case, "first", &tap, VIP_ADDRESS)?;
    ask(case, "second", &tap, VIP_ADDRESS)
}

fn arp_request_to_unicast(case: &mut Case) -> Result<()> {
    let (_bench, tap) = node(case)?;
    say(
        case,
        "to the node",
        &tap,
        NIC,
        &question(CLIENT, VIP_ADDRESS),
    )?;
    let to_cluster = Arp {
        target_mac: harness::cluster::MAC_BYTES,
        ..question(CLIENT, VIP_ADDRESS)
    };
    say(
        case,
        "to the cluster",
        &tap,
        harness::cluster::MAC_BYTES,
        &to_cluster,
    )
}

/// For duplicates: the sender has no address yet.
fn arp_probe(case: &mut Case) -> Result<()> {
    let (_bench, tap) = node(case)?;
    let probe = question(Ipv4Addr::UNSPECIFIED, VIP_ADDRESS);
    say(case, "answer", &tap, EVERYBODY, &probe)
}

/// Somebody else says that the VIP is his.
fn arp_gratuitous_of_others(case: &mut Case) -> Result<()> {
    let (_bench, tap) = node(case)?;
    let claim = question(VIP_ADDRESS, VIP_ADDRESS);
    say(case, "to a request", &tap, EVERYBODY, &claim)?;
    let claim = Arp {
        operation: REPLY,
        ..claim
    };
    say(case, "to a reply", &tap, EVERYBODY, &claim)
}

/// Without the address on a device nobody answers for the VIP.
fn arp_of_no_address(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench.host.ip(&format!("addr del {VIP}/24 dev eth0\n"))?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

/// The VIP is behind the node, which answers in its name.
fn arp_proxied(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench
        .wire
        .ip("link add w1 type veth peer name eth1 netns node\nlink set w1 up\n")?;
    bench.host.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    bench
        .host
        .write("/proc/sys/net/ipv4/conf/eth0/proxy_arp", "1")?;
    bench
        .host
        .write("/proc/sys/net/ipv4/neigh/eth0/proxy_delay", "0")?;
    bench.host.ip(&format!(
        "link set eth1 up\naddr del {VIP}/24 dev eth0\nroute add {VIP}/32 dev eth1\n"
    ))?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}

fn own_request(case: &mut Case, address: Ipv4Addr) -> Result<()> {
    let (bench, tap) = node(case)?;
    let socket = bench.host.enter(|| UdpSocket::bind((address, 0)))??;
    socket.send_to(b"hello", ("10.9.0.81", 9))?;
    next_of(case, "question", &tap, address)
}

fn arp_own_request(case: &mut Case) -> Result<()> {
    own_request(case, VIP_ADDRESS)
}

fn arp_own_request_of_other_address(case: &mut Case) -> Result<()> {
    own_request(case, NODE)
}

/// `arp_notify`: the kernel tells of its addresses when a device comes up.
fn arp_announcement(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench
        .host
        .write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1")?;
    bench.host.ip("link set eth0 down\nlink set eth0 up\n")?;
    next_of(case, "node", &tap, NODE)?;
    next_of(case, "VIP", &tap, VIP_ADDRESS)
}

fn arp_other_address(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench.host.ip("addr add 10.9.0.101/24 dev eth0\n")?;
    ask(case, "node", &tap, NODE)?;
    ask(case, "another address", &tap, Ipv4Addr::new(10, 9, 0, 101))
}

/// Each VIP has its own MAC.
fn arp_other_vip(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let other = rule()
        .replace(VIP, "10.9.0.101")
        .replace(MAC, "01:00:5e:00:00:21");
    bench.host.ip("addr add 10.9.0.101/24 dev eth0\n")?;
    bench.host.iptables(&format!("-A INPUT {other}"))?;
    ask(case, "first VIP", &tap, VIP_ADDRESS)?;
    ask(case, "second VIP", &tap, Ipv4Addr::new(10, 9, 0, 101))
}

fn arp_other_interface(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    let other = second_wire(&bench)?;
    ask(case, "on eth1", &other, VIP_ADDRESS)?;
    ask(case, "on eth0", &tap, VIP_ADDRESS)
}

/// A second device of the node, and what is said on its wire.
pub fn second_wire(bench: &Bench) -> Result<Tap> {
    bench.wire.ip(
        "link add w1 type veth peer name eth1 address 02:00:00:00:00:02 netns node\nlink set w1 up\n",
    )?;
    bench.host.ip("link set eth1 up\n")?;
    Tap::new(&bench.wire, "w1", ETH_ARP)
}

/// Who answers packets is another question.
fn arp_empty_set(case: &mut Case) -> Result<()> {
    let (bench, tap) = node(case)?;
    bench.host.tell(VIP, "-1")?;
    ask(case, "answer", &tap, VIP_ADDRESS)
}
