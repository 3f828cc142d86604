// SPDX-License-Identifier: GPL-2.0-only

//! Who changes devices. One change is one step, so that a pause finds them in any state.

use super::stage::peer;
use super::stage::Host;
use super::stage::Stage;
use super::stage::MOVING;
use super::tally::Tally;
use super::tally::What;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::links::Links;
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Change {
    Away,
    Back,
    Down,
    Up,
    Delete,
    Create,
    /// Another device takes the name.
    Stranger,
    StrangerGone,
}
use Change::*;

/// What may follow a device that is as it should be, and leaves it so.
const STORIES: [&[Change]; 5] = [
    &[Away, Back],
    &[Down, Up],
    &[Delete, Create],
    &[Away, Stranger, StrangerGone, Back],
    &[Down, Away, Back, Up],
];
const DEVICE: &str = "eth0";
const ELSEWHERE: &str = "away";

/// Changes a namespace's `eth0`.
pub struct Churner<'a> {
    host: &'a Host,
    stage: &'a Stage,
    links: Links,
    wire: Links,
    plan: VecDeque<Change>,
    random: Rng,
}

impl<'a> Churner<'a> {
    pub fn new(stage: &'a Stage, host: &'a Host, random: Rng) -> Result<Self> {
        Ok(Self {
            host,
            stage,
            links: host.ns.enter(Links::new)??,
            wire: stage.wire.enter(Links::new)??,
            plan: VecDeque::new(),
            random,
        })
    }

    pub fn step(&mut self, tally: &Tally) -> Result<()> {
        if self.plan.is_empty() {
            let story = STORIES[self.random.usize(..STORIES.len())];
            self.plan.extend(story);
        }
        if let Some(change) = self.plan.pop_front() {
            self.change(change)
                .with_context(|| format!("{change:?} in {}", self.host.ns.name()))?;
            tally.one(What::Devices);
        }
        // Longer while it is there: rules need it.
        let pause = if self.plan.is_empty() { 60 } else { 10 };
        thread::sleep(Duration::from_millis(self.random.u64(..pause)));
        Ok(())
    }

    fn change(&self, change: Change) -> Result<()> {
        let links = &self.links;
        match change {
            Away => links.rename(DEVICE, ELSEWHERE)?,
            Back => links.rename(ELSEWHERE, DEVICE)?,
            Down => links.set_up(DEVICE, false)?,
            Up => links.set_up(DEVICE, true)?,
            Delete | StrangerGone => links.delete(DEVICE)?,
            Create => {
                self.host
                    .cable(links, &self.wire, &self.stage.wire_file, DEVICE)?;
            }
            Stranger => links.dummy(DEVICE)?,
        }
        Ok(())
    }
}

/// Moves a device between the two namespaces.
pub struct Mover<'a> {
    stage: &'a Stage,
    links: [Links; 2],
    /// Where the device is.
    at: usize,
    random: Rng,
}

impl<'a> Mover<'a> {
    pub fn new(stage: &'a Stage, random: Rng) -> Result<Self> {
        let [first, second] = &stage.hosts;
        Ok(Self {
            stage,
            links: [first.ns.enter(Links::new)??, second.ns.enter(Links::new)??],
            at: 0,
            random,
        })
    }

    pub fn step(&mut self, tally: &Tally) -> Result<()> {
        let to = 1 - self.at;
        let there = self.stage.hosts[to].file.as_raw_fd();
        self.links[self.at]
            .move_to(MOVING, there)
            .with_context(|| format!("moving {MOVING}"))?;
        self.at = to;
        // A device is down after that.
        self.links[to].set_up(MOVING, true)?;
        tally.add(What::Devices, 2);
        thread::sleep(Duration::from_millis(self.random.u64(..40)));
        Ok(())
    }
}

/// Sees to it that a device which has its own name lets packets through; whether it does.
///
/// One of that name may be another's, with nothing at its other end.
pub fn open(stage: &Stage, host: &Host, device: &str) -> Result<bool> {
    if !host.has(device)? {
        return Ok(false);
    }
    let name = peer(host, device);
    let linked = stage
        .wire
        .enter(|| harness::sys::device_number(&name))?
        .is_ok();
    if !linked || (device == DEVICE && host.has(ELSEWHERE)?) {
        return Ok(false);
    }
    let up = |links: Links, name: &str| -> io::Result<()> { links.set_up(name, true) };
    up(host.ns.enter(Links::new)??, device)?;
    Ok(true)
}
