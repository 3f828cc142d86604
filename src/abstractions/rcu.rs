// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: objects that RCU readers may still see after their owners let go.
//!
//! C headers: `include/linux/rcupdate.h`, `include/linux/xarray.h`.

use crate::bindings;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::alloc::Flags;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Full;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;
use kernel::sync::rcu;
use kernel::types::Opaque;

#[repr(C)]
#[pin_data]
struct Inner<T> {
    head: Opaque<bindings::callback_head>,
    refs: Atomic<i64>,
    #[pin]
    value: T,
}

/// A counted reference, like [`kernel::sync::Arc`], to a value that is freed a grace period after the
/// last reference went.
///
/// Whoever found the value inside an RCU read-side section may thus use it until the section ends.
///
/// # Invariants
///
/// `ptr` is an `Inner` whose count includes this reference.
pub(crate) struct RcuArc<T> {
    ptr: NonNull<Inner<T>>,
    _own: PhantomData<Inner<T>>,
}

// SAFETY: References travel between threads as those of `Arc` do; the value is shared, and dropped
// by whatever thread runs RCU callbacks.
unsafe impl<T: Send + Sync> Send for RcuArc<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for RcuArc<T> {}

// Moving a reference does not move the value.
impl<T> Unpin for RcuArc<T> {}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// Allocates the value and initialises it in place.
    ///
    /// The value is dropped in softirq context, so its `drop` must not sleep.
    pub(crate) fn pin_init<E>(value: impl PinInit<T, E>, flags: Flags) -> Result<Self>
    where
        Error: From<E>,
    {
        let inner = KBox::try_pin_init(
            try_pin_init!(Inner {
                head: Opaque::zeroed(),
                refs: Atomic::new(1),
                value <- value,
            }? Error),
            flags,
        )?;
        // SAFETY: The value stays where it is until `free` takes it back as a pinned box.
        let raw = KBox::into_raw(unsafe { Pin::into_inner_unchecked(inner) });
        // SAFETY: A box is never null.
        let ptr = unsafe { NonNull::new_unchecked(raw) };
        // INVARIANT: The count is 1, for this reference.
        Ok(Self {
            ptr,
            _own: PhantomData,
        })
    }
}

impl<T> RcuArc<T> {
    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariant there is an `Inner` for as long as `self`.
        unsafe { self.ptr.as_ref() }
    }

    /// Gives the reference away as a pointer to the value; [`RcuArc::from_raw`] takes it back.
    pub(super) fn into_raw(self) -> *const T {
        let value: *const T = &self.inner().value;
        core::mem::forget(self);
        value
    }

    /// Keeps the value for good, which is not to be taken for a leak.
    pub(super) fn keep(self) {
        // SAFETY: Memory is looked up by where it begins, no more.
        unsafe { bindings::kmemleak_not_leak(self.ptr.as_ptr().cast_const().cast()) };
        core::mem::forget(self);
    }

    /// Takes back what [`RcuArc::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `value` must come from `into_raw`, and be taken back once.
    pub(super) unsafe fn from_raw(value: *const T) -> Self {
        // SAFETY: `value` is the field of an `Inner`, by the caller's guarantee.
        let inner = unsafe { kernel::container_of!(value.cast_mut(), Inner<T>, value) };
        // INVARIANT: The count that `into_raw` left behind becomes this reference's.
        Self {
            // SAFETY: An address within an allocation is not null.
            ptr: unsafe { NonNull::new_unchecked(inner) },
            _own: PhantomData,
        }
    }

    /// A reference of its own to a value seen in a read-side section; `None` when its last
    /// reference has gone.
    ///
    /// # Safety
    ///
    /// `value` must be what a [`RcuArc::into_raw`] gave, seen by `guard`'s section where it is
    /// published.
    pub(super) unsafe fn try_get(value: *const T, _guard: &rcu::Guard) -> Option<Self> {
        // SAFETY: `value` is the field of an `Inner`, by the caller's guarantee.
        let inner = unsafe { kernel::container_of!(value.cast_mut(), Inner<T>, value) };
        // SAFETY: Not freed before the read-side section ends, whatever its count.
        let refs = unsafe { &(*inner).refs };
        let mut seen = refs.load(Relaxed);
        while seen > 0 {
            match refs.cmpxchg(seen, seen.wrapping_add(1), Full) {
                // INVARIANT: The count was raised, from a number that was not 0.
                Ok(_) => {
                    return Some(Self {
                        // SAFETY: An address within an allocation is not null.
                        ptr: unsafe { NonNull::new_unchecked(inner) },
                        _own: PhantomData,
                    });
                }
                Err(now) => seen = now,
            }
        }
        None
    }

    /// The callback of `call_rcu()`.
    ///
    /// # Safety
    ///
    /// `head` must be that of an `Inner<T>` whose last reference went a grace period ago.
    unsafe extern "C" fn free(head: *mut bindings::callback_head) {
        // SAFETY: `head` is the first field of an `Inner<T>` that `pin_init` allocated as a box and
        // that nobody refers to any more.
        let inner = unsafe { KBox::from_raw(head.cast::<Inner<T>>()) };
        drop(Box::into_pin(inner));
    }
}

impl<T> Clone for RcuArc<T> {
    fn clone(&self) -> Self {
        self.inner().refs.fetch_add(1, Relaxed);
        // INVARIANT: The count was raised, for this reference.
        Self {
            ptr: self.ptr,
            _own: PhantomData,
        }
    }
}

impl<T> Deref for RcuArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant there is an `Inner` for as long as `self`.
        unsafe { &self.ptr.as_ref().value }
    }
}

impl<T> Drop for RcuArc<T> {
    fn drop(&mut self) {
        if self.inner().refs.fetch_sub(1, Full) == 1 {
            let head = self.inner().head.get();
            // SAFETY: This was the last reference, so the head is queued once; `free` is of the type
            // that `head` is in. `Barrier` keeps this code in memory until it has run.
            unsafe { bindings::call_rcu(head, Some(Self::free)) };
        }
    }
}

/// Waits, when dropped, until every [`RcuArc`] that has no reference left is freed.
///
/// A module that uses them holds it as the last field of its own: the callbacks are its code.
/// `LEVELS` is how deep they nest: 1 where no value holds a reference to another one, 2 where a value
/// may hold the last reference to one that holds none, and so on.
pub(crate) struct Barrier<const LEVELS: usize>;

impl<const LEVELS: usize> Drop for Barrier<LEVELS> {
    fn drop(&mut self) {
        for _ in 0..LEVELS {
            // SAFETY: Module unload may sleep.
            unsafe { bindings::rcu_barrier() };
        }
    }
}

/// A map from 32-bit keys to shared values, read under RCU alone, in constant time.
///
/// Its lock keeps softirqs out, for it is taken in one: a map in an [`RcuArc`] is dropped there.
///
/// # Invariants
///
/// Every entry comes from [`RcuArc::into_raw`].
#[pin_data(PinnedDrop)]
pub(crate) struct RcuMap<T: Send + Sync> {
    #[pin]
    xa: Opaque<bindings::xarray>,
    _own: PhantomData<RcuArc<T>>,
}

// SAFETY: An XArray serialises its writers, and its readers are RCU's.
unsafe impl<T: Send + Sync> Send for RcuMap<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for RcuMap<T> {}

impl<T: Send + Sync> RcuMap<T> {
    /// An empty map.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `xa` is memory for an XArray that nobody uses yet.
            xa <- Opaque::ffi_init(|xa| unsafe { bindings::xa_init_account_bh(xa) }),
            _own: PhantomData,
        })
    }

    /// The value of a key, for as long as the read-side section lasts.
    #[inline]
    pub(crate) fn get<'a>(&'a self, key: u32, _guard: &'a rcu::Guard) -> Option<&'a T> {
        // SAFETY: The XArray is initialised; `xa_load()` needs the read-side section at most.
        let value = unsafe { bindings::xa_load(self.xa.get(), index(key)) };
        // SAFETY: By the type invariant a pointer to a `T`, which is freed a grace period after it
        // has left the map at the soonest.
        unsafe { value.cast_const().cast::<T>().as_ref() }
    }

    /// A reference to the value of a key.
    pub(crate) fn get_owned(&self, key: u32) -> Option<RcuArc<T>> {
        let guard = rcu::read_lock();
        let value: *const T = self.get(key, &guard)?;
        // SAFETY: By the type invariant from `into_raw`, and seen in this section.
        unsafe { RcuArc::try_get(value, &guard) }
    }

    /// Whether there is no key. An insertion that failed may have left an empty node behind (C: `xas_create()`), so
    /// that `xa_empty()` does not tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    /// The keys that there are, from the lowest to the highest; those that come or go meanwhile, or not.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u32> + '_ {
        self.keys_from(0)
    }

    /// Those that are not below `first`.
    pub(crate) fn keys_from(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = Some(first);
        core::iter::from_fn(move || {
            let mut at = index(next?);
            // SAFETY: The XArray is initialised; `xa_find()` takes the read-side section by itself.
            let found = unsafe {
                bindings::xa_find(
                    self.xa.get(),
                    &mut at,
                    index(u32::MAX),
                    bindings::XA_PRESENT,
                )
            };
            NonNull::new(found)?;
            // CAST: It was a key.
            let key = at as u32;
            next = key.checked_add(1);
            Some(key)
        })
    }

    /// Publishes a value under a key that has none.
    ///
    /// What memory that takes is charged to whoever asks.
    pub(crate) fn insert(&self, key: u32, value: RcuArc<T>) -> Result {
        let raw = value.into_raw();
        // SAFETY: The XArray is initialised; a pointer to a `T` in an `Inner` is aligned to 4 at the
        // least. INVARIANT: The entry is `into_raw`'s.
        let old = unsafe {
            bindings::xa_store_bh(
                self.xa.get(),
                index(key),
                raw.cast_mut().cast(),
                bindings::GFP_KERNEL_ACCOUNT,
            )
        };
        // SAFETY: Reads the pointer's value only.
        to_result(unsafe { bindings::xa_err(old) }).inspect_err(|_| {
            // SAFETY: Not stored, so the reference is still ours.
            drop(unsafe { RcuArc::from_raw(raw) });
        })?;
        if let Some(old) = NonNull::new(old) {
            // SAFETY: By the type invariant; it was replaced, and is nobody else's.
            drop(unsafe { RcuArc::<T>::from_raw(old.as_ptr().cast_const().cast()) });
        }
        Ok(())
    }

    /// Takes a key's value out, if there is one.
    pub(crate) fn remove(&self, key: u32) -> Option<RcuArc<T>> {
        // SAFETY: The XArray is initialised.
        let old = unsafe { bindings::xa_erase_bh(self.xa.get(), index(key)) };
        // SAFETY: By the type invariant; it was taken out, so the reference is ours.
        NonNull::new(old).map(|old| unsafe { RcuArc::from_raw(old.as_ptr().cast_const().cast()) })
    }
}

/// CAST: The index of an XArray is as wide as a pointer, which is 32 bits at the least.
fn index(key: u32) -> kernel::ffi::c_ulong {
    key as kernel::ffi::c_ulong
}

#[pinned_drop]
impl<T: Send + Sync> PinnedDrop for RcuMap<T> {
    fn drop(self: Pin<&mut Self>) {
        // Entries that are left are leaked rather than freed under a reader; users take theirs out.
        // SAFETY: Nobody refers to the map any more.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}
