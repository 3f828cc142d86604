// SPDX-License-Identifier: GPL-2.0-only

//! What `abstractions/rcu` has of C: an XArray, whose lock is loom's, and RCU's callbacks.

use kernel::ffi::c_int;
use kernel::ffi::c_ulong;
use kernel::ffi::c_void;
use kernel::sync::rcu;
use loom::sync::Mutex;
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

pub(crate) unsafe fn xa_empty(xa: *mut xarray) -> bool {
    // SAFETY: The caller's.
    unsafe { xarray::with(xa, |map| map.is_empty()) }
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
