// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: connection tracking and defragmentation, as far as a hook needs them.
//!
//! C headers: `include/net/netfilter/nf_conntrack.h`, `nf_defrag_ipv4.h`.

use crate::abstractions::net::Net;
use crate::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::to_result;
use kernel::prelude::*;

/// The bits of `sk_buff::_nfct` that say what kind of packet it is (C: `NFCT_INFOMASK`).
const INFO_MASK: usize = 7;

/// What a packet is to its connection. C: `enum ip_conntrack_info`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Info {
    /// Of a connection that has seen both directions.
    Established,
    /// An error about a connection, or one that another one led to expect; in either direction.
    Related,
    /// The first of a connection, or one more before an answer.
    New,
}

/// What connection tracking knows of one packet.
pub(crate) struct Conntrack<'a> {
    word: usize,
    _packet: PhantomData<&'a ()>,
}

impl<'a> Conntrack<'a> {
    /// Wraps the word of a packet.
    ///
    /// # Safety
    ///
    /// `word` must be the `_nfct` of a packet that is valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_word(word: usize) -> Self {
        Self {
            word,
            _packet: PhantomData,
        }
    }

    /// The connection, or `None` for a packet that is untracked, invalid or not tracked yet.
    #[inline]
    pub(crate) fn connection(&self) -> Option<Connection<'a>> {
        // CAST: The pointer shares its word with the info, as `nf_ct_get()` has it.
        NonNull::new((self.word & !INFO_MASK) as *mut bindings::nf_conn).map(|ptr| Connection {
            ptr,
            info: match self.word & INFO_MASK {
                1 | 4 => Info::Related,
                2 => Info::New,
                _ => Info::Established,
            },
            _packet: PhantomData,
        })
    }
}

/// The connection that a packet belongs to.
pub(crate) struct Connection<'a> {
    ptr: NonNull<bindings::nf_conn>,
    info: Info,
    _packet: PhantomData<&'a ()>,
}

impl Connection<'_> {
    /// What the packet is to the connection.
    #[inline]
    pub(crate) fn info(&self) -> Info {
        self.info
    }

    /// Sets the connection's mark, unless it is a template: that one is a rule's, and shared by all
    /// the packets that the rule meets.
    #[inline]
    pub(crate) fn set_mark(&self, mark: u32) {
        // SAFETY: The packet holds a reference on its connection.
        if !unsafe { bindings::nf_ct_is_template(self.ptr.as_ptr()) } {
            // SAFETY: As above; the mark is a word that anybody may write at any time.
            unsafe { bindings::nf_ct_set_mark(self.ptr.as_ptr(), mark) };
        }
    }
}

/// Connection tracking of IPv4, kept on in a namespace. Given back when dropped.
///
/// # Invariants
///
/// `net` outlives this: only a rule holds one, and x_tables destroys a rule while its namespace is
/// there.
pub(super) struct TrackingUse {
    net: NonNull<bindings::net>,
}

impl TrackingUse {
    /// # Safety
    ///
    /// The namespace must outlive the result.
    pub(super) unsafe fn new(net: &Net) -> Result<Self> {
        // SAFETY: The namespace is alive.
        to_result(unsafe { bindings::nf_ct_netns_get(net.as_ptr(), ipv4()) })?;
        // INVARIANT: By the caller's guarantee.
        Ok(Self {
            // SAFETY: A reference is never null.
            net: unsafe { NonNull::new_unchecked(net.as_ptr()) },
        })
    }
}

impl Drop for TrackingUse {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; `new` took what is given back.
        unsafe { bindings::nf_ct_netns_put(self.net.as_ptr(), ipv4()) };
    }
}

/// Defragmentation of IPv4 before the `raw` table, kept on in a namespace. Given back when dropped.
///
/// # Invariants
///
/// As for [`TrackingUse`].
pub(super) struct DefragUse {
    net: NonNull<bindings::net>,
}

impl DefragUse {
    /// # Safety
    ///
    /// The namespace must outlive the result.
    pub(super) unsafe fn new(net: &Net) -> Result<Self> {
        // SAFETY: The namespace is alive.
        to_result(unsafe { bindings::nf_defrag_ipv4_enable(net.as_ptr()) })?;
        // INVARIANT: By the caller's guarantee.
        Ok(Self {
            // SAFETY: A reference is never null.
            net: unsafe { NonNull::new_unchecked(net.as_ptr()) },
        })
    }
}

impl Drop for DefragUse {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; `new` took what is given back.
        unsafe { bindings::nf_defrag_ipv4_disable(self.net.as_ptr()) };
    }
}

/// CAST: The number of the family is 2.
fn ipv4() -> u8 {
    bindings::NFPROTO_IPV4 as u8
}
