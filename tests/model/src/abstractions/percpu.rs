// SPDX-License-Identifier: GPL-2.0-only

//! Counters of one processor: loom runs all threads of a model on one, and counters are nobody's to meet on.

use kernel::prelude::*;
use std::ptr::NonNull;

/// As many as a spread of the scenarios takes at the most.
const MOST: usize = 32;

type Counters = KBox<[u64; MOST]>;

pub(super) fn alloc(len: usize) -> Result<NonNull<u64>> {
    assert!(len <= MOST);
    let counters = Counters::try_pin_init([0; MOST], GFP_KERNEL_ACCOUNT)?;
    let raw = Counters::into_raw(Pin::into_inner(counters));
    Ok(NonNull::new(raw.cast()).expect("a box"))
}

pub(super) unsafe fn free(base: *mut u64) {
    // SAFETY: `alloc` made it of a box.
    drop(unsafe { Counters::from_raw(base.cast()) });
}

pub(super) unsafe fn sum(base: *mut u64, index: usize) -> u64 {
    assert!(kernel::alloc::is_there(base.cast()), "freed counters");
    // SAFETY: It is there, and has so many.
    unsafe { *base.add(index) }
}

pub(super) unsafe fn increment(base: *mut u64, index: usize) {
    assert!(kernel::alloc::is_there(base.cast()), "freed counters");
    // SAFETY: As above.
    unsafe { *base.add(index) += 1 };
}
