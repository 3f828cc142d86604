// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: network devices, their names and events, and membership in multicast groups.
//!
//! C header: `include/linux/netdevice.h`.

use super::Net;
use crate::bindings;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::error::to_result;
use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_ulong;
use kernel::ffi::c_void;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::BStr;
use kernel::sync::rcu;
use kernel::types::Opaque;

/// The size of a device's name with its NUL (C: `IFNAMSIZ`).
const NAME_SIZE: usize = 16;

/// The length in bytes of an Ethernet address (C: `ETH_ALEN`).
const ETH_ALEN: u8 = 6;

/// The longest hardware address of any device, in bytes (C: `MAX_ADDR_LEN`).
const MAX_ADDR_LEN: usize = 32;

/// The name of a device, as somebody wrote it: 16 bytes, cut at the first NUL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name([u8; NAME_SIZE]);

impl Name {
    /// Takes what stands before the first NUL. What follows it is dropped, so that names that read
    /// alike are alike.
    pub(crate) fn new(raw: &[u8; NAME_SIZE]) -> Self {
        let mut name = [0; NAME_SIZE];
        for (to, from) in name.iter_mut().zip(raw).take_while(|(_, from)| **from != 0) {
            *to = *from;
        }
        Self(name)
    }

    /// The bytes of the name: at most 15, whatever was written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let longest = self.0.get(..NAME_SIZE - 1).unwrap_or_default();
        let len = longest.iter().position(|byte| *byte == 0);
        len.and_then(|len| longest.get(..len)).unwrap_or(longest)
    }

    /// Whether there is no name.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, [0, ..])
    }

    /// The name for C, or `None` when it does not end within its 16 bytes: no device has such a one.
    fn as_char_ptr(&self) -> Option<*const c_char> {
        matches!(self.0, [.., 0]).then(|| self.0.as_ptr().cast())
    }
}

/// Prints the name with everything escaped that a terminal might take for something else.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(BStr::from_bytes(self.as_bytes()), f)
    }
}

/// A network device.
///
/// Wraps `struct net_device`.
#[repr(transparent)]
pub(crate) struct NetDevice(Opaque<bindings::net_device>);

impl NetDevice {
    /// Makes a reference of a pointer of the kernel's.
    ///
    /// # Safety
    ///
    /// `ptr` must be a device that stays for `'a`.
    pub(in crate::abstractions) unsafe fn from_raw<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: The caller's guarantee. CAST: `NetDevice` is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The number of the device in its namespace.
    pub(crate) fn ifindex(&self) -> i32 {
        // SAFETY: The device is valid.
        unsafe { bindings::dev_ifindex(self.as_ptr()) }
    }

    /// The device's own name, which an alternative name is not.
    pub(crate) fn name(&self) -> Name {
        let mut raw = [0u8; NAME_SIZE];
        // SAFETY: The device is valid, so is its name's array of `NAME_SIZE` bytes. A rename that
        // goes on may leave a mixture of two names here; its event comes afterwards, and whoever
        // keeps names hears it.
        unsafe {
            bindings::dev_name(self.as_ptr())
                .cast::<u8>()
                .copy_to_nonoverlapping(raw.as_mut_ptr(), NAME_SIZE);
        }
        Name::new(&raw)
    }

    /// Whether this is a loopback device.
    pub(crate) fn is_loopback(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::dev_flags(self.as_ptr()) & bindings::net_device_flags_IFF_LOOPBACK != 0 }
    }

    /// Whether hardware addresses here are those of Ethernet, 6 bytes long.
    pub(crate) fn has_mac(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::dev_addr_len(self.as_ptr()) == ETH_ALEN }
    }

    /// Makes the device take frames to a multicast address of Ethernet, as often as asked.
    ///
    /// No reference is held on the device, so that it can always go, and with it what it takes. `EINVAL`
    /// when its hardware addresses are not 6 bytes long.
    pub(crate) fn join_group(&self, mac: [u8; 6]) -> Result {
        if !self.has_mac() {
            return Err(EINVAL);
        }
        // SAFETY: The device is valid, the address as long as any device's.
        to_result(unsafe { bindings::dev_mc_add(self.as_ptr(), padded(mac).as_ptr()) })
    }

    /// Takes back one [`NetDevice::join_group`].
    pub(crate) fn leave_group(&self, mac: [u8; 6]) {
        // SAFETY: The device is valid, the address as long as any device's. A group that is not there
        // any more is an error that changes nothing.
        unsafe { bindings::dev_mc_del(self.as_ptr(), padded(mac).as_ptr()) };
    }

    /// Whether another device has the number by now: the last words of a device that somebody would not let
    /// go are repeated for as long as that lasts.
    pub(crate) fn is_ghost_in(&self, net: &Net) -> bool {
        NetDeviceRef::by_index(net, self.ifindex())
            .is_some_and(|other| !core::ptr::eq::<NetDevice>(&*other, self))
    }

    /// The namespace that the device is in.
    fn net(&self) -> &Net {
        // SAFETY: A device's namespace stays for as long as the device is in it; events come while
        // it is.
        unsafe { Net::from_raw(bindings::dev_net(self.as_ptr())) }
    }
}

/// An address of Ethernet in as many bytes as any device's has: C functions read as many as the
/// device's are, which may have become longer.
fn padded(mac: [u8; 6]) -> [u8; MAX_ADDR_LEN] {
    let mut padded = [0; MAX_ADDR_LEN];
    for (to, from) in padded.iter_mut().zip(mac) {
        *to = from;
    }
    padded
}

/// A device that stays while this is held.
pub(crate) struct NetDeviceRef(NonNull<bindings::net_device>);

impl NetDeviceRef {
    /// Takes over a reference that a C function took.
    ///
    /// # Safety
    ///
    /// `ptr` must be null or come with a reference.
    unsafe fn from_raw(ptr: *mut bindings::net_device) -> Option<Self> {
        NonNull::new(ptr).map(Self)
    }

    /// The device of this name, or with this alternative name.
    pub(crate) fn by_name(net: &Net, name: &Name) -> Option<Self> {
        let name = name.as_char_ptr()?;
        // SAFETY: The namespace is alive, the name ends with a NUL; the reference is taken over.
        unsafe { Self::from_raw(bindings::dev_get_by_name(net.as_ptr(), name)) }
    }

    /// The device of this number.
    pub(crate) fn by_index(net: &Net, ifindex: i32) -> Option<Self> {
        // SAFETY: The namespace is alive; the reference is taken over.
        unsafe { Self::from_raw(bindings::dev_get_by_index(net.as_ptr(), ifindex)) }
    }
}

impl Deref for NetDeviceRef {
    type Target = NetDevice;

    fn deref(&self) -> &NetDevice {
        // SAFETY: The reference keeps the device.
        unsafe { NetDevice::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for NetDeviceRef {
    fn drop(&mut self) {
        // SAFETY: Gives back the reference that `from_raw` took over.
        unsafe { bindings::dev_put(self.0.as_ptr()) };
    }
}

/// The devices of a namespace, for as long as an RCU read-side section lasts.
pub(super) struct Devices<'a> {
    next: *mut bindings::net_device,
    _section: PhantomData<&'a rcu::Guard>,
}

impl<'a> Devices<'a> {
    pub(super) fn new(net: &Net, _guard: &'a rcu::Guard) -> Self {
        Self {
            // SAFETY: The namespace is alive, the section held.
            next: unsafe { bindings::first_net_device_rcu(net.as_ptr()) },
            _section: PhantomData,
        }
    }
}

impl<'a> Iterator for Devices<'a> {
    type Item = &'a NetDevice;

    fn next(&mut self) -> Option<&'a NetDevice> {
        let dev = NonNull::new(self.next)?;
        // SAFETY: The section is held, so the device stays, and its place in the list.
        self.next = unsafe { bindings::next_net_device_rcu(dev.as_ptr()) };
        // SAFETY: As above.
        Some(unsafe { NetDevice::from_raw(dev.as_ptr()) })
    }
}

/// What happened to a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It came into the namespace, or was there when the listener came.
    Register,
    /// It is leaving the namespace.
    Unregister,
    /// It has another name now.
    Rename,
    /// It becomes one of another type, and its hardware address of another length perhaps.
    BeforeRetype,
    /// It has become that.
    Retype,
}

/// Hears what happens to devices.
pub(crate) trait Listener: 'static {
    /// Called with RTNL held; may sleep, and must not take RTNL.
    fn event(net: &Net, dev: &NetDevice, event: Event);
}

/// The registration of a [`Listener`]. Unregisters when dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Listener> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    _type: PhantomData<T>,
}

// SAFETY: Nothing can be done with a registration but to drop it, from any thread.
unsafe impl<T: Listener> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Listener> Sync for Registration<T> {}

impl<T: Listener> Registration<T> {
    /// Hears of all devices of all namespaces; of those that are there, at once.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(|block: *mut bindings::notifier_block| {
                let init = bindings::notifier_block {
                    notifier_call: Some(Self::callback),
                    ..pin_init::zeroed()
                };
                // SAFETY: `block` is memory for the struct, pinned until `drop` unregisters it.
                unsafe { block.write(init) };
                // SAFETY: As above; the callback is of the right type.
                to_result(unsafe { bindings::register_netdevice_notifier(block) })
            }),
            _type: PhantomData,
        })
    }

    /// # Safety
    ///
    /// To be called as a netdevice notifier only.
    unsafe extern "C" fn callback(
        _block: *mut bindings::notifier_block,
        event: c_ulong,
        info: *mut c_void,
    ) -> c_int {
        // CAST: The events are small numbers.
        let event = match event as bindings::netdev_cmd {
            bindings::netdev_cmd_NETDEV_REGISTER => Event::Register,
            bindings::netdev_cmd_NETDEV_UNREGISTER => Event::Unregister,
            bindings::netdev_cmd_NETDEV_CHANGENAME => Event::Rename,
            bindings::netdev_cmd_NETDEV_PRE_TYPE_CHANGE => Event::BeforeRetype,
            bindings::netdev_cmd_NETDEV_POST_TYPE_CHANGE => Event::Retype,
            _ => return NOTIFY_DONE,
        };
        // SAFETY: `info` is what netdevice notifiers are given; the device stays for the call.
        let dev = unsafe { NetDevice::from_raw(bindings::notifier_dev(info)) };
        T::event(dev.net(), dev, event);
        NOTIFY_DONE
    }
}

/// C: `NOTIFY_DONE`.
const NOTIFY_DONE: c_int = 0;

#[pinned_drop]
impl<T: Listener> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by `register`, or this would not exist.
        unsafe { bindings::unregister_netdevice_notifier(self.block.get()) };
    }
}
