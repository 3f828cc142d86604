// SPDX-License-Identifier: GPL-2.0-only

//! A seeded random walk over rules, files, devices and namespaces, in one process.
//!
//! It goes in segments, each of a clean machine and a seed of its own. What was seen after each step
//! makes one line of the record for each segment: a short number for each step, by which the first
//! one that differs is found, then one for all.

mod files;
mod generate;
mod generate_bad;
mod generate_other;
mod hunt;
mod machine;
mod rule;
mod snapshot;
mod space;
mod step;
mod table;
mod tally;

use crate::record;
use anyhow::ensure;
use anyhow::Result;
use generate::Generator;
use harness::host::program;
use machine::Seen;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use step::Step;
use tally::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// Which walk
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many steps
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Only this segment of it, step by step
    #[arg(long)]
    segment: Option<usize>,
    /// Shrink that segment to the steps on which these two modules differ
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], requires = "segment")]
    shrink: Vec<PathBuf>,
    /// Walk each segment twice: what is seen must depend on nothing but the steps
    #[arg(long)]
    twice: bool,
}

/// How many steps are walked on one machine.
const SEGMENT: usize = 100;
/// How often progress is told.
const NEWS: Duration = Duration::from_secs(10);

pub fn run(options: &Options) -> Result<bool> {
    println!("walk: seed {}, {} steps", options.seed, options.steps);
    program("modprobe -a ip_tables iptable_filter dummy veth")?;
    match options.segment {
        Some(segment) if !options.shrink.is_empty() => {
            hunt::hunt(&steps(options, segment), &options.shrink)
        }
        Some(segment) => one(options, segment),
        None => all(options),
    }
}

/// Walks a segment once more; an error if that shows something else.
fn same(segment: usize, steps: &[Step], seen: &[Seen]) -> Result<()> {
    let again = machine::walk(steps)?;
    for ((step, seen), again) in steps.iter().zip(seen).zip(&again) {
        ensure!(
            seen == again,
            "segment {segment}, {step}: {} and {}, then {} and {}",
            seen.outcome,
            seen.state,
            again.outcome,
            again.state
        );
    }
    Ok(())
}

/// The steps of a segment.
fn steps(options: &Options, segment: usize) -> Vec<Step> {
    let first = segment * SEGMENT;
    let count = options.steps.saturating_sub(first).min(SEGMENT);
    Generator::segment(options.seed, segment, first, count)
}

/// Walks a segment and prints all of it.
fn one(options: &Options, segment: usize) -> Result<bool> {
    program("modprobe ipt_CLUSTERIP")?;
    let steps = steps(options, segment);
    let seen = machine::walk(&steps)?;
    for (number, (step, seen)) in steps.iter().zip(&seen).enumerate() {
        println!("{number} {step}\n    {}\n   {}", seen.outcome, seen.state);
    }
    Ok(true)
}

fn all(options: &Options) -> Result<bool> {
    program("modprobe ipt_CLUSTERIP")?;
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut tally = Tally::default();
    for segment in 0..options.steps.div_ceil(SEGMENT) {
        let steps = steps(options, segment);
        let seen = machine::walk(&steps)?;
        if options.twice {
            same(segment, &steps, &seen)?;
        }
        let mut value = String::new();
        for (step, seen) in steps.iter().zip(&seen) {
            tally.count(step, seen);
            let number = snapshot::hash(&(&seen.outcome, &seen.state));
            write!(value, "{:02x}", number >> 56)?;
        }
        let whole: Vec<_> = seen
            .iter()
            .map(|seen| (&seen.outcome, &seen.state))
            .collect();
        write!(value, " {:016x}", snapshot::hash(&whole))?;
        record::print("walk", &segment.to_string(), &value);
        if told.elapsed() > NEWS {
            told = Instant::now();
            let done = (segment + 1) * SEGMENT;
            let seconds = start.elapsed().as_secs();
            let left = seconds as usize * options.steps.saturating_sub(done) / done;
            println!(
                "walk: {done} of {} steps, {seconds} s, about {left} s left",
                options.steps
            );
        }
    }
    println!(
        "walk: {} steps in {} s",
        options.steps,
        start.elapsed().as_secs()
    );
    Ok(tally.close())
}
