// SPDX-License-Identifier: GPL-2.0-only

//! How often each thing was done.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Things that are counted, with their names in the totals.
#[derive(Clone, Copy)]
pub enum What {
    Changes,
    Refused,
    Restores,
    Packets,
    Judged,
    Answers,
    Writes,
    Reads,
    Tables,
    Polls,
    Devices,
    Namespaces,
    Loads,
}

const NAMES: [&str; 13] = [
    "rule-changes",
    "refused-changes",
    "restores",
    "packets",
    "judged-packets",
    "arp-answers",
    "writes",
    "reads",
    "stat-tables",
    "polls",
    "device-events",
    "namespaces",
    "module-loads",
];

#[derive(Default)]
pub struct Tally([AtomicU64; NAMES.len()]);

impl Tally {
    pub fn one(&self, what: What) {
        self.add(what, 1);
    }

    pub fn add(&self, what: What, times: usize) {
        self.0[what as usize].fetch_add(times as u64, Relaxed);
    }

    pub fn get(&self, what: What) -> u64 {
        self.0[what as usize].load(Relaxed)
    }

    /// Each name and its count.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        NAMES
            .into_iter()
            .zip(self.0.iter().map(|count| count.load(Relaxed)))
            .collect()
    }

    /// What was not done at all.
    pub fn idle(&self) -> impl Iterator<Item = &'static str> {
        let all = self.all().into_iter();
        all.filter_map(|(name, count)| (count == 0).then_some(name))
    }
}
