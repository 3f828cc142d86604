// SPDX-License-Identifier: GPL-2.0-only

//! What of the packets that were sent came through a namespace's INPUT chain.

use super::stage::Host;
use super::vips::Vip;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::cluster::FENCE;
use harness::pace;
use harness::packet;
use harness::packet::Ip;
use harness::sys;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

const CLIENT_MAC: packet::Mac = harness::cluster::CLIENT_MAC;
/// Under everything at once, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first packet of a client's flow.
pub struct Question {
    pub source: Ipv4Addr,
    pub ports: [u8; 4],
    pub vip: &'static Vip,
}

impl Question {
    /// Of a client whose address starts with `net`.
    pub fn new(net: u8, vip: &'static Vip, random: &mut Rng) -> Self {
        let [b, c, d] = [random.u8(..), random.u8(..), random.u8(1..255)];
        let mut ports = random.u32(..).to_be_bytes();
        // No port is 0.
        ports[0] |= 1;
        ports[2] |= 1;
        Self {
            source: Ipv4Addr::new(net, b, c, d),
            ports,
            vip,
        }
    }

    pub fn node(&self) -> u32 {
        self.vip.node(self.source, self.ports)
    }

    pub fn frame(&self) -> Vec<u8> {
        let ends = (self.source, self.vip.address);
        let content = packet::udp(ends, self.ports, b"hello");
        let ip = Ip::new(packet::UDP, self.source, self.vip.address, content);
        packet::frame(self.vip.mac, CLIENT_MAC, ETH_IP, &ip.bytes())
    }
}

/// Source and source port of a packet that was heard, by which it is known, and its VIP.
type Known = (Ipv4Addr, [u8; 2], Ipv4Addr);

pub struct Ear {
    udp: OwnedFd,
    fences: OwnedFd,
    address: Ipv4Addr,
    fence: u16,
}

impl Ear {
    pub fn new(host: &Host, random: &mut Rng) -> Result<Self> {
        let (udp, fences) = host.ns.enter(|| -> Result<_> {
            let [udp, fences] = [packet::UDP, FENCE].map(|protocol| -> std::io::Result<_> {
                let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, protocol.into())?;
                let room = (8_i32 << 20).to_ne_bytes();
                sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room)?;
                sys::want_marks(&socket)?;
                Ok(socket)
            });
            Ok((udp?, fences?))
        })??;
        Ok(Self {
            udp,
            fences,
            address: host.address,
            fence: random.u16(..),
        })
    }

    /// Sends frames, and a last packet that always comes through and goes the same way; what came
    /// through, and the marks.
    pub fn ask(&mut self, tap: &Tap, questions: &[Question]) -> Result<Heard> {
        sys::stay_on_processor(Some(0))?;
        let sent = questions
            .iter()
            .try_for_each(|question| tap.send(&question.frame()))
            .and_then(|()| self.send_fence(tap));
        sys::stay_on_processor(None)?;
        sent?;
        let deadline = Instant::now() + pace::patience(PATIENCE);
        let mut buffer = [0; 2048];
        while !self.fenced(&mut buffer)? {
            ensure!(
                Instant::now() < deadline,
                "a packet to {} did not come through",
                self.address
            );
            std::thread::yield_now();
        }
        let mut heard = Heard(HashMap::new());
        while let Some((length, mark)) = sys::receive_marked(&self.udp, &mut buffer)? {
            let known = parse(&buffer[..length]).context("a strange packet")?;
            heard.0.entry(known).or_default().push(mark);
        }
        Ok(heard)
    }

    /// Waits until a packet comes through: a device that was set up a moment ago still drops what it is
    /// to send, until the kernel has seen to its other end.
    pub fn wait_for_way(&mut self, tap: &Tap) -> Result<()> {
        let deadline = Instant::now() + pace::patience(PATIENCE);
        let mut buffer = [0; 64];
        loop {
            self.send_fence(tap)?;
            for _ in 0..10 {
                if self.fenced(&mut buffer)? {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            ensure!(
                Instant::now() < deadline,
                "nothing comes through to {}",
                self.address
            );
        }
    }

    fn send_fence(&mut self, tap: &Tap) -> Result<()> {
        self.fence = self.fence.wrapping_add(1);
        let mut ip = Ip::new(
            FENCE,
            Ipv4Addr::new(198, 18, 0, 1),
            self.address,
            vec![0; 8],
        );
        ip.id = self.fence;
        tap.send(&packet::frame([0xff; 6], CLIENT_MAC, ETH_IP, &ip.bytes()))
    }

    fn fenced(&self, buffer: &mut [u8]) -> Result<bool> {
        while let Some(length) = sys::receive(&self.fences, buffer)? {
            if buffer[..length].get(4..6) == Some(&self.fence.to_be_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let quad = |at: usize| -> Option<Ipv4Addr> {
        Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into())
    };
    // Ours have no options.
    Some((quad(12)?, bytes.get(20..22)?.try_into().ok()?, quad(16)?))
}

/// The marks of each packet that came through; one each, unless a packet came twice.
pub struct Heard(HashMap<Known, Vec<u32>>);

impl Heard {
    /// Checks what became of a packet: whether it came through, and with which mark if that is known.
    pub fn expect(&self, question: &Question, wanted: bool, mark: Option<u32>) -> Result<()> {
        let ports = [question.ports[0], question.ports[1]];
        let known = (question.source, ports, question.vip.address);
        let marks = self.0.get(&known).map_or(&[][..], Vec::as_slice);
        let what = || {
            format!(
                "a packet from {} for {}, of node {}",
                question.source,
                question.vip.name,
                question.node()
            )
        };
        ensure!(
            marks.len() == usize::from(wanted),
            "{} should be heard {} times, not {}",
            what(),
            usize::from(wanted),
            marks.len()
        );
        if let (Some(mark), Some(seen)) = (mark, marks.first()) {
            ensure!(
                *seen == mark,
                "{} should have mark {mark}, not {seen}",
                what()
            );
        }
        Ok(())
    }
}
