// SPDX-License-Identifier: GPL-2.0-only

//! The payload of a rule is the same thing in Rust, in `include/clusterip.h`, and in the kernel's own
//! header for as long as it has one. Checked by the compiler.

#![forbid(unsafe_code)]

use crate::abstractions::netfilter::target::Record;
use crate::bindings;
use crate::cluster::abi::TargetInfo;
use crate::cluster::abi::TargetInfo1;
use crate::target::ClusterIpTarget;
use core::mem::offset_of;

macro_rules! same_layout {
    ($payload:ty, $c:ty, $($rust:ident = $field:ident),+ $(,)?) => {
        const _: () = {
            assert!(size_of::<Record<ClusterIpTarget<$payload>>>() == size_of::<$c>());
            assert!(align_of::<Record<ClusterIpTarget<$payload>>>() == align_of::<$c>());
            $(assert!(offset_of!($payload, $rust) == offset_of!($c, $field));)+
        };
    };
}

same_layout!(
    TargetInfo,
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
    Record::<ClusterIpTarget<TargetInfo>>::USER_SIZE
        == offset_of!(bindings::clusterip_rev0, kernel_only)
);

same_layout!(
    TargetInfo1,
    bindings::clusterip_rev1,
    flags = flags,
    clustermac = clustermac,
    num_total_nodes = num_total_nodes,
    hash_mode = hash_mode,
    hash_initval = hash_initval,
    vip = vip,
    device = device,
    local_nodes = local_nodes,
);
const _: () = assert!(
    Record::<ClusterIpTarget<TargetInfo1>>::USER_SIZE
        == offset_of!(bindings::clusterip_rev1, kernel_only)
);

#[cfg(kernel_has_uapi)]
same_layout!(
    TargetInfo,
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
    Record::<ClusterIpTarget<TargetInfo>>::USER_SIZE
        == offset_of!(bindings::ipt_clusterip_tgt_info, config)
);

// The numbers that programs of 64 bits have compiled in.
#[cfg(CONFIG_64BIT)]
const _: () = assert!(
    size_of::<Record<ClusterIpTarget<TargetInfo>>>() == 64
        && Record::<ClusterIpTarget<TargetInfo>>::USER_SIZE == 56
        && size_of::<Record<ClusterIpTarget<TargetInfo1>>>() == 176
        && Record::<ClusterIpTarget<TargetInfo1>>::USER_SIZE == 168
);
