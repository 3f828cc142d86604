// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: network namespaces, devices, routes and packets.

pub(crate) mod netdev;
pub(crate) mod pernet;
pub(crate) mod route;
pub(crate) mod skb;

use crate::bindings;
use kernel::types::Opaque;

/// A network namespace that is alive for as long as the reference.
///
/// Wraps `struct net`.
#[repr(transparent)]
pub(crate) struct Net(Opaque<bindings::net>);

// SAFETY: Everything that `&Net` offers may be called from any thread.
unsafe impl Sync for Net {}

impl Net {
    /// Makes a reference of a pointer that the kernel hands to a callback.
    ///
    /// # Safety
    ///
    /// `ptr` must be a namespace whose memory and per-namespace data stay for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::net) -> &'a Self {
        // SAFETY: The caller guarantees validity. CAST: `Net` is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// The pointer that C functions take.
    pub(super) fn as_ptr(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// Whether it belongs to the machine's own root, and to no user namespace below.
    pub(crate) fn is_roots(&self) -> bool {
        // SAFETY: The namespace is alive, and holds a reference on its user namespace, which is compared only.
        let owner = unsafe { bindings::net_user_ns(self.as_ptr()) };
        core::ptr::eq(owner, &raw const bindings::init_user_ns)
    }
}

/// Whether one more line may be logged for what the network or a user brought about.
///
/// C: `net_ratelimit()`.
pub(crate) fn ratelimit() -> bool {
    // SAFETY: Callable from any context.
    unsafe { bindings::net_ratelimit() != 0 }
}
