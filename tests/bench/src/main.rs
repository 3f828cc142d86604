// SPDX-License-Identifier: GPL-2.0-only

//! What a packet costs: measured in the guest, reported on the host.
//!
//! `bench measure [--rounds N] [--check] [NAME]` prints one line of JSON for each value; it needs a
//! guest whose clock counts instructions (`scripts/lab boot --icount`).
//! `bench report KERNEL SAMPLES JSON` makes figures of them and prints the table and the goals.
//! `bench page JSON PAGE SVG` puts figures into the page and draws them.
//! `bench check SAMPLES ACCEPTED NAME` fails when a target's own cost rose; NAME as for `measure`.

mod guest;
mod host;
mod sample;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use host::figures::Figures;
use std::path::Path;
use std::process::ExitCode;

fn measure(arguments: &[String]) -> Result<()> {
    let mut options = guest::Options {
        rounds: 7,
        check: false,
        filter: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = words.next().context("how many rounds?")?.parse()?,
            "--check" => options.check = true,
            name if !name.starts_with('-') => options.filter = Some(name.to_string()),
            other => bail!("there is no option {other}"),
        }
    }
    guest::measure(&options)
}

fn report(kernel: &str, samples: &Path, out: &Path) -> Result<()> {
    let figures = Figures::of_samples(samples, kernel)?;
    println!("{}", host::table::text(&figures));
    for line in host::table::in_words(&figures) {
        println!("{line}");
    }
    for goal in host::goals::goals(&figures) {
        println!("{goal}");
    }
    figures.write(out)
}

fn page(figures: &Path, page: &Path, picture: &Path) -> Result<()> {
    let figures = Figures::read(figures)?;
    host::page::write(&figures, page)?;
    host::picture::write(&figures, picture)
}

/// The last line is the sum; whether nothing failed, and there was something.
fn check(samples: &Path, accepted: &Path, filter: &str) -> Result<bool> {
    let measured = Figures::of_samples(samples, "")?;
    let (passed, failed) = host::check::check(&measured, &Figures::read(accepted)?, filter);
    println!("{passed} passed, {failed} failed");
    Ok(passed > 0 && failed == 0)
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let good = match words[..] {
        ["measure", ..] => measure(&arguments[1..]).map(|()| true)?,
        ["report", kernel, samples, out] => {
            report(kernel, samples.as_ref(), out.as_ref()).map(|()| true)?
        }
        ["page", figures, file, picture] => {
            page(figures.as_ref(), file.as_ref(), picture.as_ref()).map(|()| true)?
        }
        ["check", samples, accepted, filter] => check(samples.as_ref(), accepted.as_ref(), filter)?,
        _ => bail!("usage: bench measure|report|page|check ..."),
    };
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
