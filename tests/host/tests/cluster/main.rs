// SPDX-License-Identifier: GPL-2.0-only

//! What `src/cluster` promises, file by file.

mod abi;
mod abi1;
mod arp;
mod command;
mod hash;
mod node;
mod packet;

use proptest::test_runner::Config;

/// A property is tried on this many random cases, or on `PROPTEST_CASES`, where time is short.
/// Failing cases are printed, not written into the tree.
fn config(cases: u32) -> Config {
    let default = Config::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    Config {
        cases: if asked { default.cases } else { cases },
        failure_persistence: None,
        ..default
    }
}
