// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: packets.
//!
//! C header: `include/linux/skbuff.h`.

use crate::abstractions::netfilter::conntrack::Conntrack;
use crate::bindings;
use core::mem::MaybeUninit;
use core::ops::Deref;
use kernel::error::to_result;
use kernel::types::Opaque;

/// A packet that a hook looks at, and owns while it does.
///
/// Wraps `struct sk_buff`.
#[repr(transparent)]
pub(crate) struct SkBuff(Opaque<bindings::sk_buff>);

impl SkBuff {
    /// Makes a reference of the pointer that a hook is given.
    ///
    /// # Safety
    ///
    /// `ptr` must be a packet that nobody else uses for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::sk_buff) -> &'a mut Self {
        // SAFETY: The caller's guarantee. CAST: `SkBuff` is a transparent wrapper.
        unsafe { &mut *ptr.cast() }
    }

    /// `N` bytes from `offset` on, counted from `data`: where the network header begins, in the
    /// hooks of IPv4 (not in those of ARP). `None` when the packet is shorter.
    ///
    /// Reads them out of pages when they aren't in the linear part (C: `skb_header_pointer()`).
    #[inline]
    pub(crate) fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        match self.read_linear(offset) {
            Some(bytes) => Some(bytes),
            None => self.read_paged(offset),
        }
    }

    /// The same, out of the bytes that lie in one piece; `None` also when the packet has them in
    /// pages.
    #[inline(always)]
    pub(crate) fn read_linear<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let skb = self.0.get();
        // SAFETY: The packet is valid; these fields are set for as long as it is.
        let (data, len, paged) = unsafe { ((*skb).data, (*skb).len, (*skb).data_len) };
        // `len` counts the paged bytes too (C: `skb_headlen()`). CAST: widening.
        let headlen = len.wrapping_sub(paged) as usize;
        if headlen < offset.checked_add(N)? {
            return None;
        }
        // SAFETY: `headlen` bytes lie at `data`, and stay while the packet is borrowed.
        Some(unsafe { data.add(offset).cast::<[u8; N]>().read() })
    }

    #[cold]
    fn read_paged<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let offset = i32::try_from(offset).ok()?;
        let len = i32::try_from(N).ok()?;
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: There is room for `len` bytes; `skb_copy_bits()` checks the packet's own bounds.
        to_result(unsafe {
            bindings::skb_copy_bits(self.0.get(), offset, bytes.as_mut_ptr().cast(), len)
        })
        .ok()?;
        // SAFETY: `skb_copy_bits()` succeeded, so all of it is written.
        Some(unsafe { bytes.assume_init() })
    }

    /// `len` bytes from the network header on, to be written to; `None` when the packet is shorter
    /// or no memory is left for a copy of its own.
    pub(crate) fn network_header_mut(&mut self, len: u32) -> Option<&mut [u8]> {
        // SAFETY: The packet is valid.
        let offset = u32::try_from(unsafe { bindings::skb_network_offset(self.0.get()) }).ok()?;
        let end = offset.checked_add(len)?;
        // SAFETY: The packet is ours alone, and nothing borrowed of it lives on: this takes `&mut`.
        to_result(unsafe { bindings::skb_ensure_writable(self.0.get(), end) }).ok()?;
        // SAFETY: `skb_ensure_writable()` made that many bytes linear and unshared.
        let data = unsafe { (*self.0.get()).data };
        // SAFETY: As above. CAST: widening, both.
        Some(unsafe { core::slice::from_raw_parts_mut(data.add(offset as usize), len as usize) })
    }

    /// The first `N` bytes from the network header on, wherever they lie; `None` when the packet is
    /// shorter.
    pub(crate) fn read_network<const N: usize>(&self) -> Option<[u8; N]> {
        // SAFETY: The packet is valid.
        let offset = unsafe { bindings::skb_network_offset(self.0.get()) };
        self.read(usize::try_from(offset).ok()?)
    }

    /// What connection tracking knows of the packet.
    #[inline]
    pub(crate) fn conntrack(&self) -> Conntrack<'_> {
        // SAFETY: The packet is valid, and holds a reference on what the word points to.
        unsafe { Conntrack::from_word((*self.0.get())._nfct) }
    }
}

/// A packet of whose bytes something is borrowed: they stay where they are. What [`SkBuff`] lets
/// its readers do can be done, and nothing that moves them.
pub(crate) struct Unmoved<'a>(&'a mut SkBuff);

impl<'a> Unmoved<'a> {
    pub(crate) fn new(skb: &'a mut SkBuff) -> Self {
        Self(skb)
    }

    /// Makes the packet one for this host, whatever hardware address it came to: TCP takes no
    /// other.
    #[inline]
    pub(crate) fn set_for_host(&mut self) {
        /// The fields of a union, as what they are.
        fn fields<T>(union: *mut kernel::bindings::__BindgenUnionField<T>) -> *mut T {
            // CAST: By its field a union is at the same address.
            union.cast()
        }
        // SAFETY: The packet is ours alone. CAST: 0.
        unsafe {
            let headers = fields(&raw mut (*self.0 .0.get()).__bindgen_anon_4.headers);
            bindings::sk_buff__bindgen_ty_4__bindgen_ty_2::set_pkt_type_raw(
                headers,
                bindings::PACKET_HOST as u8,
            );
        }
    }
}

impl Deref for Unmoved<'_> {
    type Target = SkBuff;

    #[inline(always)]
    fn deref(&self) -> &SkBuff {
        self.0
    }
}
