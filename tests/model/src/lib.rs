// SPDX-License-Identifier: GPL-2.0-only

//! The registry of VIPs on the host: which orders of its steps there are, loom finds out.
//!
//! `vip`, `devices`, `registry`, `procfs`, `stat`, `abstractions/{rcu, spread, wait}` and `cluster` are the module's
//! own files; of those two that are not quite what loom sees, build.rs says how they are read.
//! Below them stands a world in place of the kernel's ([`abstractions::net`]): devices with their
//! multicast addresses, RTNL, the files of procfs with those who have them open, the ARP hook.

#![allow(dead_code)]

extern crate pinned_init as pin_init;

mod abstractions;
mod bindings;
#[path = "../../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "../../../src/devices.rs"]
mod devices;
#[path = "../../../src/procfs.rs"]
mod procfs;
#[path = "../../../src/registry.rs"]
mod registry;
mod request;
#[path = "../../../src/stat.rs"]
mod stat;
#[path = "../../../src/vip.rs"]
mod vip;

#[cfg(test)]
mod scenarios;

/// Where the module hooks in.
mod arp {
    pub(crate) const FAMILY: () = ();
    pub(crate) const PRIORITY: i32 = -1;
}

/// Nobody reads what is said.
mod report {
    use std::fmt::Arguments;
    use std::net::Ipv4Addr;

    pub(crate) fn tell(_: Ipv4Addr, _: Arguments<'_>, _: Arguments<'_>) -> bool {
        true
    }
}
