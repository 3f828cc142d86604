// SPDX-License-Identifier: GPL-2.0-only

//! The fewest steps of a segment that two modules show different things of.

use super::machine::walk;
use super::machine::Seen;
use super::step::Step;
use crate::shrink::shrink;
use crate::shrink::Pair;
use anyhow::Result;
use std::path::PathBuf;

/// Finds and prints them; whether the modules are the same on all of the steps.
pub fn hunt(steps: &[Step], files: &[PathBuf]) -> Result<bool> {
    let pair = Pair::new(&files[0], &files[1])?;
    let [first, second] = pair.both(|| walk(steps))?;
    let Some(end) = (0..steps.len()).find(|&step| first[step] != second[step]) else {
        println!("no difference in {} steps", steps.len());
        return Ok(true);
    };
    println!("step {end} differs: {}", steps[end]);
    let mut tries = 0;
    let left = shrink(&steps[..=end], |steps| {
        tries += 1;
        let [first, second] = pair.both(|| walk(steps))?;
        Ok(first != second)
    })?;
    let [first, second] = pair.both(|| walk(&left))?;
    println!("{} steps are left, after {tries} tries", left.len());
    for (number, step) in left.iter().enumerate() {
        println!("step {} {step}", number + 1);
        show(&[(&files[0], &first[number]), (&files[1], &second[number])]);
    }
    Ok(false)
}

fn show(seen: &[(&PathBuf, &Seen); 2]) {
    if seen[0].1 == seen[1].1 {
        println!("    both: {}", seen[0].1.outcome);
        println!("         {}", seen[0].1.state);
        return;
    }
    for (file, seen) in seen {
        println!("    {}: {}", file.display(), seen.outcome);
        println!("         {}", seen.state);
    }
}
