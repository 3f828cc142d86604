// SPDX-License-Identifier: GPL-2.0-only

//! Whether a target's own cost rose above what was accepted.

use super::figures::Figures;
use super::figures::Row;
use crate::sample::Who;

/// So many instructions more, or this share of what was, whichever is more, is no rise.
const INSTRUCTIONS: f64 = 5.0;
const SHARE: f64 = 0.05;

/// A row is a test: prints each, and how many passed and failed. `filter` is what the measured rows
/// were asked for by.
pub fn check(measured: &Figures, accepted: &Figures, filter: &str) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, result: Result<String, String>| match result {
        Ok(line) => {
            println!("ok     {name}: {line}");
            passed += 1;
        }
        Err(line) => {
            println!("FAILED {name}: {line}");
            failed += 1;
        }
    };
    for row in measured.rows.iter().filter(|row| is_checked(row)) {
        count(&row.name, compare(row, accepted.row(&row.name)));
    }
    // A row that is not measured any more can't rise.
    for row in accepted.rows.iter().filter(|row| is_checked(row)) {
        if row.name.contains(filter) && measured.row(&row.name).is_none() {
            count(
                &row.name,
                Err("was accepted, and is not measured".to_string()),
            );
        }
    }
    (passed, failed)
}

/// A packet under a target of ours.
fn is_checked(row: &Row) -> bool {
    let target = row.name.starts_with("mine/") || row.name.starts_with("not-mine/");
    target && !row.name.contains("/xt_cluster/") && !row.name.contains("/nft-jhash/")
}

fn compare(now: &Row, before: Option<&Row>) -> Result<String, String> {
    let now = now.own(Who::Ours).ok_or("no own cost was measured")?;
    let before = before
        .and_then(|row| row.own(Who::Ours))
        .ok_or("docs/bench.json has no such row: make bench WRITE=1 accepts a new state")?;
    let limit = before.median + f64::max(INSTRUCTIONS, SHARE * before.median);
    let line = format!("{now}, accepted are {:.1}", before.median);
    if now.median > limit {
        Err(format!("{line}, at most {limit:.1}"))
    } else {
        Ok(line)
    }
}
