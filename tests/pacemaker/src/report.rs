// SPDX-License-Identifier: GPL-2.0-only

//! What was asked and how it went, one line each, and their sum.

use anyhow::Result;
use std::time::Instant;

pub struct Report {
    passed: u32,
    failed: u32,
    start: Instant,
}

impl Report {
    pub fn new() -> Self {
        Self {
            passed: 0,
            failed: 0,
            start: Instant::now(),
        }
    }

    /// One question; its answer is what was seen, or what was wrong. Whether it went well.
    pub fn test(&mut self, what: &str, answer: Result<String>) -> bool {
        let at = self.start.elapsed().as_secs();
        match &answer {
            Ok(seen) => {
                self.passed += 1;
                println!("ok {what}: {seen} ({at} s)");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {what}: {error:#} ({at} s)");
            }
        }
        answer.is_ok()
    }

    /// Whether all went well so far.
    pub fn good(&self) -> bool {
        self.failed == 0
    }

    /// Prints the closing line; whether all went well, and there was something.
    pub fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}
