// SPDX-License-Identifier: GPL-2.0-only

//! The payload of a rule is the same thing in Rust, in `include/clusterip.h`, and in the kernel's own
//! header for as long as it has one. Checked by the compiler.

#![forbid(unsafe_code)]

use crate::abstractions::netfilter::target::Record;
use crate::bindings;
use crate::cluster::abi::TargetInfo;
use crate::target::ClusterIpTarget;
use core::mem::offset_of;

macro_rules! same_layout {
    ($c:ty, $($rust:ident = $field:ident),+ $(,)?) => {
        const _: () = {
            assert!(size_of::<Record<ClusterIpTarget>>() == size_of::<$c>());
            assert!(align_of::<Record<ClusterIpTarget>>() == align_of::<$c>());
            $(assert!(offset_of!(TargetInfo, $rust) == offset_of!($c, $field));)+
        };
    };
}

same_layout!(
    bindings::clusterip_rev0,
    flags = flags,
    clustermac = clustermac,
    num_total_nodes = num_total_nodes,
    num_local_nodes = num_local_nodes,
    local_nodes = local_nodes,
    hash_mode = hash_mode,
    hash_initval = hash_initval,
);
const _: () = assert!(
    Record::<ClusterIpTarget>::USER_SIZE == offset_of!(bindings::clusterip_rev0, kernel_only)
);

#[cfg(kernel_has_uapi)]
same_layout!(
    bindings::ipt_clusterip_tgt_info,
    flags = flags,
    clustermac = clustermac,
    num_total_nodes = num_total_nodes,
    num_local_nodes = num_local_nodes,
    local_nodes = local_nodes,
    hash_mode = hash_mode,
    hash_initval = hash_initval,
);
#[cfg(kernel_has_uapi)]
const _: () = assert!(
    Record::<ClusterIpTarget>::USER_SIZE == offset_of!(bindings::ipt_clusterip_tgt_info, config)
);

// The numbers that programs of 64 bits have compiled in.
#[cfg(CONFIG_64BIT)]
const _: () = assert!(
    size_of::<Record<ClusterIpTarget>>() == 64 && Record::<ClusterIpTarget>::USER_SIZE == 56
);
