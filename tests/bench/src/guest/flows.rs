// SPDX-License-Identifier: GPL-2.0-only

//! The traffic: 200 flows of each kind, as frames that are built once.

use super::sys::Burst;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::CLIENT_MAC;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Ip;
use harness::packet::Mac;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use harness::Netns;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;

pub const FLOWS: u16 = 200;
pub const PORT: u16 = 4000;
pub const NODE_MAC: Mac = [2, 0, 0, 0, 0, 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// What connection tracking knows of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing: where the packet is dropped, the entry made for it goes with it. A SYN for TCP.
    New,
    /// It has an entry and no answer: to a rule, such a packet is a new one too. UDP alone.
    Unanswered,
    /// Answered; a whole handshake for TCP, whose packets are bare ACKs then.
    Established,
}

pub type Kind = (Protocol, State);

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Who answers in the node's namespace.
pub struct Server {
    pub udp: OwnedFd,
    _listener: TcpListener,
    _connections: Vec<TcpStream>,
}

/// A flow's source: one of 200 addresses, and a port that says the kind.
fn source(number: u16) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, (number / 100) as u8, (number % 100) as u8 + 1)
}

fn ports(kind: Kind, number: u16) -> [u8; 4] {
    let from = 10_000 + number + 1000 * kind.1 as u16;
    let ([a, b], [c, d]) = (from.to_be_bytes(), PORT.to_be_bytes());
    [a, b, c, d]
}

fn udp(kind: Kind, number: u16) -> Vec<u8> {
    let from = source(number);
    let content = packet::udp((from, VIP_ADDRESS), ports(kind, number), &[7; 18]);
    frame(from, packet::UDP, content)
}

fn tcp(kind: Kind, number: u16, flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
    let from = source(number);
    let mut bytes = ports(kind, number).to_vec();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    let content = packet::with_checksum((from, VIP_ADDRESS), packet::TCP, bytes, 16);
    frame(from, packet::TCP, content)
}

fn frame(from: Ipv4Addr, protocol: u8, content: Vec<u8>) -> Vec<u8> {
    let ip = Ip::new(protocol, from, VIP_ADDRESS, content);
    // To the node's own MAC: without a target, TCP takes nothing that came to the cluster's.
    packet::frame(NODE_MAC, CLIENT_MAC, ETH_IP, &ip.bytes())
}

/// All kinds of traffic; those that are established are so from here on.
pub fn make(
    wire: &Netns,
    node: &Netns,
    conntrack: bool,
) -> Result<(Server, BTreeMap<Kind, Burst>)> {
    let mut bursts = BTreeMap::new();
    for state in [State::New, State::Unanswered, State::Established] {
        let kind = (Protocol::Udp, state);
        let frames = (0..FLOWS).map(|number| udp(kind, number)).collect();
        bursts.insert(kind, Burst::new(frames));
    }
    let kind = (Protocol::Tcp, State::New);
    let frames = (0..FLOWS)
        .map(|number| tcp(kind, number, packet::SYN, 1, 0))
        .collect();
    bursts.insert(kind, Burst::new(frames));

    let socket = node.enter(|| UdpSocket::bind((VIP_ADDRESS, PORT)))??;
    let listener = node.enter(|| TcpListener::bind((VIP_ADDRESS, PORT)))??;
    let mut connections = Vec::new();
    if conntrack {
        answer(&Tap::new(wire, "w0", 0)?, &socket)?;
        let frames = connect(wire, &listener, &mut connections)?;
        bursts.insert((Protocol::Tcp, State::Established), Burst::new(frames));
    }
    let server = Server {
        udp: socket.into(),
        _listener: listener,
        _connections: connections,
    };
    Ok((server, bursts))
}

/// Has the server answer each flow once.
fn answer(tap: &Tap, socket: &UdpSocket) -> Result<()> {
    let kind = (Protocol::Udp, State::Established);
    let mut buffer = [0; 64];
    for number in 0..FLOWS {
        tap.send(&udp(kind, number))?;
        let (length, client) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], client)?;
    }
    Ok(())
}

/// Shakes hands for each flow; the ACKs that its packets are.
fn connect(
    wire: &Netns,
    listener: &TcpListener,
    connections: &mut Vec<TcpStream>,
) -> Result<Vec<Vec<u8>>> {
    let kind = (Protocol::Tcp, State::Established);
    // Hears the answers, and is gone before anything is timed.
    let tap = Tap::new(wire, "w0", ETH_IP)?;
    let mut frames = Vec::new();
    for number in 0..FLOWS {
        tap.send(&tcp(kind, number, packet::SYN, 1, 0))?;
        let wanted = &ports(kind, number)[..2];
        let answer = tap.wait("SYN-ACK", |frame| {
            frame.len() >= 54 && frame[23] == packet::TCP && &frame[36..38] == wanted
        })?;
        let theirs = u32::from_be_bytes(answer[38..42].try_into()?);
        let ack = tcp(kind, number, packet::ACK, 2, theirs.wrapping_add(1));
        tap.send(&ack)?;
        connections.push(listener.accept().context("accept")?.0);
        frames.push(ack);
    }
    ensure!(connections.len() == usize::from(FLOWS));
    Ok(frames)
}
