// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: the lock class of what may outlive the module.
//!
//! Lockdep knows a class by where its key is, and looks at its name. Where both are static memory of the module, a lock
//! that is taken after the module has gone makes lockdep read what has gone with it. So these are memory of their own.
//! Without lockdep a key takes no room, and nobody looks.
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

static CLASS: Atomic<*mut Class> = Atomic::new(ptr::null_mut());

/// Keeps the class for as long as it is there itself, and for good when somebody is left on a queue: it has to come
/// before all that makes one, and to go after the last of RCU's callbacks.
pub(crate) struct QueueClass(());

impl QueueClass {
    /// Makes it; there is one at a time.
    pub(crate) fn new() -> Result<Self> {
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
        if !wait::is_anybody_left() {
            // SAFETY: From `new`, which had it pinned. All queues are freed, or unused for a grace period and longer.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(CLASS.load(Relaxed))) });
        }
    }
}

/// The name and the key, for a queue that is initialised.
pub(super) fn queue_class() -> (*const kernel::ffi::c_char, *mut bindings::lock_class_key) {
    // SAFETY: What makes queues comes and goes while `QueueClass` is there, which it leads to.
    let class = unsafe { &*CLASS.load(Relaxed) };
    (class.name.as_ptr().cast(), class.key.as_ptr())
}
