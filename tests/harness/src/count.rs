// SPDX-License-Identifier: GPL-2.0-only

//! What a run has done, for the sums of the torture lane.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Frames and packets given to the kernel.
pub static PACKETS: AtomicU64 = AtomicU64::new(0);
/// Tables that the kernel was asked to replace, by whatever program.
pub static TABLES: AtomicU64 = AtomicU64::new(0);

pub fn add(what: &AtomicU64, number: usize) {
    what.fetch_add(number as u64, Relaxed);
}

/// As `scripts/torture` reads it.
pub fn print() {
    println!("total packets {}", PACKETS.load(Relaxed));
    println!("total rule-changes {}", TABLES.load(Relaxed));
}
