// SPDX-License-Identifier: GPL-2.0-only

//! What is tried: everything that the module can be made to do and that takes memory.

mod arp;
mod devices;
mod files;
mod loading;
mod namespaces;
mod rules;
mod stat;

pub use namespaces::end;
pub use rules::joins;

use crate::faults::Faults;
use crate::sweep::Operation;
use anyhow::Result;
use harness::Ctx;

/// How to make an operation.
type Make = fn(&mut Ctx, &Faults) -> Result<Box<dyn Operation>>;

/// An operation that can be asked for by its name.
pub struct Entry {
    pub name: &'static str,
    pub make: Make,
    /// At each how many of its allocations memory is short, once and for the rest of the attempt.
    pub full: [u32; 2],
    /// In the short form; not at all where it says nothing.
    pub short: [Option<u32>; 2],
    /// After each how many refusals it is to succeed.
    pub again: u32,
}

pub fn all() -> Vec<Entry> {
    let entry = |name, make: Make, short| Entry {
        name,
        make,
        full: [1, 1],
        short,
        again: 1,
    };
    let (whole, no) = (Some(1), None);
    vec![
        entry("module_load", loading::load, [no, no]),
        entry("namespace_creation", namespaces::creation, [whole, no]),
        entry("first_rule", rules::first, [whole, no]),
        entry("first_rule_without_device", rules::by_route, [no, no]),
        entry("first_rule_in_raw", rules::in_raw, [no, no]),
        entry("first_rule_of_many_numbers", rules::of_many, [whole, no]),
        entry("further_rule", rules::further, [no, no]),
        Entry {
            // Its 50 VIPs are all alike: one in seven is each of a VIP's allocations some time.
            full: [1, 7],
            again: 10,
            ..entry("restore_of_50_rules", rules::restore, [no, no])
        },
        entry("last_rule_goes", rules::last, [no, whole]),
        entry("first_open", files::open, [whole, no]),
        entry("first_read", files::read, [whole, no]),
        entry("write", files::write, [whole, no]),
        entry("write_of_a_set", files::write_set, [whole, no]),
        entry("stat_open", stat::open, [whole, no]),
        entry("stat_read", stat::read, [whole, no]),
        entry("device_registration", devices::registration, [whole, no]),
        entry("device_rename", devices::rename, [no, no]),
        entry("arp_private_copy", arp::private_copy, [whole, no]),
    ]
}
