// SPDX-License-Identifier: GPL-2.0-only

//! How many steps of each kind were done, and how they ended.

use super::machine::Seen;
use super::step::Step;
use std::collections::BTreeMap;

/// So many steps of a kind say that it never ends well, or never badly.
const ENOUGH: u32 = 30;

#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, Count>);

#[derive(Default)]
struct Count {
    ok: u32,
    failed: u32,
    bad: bool,
}

impl Tally {
    pub fn count(&mut self, step: &Step, seen: &Seen) {
        let count = self.0.entry(step.kind).or_default();
        count.bad |= step.bad;
        if seen.ok {
            count.ok += 1;
        } else {
            count.failed += 1;
        }
    }

    /// Prints it; whether good input was taken, and bad input refused, at least once of each kind
    /// that there were enough of.
    pub fn close(&self) -> bool {
        let mut fine = true;
        println!("{:>7} {:>7} steps", "ok", "failed");
        for (kind, count) in &self.0 {
            let tried = count.ok + count.failed >= ENOUGH;
            let remark = match (count.bad, count.ok, count.failed) {
                (true, _, 0) if tried => "  NEVER FAILED",
                (false, 0, _) if tried => "  NEVER WENT WELL",
                _ => "",
            };
            fine &= remark.is_empty();
            println!("{:7} {:7} {kind}{remark}", count.ok, count.failed);
        }
        fine
    }
}
