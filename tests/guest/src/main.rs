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
mod command;
mod compat;
mod conntrack;
mod devices;
mod exactly_once;
mod exposure;
mod firewall;
mod forms;
mod history;
mod input;
mod lifetime;
mod many;
mod modes;
mod module;
mod namespaces;
mod order;
mod procfs;
mod races;
mod raw;
mod refusals1;
mod replacing;
mod revision1;
mod security;
mod stat;
mod stat_file;
mod under_nft;
mod unload;
mod watching;
mod watching_ends;
mod whole_set;

use anyhow::Result;
use harness::Group;
use std::process::ExitCode;

/// Each file's tests are a group.
macro_rules! groups {
    ($($file:ident),+ $(,)?) => {
        vec![$(Group {
            name: stringify!($file),
            tests: $file::tests(),
        }),+]
    };
}

fn all() -> Vec<Group> {
    groups![
        exactly_once,
        checks,
        compat,
        replacing,
        order,
        cli,
        command,
        articles,
        forms,
        procfs,
        raw,
        input,
        conntrack,
        arp,
        lifetime,
        devices,
        races,
        revision1,
        refusals1,
        many,
        modes,
        firewall,
        whole_set,
        watching,
        watching_ends,
        stat,
        stat_file,
        under_nft,
        namespaces,
        module,
        unload,
        security,
        exposure,
        history,
    ]
}

/// Takes out what this kernel is not built for, and says so.
fn left_out(groups: &mut Vec<Group>) -> Result<()> {
    harness::module::load("ip_tables")?;
    if !harness::compat::available()? {
        groups.retain(|group| group.name != "compat");
        println!("left out: compat_*, for this kernel has no CONFIG_NETFILTER_XTABLES_COMPAT");
    }
    if !exposure::memory_is_charged()? {
        for group in groups.iter_mut() {
            group
                .tests
                .retain(|test| !test.name.starts_with("security_memory"));
        }
        println!("left out: security_memory_*, for this kernel has no CONFIG_MEMCG");
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut groups = all();
    if arguments == ["--list"] {
        let tests = groups.iter().flat_map(|group| &group.tests);
        tests.for_each(|test| println!("{}", test.name));
        return ExitCode::SUCCESS;
    }
    match left_out(&mut groups) {
        Ok(()) => {}
        Err(error) => {
            println!("FAILED: what this kernel is built for: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    let all_passed = harness::run::run(&groups, &arguments);
    harness::count::print();
    if all_passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
