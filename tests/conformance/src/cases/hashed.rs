// SPDX-License-Identifier: GPL-2.0-only

//! §3.2: which bytes of a packet are hashed, for each protocol, and what is said of those that have
//! no ports.
//!
//! Three VIPs, one for each hash mode, each with all of 16 nodes: the connection mark is the node.

use super::bench::fate;
use super::bench::rule_of;
use super::bench::seen;
use super::bench::to_vip;
use super::bench::Bench;
use super::bench::PORTS;
use super::bench::SOURCE;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::MODES;
use harness::flow::transport;
use harness::packet;
use harness::packet::Ip;
use std::net::Ipv4Addr;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.2" => hashed_tcp, hashed_udp, hashed_udplite, hashed_dccp, hashed_sctp, hashed_esp, hashed_ah,
            hashed_icmp_echo, hashed_icmp_timestamp, hashed_gre, hashed_ipip, hashed_igmp, hashed_unassigned,
            hashed_other_ports, hashed_ip_options, hashed_ip_options_of_portless,
            hashed_line_for_each_packet
    ]
}

/// The VIPs, in the order of the modes.
pub const VIPS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(10, 9, 0, 110),
    Ipv4Addr::new(10, 9, 0, 111),
    Ipv4Addr::new(10, 9, 0, 112),
];

pub fn three(case: &mut Case) -> Result<Bench> {
    let bench = Bench::new(case)?;
    let mut rules = String::from("*filter\n");
    for (vip, mode) in VIPS.iter().zip(MODES) {
        bench.host.ip(&format!("addr add {vip}/24 dev eth0\n"))?;
        rules += &format!("-A INPUT {}", rule_of(&vip.to_string(), mode, 16, 1));
    }
    bench
        .host
        .restore(&format!("{rules}{}COMMIT\n", seen("INPUT")))?;
    for vip in VIPS {
        bench.take_all(&vip.to_string(), 16)?;
    }
    case.ctx.log()?;
    Ok(bench)
}

/// Says what became of one packet in each of the modes; `build` is given the VIP and makes frames.
pub fn show(
    case: &mut Case,
    bench: &Bench,
    name: &str,
    build: impl Fn(Ip) -> Vec<Vec<u8>>,
) -> Result<()> {
    let mut ids = Vec::new();
    let mut frames = Vec::new();
    for vip in VIPS {
        let id = bench.next_id();
        let mut ip = Ip::new(packet::UDP, SOURCE, vip, Vec::new());
        ip.id = id;
        ids.push(id);
        frames.extend(build(ip).iter().map(|packet| to_vip(packet)));
    }
    let fates = bench.fates(&frames)?;
    for (id, mode) in ids.into_iter().zip(MODES) {
        let key = if name.is_empty() {
            mode.to_string()
        } else {
            format!("{name}, {mode}")
        };
        case.saw(&key, fate(&fates, id));
    }
    Ok(())
}

/// A packet of one protocol with a payload.
pub fn plain(protocol: u8, payload: &[u8]) -> impl Fn(Ip) -> Vec<Vec<u8>> + '_ {
    move |ip| {
        let payload = payload.to_vec();
        vec![Ip {
            protocol,
            payload,
            ..ip
        }
        .bytes()]
    }
}

/// A first packet with ports; checksums are for its VIP.
pub fn with_ports(protocol: u8, ports: [u8; 4]) -> impl Fn(Ip) -> Vec<Vec<u8>> {
    move |ip| vec![filled(protocol, ports, ip).bytes()]
}

pub fn filled(protocol: u8, ports: [u8; 4], ip: Ip) -> Ip {
    let ends = (ip.source, ip.destination);
    let payload = match protocol {
        packet::TCP => packet::tcp(ends, ports, packet::SYN),
        packet::UDP => packet::udp(ends, ports, b"hello"),
        UDPLITE => udplite(ends, ports, UDPLITE),
        DCCP => dccp(ends, ports),
        _ => transport(protocol, ip.source, ports, ip.id),
    };
    Ip {
        protocol,
        payload,
        ..ip
    }
}

/// One packet of a protocol, and the log.
pub fn one(case: &mut Case, build: impl Fn(Ip) -> Vec<Vec<u8>>) -> Result<()> {
    let bench = three(case)?;
    show(case, &bench, "", build)?;
    case.log("log")
}

/// A coverage of 0 is the whole packet; the header is UDP's else. The checksum's pseudo header names
/// `pseudo`.
fn udplite(ends: (Ipv4Addr, Ipv4Addr), ports: [u8; 4], pseudo: u8) -> Vec<u8> {
    let bytes = [&ports[..], &[0, 0, 0, 0], b"hello"].concat();
    packet::with_checksum(ends, pseudo, bytes, 6)
}

/// A DCCP-Request: long sequence numbers, 20 bytes of header.
fn dccp(ends: (Ipv4Addr, Ipv4Addr), ports: [u8; 4]) -> Vec<u8> {
    let request = [5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
    packet::with_checksum(ends, DCCP, [ports.to_vec(), request.to_vec()].concat(), 6)
}

pub const SPI: [u8; 12] = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1, 0, 0, 0, 0];
pub const AH: [u8; 16] = [
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
pub const GRE: u8 = 47;
pub const UDPLITE: u8 = 136;
pub const DCCP: u8 = 33;
const IPIP: u8 = 4;
const IGMP: u8 = 2;
/// A membership report; conntrack knows nothing of it.
const REPORT: [u8; 8] = [0x16, 0, 0x09, 0xfa, 224, 0, 0, 5];

fn hashed_tcp(case: &mut Case) -> Result<()> {
    one(case, with_ports(packet::TCP, PORTS))
}

fn hashed_udp(case: &mut Case) -> Result<()> {
    one(case, with_ports(packet::UDP, PORTS))
}

/// With its own checksum, and with one as if it were UDP, which is what older conntracks want.
fn hashed_udplite(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for (name, number) in [("own checksum", UDPLITE), ("UDP's checksum", packet::UDP)] {
        // A port of its own: a flow of its own.
        let ports = [0x9c, number, 0x1f, 0x90];
        show(case, &bench, name, |ip| {
            let payload = udplite((ip.source, ip.destination), ports, number);
            let protocol = UDPLITE;
            vec![Ip {
                protocol,
                payload,
                ..ip
            }
            .bytes()]
        })?;
    }
    case.log("log")
}

fn hashed_dccp(case: &mut Case) -> Result<()> {
    one(case, with_ports(DCCP, PORTS))
}

fn hashed_sctp(case: &mut Case) -> Result<()> {
    one(case, with_ports(packet::SCTP, PORTS))
}

fn hashed_esp(case: &mut Case) -> Result<()> {
    one(case, plain(packet::ESP, &SPI))
}

fn hashed_ah(case: &mut Case) -> Result<()> {
    one(case, plain(packet::AH, &AH))
}

fn hashed_icmp_echo(case: &mut Case) -> Result<()> {
    one(
        case,
        plain(packet::ICMP, &packet::icmp(packet::ECHO, 77, &[0; 12])),
    )
}

fn hashed_icmp_timestamp(case: &mut Case) -> Result<()> {
    one(
        case,
        plain(packet::ICMP, &packet::icmp(packet::TIMESTAMP, 77, &[0; 12])),
    )
}

fn hashed_gre(case: &mut Case) -> Result<()> {
    one(case, plain(GRE, &[0, 0, 8, 0, 1, 2, 3, 4]))
}

fn hashed_ipip(case: &mut Case) -> Result<()> {
    one(case, |ip| {
        let inner = filled(packet::UDP, PORTS, ip.clone()).bytes();
        let packet = Ip {
            protocol: IPIP,
            payload: inner,
            ..ip
        };
        vec![packet.bytes()]
    })
}

fn hashed_igmp(case: &mut Case) -> Result<()> {
    one(case, plain(IGMP, &REPORT))
}

fn hashed_unassigned(case: &mut Case) -> Result<()> {
    one(case, plain(253, &SPI))
}

/// Each byte of the ports counts, in the order of the wire.
fn hashed_other_ports(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for ports in [
        [0x40, 0x9c, 0x1f, 0x90],
        [0x9c, 0x40, 0x90, 0x1f],
        [0x9c, 0x41, 0x1f, 0x90],
        [0x9c, 0x40, 0x1f, 0x91],
    ] {
        let name = format!("{ports:02x?}");
        show(case, &bench, &name, with_ports(packet::UDP, ports))?;
    }
    Ok(())
}

fn hashed_ip_options(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for length in [4, 20, 40] {
        for (name, protocol) in [("UDP", packet::UDP), ("TCP", packet::TCP)] {
            show(case, &bench, &format!("{name}, {length} bytes"), |ip| {
                // A port of its own: a flow of its own.
                let ports = [0x9c, length as u8, 0x1f, 0x90];
                let options = vec![1; length];
                vec![Ip {
                    options,
                    ..filled(protocol, ports, ip)
                }
                .bytes()]
            })?;
        }
    }
    case.log("log")
}

fn hashed_ip_options_of_portless(case: &mut Case) -> Result<()> {
    one(case, |ip| {
        let options = vec![1; 8];
        let payload = packet::icmp(packet::ECHO, 77, &[0; 12]);
        vec![Ip {
            options,
            payload,
            protocol: packet::ICMP,
            ..ip
        }
        .bytes()]
    })
}

/// Of one flow, whether responsible or not.
fn hashed_line_for_each_packet(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    bench.host.tell(&VIPS[0].to_string(), "-1")?;
    for round in ["first", "second", "third"] {
        show(
            case,
            &bench,
            round,
            plain(packet::ICMP, &packet::icmp(packet::ECHO, 77, &[0; 12])),
        )?;
    }
    case.log("log")
}
