// SPDX-License-Identifier: GPL-2.0-only

//! What is tried: everything that the module can be made to do and that takes memory.

mod arp;
mod devices;
mod files;
mod loading;
mod namespaces;
mod rules;

pub use namespaces::end;

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
    /// At each how many allocations memory is short in the short form, once and for the rest of the
    /// attempt; not at all where it says nothing.
    pub short: [Option<u32>; 2],
}

pub fn all() -> Vec<Entry> {
    let entry = |name, make: Make, once, lasting| Entry {
        name,
        make,
        short: [once, lasting],
    };
    vec![
        entry("module_load", loading::load, Some(1), None),
        entry("namespace_creation", namespaces::creation, Some(1), None),
        entry("first_rule", rules::first, Some(1), Some(1)),
        entry("first_rule_without_device", rules::by_route, None, None),
        entry("first_rule_in_raw", rules::in_raw, Some(1), None),
        entry("further_rule", rules::further, Some(1), None),
        entry("restore_of_50_rules", rules::restore, Some(100), None),
        entry("last_rule_goes", rules::last, None, Some(1)),
        entry("first_open", files::open, Some(1), None),
        entry("first_read", files::read, Some(1), None),
        entry("write", files::write, Some(1), None),
        entry("device_registration", devices::registration, Some(1), None),
        entry("device_rename", devices::rename, None, None),
        entry("arp_private_copy", arp::private_copy, Some(1), None),
    ]
}
