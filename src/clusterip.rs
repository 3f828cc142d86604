// SPDX-License-Identifier: GPL-2.0-only

//! The xtables target `CLUSTERIP`: several machines answer one IP address together.
//!
//! Every machine, a node, takes all the packets of the address, the VIP, and decides by a hash of
//! each one whether it is its own. This is the crate root: it registers everything, in order, and
//! undoes it in reverse.
//!
//! It takes the place of the C module `ipt_CLUSTERIP`, which Linux dropped in v6.3 (commit
//! 9db5d918e2c0, "netfilter: ip_tables: remove clusterip target").

#![deny(unsafe_op_in_unsafe_fn)]
#![deny(unreachable_pub)]

mod abi_check;
mod abstractions;
mod arp;
mod bindings;
/// What a cluster is, in values and bytes.
pub mod cluster;
mod devices;
mod procfs;
mod registry;
mod report;
mod request;
mod stat;
mod target;
mod vip;

use abstractions::lockdep;
use abstractions::net::netdev;
use abstractions::net::pernet;
use abstractions::netfilter;
use abstractions::rcu;
use abstractions::wait;
use cluster::abi;
use kernel::prelude::*;

module! {
    type: ClusterIp,
    name: "ipt_CLUSTERIP",
    authors: ["The clusterip-rs authors"],
    description: "Xtables: CLUSTERIP target",
    license: "GPL",
}

/// The version of this module. The original's last was 0.8.
const VERSION: &str = "1.0.0";

/// All that is registered. Fields are dropped from the first to the last: no new rule, then no
/// device events, then no namespaces, then what somebody may still wait on, then what RCU readers may still have
/// seen, then what lockdep knows of it.
#[pin_data(PinnedDrop)]
struct ClusterIp {
    #[pin]
    target1: netfilter::target::Registration<target::ClusterIpTarget<abi::TargetInfo1>>,
    #[pin]
    target0: netfilter::target::Registration<target::ClusterIpTarget<abi::TargetInfo>>,
    #[pin]
    devices: netdev::Registration<devices::DeviceEvents>,
    #[pin]
    namespaces: pernet::Registration<registry::Namespace>,
    retired: wait::Retired,
    // A hook holds its namespace.
    barrier: rcu::Barrier<2>,
    queue_class: lockdep::QueueClass,
}

impl kernel::InPlaceModule for ClusterIp {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // A rule needs its namespace's registry and must not miss a device's event, so the target
        // comes last.
        try_pin_init!(Self {
            queue_class: lockdep::QueueClass::new()?,
            barrier: rcu::Barrier,
            retired: wait::Retired,
            namespaces <- pernet::Registration::register(),
            devices <- netdev::Registration::register(),
            target0 <- netfilter::target::Registration::register(module),
            target1 <- netfilter::target::Registration::register(module),
            _: {
                pr_info!("ClusterIP Version {} loaded successfully\n", VERSION);
            },
        })
    }
}

#[pinned_drop]
impl PinnedDrop for ClusterIp {
    fn drop(self: Pin<&mut Self>) {
        pr_info!("ClusterIP Version {} unloading\n", VERSION);
    }
}
