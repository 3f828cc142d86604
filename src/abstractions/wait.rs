// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: those who wait for something to change, by `poll()`.
//!
//! C headers: `include/linux/wait.h`, `include/linux/poll.h`.

use crate::abstractions::lockdep;
use crate::abstractions::rcu::RcuArc;
use crate::bindings;
use core::ptr;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Full;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;
use kernel::types::Opaque;

/// Those who wait.
///
/// Whoever waits by a file holds the file, and takes himself off the queue when he goes: it may be long after what
/// the file was of has ended, module and all, for procfs makes files dead that are still open. So a queue that
/// is [retired](WaitQueue::retire) stays in memory for as long as somebody is on it.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
    /// The next one of those that are retired.
    next: Atomic<*mut WaitQueue>,
}

// SAFETY: A wait queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

/// Queues that are retired, and that somebody was on when they were last looked at. Each is a reference.
static RETIRED: Atomic<*mut WaitQueue> = Atomic::new(ptr::null_mut());

impl WaitQueue {
    /// A queue that nobody is on.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(|head| {
                let (name, key) = lockdep::queue_class();
                // SAFETY: `head` is memory for a queue, pinned; name and key stay for as long as somebody is on it.
                unsafe { bindings::__init_waitqueue_head(head, name, key) };
            }),
            next: Atomic::new(ptr::null_mut()),
        })
    }

    /// Wakes all who wait. They look for themselves what has changed.
    pub(crate) fn wake(&self) {
        // SAFETY: The queue is initialised. No key: whatever somebody waits for.
        unsafe { bindings::__wake_up(self.head.get(), bindings::TASK_NORMAL, 0, ptr::null_mut()) };
    }

    /// Puts whoever polls `file` on the queue.
    ///
    /// # Safety
    ///
    /// The arguments must be those of a `poll` callback that goes on. Before the queue's last reference goes, it
    /// must be retired, and no such callback may find it from then on.
    pub(super) unsafe fn register(
        &self,
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) {
        // SAFETY: By the contract of this function.
        unsafe { bindings::poll_wait(file, self.head.get(), table) };
    }

    /// Whether nobody is on it.
    ///
    /// Who takes himself off does so under the queue's lock, which is a read-side section of RCU: when he is
    /// gone from the list he may still hold the lock, but no longer than for a grace period.
    fn is_empty(&self) -> bool {
        let head = self.head.get();
        // SAFETY: The queue is initialised, so its list leads somewhere (C: `waitqueue_active()`).
        unsafe {
            let list = &raw mut (*head).head;
            (&raw const (*list).next).read_volatile() == list
        }
    }

    /// Ends a queue that nobody can find any more: wakes those who are on it, and keeps it until they are gone.
    pub(crate) fn retire(this: RcuArc<Self>) {
        this.wake();
        push(this);
        reap();
    }
}

/// Puts a queue on the stack of those that are retired.
fn push(queue: RcuArc<WaitQueue>) {
    let queue = queue.into_raw().cast_mut();
    let mut top = RETIRED.load(Relaxed);
    loop {
        // SAFETY: The reference is ours until the exchange succeeds.
        unsafe { (*queue).next.store(top, Relaxed) };
        match RETIRED.cmpxchg(top, queue, Full) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

/// Lets go of those that nobody is on any more; they are freed a grace period later.
fn reap() {
    // The whole stack at once, so that each queue has one who looks after it.
    let mut next = RETIRED.xchg(ptr::null_mut(), Full);
    while !next.is_null() {
        // SAFETY: What is on the stack was put there by `push`, and is taken off once.
        let queue = unsafe { RcuArc::from_raw(next.cast_const()) };
        next = queue.next.load(Relaxed);
        if !queue.is_empty() {
            push(queue);
        }
    }
}

/// Whether somebody is on a queue that is retired, or was when it was last looked at.
pub(super) fn is_anybody_left() -> bool {
    !RETIRED.load(Relaxed).is_null()
}

/// Lets go, when dropped, of what is retired. For a module's last steps: a queue that somebody is on even then, in a
/// call to `poll()` that has not ended, stays in memory for good. That is better than his going through freed memory.
pub(crate) struct Retired;

impl Drop for Retired {
    fn drop(&mut self) {
        reap();
        let mut next = RETIRED.load(Relaxed);
        while !next.is_null() {
            // SAFETY: As in `reap`; nobody else is there any more.
            let queue = unsafe { RcuArc::from_raw(next.cast_const()) };
            next = queue.next.load(Relaxed);
            queue.keep();
        }
    }
}
