// SPDX-License-Identifier: GPL-2.0-only

//! Memory that is not given back before the end of an execution, so that whoever uses it after its end is
//! found out, by the atomics in it (see [`crate::sync::atomic`]).

use crate::error::Error;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ops::DerefMut;
use core::pin::Pin;
use core::ptr::NonNull;
use pinned_init::PinInit;
use std::alloc::Layout;
use std::cell::Cell;
use std::cell::RefCell;

/// How memory is to be found.
#[derive(Clone, Copy)]
pub struct Flags;

thread_local! {
    // loom runs all threads of a model on one.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static DEAD: RefCell<Vec<(*mut u8, Layout)>> = const { RefCell::new(Vec::new()) };
}

/// How many objects there are.
pub fn live() -> usize {
    LIVE.get()
}

/// Whether an address is none that was freed.
pub fn is_there(address: *const u8) -> bool {
    DEAD.with_borrow(|dead| {
        !dead.iter().any(|(memory, layout)| {
            (memory.addr()..memory.addr() + layout.size()).contains(&address.addr())
        })
    })
}

/// An execution begins: nothing is left of the one before.
pub fn begin() {
    LIVE.set(0);
    for (memory, layout) in DEAD.take() {
        // SAFETY: `KBox` allocated it by this layout, and nobody of another execution has it.
        unsafe { std::alloc::dealloc(memory, layout) };
    }
}

pub struct KBox<T>(NonNull<T>, PhantomData<T>);

impl<T> KBox<T> {
    pub fn into_raw(this: Self) -> *mut T {
        ManuallyDrop::new(this).0.as_ptr()
    }

    /// # Safety
    ///
    /// `raw` comes from `into_raw`, and is taken back once.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: A box is never null.
        Self(unsafe { NonNull::new_unchecked(raw) }, PhantomData)
    }

    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: What is in a box does not move.
        unsafe { Pin::new_unchecked(this) }
    }
}

/// Initialises a value where it stays.
pub trait InPlaceInit<T>: Sized {
    fn try_pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Pin<Self>, E>;
}

impl<T> InPlaceInit<T> for KBox<T> {
    fn try_pin_init<E>(init: impl PinInit<T, E>, _: Flags) -> Result<Pin<Self>, E> {
        let layout = Layout::new::<T>();
        assert!(layout.size() > 0);
        // SAFETY: Not of size 0.
        let memory = unsafe { std::alloc::alloc(layout) }.cast::<T>();
        let memory = NonNull::new(memory).expect("memory");
        // SAFETY: Memory for a `T`, which does not move any more.
        match unsafe { init.__pinned_init(memory.as_ptr()) } {
            Ok(()) => {
                LIVE.set(LIVE.get() + 1);
                Ok(Self::into_pin(Self(memory, PhantomData)))
            }
            Err(error) => {
                DEAD.with_borrow_mut(|dead| dead.push((memory.as_ptr().cast(), layout)));
                Err(error)
            }
        }
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: It is there as long as the box is.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As above.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: The box is the value's only owner.
        unsafe { self.0.as_ptr().drop_in_place() };
        let live = LIVE.get();
        assert!(live > 0, "something is freed twice");
        LIVE.set(live - 1);
        DEAD.with_borrow_mut(|dead| dead.push((self.0.as_ptr().cast(), Layout::new::<T>())));
    }
}

/// As much of a vector as is used: it has one length from its beginning to its end.
pub struct KVec<T: Copy> {
    memory: NonNull<T>,
    len: usize,
}

impl<T: Copy> KVec<T> {
    pub fn new() -> Self {
        Self {
            memory: NonNull::dangling(),
            len: 0,
        }
    }

    pub fn from_elem(value: T, len: usize, _: Flags) -> Result<Self, Error> {
        if len == 0 {
            return Ok(Self::new());
        }
        // SAFETY: Not of size 0.
        let memory = unsafe { std::alloc::alloc(Self::layout(len)) }.cast::<T>();
        let memory = NonNull::new(memory).expect("memory");
        for index in 0..len {
            // SAFETY: There are so many.
            unsafe { memory.add(index).write(value) };
        }
        LIVE.set(LIVE.get() + 1);
        Ok(Self { memory, len })
    }

    pub fn into_raw_parts(self) -> (*mut T, usize, usize) {
        let this = ManuallyDrop::new(self);
        (this.memory.as_ptr(), this.len, this.len)
    }

    /// # Safety
    ///
    /// `raw` comes from `into_raw_parts`, as `capacity` does, and is taken back once.
    pub unsafe fn from_raw_parts(raw: *mut T, _: usize, capacity: usize) -> Self {
        Self {
            // SAFETY: That of a vector is never null.
            memory: unsafe { NonNull::new_unchecked(raw) },
            len: capacity,
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<T>(len).expect("a size")
    }
}

impl<T: Copy> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: So many are there as long as the vector is.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: As above.
        unsafe { core::slice::from_raw_parts_mut(self.memory.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for KVec<T> {
    fn drop(&mut self) {
        if self.len > 0 {
            let live = LIVE.get();
            assert!(live > 0, "something is freed twice");
            LIVE.set(live - 1);
            let layout = Self::layout(self.len);
            DEAD.with_borrow_mut(|dead| dead.push((self.memory.as_ptr().cast(), layout)));
        }
    }
}
