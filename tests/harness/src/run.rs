// SPDX-License-Identifier: GPL-2.0-only

//! Runs the tests one after the other and says how each went.

use super::clean;
use super::Ctx;
use super::Test;
use anyhow::anyhow;
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

/// Runs those whose name has one of the patterns in it, all when there is none; true when all passed,
/// and there were some.
pub fn run(tests: &[Test], patterns: &[String]) -> bool {
    let wanted = |test: &&Test| {
        patterns.is_empty() || patterns.iter().any(|pattern| test.name.contains(pattern))
    };
    // Each line that the module says is looked for: none may be lost to the rate limit.
    if let Err(error) = fs::write("/proc/sys/net/core/message_cost", "0") {
        println!("FAILED: cannot lift the kernel's rate limit for messages: {error}; run as root");
        return false;
    }
    let (mut passed, mut failed) = (0, 0);
    for test in tests.iter().filter(wanted) {
        let start = Instant::now();
        let watchdog = watch(test.name.clone(), passed, failed + 1);
        let result = run_one(test);
        drop(watchdog);
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok {} ({seconds:.1} s)", test.name);
            }
            Err(error) => {
                failed += 1;
                println!("FAILED {} ({seconds:.1} s): {error:#}", test.name);
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    failed == 0 && passed > 0
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
fn watch(name: String, passed: u32, failed: u32) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(LIMIT) {
            println!("FAILED {name}: no end after {} s", LIMIT.as_secs());
            println!("{passed} passed, {failed} failed (the tests after it did not run)");
            exit(1);
        }
    });
    sender
}
