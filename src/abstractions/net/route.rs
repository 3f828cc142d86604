// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: which device an IPv4 address is at home on.
//!
//! C headers: `include/linux/inetdevice.h`, `include/net/ip_fib.h`.

use super::netdev::Devices;
use super::netdev::Name;
use super::netdev::NetDevice;
use super::Net;
use crate::bindings;
use core::net::Ipv4Addr;
use kernel::sync::rcu;
use kernel::types::Opaque;

/// The widest scope there is: any address of the machine's own will do (C: `RT_SCOPE_HOST`).
const SCOPE_HOST: i32 = 254;

/// The name of the device that has `address` for its own; else of that by which the best route
/// reaches it without a gateway. A default route does not count, and neither does a loopback device.
pub(crate) fn device_for(net: &Net, address: Ipv4Addr) -> Option<Name> {
    let guard = rcu::read_lock();
    let candidates = || Devices::new(net, &guard).filter(|dev| !dev.is_loopback());
    candidates()
        .find(|dev| has_address(net, dev, address, &guard))
        .or_else(|| candidates().max_by_key(|dev| on_link_prefix(net, dev, address, &guard)))
        .filter(|dev| {
            has_address(net, dev, address, &guard)
                || on_link_prefix(net, dev, address, &guard).is_some()
        })
        .map(NetDevice::name)
}

fn has_address(net: &Net, dev: &NetDevice, address: Ipv4Addr, _guard: &rcu::Guard) -> bool {
    // SAFETY: The device stays, and the section is held.
    let in_dev = unsafe { bindings::in_dev_get_rcu(dev.as_ptr()) };
    if in_dev.is_null() {
        return false;
    }
    let address = u32::from_ne_bytes(address.octets());
    // SAFETY: `in_dev` stays until the section ends.
    unsafe { bindings::inet_confirm_addr(net.as_ptr(), in_dev, 0, address, SCOPE_HOST) != 0 }
}

/// The length, not 0, of the prefix of the best route to `address` by this device, if that route has
/// no gateway.
fn on_link_prefix(
    net: &Net,
    dev: &NetDevice,
    address: Ipv4Addr,
    _guard: &rcu::Guard,
) -> Option<u8> {
    let result = Opaque::<bindings::fib_result>::zeroed();
    let address = u32::from_ne_bytes(address.octets());
    // SAFETY: The namespace is alive, `result` memory for what is found.
    let error =
        unsafe { bindings::fib_lookup_by(net.as_ptr(), address, dev.ifindex(), result.get()) };
    if error != 0 {
        return None;
    }
    // SAFETY: The lookup succeeded, so `result` is filled; what it points to stays until the
    // section ends.
    let (prefix, gateway, by) = unsafe {
        (
            (*result.get()).prefixlen,
            bindings::fib_has_gateway(result.get()),
            bindings::fib_dev(result.get()),
        )
    };
    (prefix != 0 && !gateway && by == dev.as_ptr()).then_some(prefix)
}
