// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: flags over which hashes are spread evenly, looked at for every packet and replaced at
//! once; with two counters for each.
//!
//! C headers: `include/linux/math.h`, `include/linux/rcupdate.h`.

use super::percpu;
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::num::NonZero;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Acquire;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::ordering::Release;
use kernel::sync::atomic::Atomic;

/// So many flags find room without memory of their own.
const FEW: usize = 4;

/// Flags, a byte each, in two halves: one is in force, in the other the next ones are written.
///
/// Who looks on is in an RCU read-side section: until it ends, the half that was in force changes by single
/// flags only, never to another set. Whoever changes flags must be the only one who does, or they become a mixture.
///
/// # Invariants
///
/// `len` is not 0. [`Spread::halves`] is memory for two halves of `len` bytes, accessed a byte at a time by volatile
/// reads and writes; at `now` one of them begins. `on` has twice `len` counters and one more, `off` is the one
/// at `len`.
#[pin_data(PinnedDrop)]
pub(crate) struct Spread {
    now: Atomic<*mut u8>,
    on: *mut u64,
    off: *mut u64,
    /// When the halves last changed places, in RCU's time.
    since: Atomic<usize>,
    room: UnsafeCell<Room>,
    len: u32,
    /// How often a flag has changed, from 1, and never 0.
    generation: Atomic<u32>,
    #[pin]
    _pin: PhantomPinned,
}

#[repr(C)]
union Room {
    few: [u8; FEW * 2],
    many: *mut u8,
}

// SAFETY: Flags and counters are memory that any thread may free.
unsafe impl Send for Spread {}
// SAFETY: Flags are accessed as the type's invariant says, counters by their own processors.
unsafe impl Sync for Spread {}

/// Where a hash falls: one of the flags.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    spread: &'a Spread,
    /// Less than the number of flags.
    index: usize,
}

impl Spread {
    /// As many flags, of which those are on that `is_on` says. What memory they take is charged to whoever asks.
    pub(crate) fn new(len: NonZero<u32>, is_on: impl Fn(u32) -> bool) -> impl PinInit<Self, Error> {
        let make = move |slot: *mut Self| {
            // CAST: widening.
            let half = len.get() as usize;
            let halves = half.checked_mul(2).ok_or(ENOMEM)?;
            let mut room = Room { few: [0; FEW * 2] };
            if half > FEW {
                let (many, _, _) =
                    KVec::from_elem(0u8, halves, GFP_KERNEL_ACCOUNT)?.into_raw_parts();
                room = Room { many };
            }
            let counters = percpu::alloc(halves.wrapping_add(1)).inspect_err(|_| {
                // SAFETY: As in `drop`.
                unsafe { free_room(&room, half) };
            })?;
            // SAFETY: `slot` is memory for a value, which is pinned from now on. INVARIANT: What was made above
            // is of the sizes that it says; `now` is set to the first half.
            unsafe {
                slot.write(Self {
                    now: Atomic::new(core::ptr::null_mut()),
                    on: counters.as_ptr(),
                    off: counters.as_ptr().wrapping_add(half),
                    since: Atomic::new(0),
                    room: UnsafeCell::new(room),
                    len: len.get(),
                    generation: Atomic::new(1),
                    _pin: PhantomPinned,
                });
                let this = &*slot;
                this.now.store(this.halves(), Relaxed);
                this.fill(this.halves(), is_on);
            }
            Ok(())
        };
        // SAFETY: `make` initialises the slot, or leaves nothing behind when it fails.
        unsafe { pin_init::pin_init_from_closure(make) }
    }

    /// How many flags there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Where a hash falls. C: `reciprocal_scale()`.
    #[inline(always)]
    pub(crate) fn place(&self, hash: u32) -> Place<'_> {
        // CAST: widening; the product of two 32-bit numbers fits in 64 bits. Its upper half, which is less than
        // `len`, fits in a `usize`.
        let index = (u64::from(hash).wrapping_mul(u64::from(self.len)) >> 32) as usize;
        Place {
            spread: self,
            index,
        }
    }

    /// The flag of this index, from 0, if there is one.
    pub(crate) fn at(&self, index: u32) -> Option<Place<'_>> {
        (index < self.len).then_some(Place {
            spread: self,
            // CAST: widening.
            index: index as usize,
        })
    }

    /// Replaces all flags at once: whoever looks sees those from before, or these, and nothing between. May
    /// sleep until all who look have looked away, when there were others a moment ago.
    pub(crate) fn replace(&self, is_on: impl Fn(u32) -> bool) {
        // Somebody may still look at the half that is to be written, which was in force before.
        // SAFETY: There is nothing to be guaranteed; it sleeps, as this function says of itself.
        unsafe { bindings::cond_synchronize_rcu(self.since.load(Relaxed) as kernel::ffi::c_ulong) };
        let (halves, now) = (self.halves(), self.now.load(Relaxed));
        // CAST: widening.
        let other = if now == halves {
            halves.wrapping_add(self.len as usize)
        } else {
            halves
        };
        self.fill(other, is_on);
        // INVARIANT: It is the other half.
        self.now.store(other, Release);
        // SAFETY: There is nothing to be guaranteed.
        let since = unsafe { bindings::get_state_synchronize_rcu() };
        // CAST: The same width.
        self.since.store(since as usize, Relaxed);
        self.changed();
    }

    /// A number that is another one whenever a flag has changed since; never 0.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Acquire)
    }

    fn changed(&self) {
        let next = self.generation.load(Relaxed).checked_add(1).unwrap_or(1);
        self.generation.store(next, Release);
    }

    /// Counts what is no flag's.
    pub(crate) fn count_other(&self) {
        // SAFETY: By the type's invariants this is the last counter. CAST: widening.
        unsafe { percpu::increment(self.on, (self.len as usize).wrapping_mul(2)) };
    }

    /// How often that was counted.
    pub(crate) fn other(&self) -> u64 {
        // SAFETY: As above. CAST: widening.
        unsafe { percpu::sum(self.on, (self.len as usize).wrapping_mul(2)) }
    }

    /// Where the two halves are.
    fn halves(&self) -> *mut u8 {
        let room = self.room.get();
        // CAST: widening.
        if self.len as usize > FEW {
            // SAFETY: By the type's invariants it holds the pointer, which is never written again.
            unsafe { (*room).many }
        } else {
            room.cast()
        }
    }

    fn fill(&self, half: *mut u8, is_on: impl Fn(u32) -> bool) {
        for index in 0..self.len {
            // SAFETY: By the type's invariants a half has so many bytes. CAST: widening.
            unsafe { half.add(index as usize).write_volatile(is_on(index).into()) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Spread {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nobody looks any more. CAST: widening.
        unsafe { free_room(&*self.room.get(), self.len as usize) };
        // SAFETY: As above.
        unsafe { percpu::free(self.on) };
    }
}

/// # Safety
///
/// `room` must be that of a [`Spread`] of `half` flags which nobody uses any more.
unsafe fn free_room(room: &Room, half: usize) {
    if half > FEW {
        // SAFETY: So many flags are in memory of their own, which `new` took apart like this.
        drop(unsafe { KVec::from_raw_parts(room.many, 0, half.wrapping_mul(2)) });
    }
}

impl Place<'_> {
    /// Which flag it is, from 0.
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        // CAST: Less than a `u32`.
        self.index as u32
    }

    /// Whether the flag is on, which is counted. To be called in an RCU read-side section, as packets are.
    #[inline(always)]
    pub(crate) fn meet(&self) -> bool {
        let is_on = self.is_on();
        // The caller asks the same: each in its own branch is one instruction less.
        if is_on {
            // SAFETY: By the invariants of the spread, since the index is one of its flags'.
            unsafe { percpu::increment(self.spread.on, self.index) };
        } else {
            // SAFETY: As above.
            unsafe { percpu::increment(self.spread.off, self.index) };
        }
        is_on
    }

    /// Whether the flag is on.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        // SAFETY: A reference is valid. A volatile read of an aligned word is what the kernel's memory model
        // calls a marked one: a load of `Atomic`, but in place. What the half holds was written before, and
        // whoever reads it by this pointer comes after (C: address dependency).
        let now = unsafe { self.spread.now.as_ptr().read_volatile() };
        // SAFETY: By the invariants of the spread a half has a byte for each of its flags.
        unsafe { now.add(self.index).read_volatile() != 0 }
    }

    /// Turns the flag on or off.
    pub(crate) fn turn(&self, on: bool) {
        let now = self.spread.now.load(Relaxed);
        // SAFETY: By the invariants of the spread, as above.
        unsafe { now.add(self.index).write_volatile(on.into()) };
        self.spread.changed();
    }

    /// How often it was met on, and how often off.
    pub(crate) fn met(&self) -> (u64, u64) {
        // SAFETY: As in `meet`.
        unsafe {
            (
                percpu::sum(self.spread.on, self.index),
                percpu::sum(self.spread.off, self.index),
            )
        }
    }
}
