// SPDX-License-Identifier: GPL-2.0-only

//! The layer below the registry: RCU, flags and wait queues are the module's own files, the rest a world without a
//! kernel.

/// Nobody looks.
pub(crate) mod lockdep {
    use kernel::ffi::c_char;
    use kernel::ffi::c_void;

    pub(super) fn queue_class() -> (*const c_char, *mut c_void) {
        (core::ptr::null(), core::ptr::null_mut())
    }
}

pub(crate) mod net;
pub(crate) mod percpu;
pub(crate) mod proc_file;
pub(crate) mod proc_table;
#[path = "../../../../src/abstractions/rcu.rs"]
pub(crate) mod rcu;

pub(crate) mod spread {
    include!(concat!(env!("OUT_DIR"), "/spread.rs"));
}

// What is in a macro of loom's has a comment, too.
#[allow(unused_doc_comments)]
pub(crate) mod wait {
    include!(concat!(env!("OUT_DIR"), "/wait.rs"));
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
