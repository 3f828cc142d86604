// SPDX-License-Identifier: GPL-2.0-only

//! Packets and ARP requests all the while. What becomes of the standing VIP's is known at any moment,
//! whatever else goes on; the others' have to do no harm.

use super::ear::Ear;
use super::ear::Question;
use super::gate::Kind;
use super::stage::peer;
use super::stage::Host;
use super::stage::Stage;
use super::tally::Tally;
use super::tally::What;
use super::vips::Vip;
use super::vips::POOL;
use super::vips::STANDING;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::neighbour::Neighbour;
use harness::tap::Tap;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

const BATCH: usize = 16;
/// What the standing VIP's clients' addresses start with.
const STANDING_NET: u8 = 11;
const OTHER_NET: u8 = 12;

/// Asks the standing VIP.
pub struct Asker<'a> {
    tap: Tap,
    neighbour: Neighbour,
    ear: Ear,
    tally: &'a Tally,
    random: Rng,
}

impl<'a> Asker<'a> {
    pub fn new(stage: &Stage, tally: &'a Tally, mut random: Rng) -> Result<Self> {
        let host = &stage.hosts[0];
        let device = peer(host, POOL[STANDING].device);
        Ok(Self {
            tap: Tap::new(&stage.wire, &device, 0)?,
            neighbour: Neighbour::new(&stage.wire, &device)?,
            ear: Ear::new(host, &mut random)?,
            tally,
            random,
        })
    }

    pub fn step(&mut self, kind: Kind) -> Result<()> {
        let vip = &POOL[STANDING];
        let questions: Vec<_> = (0..BATCH)
            .map(|_| Question::new(STANDING_NET, vip, &mut self.random))
            .collect();
        let heard = self.ear.ask(&self.tap, &questions)?;
        self.tally.add(What::Packets, BATCH);
        // In a round without its rule nobody tells its packets apart.
        for question in &questions {
            let node = question.node();
            let (taken, mark) = match kind {
                Kind::Rules => (node == 1, node),
                Kind::Module => (true, 0),
            };
            heard
                .expect(question, taken, Some(mark))
                .context("the standing VIP")?;
        }
        self.tally.add(What::Judged, BATCH);
        let mac = self.neighbour.asks(vip.address)?;
        ensure!(
            (mac == vip.mac) == (kind == Kind::Rules),
            "in a round of {kind:?} an answer for the standing VIP names {mac:02x?}"
        );
        self.tally.one(What::Answers);
        thread::sleep(Duration::from_millis(self.random.u64(..5)));
        Ok(())
    }
}

/// Sends packets and requests for all VIPs, by whatever device is there.
pub struct Flood<'a> {
    pub stage: &'a Stage,
    pub tally: &'a Tally,
    pub random: Rng,
    /// By the name of the wire's end.
    pub taps: BTreeMap<String, Tap>,
}

impl Flood<'_> {
    pub fn step(&mut self) -> Result<()> {
        let host: &Host = &self.stage.hosts[self.random.usize(..2)];
        let vip = &POOL[self.random.usize(1..POOL.len())];
        let end = peer(host, vip.device);
        if !self.send(&end, vip) {
            // Its device went. The next one may be there, or not yet.
            match Tap::new(&self.stage.wire, &end, 0) {
                Ok(tap) => drop(self.taps.insert(end, tap)),
                Err(_) => drop(self.taps.remove(&end)),
            }
        }
        thread::sleep(Duration::from_millis(self.random.u64(..5)));
        Ok(())
    }

    /// Whether there was somebody to send to.
    fn send(&mut self, end: &str, vip: &'static Vip) -> bool {
        let Some(tap) = self.taps.get(end) else {
            return false;
        };
        for _ in 0..BATCH {
            let question = Question::new(OTHER_NET, vip, &mut self.random);
            if tap.send(&question.frame()).is_err() {
                return false;
            }
            self.tally.one(What::Packets);
        }
        let asked = tap.send(&Neighbour::request(vip.address)).is_ok();
        self.tally.add(What::Packets, usize::from(asked));
        asked
    }
}
