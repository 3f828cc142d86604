// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip add`, `del` and `set`: lines for the VIP's file.
//!
//! The set as it is comes from that very file, which older modules have, too; how many numbers there are, from the file of
//! all VIPs, if there is one.

pub mod explain;

use crate::args::Change;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Ranges;
use crate::failure::Failure;
use crate::failure::Result;
use crate::failure::FAILED;
use crate::failure::USAGE;
use crate::files::Files;
use crate::Terminal;
use explain::Known;
use explain::Step;
use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::net::Ipv4Addr;

/// Who takes a line: the kernel, or in tests somebody who answers as it does.
pub type Kernel<'a> = &'a dyn Fn(Step) -> io::Result<()>;

/// What is to become of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To take them over.
    Add,
    /// To give them up.
    Del,
    /// To serve them and no others.
    Set,
}

/// Does it.
pub fn change(files: &Files, wish: Wish, args: &Change, to: &mut Terminal<'_>) -> Result {
    let kernel = |step| write(files, args.vip, step);
    change_by(&kernel, files, wish, args, to)
}

/// Does it by this kernel.
pub fn change_by(
    kernel: Kernel<'_>,
    files: &Files,
    wish: Wish,
    args: &Change,
    to: &mut Terminal<'_>,
) -> Result {
    if wish != Wish::Set && args.numbers.is_empty() {
        let text = "none is for set; name at least one number";
        return Err(Failure::new(USAGE, text));
    }
    let vip = args.vip;
    let known = known(files, vip)?;
    let wanted: Vec<_> = match wish {
        Wish::Add => args.numbers.iter().map(Step::Add).collect(),
        Wish::Del => args.numbers.iter().map(Step::Remove).collect(),
        Wish::Set => vec![Step::Replace(args.numbers)],
    };
    // All or nothing: what can be known beforehand stops it before the first line.
    if let Some(reason) = explain::refused(&known, wanted.iter().copied()) {
        let text = format!("{vip}: {reason}; nothing was changed");
        return Err(Failure::new(FAILED, text));
    }
    let failed = |step: Step, error: &io::Error| failed(files, vip, step, error);
    match steps(kernel, &wanted, &failed) {
        // Older modules, which have no file of all VIPs either, don't know the line.
        Err((_, Some(explain::EIO))) if wish == Wish::Set && files.read().is_err() => {
            writeln!(
                to.err,
                "clusterip: this module can't replace a set at once; giving numbers up one by one, then taking over"
            )?;
            let way = way(known.mine, args.numbers);
            steps(kernel, &way, &failed).map_err(|(failure, _)| failure)?;
        }
        done => done.map_err(|(failure, _)| failure)?,
    }
    let now = mine(files, vip)?;
    let (before, now) = (Ranges(&known.mine), Ranges(&now));
    writeln!(to.out, "{vip}: {before} -> {now}")?;
    Ok(())
}

/// From one set to another by single numbers. They are given up first: for a moment nobody answers, but never two.
pub fn way(from: NodeSet, to: NodeSet) -> Vec<Step> {
    let up = from.iter().filter(|node| !to.contains(*node));
    let over = to.iter().filter(|node| !from.contains(*node));
    up.map(Step::Remove).chain(over.map(Step::Add)).collect()
}

/// Writes one line after the other. A failure says how far that went; beside it is the error.
fn steps(
    kernel: Kernel<'_>,
    steps: &[Step],
    failed: &dyn Fn(Step, &io::Error) -> Failure,
) -> Result<(), (Failure, Option<i32>)> {
    for (done, step) in steps.iter().enumerate() {
        let Err(error) = kernel(*step) else {
            continue;
        };
        let mut failure = failed(*step, &error);
        if steps.len() > 1 {
            let (before, rest) = steps.split_at(done);
            let (before, rest) = (list(before), list(rest));
            failure.text = format!("{}; done: {before}; not done: {rest}", failure.text);
        }
        return Err((failure, error.raw_os_error()));
    }
    Ok(())
}

fn list(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing".to_owned();
    }
    let steps: Vec<_> = steps.iter().map(Step::to_string).collect();
    steps.join(" ")
}

/// One line, which has to go in one piece.
fn write(files: &Files, vip: Ipv4Addr, step: Step) -> io::Result<()> {
    // Neither made nor emptied, if it is no file of /proc.
    let mut file = OpenOptions::new().write(true).open(files.vip(vip))?;
    let line = format!("{step}\n");
    match file.write(line.as_bytes())? {
        length if length == line.len() => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// Why a line was not taken. What is known is asked anew, for somebody else may have changed it.
fn failed(files: &Files, vip: Ipv4Addr, step: Step, error: &io::Error) -> Failure {
    match known(files, vip) {
        Ok(known) => explain::write(vip, step, error, &known),
        Err(failure) => failure,
    }
}

/// What is known of a VIP before anything is written.
fn known(files: &Files, vip: Ipv4Addr) -> Result<Known> {
    let mine = mine(files, vip)?;
    let total = files.read_one(vip).ok().map(|vip| vip.total);
    Ok(Known { mine, total })
}

/// The set, as the VIP's file has it.
fn mine(files: &Files, vip: Ipv4Addr) -> Result<NodeSet> {
    let path = files.vip(vip);
    let text = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => files.missing(vip),
        _ => explain::open(&path, &error),
    })?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    if text.is_empty() {
        return Ok(NodeSet::EMPTY);
    }
    NodeSet::parse(text).map_err(|_| {
        let text = format!("{} is no list of numbers", path.display());
        Failure::new(FAILED, text)
    })
}
