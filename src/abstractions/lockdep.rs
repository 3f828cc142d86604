// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: the lock class of what may outlive the module.
//!
//! Lockdep knows a class by where its key is, and looks at its name. Where both are static memory of the module, a lock
//! that is taken after the module has gone makes lockdep read what has gone with it. So these are memory of their own.
//! Without lockdep nobody looks, and there is none.
//!
//! C header: `include/linux/lockdep.h`.

use super::wait;
use crate::bindings;
use core::ptr;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;
use kernel::sync::LockClassKey;

#[pin_data]
struct Class {
    #[pin]
    key: LockClassKey,
    name: [u8; 5],
}

/// Null without lockdep.
static CLASS: Atomic<*mut Class> = Atomic::new(ptr::null_mut());

/// Keeps the class for as long as it is there itself, and for good when somebody is left on a queue: it has to come
/// before all that makes one, and to go after the last of RCU's callbacks.
pub(crate) struct QueueClass(());

impl QueueClass {
    /// Makes it; there is one at a time.
    pub(crate) fn new() -> Result<Self> {
        if !cfg!(CONFIG_LOCKDEP) {
            return Ok(Self(()));
        }
        let class = pin_init!(Class {
            key <- LockClassKey::new_dynamic(),
            name: *b"poll\0",
        });
        let class = KBox::pin_init(class, GFP_KERNEL)?;
        // SAFETY: It is not moved until `drop` pins it again.
        let class = unsafe { Pin::into_inner_unchecked(class) };
        CLASS.store(KBox::into_raw(class), Relaxed);
        Ok(Self(()))
    }
}

impl Drop for QueueClass {
    fn drop(&mut self) {
        let class = CLASS.load(Relaxed);
        if !class.is_null() && !wait::is_anybody_left() {
            // SAFETY: From `new`, which had it pinned. The module's struct drops this after the barrier, so that all
            // queues are freed by now.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(class)) });
        }
    }
}

/// The name and the key, for a queue that is initialised.
pub(super) fn queue_class() -> (*const kernel::ffi::c_char, *mut bindings::lock_class_key) {
    // SAFETY: Null, or a class that is there: the module's struct makes `QueueClass` first, and drops it last.
    match unsafe { CLASS.load(Relaxed).as_ref() } {
        Some(class) => (class.name.as_ptr().cast(), class.key.as_ptr()),
        None => (ptr::null(), ptr::null_mut()),
    }
}
