// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip status`: the file read once, or twice to see what comes per second.

use crate::args::Status;
use crate::failure::Result;
use crate::files::Files;
use crate::json;
use crate::stat::Number;
use crate::stat::Vip;
use crate::table;
use crate::Terminal;
use std::thread;
use std::time::Instant;

/// A VIP, and what came while it was looked at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As it is now.
    pub vip: Vip,
    /// What came since the first look, if there was one.
    pub came: Option<Came>,
}

/// What came in a while.
#[derive(Clone, Debug)]
pub struct Came {
    /// How long that was.
    pub seconds: f64,
    /// The same VIP, but what is counted is counted from the first look on.
    pub vip: Vip,
}

impl Came {
    /// What came between two looks. A VIP that was made anew meanwhile counts from 0, and so does one that was not there.
    pub fn between(before: Option<&Vip>, now: &Vip, seconds: f64) -> Self {
        let since =
            |now: u64, before: Option<u64>| now.checked_sub(before.unwrap_or(0)).unwrap_or(now);
        let mut vip = now.clone();
        vip.arp = since(now.arp, before.map(|before| before.arp));
        for (node, number) in &mut vip.numbers {
            let before = before.and_then(|before| before.numbers.get(node));
            *number = Number {
                mine: number.mine,
                accepted: since(number.accepted, before.map(|before| before.accepted)),
                left: since(number.left, before.map(|before| before.left)),
            };
        }
        Self { seconds, vip }
    }

    /// So many, per second.
    pub fn rate(&self, count: u64) -> f64 {
        // CAST: what is lost above 2^53 nobody sees.
        count as f64 / self.seconds.max(1e-9)
    }
}

/// Shows it.
pub fn status(files: &Files, args: &Status, to: &mut Terminal<'_>) -> Result {
    let shown = look(files, args).or_else(|failure| {
        if args.json && failure.code == crate::failure::NO_VIP && args.vips.is_empty() {
            to.out.write_all(json::text(&[]).as_bytes())?;
        }
        Err(failure)
    })?;
    if args.json {
        return Ok(to.out.write_all(json::text(&shown).as_bytes())?);
    }
    let style = table::Style {
        blocks: to.blocks,
        all: args.all,
    };
    for (index, seen) in shown.iter().enumerate() {
        if index > 0 {
            writeln!(to.out)?;
        }
        to.out.write_all(table::text(seen, style).as_bytes())?;
    }
    Ok(())
}

fn look(files: &Files, args: &Status) -> Result<Vec<Seen>> {
    let begun = Instant::now();
    let before = files.read_some(&args.vips)?;
    if args.interval.is_zero() {
        let seen = before.into_values().map(|vip| Seen { vip, came: None });
        return Ok(seen.collect());
    }
    thread::sleep(args.interval);
    let now = files.read_some(&args.vips)?;
    let seconds = begun.elapsed().as_secs_f64();
    let seen = now.into_iter().map(|(address, vip)| {
        let came = Came::between(before.get(&address), &vip, seconds);
        Seen {
            vip,
            came: Some(came),
        }
    });
    Ok(seen.collect())
}
