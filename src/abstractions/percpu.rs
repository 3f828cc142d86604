// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: counters of 64 bits that every processor has for itself, and that are added up when
//! somebody asks.
//!
//! C header: `include/linux/percpu.h`.

use crate::bindings;
use core::ptr::NonNull;
use kernel::cpu;
use kernel::prelude::*;

/// So many counters, all of them zero. The pointer leads to memory only together with a processor.
///
/// May sleep; what memory it takes is charged to whoever asks.
pub(super) fn alloc(len: usize) -> Result<NonNull<u64>> {
    let size = size_of::<u64>().checked_mul(len).ok_or(ENOMEM)?;
    // SAFETY: There is nothing to be guaranteed.
    let base = unsafe { bindings::alloc_percpu_u64(size, bindings::GFP_KERNEL_ACCOUNT) };
    NonNull::new(base).ok_or(ENOMEM)
}

/// Gives them back. Any context will do.
///
/// # Safety
///
/// `base` must be `alloc`'s, and nobody must use it any more.
pub(super) unsafe fn free(base: *mut u64) {
    // SAFETY: By the contract of this function.
    unsafe { bindings::free_percpu(base.cast()) };
}

/// What all processors have counted; what they count meanwhile is in it, or not.
///
/// # Safety
///
/// `base` must be `alloc`'s, for more than `index` counters.
pub(super) unsafe fn sum(base: *mut u64, index: usize) -> u64 {
    let mut sum = 0u64;
    for processor in 0..cpu::nr_cpu_ids() {
        // SAFETY: There is no processor of that number or a higher one.
        if unsafe { bindings::cpu_possible(processor) } {
            // SAFETY: A possible processor has its own memory, by the contract of this function for so many
            // counters. A torn read, on a machine of 32 bits, is a wrong number for this once.
            let counted = unsafe {
                bindings::per_cpu_ptr_u64(base, processor)
                    .add(index)
                    .read_volatile()
            };
            sum = sum.wrapping_add(counted);
        }
    }
    sum
}

/// Adds one to a counter of this processor. C: `this_cpu_inc()`.
///
/// In one instruction, so that neither an interrupt nor a move to another processor can come in between.
///
/// # Safety
///
/// `base` must be `alloc`'s, for more than `index` counters.
#[inline(always)]
pub(super) unsafe fn increment(base: *mut u64, index: usize) {
    // User-mode Linux calls itself X86_64, too; with one processor there is no memory of its own.
    #[cfg(all(CONFIG_X86_64, CONFIG_SMP, not(CONFIG_UML)))]
    // SAFETY: By the contract of this function, and because GS is where this processor's memory begins.
    unsafe {
        core::arch::asm!(
            "inc qword ptr gs:[{base} + {index} * 8]",
            base = in(reg) base,
            index = in(reg) index,
            options(nostack),
        );
    }
    #[cfg(not(all(CONFIG_X86_64, CONFIG_SMP, not(CONFIG_UML))))]
    // SAFETY: By the contract of this function.
    unsafe {
        bindings::this_cpu_inc_u64(base.wrapping_add(index));
    }
}
