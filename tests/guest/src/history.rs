// SPDX-License-Identifier: GPL-2.0-only

//! The original's bugs, one test for each, named after it. docs/history.md says what each one was, and
//! on what its test was seen to fail; scripts/torture.d/history sees to it again.
//!
//! A test asks for nothing but what the bug broke, and no words of ours that the original can't have:
//! so that where it fails, it fails for the bug. What another file tests anyway is called from here.

mod ends;
mod files;
mod meetings;
mod memory;
mod packets;
mod rules;

use anyhow::Result;
use harness::flushed::Flushed;
use harness::host;
use harness::Ctx;
use harness::Test;

/// A machine as [`host::host`] makes it. Unless the end is what is tested, its rules go first, so that
/// the original lives to fail the test.
fn machine(ctx: &mut Ctx) -> Result<Flushed> {
    host::host(ctx).map(Flushed::new)
}

pub fn tests() -> Vec<Test> {
    [
        rules::tests(),
        files::tests(),
        packets::tests(),
        memory::tests(),
        ends::tests(),
        meetings::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
