// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: the payload of a rule, as iptables hands it over, and what of it is accepted.
//!
//! Every number is in the byte order of the machine. The checks come in the order of the original's;
//! a payload with several faults is refused for the same one, with the same words.

use core::ffi::CStr;
use core::fmt;

use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};

use super::{
    hash::Mode,
    node::{
        NodeId,
        NodeSet,
        Total,
        MAX_NODES, //
    },
};

/// The name of the target, as a rule names it.
pub const NAME: &CStr = c"CLUSTERIP";

/// The revision of the payload.
pub const REVISION: u8 = 0;

/// In [`TargetInfo::flags`]: the rule may create the cluster. The other bits mean nothing.
pub const FLAG_NEW: u32 = 1;

/// How many local nodes a rule can name.
pub const MAX_LOCAL_NODES: usize = 16;

/// `struct ipt_clusterip_tgt_info`, up to the pointer that is the kernel's own.
///
/// These 56 bytes are what userspace and kernel exchange and compare.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TargetInfo {
    /// [`FLAG_NEW`] or not.
    pub flags: u32,
    /// The hardware address of the cluster; zeroes in a rule that is not `--new`.
    pub clustermac: [u8; 6],
    /// How many nodes the cluster has.
    pub num_total_nodes: u16,
    /// How many entries of `local_nodes` count.
    pub num_local_nodes: u16,
    /// The nodes that this machine answers for at first, from 1.
    pub local_nodes: [u16; MAX_LOCAL_NODES],
    /// What a C compiler leaves between the fields.
    pub padding: [u8; 2],
    /// The number of a [`Mode`].
    pub hash_mode: u32,
    /// The start value of the hash.
    pub hash_initval: u32,
}

impl TargetInfo {
    /// Whether the rule may create the cluster.
    pub const fn is_new(&self) -> bool {
        self.flags & FLAG_NEW != 0
    }

    /// The hash mode; refused is a number of none.
    pub fn mode(&self) -> Result<Mode, Refusal> {
        Mode::from_abi(self.hash_mode).ok_or(Refusal::UnknownMode(self.hash_mode))
    }

    /// How many nodes there are and which of them are local, as a rule with `--new` says it.
    ///
    /// Checked in this order: the count of local nodes, each local node by itself, the total, the
    /// local nodes against the total.
    pub fn nodes(&self) -> Result<(Total, NodeSet), Refusal> {
        let set = self.local()?;
        let total = Total::new(u32::from(self.num_total_nodes))
            .ok_or(Refusal::BadTotal(self.num_total_nodes))?;

        // In the order of the payload, so that the first one at fault is named.
        for &node in self.local_nodes.iter().take(self.num_local_nodes.into()) {
            if u32::from(node) > total.get() {
                let total = self.num_total_nodes;
                return Err(Refusal::LocalAboveTotal { node, total });
            }
        }
        Ok((total, set))
    }

    /// Which nodes are local. That much is checked of a rule without `--new`, too, of which nothing
    /// else but the address counts: `iptables` sends zeroes for the rest.
    ///
    /// No local node at all is a set like any other; what `iptables --local-node 0` sends, the number
    /// 0 alone, says the same.
    pub fn local(&self) -> Result<NodeSet, Refusal> {
        let local = self
            .local_nodes
            .get(..usize::from(self.num_local_nodes))
            .ok_or(Refusal::TooManyLocalNodes(self.num_local_nodes))?;
        let local = match local {
            [0] => &[],
            _ => local,
        };

        let mut set = NodeSet::EMPTY;
        for (index, &value) in (0..MAX_LOCAL_NODES).zip(local) {
            let node =
                NodeId::new(u32::from(value)).ok_or(Refusal::BadLocalNode { index, value })?;
            set = set.with(node);
        }
        Ok(set)
    }
}

/// Why a payload is not accepted; `EINVAL`, all of them.
///
/// Displayed is the sentence of the log, the original's where it had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No [`Mode`] has this number.
    UnknownMode(u32),
    /// More local nodes than a payload holds.
    TooManyLocalNodes(u16),
    /// A local node that can't be one in any cluster.
    BadLocalNode {
        /// Its place in the payload, from 0.
        index: usize,
        /// Its number: 0 or above 64.
        value: u16,
    },
    /// A total of no node or of more than 64 (D1).
    BadTotal(u16),
    /// A local node that this cluster doesn't have (D10).
    LocalAboveTotal {
        /// Its number.
        node: u16,
        /// How many nodes there are.
        total: u16,
    },
}

impl Refusal {
    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownMode(_) => {
                "use sourceip, sourceip-sourceport or sourceip-sourceport-destport"
            }
            Self::TooManyLocalNodes(_) => {
                "name at most 16 local nodes, add others by writing +N to the VIP's file"
            }
            Self::BadLocalNode { .. } => {
                "number nodes from 1 to 64, or give 0 alone for no local node"
            }
            Self::BadTotal(_) => "give --total-nodes from 1 to 64",
            Self::LocalAboveTotal { .. } => "give --local-node from 1 to --total-nodes",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownMode(number) => write!(f, "unknown mode {number}"),
            Self::TooManyLocalNodes(count) => write!(f, "bad num_local_nodes {count}"),
            Self::BadLocalNode { index, value } => write!(f, "bad local_nodes[{index}] {value}"),
            Self::BadTotal(total) => {
                write!(f, "bad num_total_nodes {total} (1 to {MAX_NODES})")
            }
            Self::LocalAboveTotal { node, total } => {
                write!(f, "local node {node} is above num_total_nodes {total}")
            }
        }
    }
}
