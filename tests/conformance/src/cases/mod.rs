// SPDX-License-Identifier: GPL-2.0-only

//! The cases, by the sections of the original's description.

mod again;
mod arp;
mod arp_devices;
mod arp_rules;
mod bench;
mod chains;
mod checks;
mod commands;
mod counted;
mod decision;
mod devices;
mod duplicate;
mod file;
mod flows;
mod gone;
mod harmful;
mod hashed;
mod interfaces;
mod lifetime;
mod loading;
mod memberships;
mod module;
mod order;
mod payload;
mod pieces;
mod places;
mod reading;
mod replacing;
mod shells;
mod tables;
mod taken;
mod vectors;
mod vip;
mod writing;

use crate::case::Entry;

/// Those that any kernel survives.
pub fn all() -> Vec<Entry> {
    [
        // §1
        payload::cases(),
        chains::cases(),
        // §2
        checks::cases(),
        order::cases(),
        taken::cases(),
        again::cases(),
        counted::cases(),
        replacing::cases(),
        commands::cases(),
        gone::cases(),
        // §3
        decision::cases(),
        places::cases(),
        flows::cases(),
        hashed::cases(),
        pieces::cases(),
        vectors::cases(),
        // §4
        arp::cases(),
        arp_rules::cases(),
        arp_devices::cases(),
        // §5
        devices::cases(),
        interfaces::cases(),
        memberships::cases(),
        // §6
        file::cases(),
        reading::cases(),
        writing::cases(),
        shells::cases(),
        lifetime::cases(),
        // §7
        module::cases(),
        loading::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those that harm the original's kernel; each needs a boot of its own.
pub fn harmful() -> Vec<Entry> {
    harmful::cases()
}
