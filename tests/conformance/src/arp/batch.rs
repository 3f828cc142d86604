// SPDX-License-Identifier: GPL-2.0-only

//! A batch: one set-up of the node, and what is done to it. Seed and number say all of it.

use super::bench::Heard;
use super::bench::Seen;
use super::frames::Question;
use super::made::without_sender_mac;
use super::made::Made;
use super::made::STREAMS;
use super::made::XMIT;
use super::plan::Home;
use super::plan::Plan;
use super::plan::ORDINARY;
use crate::record;
use fastrand::Rng;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::net::Ipv4Addr;

/// Frames of a batch, received and made.
pub const SIZE: usize = 1000;
const MADE: usize = 220;

pub const RECEIVED: &str = "arp received";
pub const SENT: &str = "arp sent";

/// What makes the node speak of its own accord.
#[derive(Clone)]
pub enum Own {
    /// It has something to send from an address to a neighbour that it does not know.
    Request { source: Ipv4Addr, target: Ipv4Addr },
    /// Its devices come up and are to say so.
    Announce,
}

#[derive(Clone)]
pub enum Step {
    Received(Question),
    Made(Made),
    Sent(Own),
}

impl Step {
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

pub struct Batch {
    pub number: u64,
    pub plan: Plan,
    pub steps: Vec<Step>,
}

impl Batch {
    /// The batch of a number, of so many frames.
    pub fn new(seed: u64, number: u64, frames: usize) -> Self {
        // Neighbouring seeds and numbers must not give the same batches.
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let plan = Plan::new(&mut rng);
        let made = frames * MADE / SIZE;
        let mut steps = Vec::new();
        for _ in made..frames {
            steps.push(Step::Received(Question::new(&mut rng, &plan)));
        }
        for number in 0..made as u32 {
            steps.push(Step::Made(Made::new(&mut rng, &plan, number)));
        }
        // Before the announcements: those come with new routes and an empty table of neighbours.
        steps.extend(requests(&plan).into_iter().map(Step::Sent));
        if plan.notify {
            steps.push(Step::Sent(Own::Announce));
        }
        Self {
            number,
            plan,
            steps,
        }
    }
}

/// From each of the node's addresses to neighbours that nobody else speaks of.
fn requests(plan: &Plan) -> Vec<Own> {
    let vips = plan
        .vips
        .iter()
        .filter(|vip| !matches!(vip.home, Home::Nowhere | Home::Proxied(_)))
        .map(|vip| vip.address);
    let mut all = Vec::new();
    for (source, host) in ORDINARY.into_iter().chain(vips).zip(200..) {
        for net in [0, 1] {
            let target = Ipv4Addr::new(10, 9, net, host);
            all.push(Own::Request { source, target });
        }
    }
    all
}

/// What was seen of a batch, by stream, each in one line.
pub fn lines(batch: &Batch, seen: &Seen) -> Vec<(&'static str, String)> {
    let mut lines = vec![(RECEIVED, both(&seen.received))];
    let made = batch.steps.iter().filter_map(|step| match step {
        Step::Made(made) => Some(made.stream(&batch.plan)),
        _ => None,
    });
    let mut streams: Vec<(&str, Vec<Vec<u8>>)> = STREAMS.map(|name| (name, Vec::new())).into();
    for (of, frame) in made.zip(&seen.made) {
        let frame = frame.as_deref().unwrap_or_default();
        for (name, frames) in &mut streams {
            if *name == of {
                frames.push(frame.to_vec());
            } else if *name == XMIT {
                // Nothing but the sender's MAC may be different.
                frames.push(without_sender_mac(frame));
            }
        }
    }
    lines.extend(streams.iter().map(|(name, frames)| (*name, digest(frames))));
    lines.push((SENT, both(&seen.sent)));
    lines
}

pub fn print(batch: &Batch, seen: &Seen) {
    for (stream, line) in lines(batch, seen) {
        record::print(stream, &batch.number.to_string(), &line);
    }
}

fn both(heard: &Heard) -> String {
    let [first, second] = heard.each_ref().map(|frames| digest(frames));
    format!("eth0 {first}; eth1 {second}")
}

/// How many there are, and a hash of their bytes in their order.
fn digest(frames: &[Vec<u8>]) -> String {
    let mut hasher = DefaultHasher::new();
    for frame in frames {
        hasher.write_usize(frame.len());
        hasher.write(frame);
    }
    format!("{} frames {:016x}", frames.len(), hasher.finish())
}
