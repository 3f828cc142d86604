// SPDX-License-Identifier: GPL-2.0-only

//! Runs the tests one after the other and says how each went.

use super::clean;
use super::kmemleak;
use super::pace;
use super::Ctx;
use super::Group;
use super::Test;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Result;
use std::fs;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::process::exit;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// How many went well, and how many did not.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// One more, with a line about it.
    fn add(&mut self, what: &str, start: Instant, result: Result<()>) {
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {what} ({seconds:.1} s)");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {what} ({seconds:.1} s): {error:#}");
            }
        }
    }
}

/// Runs those whose name has one of the patterns in it, all when there is none; true when all passed,
/// and there were some. After each group a debug kernel is asked for lost memory.
pub fn run(groups: &[Group], patterns: &[String]) -> bool {
    let wanted = |test: &&Test| {
        patterns.is_empty() || patterns.iter().any(|pattern| test.name.contains(pattern))
    };
    // Each line that the module says is looked for: none may be lost to the rate limit.
    if let Err(error) = fs::write("/proc/sys/net/core/message_cost", "0") {
        println!("FAILED: cannot lift the kernel's rate limit for messages: {error}; run as root");
        return false;
    }
    let tests = || groups.iter().flat_map(|group| &group.tests);
    for pattern in patterns {
        if !tests().any(|test| test.name.contains(pattern)) {
            println!("FAILED: no test has {pattern} in its name\n0 passed, 1 failed");
            return false;
        }
    }
    if let Some(left_out) = pace::told() {
        println!("{left_out}");
    }
    let mut tally = Tally::default();
    for group in groups {
        let tests: Vec<&Test> = group.tests.iter().filter(wanted).collect();
        for test in &tests {
            let start = Instant::now();
            let watchdog = watch(test.name.clone(), tally);
            let result = run_one(test);
            drop(watchdog);
            tally.add(&test.name, start, result);
        }
        if !tests.is_empty() && kmemleak::available() {
            let start = Instant::now();
            tally.add(&format!("no leak after {}", group.name), start, no_leak());
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    tally.failed == 0 && tally.passed > 0
}

/// What the kernel cannot reach any more, after the tests of a group.
fn no_leak() -> Result<()> {
    let reports = kmemleak::scan()?;
    ensure!(reports.is_empty(), "{}", reports.join("\n"));
    Ok(())
}

fn run_one(test: &Test) -> Result<()> {
    let mut ctx = Ctx::new()?;
    let result = catch_unwind(AssertUnwindSafe(|| (test.run)(&mut ctx)))
        .unwrap_or_else(|_| Err(anyhow!("the test itself panicked")));

    let mut wrong: Vec<String> = result
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
        Ok(())
    } else {
        Err(anyhow!(wrong.join("; ")))
    }
}

/// Ends the program when the answer is not dropped in time. A thread inside the kernel cannot be
/// stopped, and the tests after it would only fail for its sake.
fn watch(name: String, tally: Tally) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let limit = pace::patience(LIMIT);
        if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(limit) {
            println!("FAILED {name}: no end after {} s", limit.as_secs());
            let failed = tally.failed + 1;
            println!(
                "{} passed, {failed} failed (the tests after it did not run)",
                tally.passed
            );
            exit(1);
        }
    });
    sender
}
