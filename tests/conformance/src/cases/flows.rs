// SPDX-License-Identifier: GPL-2.0-only

//! §3.1, its consequences: flows that live while the node's set changes, the connection mark, what
//! the node opens itself, and RELATED connections.

use super::bench::first;
use super::bench::input;
use super::bench::rule_of;
use super::bench::seen;
use super::bench::sources;
use super::bench::udp;
use super::bench::Bench;
use super::bench::SOURCE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Ip;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.1" => mark_of_new_is_overwritten, mark_of_new_is_overwritten_whole, mark_of_established_is_kept,
            mark_of_others_is_never_seen, set_loses_node_of_flow, set_gets_node_of_flow, set_is_emptied,
            set_change_with_tcp, own_flows, own_flows_marks, ftp_data, conntrack_forgets
    ]
}

/// Marks everything before the rule sees it.
const MARK_99: &str = "*mangle\n-A PREROUTING -j CONNMARK --set-mark 99\nCOMMIT\n";

fn mark_of_new_is_overwritten(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &(MARK_99.to_string() + &input(MODES[2], 16, 1)))?;
    bench.take_all(VIP, 16)?;
    for round in ["first", "second, not answered yet"] {
        bench.show(case, [(round, udp(SOURCE))])?;
        let marks = bench.marks(&format!("-d {VIP}"))?;
        case.saw(&format!("entry after the {round}"), format!("{marks:?}"));
    }
    Ok(())
}

/// All of its 32 bits.
fn mark_of_new_is_overwritten_whole(case: &mut Case) -> Result<()> {
    let bench = Bench::with(
        case,
        &(MARK_99.replace("99", "0xffffff63") + &input(MODES[2], 16, 1)),
    )?;
    bench.take_all(VIP, 16)?;
    bench.show(case, [("packet", udp(SOURCE))])?;
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("entry", format!("{marks:x?}"));
    Ok(())
}

fn mark_of_established_is_kept(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[2])?;
    bench.talk()?;
    let socket = bench
        .host
        .enter(|| UdpSocket::bind((VIP_ADDRESS, 8080)))??;
    bench.show(case, [("first", udp(SOURCE))])?;
    socket.send_to(b"hello", (SOURCE, 40000))?;
    bench
        .host
        .iptables("-t mangle -A PREROUTING -j CONNMARK --set-mark 0x12345663")?;
    bench.show(case, [("second, answered and marked", udp(SOURCE))])?;
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("entry", format!("{marks:x?}"));
    Ok(())
}

/// An entry that is not confirmed is nowhere.
fn mark_of_others_is_never_seen(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[2])?;
    (1..=16).try_for_each(|number| bench.host.tell(VIP, &format!("-{number}")))?;
    bench.show(
        case,
        [("TCP", first(packet::TCP, SOURCE)), ("UDP", udp(SOURCE))],
    )?;
    let marks = bench.marks(&format!("-d {VIP}"))?;
    case.saw("entries", format!("{marks:?}"));
    Ok(())
}

/// An echo that was answered, and the number of its node out of 16.
fn echo_flow(case: &mut Case) -> Result<(Bench, u32)> {
    let bench = Bench::sixteen(case, MODES[0])?;
    bench.talk()?;
    bench.show(case, [("first", first(packet::ICMP, SOURCE))])?;
    bench.show(case, [("second", first(packet::ICMP, SOURCE))])?;
    let node = *bench
        .marks("-p icmp")?
        .first()
        .context("no entry for the echo")?;
    Ok((bench, node))
}

fn set_loses_node_of_flow(case: &mut Case) -> Result<()> {
    let (bench, node) = echo_flow(case)?;
    bench.host.tell(VIP, &format!("-{node}"))?;
    bench.show(case, [("its node given up", first(packet::ICMP, SOURCE))])?;
    bench.host.tell(VIP, &format!("+{node}"))?;
    bench.show(case, [("its node back", first(packet::ICMP, SOURCE))])
}

fn set_gets_node_of_flow(case: &mut Case) -> Result<()> {
    let bench = Bench::with(case, &input(MODES[0], 2, 1))?;
    let packets: Vec<Ip> = sources(8).map(udp).collect();
    bench.show_sources(case, "before", &packets)?;
    bench.host.tell(VIP, "+2")?;
    bench.show_sources(case, "after", &packets)
}

fn set_is_emptied(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[0])?;
    bench.show(case, [("all", udp(SOURCE))])?;
    (1..=16).try_for_each(|number| bench.host.tell(VIP, &format!("-{number}")))?;
    bench.show(
        case,
        [
            ("none", udp(SOURCE)),
            ("none, echo", first(packet::ICMP, SOURCE)),
        ],
    )
}

/// A client with a stack of its own behind the wire, for whom the VIP is at the cluster's MAC.
fn client(bench: &Bench, from: u16) -> Result<()> {
    bench.wire.write(
        "/proc/sys/net/ipv4/ip_local_port_range",
        format!("{from} {from}"),
    )
}

const PATIENCE: Duration = Duration::from_secs(5);

fn connect(bench: &Bench, to: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((VIP_ADDRESS, to));
    let stream = bench
        .wire
        .enter(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    let stream = stream.with_context(|| format!("nobody answers on port {to}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn with_client(bench: &Bench) -> Result<()> {
    bench.wire.ip(&format!(
        "link set lo up\naddr add 10.9.0.77/24 dev w0\nneigh add {VIP} lladdr {MAC} dev w0\n"
    ))?;
    Ok(())
}

/// Live TCP: what is sent while its node is not there comes later, by the client's own repeating.
fn set_change_with_tcp(case: &mut Case) -> Result<()> {
    let bench = Bench::sixteen(case, MODES[1])?;
    with_client(&bench)?;
    client(&bench, 40010)?;
    let listener = bench
        .host
        .enter(|| TcpListener::bind((VIP_ADDRESS, 80)))??;
    let mut there = connect(&bench, 80)?;
    let (mut here, _) = listener.accept()?;
    here.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 16];
    there.write_all(b"one")?;
    let length = here.read(&mut buffer)?;
    case.saw("with its node", String::from_utf8_lossy(&buffer[..length]));
    let marks = bench.marks("-p tcp")?;
    case.saw("marks", format!("{marks:?}"));
    (1..=16).try_for_each(|number| bench.host.tell(VIP, &format!("-{number}")))?;
    there.write_all(b"two")?;
    here.set_read_timeout(Some(Duration::from_millis(100)))?;
    case.saw("without", here.read(&mut buffer).is_ok());
    here.set_read_timeout(Some(PATIENCE))?;
    (1..=16).try_for_each(|number| bench.host.tell(VIP, &format!("+{number}")))?;
    let length = here.read(&mut buffer)?;
    case.saw("with it again", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}

/// Answers to what the node asks from the VIP are hashed like all else.
fn own(case: &mut Case, rules: &str, all: bool) -> Result<()> {
    let bench = Bench::with(case, rules)?;
    if all {
        bench.take_all(VIP, 16)?;
    }
    bench.talk()?;
    let socket = bench
        .host
        .enter(|| UdpSocket::bind((VIP_ADDRESS, 4000)))??;
    let mut answers = Vec::new();
    for number in 1..=8 {
        let server = Ipv4Addr::new(198, 51, 100, number);
        socket.send_to(b"hello", (server, 53))?;
        let content = packet::udp((server, VIP_ADDRESS), [0, 53, 0x0f, 0xa0], b"hello");
        answers.push(Ip::new(packet::UDP, server, VIP_ADDRESS, content));
    }
    bench.show_sources(case, "answers", &answers)?;
    let marks = bench.marks(&format!("-s {VIP}"))?;
    case.saw("marks of the entries", format!("{marks:?}"));
    Ok(())
}

fn own_flows(case: &mut Case) -> Result<()> {
    own(case, &input(MODES[1], 2, 1), false)
}

/// All of 16 numbers: what is left is the mark, which nobody sets.
fn own_flows_marks(case: &mut Case) -> Result<()> {
    own(case, &input(MODES[1], 16, 1), true)
}

/// A data connection is RELATED; it is hashed on its own, and its mark is the control connection's.
fn ftp_data(case: &mut Case) -> Result<()> {
    let rule = rule_of(VIP, MODES[2], 16, 1);
    let bench = Bench::with(
        case,
        &format!(
            "*raw\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp\nCOMMIT\n\
             *filter\n-A INPUT {rule}{}COMMIT\n",
            seen("INPUT")
        ),
    )?;
    bench.take_all(VIP, 16)?;
    with_client(&bench)?;
    client(&bench, 40021)?;
    let control = bench
        .host
        .enter(|| TcpListener::bind((VIP_ADDRESS, 21)))??;
    let mut there = connect(&bench, 21)?;
    let (mut here, _) = control.accept()?;
    // Conntrack's helper looks at whole lines, of which it has to see one end first.
    here.write_all(b"220 ready\r\n")?;
    let mut buffer = [0; 100];
    let greeting = there.read(&mut buffer)?;
    // To port 10020: 39 * 256 + 36.
    here.write_all(b"227 Entering Passive Mode (10,9,0,100,39,36)\r\n")?;
    let answer = there.read(&mut buffer)?;
    case.saw(
        "bytes of the control connection",
        format!("{greeting}, {answer}"),
    );
    let source = Ipv4Addr::new(10, 9, 0, 77);
    let syn = packet::tcp((source, VIP_ADDRESS), [0x9c, 0x70, 39, 36], packet::SYN);
    let data = Ip::new(packet::TCP, source, VIP_ADDRESS, syn);
    bench.show(case, [("data", data.clone())])?;
    let marks = bench.marks("-p tcp --dport 21")?;
    case.saw("mark of the control connection", format!("{marks:?}"));
    // An expectation is for one flow: the next one with these ports is new.
    // Where nobody listens the flow is gone already.
    bench.host.output("conntrack -D -p tcp --dport 10020", "")?;
    bench.show(case, [("the same when it is new", data)])
}

/// An established flow is new again, and gets its mark again.
fn conntrack_forgets(case: &mut Case) -> Result<()> {
    let (bench, _) = echo_flow(case)?;
    bench.host.run("conntrack -F")?;
    bench.show(case, [("after it", first(packet::ICMP, SOURCE))])
}
