// SPDX-License-Identifier: GPL-2.0-only

//! What was asked and how it went, one line each, and their sum.

use anyhow::Result;

#[derive(Default)]
pub struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// One question; its answer is what was seen, or what was wrong.
    pub fn test(&mut self, what: &str, answer: Result<String>) {
        match answer {
            Ok(seen) => {
                self.passed += 1;
                println!("ok {what}: {seen}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {what}: {error:#}");
            }
        }
    }

    /// Prints the closing line; whether all went well, and there was something.
    pub fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}
