// SPDX-License-Identifier: GPL-2.0-only

//! The cases, by the sections of the original's description.

mod checks;

use crate::case::Entry;

/// Those that any kernel survives.
pub fn all() -> Vec<Entry> {
    [checks::cases()].into_iter().flatten().collect()
}

/// Those that harm the original's kernel; each needs a boot of its own.
pub fn harmful() -> Vec<Entry> {
    Vec::new()
}
