// SPDX-License-Identifier: GPL-2.0-only

//! What `abstractions/{rcu, spread, wait}` have of C: an XArray, whose lock is loom's, RCU's callbacks and its time, and
//! queues of those who wait.

use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_uint;
use kernel::ffi::c_ulong;
use kernel::ffi::c_void;
use kernel::sync::rcu;
use loom::sync::Condvar;
use loom::sync::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr;

#[allow(non_camel_case_types)]
pub(crate) struct callback_head(());

#[allow(non_camel_case_types)]
pub(crate) struct xarray(Mutex<BTreeMap<c_ulong, *mut c_void>>);

pub(crate) const GFP_KERNEL_ACCOUNT: u32 = 0;
pub(crate) const XA_PRESENT: u32 = 8;

impl xarray {
    unsafe fn with<T>(
        xa: *mut xarray,
        action: impl FnOnce(&mut BTreeMap<c_ulong, *mut c_void>) -> T,
    ) -> T {
        // SAFETY: The callers below are given one that is there.
        let xa = unsafe { &*xa };
        action(&mut xa.0.lock().expect("nobody panics under it and goes on"))
    }
}

pub(crate) unsafe fn xa_init_account_bh(xa: *mut xarray) {
    // SAFETY: Memory for one.
    unsafe { xa.write(xarray(Mutex::default())) };
}

pub(crate) unsafe fn xa_load(xa: *mut xarray, index: c_ulong) -> *mut c_void {
    // SAFETY: The caller's.
    unsafe {
        xarray::with(xa, |map| {
            map.get(&index).copied().unwrap_or(ptr::null_mut())
        })
    }
}

pub(crate) unsafe fn xa_store_bh(
    xa: *mut xarray,
    index: c_ulong,
    value: *mut c_void,
    _: u32,
) -> *mut c_void {
    // SAFETY: The caller's.
    unsafe {
        xarray::with(xa, |map| {
            map.insert(index, value).unwrap_or(ptr::null_mut())
        })
    }
}

pub(crate) unsafe fn xa_err(_: *mut c_void) -> c_int {
    0
}

pub(crate) unsafe fn xa_erase_bh(xa: *mut xarray, index: c_ulong) -> *mut c_void {
    // SAFETY: The caller's.
    unsafe { xarray::with(xa, |map| map.remove(&index).unwrap_or(ptr::null_mut())) }
}

pub(crate) unsafe fn xa_find(
    xa: *mut xarray,
    index: *mut c_ulong,
    max: c_ulong,
    _: u32,
) -> *mut c_void {
    // SAFETY: The caller's.
    unsafe {
        let found = xarray::with(xa, |map| {
            let next = map.range(*index..=max).next();
            next.map(|(key, value)| (*key, *value))
        });
        let (key, value) = found.unwrap_or((*index, ptr::null_mut()));
        *index = key;
        value
    }
}

pub(crate) unsafe fn xa_destroy(xa: *mut xarray) {
    // SAFETY: The caller's, and never used again.
    unsafe { xa.drop_in_place() };
}

pub(crate) unsafe fn call_rcu(
    head: *mut callback_head,
    function: Option<unsafe extern "C" fn(*mut callback_head)>,
) {
    let function = function.expect("a callback");
    // SAFETY: A grace period later, as the caller asks.
    rcu::call(move || unsafe { function(head) });
}

pub(crate) unsafe fn rcu_barrier() {}

pub(crate) unsafe fn get_state_synchronize_rcu() -> c_ulong {
    rcu::now()
}

pub(crate) unsafe fn cond_synchronize_rcu(since: c_ulong) {
    rcu::synchronize_since(since);
}

pub(crate) const TASK_NORMAL: c_uint = 3;

#[allow(non_camel_case_types)]
pub(crate) struct file(());

#[allow(non_camel_case_types)]
pub(crate) struct list_head {
    pub(crate) next: *mut list_head,
}

/// Those who are on it, and the lock that they come and go under.
#[allow(non_camel_case_types)]
pub(crate) struct wait_queue_head {
    pub(crate) head: list_head,
    waiting: Mutex<Vec<*const Poll>>,
}

#[allow(non_camel_case_types)]
pub(crate) type poll_table_struct = Poll;

/// Somebody's call to `poll()`, from when he is on a queue until he has taken himself off.
pub(crate) struct Poll {
    queue: Cell<*mut wait_queue_head>,
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Poll {
    pub(crate) fn new() -> Self {
        Self {
            queue: Cell::new(ptr::null_mut()),
            woken: Mutex::new(false),
            wakes: Condvar::new(),
        }
    }

    /// Sleeps until somebody wakes it, or has since the last time.
    pub(crate) fn sleep(&self) {
        let mut woken = self.woken.lock().expect("a lock");
        while !*woken {
            woken = self.wakes.wait(woken).expect("a lock");
        }
        *woken = false;
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let queue = self.queue.get();
        if !queue.is_null() {
            assert!(
                kernel::alloc::is_there(queue.cast()),
                "somebody goes off a queue that was freed"
            );
            // SAFETY: It is there.
            unsafe { with_waiting(queue, |waiting| waiting.retain(|at| !ptr::eq(*at, self))) };
        }
    }
}

/// Does something to a queue under its lock, and keeps its list such that it can be seen to be empty.
unsafe fn with_waiting<T>(
    queue: *mut wait_queue_head,
    action: impl FnOnce(&mut Vec<*const Poll>) -> T,
) -> T {
    // SAFETY: The callers are given one that is there.
    let mut waiting = unsafe { &(*queue).waiting }.lock().expect("a lock");
    let result = action(&mut waiting);
    // SAFETY: As above; written under the lock.
    unsafe {
        let list = &raw mut (*queue).head;
        // Anywhere else, as that of somebody who waits would be.
        (*list).next = if waiting.is_empty() {
            *waiting = Vec::new();
            list
        } else {
            list.wrapping_add(1)
        };
    }
    result
}

pub(crate) unsafe fn kmemleak_not_leak(_: *const c_void) {}

pub(crate) unsafe fn __init_waitqueue_head(
    queue: *mut wait_queue_head,
    _: *const c_char,
    _: *mut c_void,
) {
    // SAFETY: Memory for one.
    unsafe {
        queue.write(wait_queue_head {
            head: list_head {
                next: &raw mut (*queue).head,
            },
            waiting: Mutex::default(),
        });
    }
}

pub(crate) unsafe fn __wake_up(
    queue: *mut wait_queue_head,
    _: c_uint,
    _: c_int,
    _: *mut c_void,
) -> c_int {
    // SAFETY: The caller's; who is on it is there.
    unsafe {
        with_waiting(queue, |waiting| {
            for poll in waiting.iter() {
                *(**poll).woken.lock().expect("a lock") = true;
                (**poll).wakes.notify_all();
            }
        });
    }
    0
}

pub(crate) unsafe fn poll_wait(_: *mut file, queue: *mut wait_queue_head, poll: *mut Poll) {
    // SAFETY: The caller's.
    unsafe {
        (*poll).queue.set(queue);
        with_waiting(queue, |waiting| waiting.push(poll.cast_const()));
    }
}
