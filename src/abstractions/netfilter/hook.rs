// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: hooks of netfilter.
//!
//! C header: `include/linux/netfilter.h`.

use crate::abstractions::net::netdev::NetDevice;
use crate::abstractions::net::skb::SkBuff;
use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::bindings;
use core::marker::PhantomData;
use kernel::alloc::Flags;
use kernel::error::to_result;
use kernel::ffi::c_uint;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::types::Opaque;

/// Where a hook sits. Each family has hooks of its own.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    /// ARP.
    Arp(ArpHook),
}

/// The hooks of ARP.
#[derive(Clone, Copy)]
pub(crate) enum ArpHook {
    /// What this machine sends.
    Out,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes no further.
    Drop,
    /// It goes on to the next hook.
    Accept,
}

/// What a hook sees beside the packet. C: `struct nf_hook_state`.
pub(crate) struct State<'a> {
    raw: *const bindings::nf_hook_state,
    _call: PhantomData<&'a ()>,
}

impl<'a> State<'a> {
    /// The device that the packet is going out by.
    pub(crate) fn out_device(&self) -> Option<&'a NetDevice> {
        // SAFETY: The state is valid for the call.
        let dev = unsafe { (*self.raw).out };
        // SAFETY: A device in the state stays for the call.
        (!dev.is_null()).then(|| unsafe { NetDevice::from_raw(dev) })
    }
}

/// Looks at packets in a hook.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called in softirq or process context, inside an RCU read-side section; must not sleep.
    fn packet(&self, skb: &mut SkBuff, state: &State<'_>) -> Verdict;
}

#[pin_data]
struct Inner<T> {
    #[pin]
    ops: Opaque<bindings::nf_hook_ops>,
    handler: RcuArc<T>,
}

// SAFETY: `ops` is used by the kernel's own functions alone, which lock.
unsafe impl<T: Send + Sync> Send for Inner<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Inner<T> {}

/// A hook in one namespace.
///
/// To be ended by [`Hook::unregister`], which wants the namespace, so that it can only be called while
/// that is there. One that is dropped instead stays registered, with its handler, for good; so must then
/// the module.
pub(crate) struct Hook<T: Handler> {
    inner: core::mem::ManuallyDrop<RcuArc<Inner<T>>>,
    net: *const Net,
}

// SAFETY: `net` is compared, never followed.
unsafe impl<T: Handler> Send for Hook<T> {}
// SAFETY: As above.
unsafe impl<T: Handler> Sync for Hook<T> {}

impl<T: Handler> Hook<T> {
    /// Registers a hook; a lower `priority` sees packets earlier.
    pub(crate) fn register(
        net: &Net,
        family: Family,
        priority: i32,
        handler: RcuArc<T>,
        flags: Flags,
    ) -> Result<Self> {
        // CAST: The number of the family is 3.
        let (pf, hooknum) = match family {
            Family::Arp(ArpHook::Out) => (bindings::NFPROTO_ARP as u8, bindings::NF_ARP_OUT),
        };
        let data: *const T = &*handler;
        let inner = RcuArc::pin_init(
            try_pin_init!(Inner {
                ops <- Opaque::ffi_init(|ops: *mut bindings::nf_hook_ops| {
                    // SAFETY: All zeroes are a valid struct; the C side initialises its list.
                    let mut init: bindings::nf_hook_ops = unsafe { core::mem::zeroed() };
                    init.hook = Some(Self::hook_callback);
                    init.priv_ = data.cast_mut().cast();
                    init.pf = pf;
                    init.hooknum = hooknum;
                    init.priority = priority;
                    // SAFETY: `ops` is memory for the struct.
                    unsafe { ops.write(init) };
                }),
                handler,
            }? Error),
            flags,
        )?;
        // SAFETY: The struct is pinned, and stays until a grace period after `unregister`, or for
        // good; so does the handler that `priv` points to.
        to_result(unsafe { bindings::nf_register_net_hook(net.as_ptr(), inner.ops.get()) })?;
        Ok(Self {
            inner: core::mem::ManuallyDrop::new(inner),
            net,
        })
    }

    /// Ends the hook. Packets that are in it may still be looked at for a grace period, in which the
    /// handler stays.
    pub(crate) fn unregister(self, net: &Net) {
        if !core::ptr::eq(self.net, net) {
            return;
        }
        // SAFETY: Registered by `register` in this very namespace.
        unsafe { bindings::nf_unregister_net_hook(net.as_ptr(), self.inner.ops.get()) };
        drop(core::mem::ManuallyDrop::into_inner(self.inner));
    }

    /// # Safety
    ///
    /// To be called as a hook that `register` registered only.
    unsafe extern "C" fn hook_callback(
        data: *mut c_void,
        skb: *mut bindings::sk_buff,
        state: *const bindings::nf_hook_state,
    ) -> c_uint {
        // SAFETY: `priv` is the handler, which stays for a grace period after the hook is gone;
        // hooks run in read-side sections.
        let handler = unsafe { &*data.cast_const().cast::<T>() };
        // SAFETY: The packet is the hook's for the call.
        let skb = unsafe { SkBuff::from_raw(skb) };
        let state = State {
            raw: state,
            _call: PhantomData,
        };
        match handler.packet(skb, &state) {
            Verdict::Drop => bindings::NF_DROP,
            Verdict::Accept => bindings::NF_ACCEPT,
        }
    }
}
