// SPDX-License-Identifier: GPL-2.0-only

//! How much a run does, and how long it waits. On a debug kernel a packet costs a hundred times what
//! it costs on a stock one, and a rule change seventeen times.
//!
//! Two variables of the environment say so, in this one place: `CUT=50` leaves one of fifty flows and
//! packets, `PATIENCE=10` waits ten times as long before something counts as hanging. Without them
//! both are 1. The runner prints them, for a run that did less must say so.

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

struct Pace {
    cut: usize,
    patience: u32,
}

fn pace() -> &'static Pace {
    static PACE: OnceLock<Pace> = OnceLock::new();
    PACE.get_or_init(|| Pace {
        cut: number("CUT") as usize,
        patience: number("PATIENCE"),
    })
}

/// A number from the environment; a word that is none ends the program, rather than be taken for 1.
fn number(name: &str) -> u32 {
    match env::var(name) {
        Err(_) => 1,
        Ok(text) => match text.parse() {
            Ok(number @ 1..) => number,
            _ => panic!("{name}={text}: not a number from 1 on"),
        },
    }
}

/// So many flows or packets, or as many of them as this run does; never fewer than `least`, which is
/// what the test still needs to be one.
pub fn cut(count: usize, least: usize) -> usize {
    (count / pace().cut).max(least.min(count))
}

/// How long to wait for what takes this long at most on a stock kernel.
pub fn patience(limit: Duration) -> Duration {
    limit * pace().patience
}

/// What this run leaves out, in words; none when it is a whole one.
pub fn told() -> Option<String> {
    let Pace { cut, patience } = pace();
    (*cut > 1 || *patience > 1).then(|| {
        format!("flows and packets cut to one in {cut}, limits of time stretched by {patience}")
    })
}
