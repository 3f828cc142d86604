// SPDX-License-Identifier: GPL-2.0-only

//! The guest's clock, which counts instructions: one is a nanosecond.

use super::sys::Burst;
use anyhow::ensure;
use anyhow::Result;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// So many packets go in one system call: with few of them, most calls are free of the guest's own
/// ticks, which come every four million instructions and cost thousands.
const TOGETHER: usize = 40;
/// So often a thing is timed for one value.
const TIMES: usize = 12;

/// An error unless the clock is that one: other figures would look the same, and be noise.
pub fn expect_instructions() -> Result<()> {
    let line = fs::read_to_string("/proc/cmdline")?;
    ensure!(
        line.contains("tsc=reliable"),
        "this guest's clock does not count instructions: see scripts/lab boot --icount"
    );
    Ok(())
}

/// Instructions per packet of a burst; `after` tidies up behind each part of it.
pub fn per_packet(
    burst: &mut Burst,
    sender: &OwnedFd,
    mut after: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let starts: Vec<usize> = (0..burst.len()).step_by(TOGETHER).collect();
    let mut costs = vec![Vec::new(); starts.len()];
    for number in 0..=TIMES {
        for (from, costs) in starts.iter().zip(&mut costs) {
            let count = TOGETHER.min(burst.len() - from);
            let start = Instant::now();
            burst.send(sender, *from, count)?;
            let took = start.elapsed();
            after()?;
            // The first time fills what is filled once.
            if number > 0 {
                costs.push(took.as_nanos() as f64);
            }
        }
    }
    let total: f64 = costs.into_iter().map(undisturbed).sum();
    Ok(total / burst.len() as f64)
}

/// Instructions per call of something.
pub fn per_call(calls: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut costs = Vec::new();
    for number in 0..=TIMES {
        let start = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        let took = start.elapsed();
        if number > 0 {
            costs.push(took.as_nanos() as f64);
        }
    }
    Ok(undisturbed(costs) / calls as f64)
}

/// The lower quartile: what disturbs makes it longer only.
fn undisturbed(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
