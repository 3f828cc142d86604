// SPDX-License-Identifier: GPL-2.0-only

//! Flows of many clients, and the node that each belongs to by the kernel's own hash.

use super::cluster::takers;
use super::cluster::Cluster;
use super::cluster::VIP_ADDRESS;
use super::packet;
use super::packet::Ip;
use anyhow::ensure;
use anyhow::Result;
use std::net::Ipv4Addr;

/// One flow: its first packet.
pub struct Flow {
    pub ip: Ip,
    /// As on the wire; zeros where the protocol has none.
    pub ports: [u8; 4],
}

impl Flow {
    /// The node, from 1, of so many; `mode` is the number of the hash mode.
    pub fn node(&self, mode: usize, seed: u32, total: usize) -> usize {
        jhash::node(
            mode as u32,
            self.ip.source.octets(),
            self.ports,
            seed,
            total as u32,
        ) as usize
    }
}

/// So many flows of TCP, UDP, SCTP and ICMP in turn, always the same ones; the packets' numbers
/// (`Ip::id`) are their places in the list, from 1.
pub fn flows(count: u16) -> Vec<Flow> {
    let mut random = Random::new();
    (1..=count).map(|id| flow(id, &mut random)).collect()
}

fn flow(id: u16, random: &mut Random) -> Flow {
    let [a, b, c, d] = random.next().to_be_bytes();
    // No source that a host refuses: 11.0.0.0 to 126.255.255.255.
    let source = Ipv4Addr::new(11 + a % 116, b, c, d);
    let mut ports = random.next().to_be_bytes();
    // No port is 0.
    ports[0] |= 1;
    ports[2] |= 1;
    let protocol = [packet::TCP, packet::UDP, packet::SCTP, packet::ICMP][usize::from(id % 4)];
    if protocol == packet::ICMP {
        ports = [0; 4];
    }
    let mut ip = Ip::new(
        protocol,
        source,
        VIP_ADDRESS,
        transport(protocol, source, ports, id),
    );
    ip.id = id;
    Flow { ip, ports }
}

/// Sixty clients ask for a page: each must be taken by those of the two machines that `answering` has for
/// the number that the hash gives it.
pub fn sixty_clients(
    cluster: &Cluster,
    (vip, port): (Ipv4Addr, u16),
    seed: u32,
    answering: [&[usize]; 2],
) -> Result<()> {
    let [high, low] = port.to_be_bytes();
    let flows: Vec<Flow> = (1..=60)
        .map(|number| {
            let source = Ipv4Addr::new(11, 1, 2, number);
            let ports = [0x9c, number, high, low];
            let segment = packet::tcp((source, vip), ports, packet::SYN);
            let mut ip = Ip::new(packet::TCP, source, vip, segment);
            ip.id = number.into();
            Flow { ip, ports }
        })
        .collect();
    let packets: Vec<Vec<u8>> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    let heard = cluster.ask(&packets)?;
    for number in [1, 2] {
        let mut share = flows
            .iter()
            .filter(|flow| flow.node(0, seed, 2) == number)
            .peekable();
        ensure!(
            share.peek().is_some(),
            "no client falls to machine {number}"
        );
        for flow in share {
            let seen = takers(&heard, flow.ip.id)?;
            let wanted = answering[number - 1];
            let source = flow.ip.source;
            ensure!(
                seen == wanted,
                "{source}, of share {number}: {wanted:?} became {seen:?}"
            );
        }
    }
    Ok(())
}

/// A first packet's transport header; ICMP's identifier is `id`.
pub fn transport(protocol: u8, source: Ipv4Addr, ports: [u8; 4], id: u16) -> Vec<u8> {
    let ends = (source, VIP_ADDRESS);
    match protocol {
        packet::TCP => packet::tcp(ends, ports, packet::SYN),
        packet::UDP => packet::udp(ends, ports, b"hello"),
        packet::SCTP => packet::sctp(ports),
        packet::ICMP => packet::icmp(packet::ECHO, id, b"hello"),
        _ => [&ports[..], &[0; 20]].concat(),
    }
}

/// Xorshift: the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}
