// SPDX-License-Identifier: GPL-2.0-only

//! The cases, by the sections of the original's description.

mod checks;
mod duplicate;
mod file;
mod harmful;
mod lifetime;
mod loading;
mod module;
mod reading;
mod shells;
mod vip;
mod writing;

use crate::case::Entry;

/// Those that any kernel survives.
pub fn all() -> Vec<Entry> {
    [
        checks::cases(),
        file::cases(),
        reading::cases(),
        writing::cases(),
        shells::cases(),
        lifetime::cases(),
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
