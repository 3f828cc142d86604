// SPDX-License-Identifier: GPL-2.0-only

//! A node with two devices, and somebody at the far end of each cable who asks and listens.

use super::batch::Own;
use super::batch::Step;
use super::frames::Question;
use super::frames::BROADCAST;
use super::frames::REPLY;
use super::frames::REQUEST;
use super::made::Made;
use super::plan::Home;
use super::plan::Plan;
use super::plan::Rename;
use super::plan::DEVICES;
use super::plan::NICS;
use super::plan::ORDINARY;
use crate::host::Host;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::packet;
use harness::packet::Arp;
use harness::packet::Mac;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use harness::Netns;
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

/// Where `tests/arp-xmit` takes what it is to send.
const XMIT: &str = "/sys/kernel/debug/arp_xmit";
/// So many frames are under way at once: fewer than a processor's backlog holds.
const CHUNK: usize = 200;
const ROOM: u32 = 16 << 20;
/// How the MACs begin that fences come from, and nothing else.
const FENCE: [u8; 2] = [2, 0xfe];

/// What came out of the node's two devices.
pub type Heard = [Vec<Vec<u8>>; 2];

/// What came of a batch.
#[derive(Default)]
pub struct Seen {
    /// Answers, in their order.
    pub received: Heard,
    /// Of each frame that was made, in their order, what went out.
    pub made: Vec<Option<Vec<u8>>>,
    /// What the node said of its own accord.
    pub sent: Heard,
}

pub struct Bench {
    // Dropped in this order: the rules of a namespace must be gone before it is.
    taps: [Tap; 2],
    node: Host,
    _wire: Netns,
    fence: Cell<u32>,
}

impl Bench {
    pub fn new(plan: &Plan) -> Result<Self> {
        let wire = Netns::new("wire")?;
        let node = Host::new(Netns::new("node")?);
        let cables = DEVICES.iter().zip(NICS).zip(["w0", "w1"]);
        let lines: Vec<String> = cables
            .map(|((device, mac), end)| {
                format!(
                    "link add {end} type veth peer name {device} address {} netns node\nlink set {end} up\n",
                    text(mac)
                )
            })
            .collect();
        wire.ip(&lines.concat())?;
        let taps = [tap(&wire, "w0")?, tap(&wire, "w1")?];
        set_up(&node, plan)?;
        let bench = Self {
            taps,
            node,
            _wire: wire,
            fence: Cell::new(0),
        };
        bench.ready()?;
        Ok(bench)
    }

    /// Does what a batch says; steps of one kind, one after the other, are done together.
    pub fn run(&self, plan: &Plan, steps: &[Step]) -> Result<Seen> {
        let mut seen = Seen::default();
        for chunk in steps.chunk_by(|a, b| a.is_like(b)) {
            for chunk in chunk.chunks(CHUNK) {
                let mut made = Vec::new();
                for step in chunk {
                    match step {
                        Step::Received(question) => self.ask(question)?,
                        Step::Made(one) => {
                            self.xmit(plan, one)?;
                            made.push(one);
                        }
                        Step::Sent(own) => self.provoke(plan, own)?,
                    }
                }
                let heard = self.heard()?;
                match chunk.first() {
                    Some(Step::Received(_)) => extend(&mut seen.received, heard),
                    Some(Step::Sent(_)) => extend(&mut seen.sent, heard),
                    _ => seen.made.extend(made.iter().map(|one| out_of(&heard, one))),
                }
            }
        }
        Ok(seen)
    }

    fn ask(&self, question: &Question) -> Result<()> {
        self.taps[question.device].send(&question.bytes)
    }

    fn xmit(&self, plan: &Plan, made: &Made) -> Result<()> {
        self.node
            .write(XMIT, made.description(plan))
            .context("a frame for arp_xmit()")
    }

    fn provoke(&self, plan: &Plan, own: &Own) -> Result<()> {
        match own {
            Own::Request { source, target } => {
                let socket = self.node.enter(|| UdpSocket::bind((*source, 0)))??;
                // Without a route there is no question, with either module.
                let _ = socket.send_to(b"hello", (*target, 9));
                Ok(())
            }
            Own::Announce => {
                let lines: Vec<String> = plan
                    .names()
                    .iter()
                    .map(|device| format!("link set {device} down\nlink set {device} up\n"))
                    .collect();
                for device in plan.names() {
                    let path = format!("/proc/sys/net/ipv4/conf/{device}/arp_notify");
                    self.node.write(path, "1")?;
                }
                self.node.ip(&lines.concat())?;
                Ok(())
            }
        }
    }

    /// Waits until both devices answer: a cable that was just plugged in loses frames.
    fn ready(&self) -> Result<()> {
        for device in [0, 1] {
            self.until_fence(device, Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// What came out since the last call: all of it, for a last question that is always answered
    /// goes the same way.
    fn heard(&self) -> Result<Heard> {
        let mut heard = Heard::default();
        for (device, frames) in heard.iter_mut().enumerate() {
            *frames = self.until_fence(device, Duration::from_millis(500))?;
        }
        Ok(heard)
    }

    /// Asks for the node's ordinary address, again when no answer comes in time: a device that has
    /// just come up loses frames. What came before the answer.
    fn until_fence(&self, device: usize, patience: Duration) -> Result<Vec<Vec<u8>>> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let tap = &self.taps[device];
        let mut before = Vec::new();
        loop {
            let mac = self.send_fence(device);
            let end = Instant::now() + patience;
            loop {
                match tap.receive()? {
                    Some(frame) => match fence_of(&frame) {
                        Some(answered) if answered == mac => return Ok(before),
                        // Of one that was given up.
                        Some(_) => {}
                        None => before.push(frame),
                    },
                    None if Instant::now() > end => break,
                    None => std::thread::yield_now(),
                }
            }
            ensure!(
                Instant::now() < deadline,
                "the node's device {device} does not answer"
            );
        }
    }

    /// A question as nobody else asks it; the MAC that its answer goes to.
    fn send_fence(&self, device: usize) -> Mac {
        let number = self.fence.get() + 1;
        self.fence.set(number);
        let [first, second] = FENCE;
        let [a, b, c, d] = number.to_be_bytes();
        let sender_mac = [first, second, a, b, c, d];
        let question = Arp {
            operation: REQUEST,
            sender_mac,
            sender: Ipv4Addr::new(10, 9, device as u8, 250),
            target_mac: [0; 6],
            target: ORDINARY[device],
        };
        let frame = packet::frame(BROADCAST, sender_mac, ETH_ARP, &question.bytes());
        // A device that has just come up may refuse it.
        let _ = self.taps[device].send(&frame);
        sender_mac
    }
}

/// Whose answer a frame is, if it is a fence's.
fn fence_of(frame: &[u8]) -> Option<Mac> {
    let to: Mac = *frame.first_chunk()?;
    let arp = frame.get(14..).and_then(Arp::parse)?;
    (to.starts_with(&FENCE) && to == arp.target_mac && arp.operation == REPLY).then_some(to)
}

fn out_of(heard: &Heard, made: &Made) -> Option<Vec<u8>> {
    heard[made.device]
        .iter()
        .find(|frame| frame.starts_with(&made.destination))
        .cloned()
}

fn extend(all: &mut Heard, more: Heard) {
    for (all, more) in all.iter_mut().zip(more) {
        all.extend(more);
    }
}

fn tap(wire: &Netns, end: &str) -> Result<Tap> {
    let tap = Tap::new(wire, end, ETH_ARP)?;
    tap.room(ROOM)?;
    Ok(tap)
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Addresses, sysctls, rules, sets of nodes, names; in this order.
fn set_up(node: &Netns, plan: &Plan) -> Result<()> {
    let mut lines = "link set lo up\n".to_string();
    for (device, address) in DEVICES.iter().zip(ORDINARY) {
        lines += &format!("link set {device} up\naddr add {address}/24 dev {device}\n");
    }
    for vip in &plan.vips {
        let address = vip.address;
        for device in match vip.home {
            Home::Device(device) => vec![DEVICES[device]],
            Home::Both => DEVICES.to_vec(),
            Home::Loopback => vec!["lo"],
            Home::Nowhere | Home::Proxied(_) => Vec::new(),
        } {
            lines += &format!("addr add {address}/32 dev {device}\n");
        }
        if let Home::Proxied(device) = vip.home {
            lines += &format!("neigh add proxy {address} dev {}\n", DEVICES[device]);
        }
    }
    node.ip(&lines)?;
    node.enter(|| {
        plan.sysctls.iter().try_for_each(|(name, value)| {
            fs::write(format!("/proc/sys/net/ipv4/{name}"), value.to_string())
        })
    })?
    .context("sysctls")?;
    let rules: Vec<blob::Rule> = plan
        .vips
        .iter()
        .map(|vip| blob::Rule::new(vip.address, DEVICES[vip.device], &vip.payload))
        .collect();
    node.enter(|| {
        let socket = blob::socket()?;
        blob::replace(&socket, "filter", &rules)
    })?
    .context("rules")?;
    for vip in plan.vips.iter().filter(|vip| vip.empty) {
        let mut file = node.open(&vip.address.to_string(), fs::File::options().write(true))?;
        let local = vip.payload.local[0];
        file.write_all(format!("-{local}").as_bytes())
            .with_context(|| format!("taking node {local} away"))?;
    }
    rename(node, plan.rename)
}

fn rename(node: &Netns, rename: Rename) -> Result<()> {
    let lines = match rename {
        Rename::Never => return Ok(()),
        Rename::Away => "link set eth0 name gone0\n",
        Rename::AwayAndBack => "link set eth0 name gone0\nlink set gone0 name eth0\n",
        Rename::Swapped => {
            "link set eth0 name other\nlink set eth1 name eth0\nlink set other name eth1\n"
        }
    };
    node.ip(lines)?;
    Ok(())
}
