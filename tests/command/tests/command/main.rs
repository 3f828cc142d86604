// SPDX-License-Identifier: GPL-2.0-only

//! What clusterip(8) promises, command by command.

mod check;
mod stat;
mod status;
mod table;
mod usage;
mod watch;
mod who;
mod write;

use proptest::test_runner::Config;

/// A property is tried on this many random cases; failing ones are printed, not written into the tree.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}
