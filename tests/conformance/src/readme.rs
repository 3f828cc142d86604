// SPDX-License-Identifier: GPL-2.0-only

//! Sections of a README that a run makes: between `<!-- NAME -->` and `<!-- end of NAME -->`.

use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Options {
    readme: PathBuf,
    /// The section's name
    #[arg(long)]
    section: String,
    /// What should stand in it
    #[arg(long)]
    from: PathBuf,
    /// Put it there
    #[arg(long)]
    write: bool,
}

pub fn run(options: &Options) -> Result<bool> {
    let text = fs::read_to_string(&options.readme)?;
    let wanted = fs::read_to_string(&options.from)
        .with_context(|| format!("reading {}", options.from.display()))?;
    let (start, end) = (
        format!("<!-- {} -->\n", options.section),
        format!("<!-- end of {} -->", options.section),
    );
    let (before, rest) = text
        .split_once(&start)
        .with_context(|| format!("no {start:?} in the README"))?;
    let (now, after) = rest
        .split_once(&end)
        .with_context(|| format!("no {end:?} in the README"))?;
    if options.write {
        fs::write(
            &options.readme,
            [before, &start, &wanted, &end, after].concat(),
        )?;
        return Ok(true);
    }
    let stale: Vec<&str> = wanted
        .lines()
        .filter(|line| !now.lines().any(|old| old == *line))
        .collect();
    let gone = now
        .lines()
        .filter(|line| !wanted.lines().any(|new| new == *line))
        .count();
    if stale.is_empty() && gone == 0 {
        println!(
            "ok {}: stands in {} as this run has it",
            options.section,
            options.readme.display()
        );
        return Ok(true);
    }
    println!(
        "FAILED {}: {} lines in {} are not of this run, {} are missing (WRITE=1 puts them there); the first:",
        options.section, gone, options.readme.display(), stale.len()
    );
    stale
        .iter()
        .take(3)
        .for_each(|line| println!("         {line}"));
    Ok(false)
}
