// SPDX-License-Identifier: GPL-2.0-only

//! What two guests saw of one generated input, batch by batch.
//!
//! A batch is a line of the record: the stream it belongs to, its number, what was seen. A stream
//! that is listed as a difference must differ somewhere; every other one must not, anywhere.

use crate::record::Seen;
use crate::report::read_differences;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Options {
    /// What the original showed
    original: PathBuf,
    /// What ours showed
    ours: PathBuf,
    /// Which lane: what is listed of its streams has to be there
    #[arg(long)]
    lane: String,
    /// The differences that were decided: `stream | * | ours | reason`
    #[arg(long)]
    differences: PathBuf,
}

pub fn run(options: &Options) -> Result<bool> {
    let original = Seen::read(&options.original)?;
    let ours = Seen::read(&options.ours)?;
    let listed = read_differences(&options.differences)?;
    let (mut passed, mut failed) = (0, 0);
    let mut streams = original.order.clone();
    streams.extend(
        ours.order
            .iter()
            .filter(|stream| !original.cases.contains_key(*stream))
            .cloned(),
    );
    for stream in &streams {
        let empty = Vec::new();
        let before = original.cases.get(stream).unwrap_or(&empty);
        let now = ours.cases.get(stream).unwrap_or(&empty);
        let first = (0..before.len().max(now.len())).find(|at| before.get(*at) != now.get(*at));
        let decided = listed.get(&(stream.clone(), "*".to_string()));
        match (first, decided) {
            (None, None) => {
                passed += 1;
                println!("ok {stream}: {} batches, all the same", before.len());
            }
            (Some(_), Some(entry)) => {
                passed += 1;
                println!("ok {stream}: differs, as was decided: {}", entry.reason);
            }
            (None, Some(_)) => {
                failed += 1;
                println!("FAILED {stream}: is listed as a difference and is none");
            }
            (Some(at), None) => {
                failed += 1;
                let of = |seen: &[(String, String)]| {
                    seen.get(at).map_or("nothing".to_string(), |(key, value)| {
                        format!("{key}: {}", value.chars().take(400).collect::<String>())
                    })
                };
                println!("FAILED {stream}: differs");
                println!("         original {}", of(before));
                println!("         ours     {}", of(now));
                // For the script: what to shrink.
                let batch = before.get(at).or(now.get(at)).map_or("", |(key, _)| key);
                println!("mismatch\t{stream}\t{batch}");
            }
        }
    }
    for (stream, _) in listed.keys().filter(|(stream, key)| {
        let of_lane = stream.split(' ').next() == Some(options.lane.as_str());
        key == "*" && of_lane && !streams.contains(stream)
    }) {
        failed += 1;
        println!("FAILED {stream}: is listed as a difference, and there is no such stream");
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}
