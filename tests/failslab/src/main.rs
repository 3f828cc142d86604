// SPDX-License-Identifier: GPL-2.0-only

//! Every allocation fails once, in the lab's guest, on the debug kernel: whatever the module does
//! meanwhile must be refused as a whole, with the right error and one line that says what to do, or
//! be done as a whole; and nothing may be lost.
//!
//! `failslab [PATTERN]...` tries the operations with a PATTERN in their name. Exits 0 when all passed,
//! and there were some.

mod faults;
mod operations;
mod room;
mod sweep;

use anyhow::anyhow;
use anyhow::Result;
use clap::Parser;
use faults::Faults;
use faults::Shortage;
use harness::clean;
use harness::kmemleak;
use harness::module;
use harness::Ctx;
use operations::Entry;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use sweep::Pace;
use sweep::Tally;

const END: &str = "namespace_end";
const JOINS: &str = "rule_that_joins";

#[derive(Parser)]
#[command(about = "Every allocation that the module makes fails once")]
struct Arguments {
    /// Only the operations with one of these in their name
    patterns: Vec<String>,
    /// The module, to be loaded and to know where its code is
    #[arg(long, default_value = "/opt/clusterip/ipt_CLUSTERIP.ko")]
    module: PathBuf,
    /// Fewer operations; of the longest, some of its allocations
    #[arg(long)]
    short: bool,
    /// Which those are
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Stop at the first failure
    #[arg(long)]
    until_failure: bool,
    /// Print the names of the operations only
    #[arg(long)]
    list: bool,
    /// Have the kernel log the stack of each allocation that fails (and fail for its crash marks)
    #[arg(long)]
    stacks: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let start = Instant::now();
    match run(&arguments) {
        Ok(passed) => {
            println!("total seconds {}", start.elapsed().as_secs());
            println!("{} passed, {} failed", passed.0, passed.1);
            if passed.1 == 0 && passed.0 > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            println!("FAILED: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// How many passed, and how many failed.
fn run(arguments: &Arguments) -> Result<(u32, u32)> {
    let entries = operations::all();
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    names.extend([END, JOINS]);
    if arguments.list {
        names.iter().for_each(|name| println!("{name}"));
        return Ok((names.len() as u32, 0));
    }
    let faults = Faults::new(&arguments.module)?;
    if arguments.stacks {
        faults.show_stacks()?;
    }
    // Each line that the module says is looked for: none may be lost to the rate limit.
    fs::write("/proc/sys/net/core/message_cost", "0")?;

    let mut runner = Runner {
        arguments,
        faults,
        passed: 0,
        failed: 0,
        injected: 0,
    };
    for entry in &entries {
        let before = runner.injected;
        runner.entry(entry);
        if !arguments.short && runner.injected > before {
            runner.leaks(entry.name);
        }
    }
    if !arguments.short {
        runner.one(END, operations::end);
        runner.one(JOINS, operations::joins);
    }
    // In the short form, of all of them; else of the last.
    if !arguments.until_failure || runner.failed == 0 {
        runner.leaks("all");
    }
    println!("total injected {}", runner.injected);
    Ok((runner.passed, runner.failed))
}

struct Runner<'a> {
    arguments: &'a Arguments,
    faults: Faults,
    passed: u32,
    failed: u32,
    injected: u32,
}

impl Runner<'_> {
    fn entry(&mut self, entry: &Entry) {
        let ways = [
            (Shortage::Once, ""),
            (Shortage::Lasting, "_while_memory_stays_short"),
        ];
        for (way, (shortage, suffix)) in ways.into_iter().enumerate() {
            let name = format!("{}{suffix}", entry.name);
            let step = if self.arguments.short {
                entry.short[way]
            } else {
                Some(entry.full[way])
            };
            let Some(step) = step else {
                println!("left out in the short form: {name}");
                continue;
            };
            let pace = Pace {
                shortage,
                step,
                seed: self.arguments.seed,
                again: entry.again,
            };
            self.one(&name, |ctx, faults| {
                let mut operation = (entry.make)(ctx, faults)?;
                sweep::sweep(ctx, faults, pace, operation.as_mut())
            });
        }
    }

    fn one(&mut self, name: &str, run: impl FnOnce(&mut Ctx, &Faults) -> Result<Tally>) {
        let patterns = &self.arguments.patterns;
        if !patterns.is_empty() && !patterns.iter().any(|pattern| name.contains(pattern)) {
            return;
        }
        if self.arguments.until_failure && self.failed > 0 {
            println!("left out after a failure: {name}");
            return;
        }
        let start = Instant::now();
        let result = judged(&self.faults, run);
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(tally) => {
                self.passed += 1;
                self.injected += tally.injected;
                println!(
                    "ok {name}: of {} allocations; {} failures, {} times refused, {} times done \
                     all the same ({seconds:.1} s)",
                    tally.allocations, tally.injected, tally.refused, tally.survived
                );
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name} ({seconds:.1} s): {error:#}");
            }
        }
    }

    /// Looks for memory that nobody knows of any more. Without the module, so that its own memory can't
    /// know of it either.
    fn leaks(&mut self, name: &str) {
        let start = Instant::now();
        let leaks = module::unload().and_then(|()| kmemleak::scan());
        let seconds = start.elapsed().as_secs_f32();
        match leaks {
            Ok(leaks) if leaks.is_empty() => {
                self.passed += 1;
                println!("ok {name}: nothing is lost ({seconds:.1} s)");
            }
            Ok(leaks) => {
                self.failed += 1;
                println!("FAILED {name}: {} objects are lost:", leaks.len());
                leaks.iter().for_each(|leak| println!("{leak}"));
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name}, looking for what is lost: {error:#}");
            }
        }
    }
}

/// Runs an operation's attempts; then, nothing may be left behind, nor have crashed.
fn judged(faults: &Faults, run: impl FnOnce(&mut Ctx, &Faults) -> Result<Tally>) -> Result<Tally> {
    let mut ctx = Ctx::new()?;
    let result = run(&mut ctx, faults);
    let mut wrong: Vec<String> = result
        .as_ref()
        .err()
        .map(|error| format!("{error:#}"))
        .into_iter()
        .collect();
    for left in clean::left_behind()? {
        wrong.push(format!("left behind: {left}"));
    }
    for crash in ctx.crashes()? {
        wrong.push(format!("the kernel says: {crash}"));
    }
    if wrong.is_empty() {
        result
    } else {
        Err(anyhow!(wrong.join("; ")))
    }
}
