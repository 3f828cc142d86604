// SPDX-License-Identifier: GPL-2.0-only

//! The tests that run in the lab's guest, as root, on the stock kernel.
//!
//! `guest-tests [PATTERN]...` runs those with a PATTERN in their name, `guest-tests --list` names
//! them.
//! Exits 0 when all passed, and there were some.

mod arp;
mod articles;
mod checks;
mod cli;
mod conntrack;
mod devices;
mod exactly_once;
mod forms;
mod input;
mod lifetime;
mod module;
mod namespaces;
mod order;
mod procfs;
mod races;
mod raw;
mod replacing;
mod unload;

use harness::Test;
use std::process::ExitCode;

fn all() -> Vec<Test> {
    [
        exactly_once::tests(),
        checks::tests(),
        replacing::tests(),
        order::tests(),
        cli::tests(),
        articles::tests(),
        forms::tests(),
        procfs::tests(),
        raw::tests(),
        input::tests(),
        conntrack::tests(),
        arp::tests(),
        lifetime::tests(),
        devices::tests(),
        races::tests(),
        namespaces::tests(),
        module::tests(),
        unload::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tests = all();
    if arguments == ["--list"] {
        tests.iter().for_each(|test| println!("{}", test.name));
        return ExitCode::SUCCESS;
    }
    if harness::run::run(&tests, &arguments) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
