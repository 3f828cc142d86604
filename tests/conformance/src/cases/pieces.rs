// SPDX-License-Identifier: GPL-2.0-only

//! §3.2: what is hashed of packets that are not whole: short transport headers, fragments, headers
//! outside the linear data.

use super::bench::fate;
use super::bench::to_vip;
use super::bench::PORTS;
use super::bench::SOURCE;
use super::hashed::filled;
use super::hashed::one;
use super::hashed::show;
use super::hashed::three;
use super::hashed::AH;
use super::hashed::DCCP;
use super::hashed::GRE;
use super::hashed::SPI;
use super::hashed::UDPLITE;
use super::hashed::VIPS;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::cluster::MODES;
use harness::packet;
use harness::packet::Ip;
use harness::tap::Tap;

pub fn cases() -> Vec<Entry> {
    cases![
        "3.2" => short_esp, short_ah, short_tcp, short_udp, short_udplite, short_dccp, short_sctp,
            short_icmp, short_gre, fragments, fragments_out_of_order, fragments_of_esp,
            fragments_of_icmp, fragment_missing, outside_linear_data
    ]
}

/// A transport header that ends after so many bytes.
fn short(case: &mut Case, lengths: &[usize], build: impl Fn(&Ip) -> (u8, Vec<u8>)) -> Result<()> {
    let bench = three(case)?;
    for &length in lengths {
        show(case, &bench, &format!("{length} bytes"), |ip| {
            let (protocol, mut payload) = build(&ip);
            payload.truncate(length);
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

fn cut(protocol: u8) -> impl Fn(&Ip) -> (u8, Vec<u8>) {
    move |ip| (protocol, filled(protocol, PORTS, ip.clone()).payload)
}

fn short_esp(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 5], |_| (packet::ESP, SPI.to_vec()))
}

fn short_ah(case: &mut Case) -> Result<()> {
    short(case, &[0, 4, 7, 8, 9], |_| (packet::AH, AH.to_vec()))
}

fn short_tcp(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 19], cut(packet::TCP))
}

fn short_udp(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 7], cut(packet::UDP))
}

fn short_udplite(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 7], cut(UDPLITE))
}

fn short_dccp(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 11], cut(DCCP))
}

fn short_sctp(case: &mut Case) -> Result<()> {
    short(case, &[0, 3, 4, 11], cut(packet::SCTP))
}

fn short_icmp(case: &mut Case) -> Result<()> {
    let echo = |_: &Ip| (packet::ICMP, packet::icmp(packet::ECHO, 77, &[0; 12]));
    short(case, &[0, 4, 7], echo)
}

fn short_gre(case: &mut Case) -> Result<()> {
    short(case, &[0, 3], |_| (GRE, vec![0, 0, 8, 0]))
}

fn fragments(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for (name, protocol) in [
        ("UDP", packet::UDP),
        ("TCP", packet::TCP),
        ("SCTP", packet::SCTP),
    ] {
        show(case, &bench, name, |ip| {
            filled(protocol, PORTS, ip).fragments(8)
        })?;
    }
    case.log("log")
}

fn fragments_out_of_order(case: &mut Case) -> Result<()> {
    one(case, |ip| {
        let mut pieces = filled(packet::TCP, PORTS, ip).fragments(8);
        pieces.reverse();
        pieces
    })
}

fn fragments_of_esp(case: &mut Case) -> Result<()> {
    one(case, |ip| {
        Ip {
            protocol: packet::ESP,
            payload: SPI.to_vec(),
            ..ip
        }
        .fragments(8)
    })
}

fn fragments_of_icmp(case: &mut Case) -> Result<()> {
    one(case, |ip| {
        let payload = packet::icmp(packet::ECHO, 77, &[0; 12]);
        Ip {
            protocol: packet::ICMP,
            payload,
            ..ip
        }
        .fragments(8)
    })
}

/// The rest of a datagram is nothing yet.
fn fragment_missing(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for (name, missing) in [("the first", 0), ("the last", 1)] {
        show(case, &bench, name, |ip| {
            let mut pieces = filled(packet::UDP, PORTS, ip).fragments(8);
            pieces.remove(missing);
            pieces
        })?;
    }
    Ok(())
}

/// Only the Ethernet header is linear.
fn outside_linear_data(case: &mut Case) -> Result<()> {
    let bench = three(case)?;
    for name in ["ip_early_demux", "udp_early_demux", "tcp_early_demux"] {
        bench
            .host
            .write(format!("/proc/sys/net/ipv4/{name}"), "0")?;
    }
    for protocol in [packet::TCP, packet::UDP, packet::SCTP, packet::ESP] {
        let mut ids = Vec::new();
        let mut frames = Vec::new();
        for vip in VIPS {
            let id = bench.next_id();
            let mut ip = Ip::new(protocol, SOURCE, vip, Vec::new());
            ip.id = id;
            ids.push(id);
            frames.push(to_vip(&filled(protocol, PORTS, ip).bytes()));
        }
        let ring = Tap::new(&bench.wire, "w0", 0)?.into_ring()?;
        let fates = bench.during(|| Ok(ring.send(&frames)?))?;
        for (id, mode) in ids.into_iter().zip(MODES) {
            case.saw(&format!("protocol {protocol}, {mode}"), fate(&fates, id));
        }
    }
    Ok(())
}
