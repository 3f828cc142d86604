// SPDX-License-Identifier: GPL-2.0-only

//! Sends frames, and compares what the steady rules did with each, and what ARP says, with what they
//! have to.

use crate::frame;
use crate::frame::Seen;
use crate::input::Input;
use crate::rules;
use crate::sys::Arg;
use crate::sys::Call;
use crate::table::STEADY;
use crate::table::VIPS;
use crate::world::World;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::MAC_BYTES;
use harness::packet;
use harness::packet::Arp;
use harness::sys;
use harness::sys::TxRing;
use std::io;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// `struct virtio_net_hdr`.
const TAP_HEADER: usize = 10;
const HEAD: usize = 14;
/// A tap keeps shorter frames in one piece.
const PAGED: usize = 4096;

/// Frames through the tap, each judged.
pub fn frames(world: &mut World, input: &mut Input) -> Result<()> {
    let device_mac = [2, 0, 0, 0, 1, input.byte() & 1];
    for _ in 0..=input.below(12) {
        let frame = if input.one_in(10) {
            frame::question(crate::table::vip(input), 200 + input.byte() % 8)
        } else {
            frame::any(input, device_mac)
        };
        let linear = if input.one_in(2) {
            0
        } else {
            HEAD + input.below(64)
        };
        judge(world, frame, linear, input)?;
    }
    Ok(())
}

/// What the steady rule of a table has to do with a frame, if that can be told.
fn wanted(world: &World, table: &str, frame: &[u8]) -> Result<Option<bool>> {
    let steady = world.steady(table).context("a steady table")?;
    Ok(match frame::seen(frame) {
        None => None,
        Some(Seen::Error) => Some(true),
        Some(Seen::Hashed { source, ports }) => {
            let node = jhash::node(steady.mode, source, ports, steady.seed, steady.total.into());
            Some(world.has_node(table, node)?)
        }
    })
}

fn judge(world: &mut World, mut frame: Vec<u8>, linear: usize, input: &mut Input) -> Result<()> {
    let destination = frame.get(HEAD + 16..HEAD + 20).unwrap_or(&[]).to_vec();
    let table = VIPS.iter().position(|vip| vip.octets()[..] == destination);
    let table = table.map(|at| STEADY[at]);
    // Behind the datagram's end: cut off again before anybody looks.
    if input.one_in(8) && linear != 0 {
        frame.resize(PAGED + 100, 0x77);
    }
    let before = match table {
        Some(table) if world.is_tap_in_place() => Some(rules::first_two(world, table)?),
        _ => None,
    };
    if !put_on_tap(world, &frame, linear)? {
        return Ok(());
    }
    if let (Some(before), Some(table)) = (before, table) {
        let after = rules::first_two(world, table)?;
        let reached = after[0].wrapping_sub(before[0]);
        let passed = after[1].wrapping_sub(before[1]) == 1;
        // In `mangle`, conntrack has a say, too: it knows nothing against a plain datagram.
        if reached == 1 && (table == "raw" || is_plain_udp(&frame)) {
            if let Some(wanted) = wanted(world, table, &frame)? {
                world.counts.verdicts += 1;
                ensure!(
                    passed == wanted,
                    "{:?}: passed is {passed} and should not be: {frame:02x?}",
                    world.steady(table)
                );
            }
        }
    }
    listen(world)
}

/// Whether the tap took it.
fn put_on_tap(world: &mut World, frame: &[u8], linear: usize) -> Result<bool> {
    let mut bytes = vec![0; TAP_HEADER];
    let linear = linear.min(frame.len()) as u16;
    bytes[2..4].copy_from_slice(&linear.to_ne_bytes());
    bytes.extend(frame);
    let args = [world.scratch.put(&bytes), Arg::Number(bytes.len() as u64)];
    let fd = world.tap.as_raw_fd();
    match world.scratch.call(Call::Write, fd, &args) {
        Ok(_) => {
            world.counts.packets += 1;
            Ok(true)
        }
        // Down; moved away or deleted.
        Err(error) => rules::expect(
            Err(error),
            &[libc::EIO, libc::EBADFD, libc::EINVAL, libc::ENOMEM],
            "a frame for the tap",
        )
        .map(|()| false),
    }
}

/// A UDP datagram in one piece, whose lengths and sums are right.
fn is_plain_udp(frame: &[u8]) -> bool {
    let ip = &frame[HEAD..];
    let header = usize::from(ip[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let Some(datagram) = ip.get(header..total) else {
        return false;
    };
    let pseudo = [&ip[12..20], &[0, packet::UDP]].concat();
    let length = (datagram.len() as u16).to_be_bytes();
    ip[9] == packet::UDP
        && datagram.len() >= 8
        && datagram[4..6] == length
        && packet::checksum(&[&pseudo, &length, datagram]) == 0
}

/// What the machine says: whoever speaks for a steady VIP has the cluster's MAC, its own address the
/// device's.
fn listen(world: &mut World) -> Result<()> {
    let mut buffer = [0; 2048];
    while let Ok(length) = world.tap.read(&mut buffer) {
        let Some(frame) = buffer.get(TAP_HEADER..length) else {
            break;
        };
        let kind = frame
            .get(12..HEAD)
            .map(|kind| u16::from_be_bytes([kind[0], kind[1]]));
        if kind != Some(frame::ETH_ARP) || !world.is_tap_in_place() {
            continue;
        }
        let Some(arp) = frame.get(HEAD..).and_then(Arp::parse) else {
            continue;
        };
        let wanted = if VIPS.contains(&arp.sender) {
            MAC_BYTES.to_vec()
        } else if arp.sender == Ipv4Addr::new(10, 9, 0, 1) {
            frame[6..12].to_vec()
        } else {
            continue;
        };
        world.counts.answers += 1;
        ensure!(
            arp.sender_mac[..] == wanted,
            "ARP for {} should name {wanted:02x?}: {arp:02x?}",
            arp.sender
        );
    }
    Ok(())
}

/// By a cable, with the frame's pages as they are; and from this machine to itself.
pub fn other_ways(world: &mut World, input: &mut Input) -> Result<()> {
    let result = if input.one_in(2) {
        let packet = frame::ip(input);
        let bytes = packet.bytes();
        sys::send_packet(&world.rules, &bytes, packet.destination).map(|()| 1)
    } else {
        let frames: Vec<_> = (0..=input.below(8))
            .map(|_| frame::any(input, [2; 6]))
            .collect();
        by_cable(&frames, input.one_in(2))
    };
    match result {
        Ok(count) => world.counts.packets += count,
        // No such device, no route, no room: not what is looked at here.
        Err(error) => ensure!(
            error.raw_os_error() != Some(libc::EFAULT),
            "sending gives {error}"
        ),
    }
    Ok(())
}

fn by_cable(frames: &[Vec<u8>], ring: bool) -> io::Result<u64> {
    let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
    sys::bind_packet(&socket, sys::device_number("peer1")?, 0)?;
    if ring {
        let fit: Vec<_> = frames
            .iter()
            .filter(|frame| frame.len() < 1500)
            .cloned()
            .collect();
        TxRing::new(socket)?.send(&fit)?;
        return Ok(fit.len() as u64);
    }
    for frame in frames {
        sys::send(&socket, frame)?;
    }
    Ok(frames.len() as u64)
}
