// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: what [`kernel::sync::atomic`] does by a call, in place.
//!
//! C header: `include/asm-generic/rwonce.h`.

use kernel::sync::atomic::Atomic;

/// A relaxed load, in place (C: `READ_ONCE()`): `Atomic::load()` is a call, which costs a packet more
/// than what it is looked up for.
#[inline(always)]
pub(crate) fn read_once(word: &Atomic<u64>) -> u64 {
    // Elsewhere it would be two loads.
    const { assert!(size_of::<usize>() == size_of::<u64>()) }
    // SAFETY: A reference is valid. A volatile read of an aligned word is what the kernel's memory
    // model calls a marked one, which may meet any atomic access.
    unsafe { word.as_ptr().read_volatile() }
}
