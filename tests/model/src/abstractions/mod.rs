// SPDX-License-Identifier: GPL-2.0-only

//! The layer below the registry: RCU is the module's own file, the rest a world without a kernel.

pub(crate) mod net;
pub(crate) mod proc_file;
#[path = "../../../../src/abstractions/rcu.rs"]
pub(crate) mod rcu;

pub(crate) mod atomic {
    use kernel::sync::atomic::ordering::Relaxed;
    use kernel::sync::atomic::Atomic;

    /// The volatile read of the module is to its compiler what this is to loom.
    pub(crate) fn read_once(word: &Atomic<u64>) -> u64 {
        word.load(Relaxed)
    }
}

pub(crate) mod netfilter {
    pub(crate) mod hook {
        use crate::abstractions::net::Net;
        use crate::abstractions::rcu::RcuArc;
        use kernel::alloc::Flags;
        use kernel::prelude::*;

        /// The ARP hook: there is one in a namespace at most.
        pub(crate) struct Hook<T>(RcuArc<T>);

        impl<T> Hook<T> {
            pub(crate) fn register(
                net: &Net,
                _: (),
                _: i32,
                handler: RcuArc<T>,
                _: Flags,
            ) -> Result<Self> {
                assert!(!net.hook.replace(true), "a second hook");
                Ok(Self(handler))
            }

            pub(crate) fn unregister(self, net: &Net) {
                assert!(net.hook.replace(false), "a hook that is not there ends");
            }
        }
    }
}
