// SPDX-License-Identifier: GPL-2.0-only

//! `scale`: prints the tables of `docs/scale.md`; with `--write` puts them and the pictures there, with `--check` tells
//! whether they stand there as this run has them.

#![forbid(unsafe_code)]

use anyhow::bail;
use anyhow::Result;
use clap::Parser;
use scale::costs::Costs;
use scale::page::make;
use std::path::PathBuf;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    costs: Costs,
    /// Put tables and pictures into the page's folder
    #[arg(long)]
    write: bool,
    /// Fail when the page's folder has others
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// The page's folder
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))]
    docs: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let made = make(&options.costs);
    if options.write {
        return made.write(&options.docs);
    }
    if !options.check {
        made.print();
        return Ok(());
    }
    let stale = made.stale(&options.docs)?;
    if !stale.is_empty() {
        bail!(
            "not as this run has it (--write puts it there): {}",
            stale.join("; ")
        );
    }
    println!("the page is as this run has it");
    Ok(())
}
