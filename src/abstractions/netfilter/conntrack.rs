// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: connection tracking and defragmentation, as far as a hook needs them.
//!
//! C headers: `include/net/netfilter/nf_conntrack.h`, `nf_defrag_ipv4.h`.

use crate::abstractions::net::Net;
use crate::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::to_result;
use kernel::ffi::c_ulong;
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

impl Info {
    #[inline(always)]
    fn of(word: usize) -> Self {
        match word & INFO_MASK {
            1 | 4 => Self::Related,
            2 => Self::New,
            _ => Self::Established,
        }
    }
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

    /// Whether the packet is [`Info::Established`]; in fewer steps than by its connection.
    #[inline(always)]
    pub(crate) fn is_established(&self) -> bool {
        // In either direction; other numbers that are not `Related` or `New` are none of a connection.
        self.word > INFO_MASK && matches!(self.word & INFO_MASK, 0 | 3)
    }

    /// The connection of a packet that is [`Info::New`]; in fewer steps than by [`Conntrack::connection`].
    #[inline(always)]
    pub(crate) fn new_connection(&self) -> Option<Connection<'a>> {
        if self.word & INFO_MASK != 2 {
            return None;
        }
        // CAST: As below.
        NonNull::new((self.word & !INFO_MASK) as *mut bindings::nf_conn).map(|ptr| Connection {
            ptr,
            info: Info::New,
            _packet: PhantomData,
        })
    }

    /// The connection, or `None` for a packet that is untracked, invalid or not tracked yet.
    #[inline(always)]
    pub(crate) fn connection(&self) -> Option<Connection<'a>> {
        // CAST: The pointer shares its word with the info, as `nf_ct_get()` has it.
        NonNull::new((self.word & !INFO_MASK) as *mut bindings::nf_conn).map(|ptr| Connection {
            ptr,
            info: Info::of(self.word),
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
    #[inline(always)]
    pub(crate) fn info(&self) -> Info {
        self.info
    }

    /// Sets the connection's mark, unless it is a template: that one is a rule's, and shared by all
    /// the packets that the rule meets. (nftables' `ct zone set` gives one to a packet that has no
    /// connection, also behind the hook of conntrack.)
    #[inline(always)]
    pub(crate) fn set_mark(&self, mark: u32) {
        let connection = self.ptr.as_ptr();
        // CAST: The offsets of fields.
        let (status, offset) = (
            bindings::NF_CONN_STATUS_OFFSET as usize,
            bindings::NF_CONN_MARK_OFFSET as usize,
        );
        // SAFETY: The packet holds a reference on its connection. Others set bits of the status at any
        // time, but a template is made as one (C: `nf_ct_is_template()`).
        let status = unsafe {
            connection
                .byte_add(status)
                .cast::<c_ulong>()
                .read_volatile()
        };
        // CAST: A bit.
        if status & bindings::ip_conntrack_status_IPS_TEMPLATE as c_ulong != 0 {
            return;
        }
        // SAFETY: As above; the mark is a word that anybody may write at any time (C: `WRITE_ONCE()`).
        unsafe {
            connection
                .byte_add(offset)
                .cast::<u32>()
                .write_volatile(mark)
        };
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

    /// One that was taken and forgotten.
    ///
    /// # Safety
    ///
    /// There must be one for this namespace, which nobody else gives back.
    pub(super) unsafe fn taken(net: &Net) -> Self {
        // INVARIANT: By the caller's guarantee.
        Self {
            // SAFETY: A reference is never null.
            net: unsafe { NonNull::new_unchecked(net.as_ptr()) },
        }
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

    /// One that was taken and forgotten.
    ///
    /// # Safety
    ///
    /// There must be one for this namespace, which nobody else gives back.
    pub(super) unsafe fn taken(net: &Net) -> Self {
        // INVARIANT: By the caller's guarantee.
        Self {
            // SAFETY: A reference is never null.
            net: unsafe { NonNull::new_unchecked(net.as_ptr()) },
        }
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
