// SPDX-License-Identifier: GPL-2.0-only

//! `outside DIRECTORY VIP MAC TOTAL`: the far end of a guest's wire, which is a pair of sockets
//! (`DIRECTORY/outside` is ours, `DIRECTORY/guest` is QEMU's; a datagram is a frame). Once a second
//! it asks by ARP who has the VIP, and has 48 clients ping it at the cluster's MAC. A line for each
//! change: seconds, the MAC that ARP says, the numbers that are answered for.
//!
//! A number counts when all of its clients are answered; `2?` is one of which some were.

use anyhow::Context;
use anyhow::Result;
use harness::packet;
use harness::packet::Arp;
use harness::packet::Ip;
use harness::packet::Mac;
use harness::tap::ETH_ARP;
use harness::tap::ETH_IP;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const OURS: Mac = [2, 0, 0, 0, 0xaa, 1];
const EVERYONE: Mac = [0xff; 6];
const HEAD: usize = 14;
const CLIENTS: u8 = 48;
/// Of the VIP's network, the last octet of the first client.
const FIRST: u8 = 100;
/// A guest that QEMU translates is slow: an answer may take so many rounds.
const PATIENCE: u16 = 8;

struct Wire {
    socket: UnixDatagram,
    vip: Ipv4Addr,
    mac: Mac,
    /// The MAC that each round's ARP answer gave.
    owners: BTreeMap<u16, Mac>,
    /// The clients that were answered in each round.
    answered: BTreeMap<u16, BTreeSet<u8>>,
    round: u16,
}

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let mut next = || {
        args.next()
            .context("usage: outside DIRECTORY VIP MAC TOTAL")
    };
    let directory = next()?;
    let directory = Path::new(&directory);
    let vip: Ipv4Addr = next()?.parse()?;
    let mac = mac_of(&next()?)?;
    let total: u32 = next()?.parse()?;
    let socket = UnixDatagram::bind(directory.join("outside"))?;
    socket.set_nonblocking(true)?;
    let mut wire = Wire {
        socket,
        vip,
        mac,
        owners: BTreeMap::new(),
        answered: BTreeMap::new(),
        round: 0,
    };
    let start = Instant::now();
    let mut said = String::new();
    loop {
        // No socket, no guest yet.
        let _ = wire.socket.connect(directory.join("guest"));
        wire.round += 1;
        wire.ask()?;
        if let Some(round) = wire.round.checked_sub(PATIENCE) {
            let line = wire.verdict(round, total);
            if line != said {
                println!("{:5.0} {line}", start.elapsed().as_secs_f32());
                said = line;
            }
        }
    }
}

fn mac_of(text: &str) -> Result<Mac> {
    let bytes: Result<Vec<u8>, _> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect();
    bytes?.try_into().ok().context("a MAC has six bytes")
}

impl Wire {
    fn client(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.vip.octets();
        Ipv4Addr::new(a, b, c, FIRST + number)
    }

    /// What is lost, because nobody is there or the guest is slow, is asked again in a second.
    fn send(&self, to: Mac, kind: u16, content: &[u8]) {
        let _ = self.socket.send(&packet::frame(to, OURS, kind, content));
    }

    /// Frame by frame, over a second: such a socket holds no more than a dozen of them.
    fn ask(&mut self) -> Result<()> {
        let question = Arp {
            operation: 1,
            sender_mac: OURS,
            sender: self.client(CLIENTS),
            target_mac: [0; 6],
            target: self.vip,
        };
        self.send(EVERYONE, ETH_ARP, &question.bytes());
        for number in 0..CLIENTS {
            self.wait()?;
            let echo = packet::icmp(packet::ECHO, self.round, &[number; 8]);
            let ip = Ip::new(packet::ICMP, self.client(number), self.vip, echo);
            self.send(self.mac, ETH_IP, &ip.bytes());
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(1) / u32::from(CLIENTS);
        while Instant::now() < end {
            self.listen()?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<()> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.hear(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Nobody at the other end.
                Err(error) if error.raw_os_error().is_some() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hear(&mut self, frame: &[u8]) {
        match frame.get(12..HEAD) {
            Some(kind) if kind == ETH_ARP.to_be_bytes() => {
                if let Some(arp) = Arp::parse(&frame[HEAD..]) {
                    self.hear_arp(&arp);
                }
            }
            Some(kind) if kind == ETH_IP.to_be_bytes() => self.hear_echo(&frame[HEAD..]),
            _ => {}
        }
    }

    fn hear_arp(&mut self, arp: &Arp) {
        let [a, b, c, last] = arp.target.octets();
        if arp.operation == 2 && arp.sender == self.vip {
            self.owners.insert(self.round, arp.sender_mac);
        } else if arp.operation == 1 && [a, b, c] == self.vip.octets()[..3] && last >= FIRST {
            let answer = Arp {
                operation: 2,
                sender_mac: OURS,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            self.send(arp.sender_mac, ETH_ARP, &answer.bytes());
        }
    }

    fn hear_echo(&mut self, ip: &[u8]) {
        if ip.len() < 36 || ip[9] != packet::ICMP || ip[20] != 0 || ip[12..16] != self.vip.octets()
        {
            return;
        }
        let round = u16::from_be_bytes([ip[24], ip[25]]);
        self.answered.entry(round).or_default().insert(ip[28]);
    }

    fn verdict(&mut self, round: u16, total: u32) -> String {
        let owner = self.owners.remove(&round).map_or("-".to_owned(), |mac| {
            mac.map(|byte| format!("{byte:02x}")).join(":")
        });
        let answered = self.answered.remove(&round).unwrap_or_default();
        let mut numbers = BTreeMap::<u32, Vec<bool>>::new();
        for client in 0..CLIENTS {
            let source = self.client(client).octets();
            let number = jhash::node(0, source, [0; 4], 0, total);
            numbers
                .entry(number)
                .or_default()
                .push(answered.contains(&client));
        }
        let set: Vec<_> = numbers
            .iter()
            .filter(|(_, answers)| answers.contains(&true))
            .map(|(number, answers)| {
                format!(
                    "{number}{}",
                    if answers.contains(&false) { "?" } else { "" }
                )
            })
            .collect();
        format!(
            "{owner} {}",
            if set.is_empty() {
                "-".to_owned()
            } else {
                set.join(",")
            }
        )
    }
}
