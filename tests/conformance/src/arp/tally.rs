// SPDX-License-Identifier: GPL-2.0-only

//! What the frames were and what came of them, counted: a comparison of nothing with nothing would
//! be equal too.

use super::batch::Batch;
use super::batch::Step;
use super::bench::Seen;
use super::frames::Question;
use super::made::Made;
use super::made::SENDER_MAC;
use super::plan::NICS;
use harness::packet::Arp;
use std::collections::BTreeMap;

const ETHERNET: usize = 14;

/// What became of the sender's MAC.
#[derive(Clone, Copy)]
enum Fate {
    Rewritten,
    Kept,
    /// Nothing came out.
    Absent,
}

#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<String, [u64; 3]>,
    /// Answers to no question.
    unasked: u64,
}

/// What there must be some of.
const WANTED: [(&str, Fate); 19] = [
    ("received Request", Fate::Rewritten),
    ("received Request", Fate::Kept),
    ("received Request", Fate::Absent),
    ("received Probe", Fate::Rewritten),
    ("received Probe", Fate::Kept),
    ("received Announcement", Fate::Absent),
    ("received Reply", Fate::Absent),
    ("received GratuitousReply", Fate::Absent),
    ("received Odd", Fate::Rewritten),
    ("received Odd", Fate::Absent),
    ("received Short", Fate::Absent),
    ("made whole", Fate::Rewritten),
    ("made whole", Fate::Kept),
    ("made odd", Fate::Kept),
    ("made long", Fate::Rewritten),
    ("made short", Fate::Kept),
    ("made paged", Fate::Rewritten),
    ("sent", Fate::Rewritten),
    ("sent", Fate::Kept),
];

impl Tally {
    pub fn add(&mut self, batch: &Batch, seen: &Seen) {
        for device in [0, 1] {
            let questions = batch.steps.iter().filter_map(|step| match step {
                Step::Received(question) if question.device == device => Some(question),
                _ => None,
            });
            self.add_answers(&questions.collect::<Vec<_>>(), &seen.received[device]);
            for frame in &seen.sent[device] {
                self.count("sent", fate_of_own(frame, device));
            }
        }
        let made = batch.steps.iter().filter_map(|step| match step {
            Step::Made(made) => Some(made),
            _ => None,
        });
        for (made, frame) in made.zip(&seen.made) {
            let fate = frame.as_ref().map_or(Fate::Absent, |out| fate(made, out));
            self.count(&format!("made {}", made.kind), fate);
        }
    }

    /// Answers come in the order of their questions.
    fn add_answers(&mut self, questions: &[&Question], answers: &[Vec<u8>]) {
        let mut fates = vec![Fate::Absent; questions.len()];
        let mut next = 0;
        for frame in answers {
            let arp = frame.get(ETHERNET..).and_then(Arp::parse);
            let asked = arp.and_then(|arp| {
                questions[next..]
                    .iter()
                    .position(|question| question.is_answered_by(&arp))
            });
            match asked.and_then(|at| questions.get(next + at).map(|question| (at, question))) {
                Some((at, question)) => {
                    fates[next + at] = fate_of_own(frame, question.device);
                    next += at + 1;
                }
                None => self.unasked += 1,
            }
        }
        for (question, fate) in questions.iter().zip(fates) {
            self.count(&format!("received {:?}", question.kind), fate);
        }
    }

    fn count(&mut self, class: &str, fate: Fate) {
        self.counts.entry(class.to_string()).or_default()[fate as usize] += 1;
    }

    /// Prints it; whether there is some of all that must be.
    pub fn is_complete(&self) -> bool {
        println!("{:28} rewritten      kept    absent", "");
        for (class, [rewritten, kept, absent]) in &self.counts {
            println!("{class:28} {rewritten:9} {kept:9} {absent:9}");
        }
        println!("{:28} {:9}", "answers to no question", self.unasked);
        let mut complete = self.unasked == 0;
        for (class, fate) in WANTED {
            if self
                .counts
                .get(class)
                .is_none_or(|of| of[fate as usize] == 0)
            {
                let name = ["rewritten", "kept", "absent"][fate as usize];
                println!("there should be some of: {class}, {name}");
                complete = false;
            }
        }
        complete
    }

    /// How many frames went in.
    pub fn frames(&self) -> u64 {
        self.counts
            .iter()
            .filter(|(class, _)| *class != "sent")
            .flat_map(|(_, counts)| counts)
            .sum()
    }
}

/// Of a frame that the node built: it has the device's own MAC unless it was rewritten.
fn fate_of_own(frame: &[u8], device: usize) -> Fate {
    match frame.get(ETHERNET..).and_then(Arp::parse) {
        Some(arp) if arp.sender_mac == NICS[device] => Fate::Kept,
        _ => Fate::Rewritten,
    }
}

fn fate(made: &Made, out: &[u8]) -> Fate {
    let of = |bytes: &[u8]| {
        bytes
            .iter()
            .skip(SENDER_MAC)
            .take(6)
            .copied()
            .collect::<Vec<_>>()
    };
    if of(&out[ETHERNET..]) == of(&made.content) {
        Fate::Kept
    } else {
        Fate::Rewritten
    }
}
