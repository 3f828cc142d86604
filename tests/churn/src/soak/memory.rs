// SPDX-License-Identifier: GPL-2.0-only

//! Whether memory stays flat: some samples each near the start, in the middle and near the end. Noise
//! is what samples of one place differ by, at most; what differs by more from one place to another has
//! grown.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::sys;
use harness::Netns;
use std::fs;
use std::thread;
use std::time::Duration;

/// Bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Of objects in use, in all of the kernel's caches.
    pub slab: i64,
    /// Of memory that is not available. Free pages that a processor keeps at hand are: the kernel does
    /// not say so, and they get more while there is much to do.
    pub taken: i64,
}

impl Sample {
    /// With all connections ended: what connection tracking remembers of them goes first.
    pub fn take(nodes: &[&Netns]) -> Result<Self> {
        for node in nodes {
            node.run("conntrack -F")?;
        }
        // Caches that the kernel would give back are no loss.
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        sys::wait_for_grace_period()?;
        thread::sleep(Duration::from_millis(200));
        Ok(Self {
            slab: slab(&fs::read_to_string("/proc/slabinfo")?).context("/proc/slabinfo")?,
            taken: taken(&fs::read_to_string("/proc/meminfo")?).context("/proc/meminfo")?
                - at_hand(&fs::read_to_string("/proc/zoneinfo")?).context("/proc/zoneinfo")?,
        })
    }
}

/// What the kernel says of its memory in a few words, for whoever has to find what grew.
pub fn told() -> Result<String> {
    const NAMES: [&str; 9] = [
        "MemFree",
        "Cached",
        "AnonPages",
        "SReclaimable",
        "SUnreclaim",
        "KernelStack",
        "PageTables",
        "Percpu",
        "VmallocUsed",
    ];
    let text = fs::read_to_string("/proc/meminfo")?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let words: Vec<String> = lines
        .filter(|(name, _)| NAMES.contains(name))
        .map(|(name, value)| format!("{name} {}", value.trim()))
        .collect();
    let at_hand = at_hand(&fs::read_to_string("/proc/zoneinfo")?).context("/proc/zoneinfo")?;
    Ok(format!(
        "{}, at hand {} kB",
        words.join(", "),
        at_hand / 1024
    ))
}

/// Free pages that processors keep at hand.
fn at_hand(text: &str) -> Option<i64> {
    let counts = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"));
    let pages: Vec<i64> = counts
        .map(|count| count.trim().parse().ok())
        .collect::<Option<_>>()?;
    (!pages.is_empty()).then(|| pages.iter().sum::<i64>() * 4096)
}

fn slab(text: &str) -> Option<i64> {
    let mut sum = 0;
    for line in text.lines().skip(2) {
        let mut words = line.split_whitespace().skip(1);
        let used: i64 = words.next()?.parse().ok()?;
        let size: i64 = words.nth(1)?.parse().ok()?;
        sum += used * size;
    }
    (sum > 0).then_some(sum)
}

fn taken(text: &str) -> Option<i64> {
    let value = |name: &str| -> Option<i64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<i64>().ok()? * 1024)
    };
    Some(value("MemTotal:")? - value("MemAvailable:")?)
}

/// Samples of one kind at the three places.
pub type Series = [Vec<i64>; 3];

/// Fails when the middle or the end is above the start by more than noise; else says how far, and what
/// growth would have been seen. `between` is how many connections lie between the first and last place.
pub fn flat(what: &str, series: &Series, between: usize) -> Result<String> {
    ensure!(
        series.iter().all(|place| place.len() >= 4),
        "{what}: too few samples: {series:?}"
    );
    let noise = series.iter().map(|place| spread(place)).max().unwrap_or(0);
    let [start, middle, end] = series.each_ref().map(|place| mean(place));
    let told = format!(
        "{what}: {start} bytes at the start, {:+} in the middle, {:+} at the end, noise {noise}",
        middle - start,
        end - start
    );
    ensure!(middle - start <= noise && end - start <= noise, "{told}");
    let seen = noise as f64 / between.max(1) as f64;
    Ok(format!(
        "{told}; {seen:.1} bytes a connection would be seen"
    ))
}

fn spread(samples: &[i64]) -> i64 {
    let most = samples.iter().max();
    most.zip(samples.iter().min())
        .map_or(0, |(most, least)| most - least)
}

fn mean(samples: &[i64]) -> i64 {
    samples.iter().sum::<i64>() / (samples.len().max(1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: [i64; 8] = [3, -5, 8, 0, -7, 2, 6, -1];

    /// Three places of eight samples, a sample each 1000 connections, 40 samples apart.
    fn series(growth: i64) -> Series {
        [0, 40, 80].map(|place| {
            (0..)
                .zip(NOISE)
                .map(|(at, noise)| 1_000_000 + noise * 1000 + (place + at) * growth)
                .collect()
        })
    }

    #[test]
    fn growth_is_told_from_noise() {
        assert!(flat("x", &series(0), 80_000).is_ok());
        assert!(flat("x", &series(100), 80_000).is_ok());
        assert!(flat("x", &series(300), 80_000).is_err());
        assert!(flat("x", &series(-300), 80_000).is_ok());
    }

    #[test]
    fn a_step_in_the_middle_is_growth() {
        let mut series = series(0);
        series[1].iter_mut().for_each(|sample| *sample += 20_000);
        assert!(flat("x", &series, 80_000).is_err());
    }

    #[test]
    fn nothing_seen_is_not_flat() {
        assert!(flat("x", &Series::default(), 80_000).is_err());
    }

    #[test]
    fn reads_the_kernels_tables() {
        let text =
            "slabinfo - version: 2.1\n# name\na 10 20 64 51 1 : tunables\nb 3 3 1000 8 4 :\n";
        assert_eq!(slab(text), Some(3640));
        let text = "MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable:  40 kB\n";
        assert_eq!(taken(text), Some(60 * 1024));
        let text = "  pagesets\n    cpu: 0\n              count:    3\n    cpu: 1\n     count: 4\n";
        assert_eq!(at_hand(text), Some(7 * 4096));
        assert_eq!(at_hand(""), None);
    }
}
