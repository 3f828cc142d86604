// SPDX-License-Identifier: GPL-2.0-only

//! ARP frames of a seeded generator, and what comes out of the node, byte by byte.

mod batch;
mod bench;
mod frames;
mod made;
mod mismatch;
mod plan;
mod tally;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use batch::Batch;
use batch::Step;
use bench::Bench;
use bench::Seen;
use harness::clean;
use harness::host::program;
use harness::sys;
use plan::Plan;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use tally::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// How many frames
    #[arg(long, default_value_t = 200_000)]
    frames: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// This batch alone
    #[arg(long)]
    batch: Option<u64>,
    /// The part of the record that differs; the first one that does
    #[arg(long)]
    stream: Option<String>,
    /// Two modules that differ on the batch: shrink it to what they differ on
    #[arg(long, num_args = 2, value_names = ["FIRST.ko", "SECOND.ko"], requires = "batch")]
    shrink: Option<Vec<PathBuf>>,
}

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(10);

pub fn run(options: &Options) -> Result<bool> {
    println!("arp: seed {}, {} frames", options.seed, options.frames);
    prepare()?;
    match (&options.shrink, options.batch) {
        (Some(files), Some(number)) => {
            let batch = batch_of(options, number);
            mismatch::shrink(&batch, options.stream.as_deref(), files)
        }
        (_, Some(number)) => {
            program("modprobe -a ipt_CLUSTERIP ip_tables")?;
            let batch = batch_of(options, number);
            batch::print(&batch, &play(&batch.plan, &batch.steps)?);
            Ok(true)
        }
        (_, None) => {
            program("modprobe -a ipt_CLUSTERIP ip_tables")?;
            run_all(options)
        }
    }
}

/// The last one may be smaller.
fn batch_of(options: &Options, number: u64) -> Batch {
    let before = number as usize * batch::SIZE;
    let frames = options.frames.saturating_sub(before).min(batch::SIZE);
    Batch::new(options.seed, number, frames)
}

fn run_all(options: &Options) -> Result<bool> {
    let count = options.frames.div_ceil(batch::SIZE) as u64;
    let start = Instant::now();
    let mut said = start;
    let mut tally = Tally::default();
    for number in 0..count {
        if said.elapsed() > PAUSE {
            said = Instant::now();
            let seconds = start.elapsed().as_secs();
            let left = seconds * (count - number) / number.max(1);
            println!("batch {number} of {count}, {seconds} s, about {left} s left");
        }
        let batch = batch_of(options, number);
        let seen = play(&batch.plan, &batch.steps)
            .with_context(|| format!("batch {number} of seed {}", options.seed))?;
        batch::print(&batch, &seen);
        tally.add(&batch, &seen);
    }
    let left = clean::left_behind()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    println!(
        "{} frames in {} batches, {} s",
        tally.frames(),
        count,
        start.elapsed().as_secs()
    );
    Ok(tally.is_complete())
}

/// A batch, or a part of one, with a node of its own.
fn play(plan: &Plan, steps: &[Step]) -> Result<Seen> {
    Bench::new(plan)?.run(plan, steps)
}

fn prepare() -> Result<()> {
    // Each question is a neighbour; none may be turned away because there are too many.
    for number in 1..=3 {
        let path = format!("/proc/sys/net/ipv4/neigh/default/gc_thresh{number}");
        fs::write(path, "1000000")?;
    }
    fs::write("/proc/sys/net/core/message_cost", "0")?;
    // What is sent on one processor is handled in its order.
    sys::stay_on_processor(Some(0))?;
    if !fs::exists("/sys/module/arp_xmit")? {
        let own = std::env::current_exe()?;
        let file = own.with_file_name("arp_xmit.ko");
        program(&format!("insmod {}", file.display()))?;
    }
    Ok(())
}
