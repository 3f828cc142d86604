// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: the payload of a rule, as iptables hands it over, and what of it is accepted.
//!
//! Every number is in the byte order of the machine.

use core::ffi::CStr;
use core::fmt;

use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};

use super::{
    arp::Mac,
    hash::Mode,
    node::{
        NodeId,
        NodeSet,
        Total,
        MAX_NODES,
        MAX_NODES_REVISION_0, //
    },
};
use core::net::Ipv4Addr;

/// The name of the target, as a rule names it.
pub const NAME: &CStr = c"CLUSTERIP";

/// In the flags of a payload: the rule may create the cluster. In revision 0 the other bits mean nothing.
pub const FLAG_NEW: u32 = 1;

/// In the flags of revision 1: a new connection is not marked with its number (`--no-mark`).
pub const FLAG_NO_MARK: u32 = 2;

/// What a rule says, in whichever revision.
///
/// The checks come in the order of the original's; a payload with several faults is refused for the same
/// one, with the same words.
pub trait Payload {
    /// The revision.
    const REVISION: u8;
    /// Whether the payload itself can say the VIP and its device.
    const SAYS_VIP: bool;
    /// How many bytes a 32-bit program has behind it for the kernel's word: a pointer, or room for one of 64 bits.
    const COMPAT_WORD: usize;

    /// Whether the rule may create the cluster.
    fn is_new(&self) -> bool;

    /// The hash mode; refused is a number of none, and whatever else no payload may have.
    fn mode(&self) -> Result<Mode, Refusal>;

    /// Which nodes are local. That much is checked of a rule without `--new`, too, of which nothing
    /// else but the address counts: `iptables` sends zeroes for the rest.
    fn local(&self) -> Result<NodeSet, Refusal>;

    /// How many nodes there are and which of them are local, as a rule with `--new` says it.
    fn nodes(&self) -> Result<(Total, NodeSet), Refusal>;

    /// The hardware address of the cluster; zeroes in a rule that is not `--new`.
    fn mac(&self) -> Mac;

    /// The start value of the hash.
    fn seed(&self) -> u32;

    /// Whether new connections are marked with their number.
    fn marks(&self) -> bool;

    /// The VIP, if the payload itself says it (`--vip`).
    fn vip(&self) -> Option<Ipv4Addr>;

    /// The name of the device, up to its NUL, if the payload itself says it (`--dev`).
    fn device(&self) -> Option<&[u8; DEVICE_LEN]>;
}

/// How many bytes the name of a device takes, its NUL included. C: `IFNAMSIZ`.
pub const DEVICE_LEN: usize = 16;

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

impl Payload for TargetInfo {
    const REVISION: u8 = 0;
    const SAYS_VIP: bool = false;
    const COMPAT_WORD: usize = 4;

    fn is_new(&self) -> bool {
        self.flags & FLAG_NEW != 0
    }

    fn mode(&self) -> Result<Mode, Refusal> {
        Mode::from_abi(self.hash_mode)
            .filter(|mode| mode.is_in_revision_0())
            .ok_or(Refusal::UnknownMode(self.hash_mode))
    }

    /// Checked in this order: the count of local nodes, each local node by itself, the total, the
    /// local nodes against the total.
    fn nodes(&self) -> Result<(Total, NodeSet), Refusal> {
        let set = self.local()?;
        let total = Total::new(u32::from(self.num_total_nodes))
            .filter(|total| total.get() <= MAX_NODES_REVISION_0)
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

    /// No local node at all is a set like any other; what `iptables --local-node 0` sends, the number
    /// 0 alone, says the same.
    fn local(&self) -> Result<NodeSet, Refusal> {
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
            let node = NodeId::new(u32::from(value))
                .filter(|node| node.get() <= MAX_NODES_REVISION_0)
                .ok_or(Refusal::BadLocalNode { index, value })?;
            set = set.with(node);
        }
        Ok(set)
    }

    fn mac(&self) -> Mac {
        Mac::new(self.clustermac)
    }

    fn seed(&self) -> u32 {
        self.hash_initval
    }

    fn marks(&self) -> bool {
        true
    }

    fn vip(&self) -> Option<Ipv4Addr> {
        None
    }

    fn device(&self) -> Option<&[u8; DEVICE_LEN]> {
        None
    }
}

/// `struct clusterip_rev1`, up to the pointer that is the kernel's own: 168 bytes.
///
/// Unlike [`TargetInfo`] it says the VIP and its device itself, where whoever carries the rule can't (nftables).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TargetInfo1 {
    /// [`FLAG_NEW`], [`FLAG_NO_MARK`]; no other bit may be set.
    pub flags: u32,
    /// The hardware address of the cluster; zeroes in a rule that is not `--new`.
    pub clustermac: [u8; 6],
    /// How many nodes the cluster has.
    pub num_total_nodes: u16,
    /// The number of a [`Mode`].
    pub hash_mode: u32,
    /// The start value of the hash.
    pub hash_initval: u32,
    /// The VIP, in the order of the wire; 0.0.0.0 where `-d` says it.
    pub vip: [u8; 4],
    /// The name of the device, with a NUL; empty where `-i` says it.
    pub device: [u8; DEVICE_LEN],
    /// The nodes that this machine answers for at first: bit `n - 1`, from the lowest bit of the first word.
    pub local_nodes: [u32; 32],
}

impl Payload for TargetInfo1 {
    const REVISION: u8 = 1;
    const SAYS_VIP: bool = true;
    const COMPAT_WORD: usize = 8;

    fn is_new(&self) -> bool {
        self.flags & FLAG_NEW != 0
    }

    fn mode(&self) -> Result<Mode, Refusal> {
        if self.flags & !(FLAG_NEW | FLAG_NO_MARK) != 0 {
            return Err(Refusal::UnknownFlags(self.flags));
        }
        if !self.device.contains(&0) {
            return Err(Refusal::EndlessDevice);
        }
        Mode::from_abi(self.hash_mode).ok_or(Refusal::UnknownMode(self.hash_mode))
    }

    fn local(&self) -> Result<NodeSet, Refusal> {
        Ok(NodeSet::from_words(&self.local_nodes))
    }

    fn nodes(&self) -> Result<(Total, NodeSet), Refusal> {
        let set = self.local()?;
        let total = Total::new(u32::from(self.num_total_nodes))
            .ok_or(Refusal::BadTotalOfMany(self.num_total_nodes))?;
        match set.highest() {
            Some(highest) if !total.contains(highest) => Err(Refusal::LocalAboveTotal {
                // CAST: 1024 at most.
                node: highest.get() as u16,
                total: self.num_total_nodes,
            }),
            _ => Ok((total, set)),
        }
    }

    fn mac(&self) -> Mac {
        Mac::new(self.clustermac)
    }

    fn seed(&self) -> u32 {
        self.hash_initval
    }

    fn marks(&self) -> bool {
        self.flags & FLAG_NO_MARK == 0
    }

    fn vip(&self) -> Option<Ipv4Addr> {
        let vip = Ipv4Addr::from(self.vip);
        (!vip.is_unspecified()).then_some(vip)
    }

    fn device(&self) -> Option<&[u8; DEVICE_LEN]> {
        let [first, ..] = self.device;
        (first != 0).then_some(&self.device)
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
    /// A total of no node or of more than 64 (D1), in revision 0.
    BadTotal(u16),
    /// A total of no node or of more than 1024, in revision 1.
    BadTotalOfMany(u16),
    /// Flags that nobody has given a meaning yet, in revision 1.
    UnknownFlags(u32),
    /// The name of a device without an end, in revision 1.
    EndlessDevice,
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
                "use sourceip, sourceip-sourceport or sourceip-sourceport-destport; in revision 1 also \
                 destip, sourceip-destip or sourceip-spi"
            }
            Self::TooManyLocalNodes(_) => {
                "name at most 16 local nodes, add others by writing +N to the VIP's file"
            }
            Self::BadLocalNode { .. } => {
                "number nodes from 1 to 64, or give 0 alone for no local node"
            }
            Self::BadTotal(_) => "give --total-nodes from 1 to 64",
            Self::BadTotalOfMany(_) => "give --total-nodes from 1 to 1024",
            Self::UnknownFlags(_) => "use a module that is as new as the program that made the rule",
            Self::EndlessDevice => "end the device's name with a NUL",
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
                write!(
                    f,
                    "bad num_total_nodes {total} (1 to {MAX_NODES_REVISION_0})"
                )
            }
            Self::BadTotalOfMany(total) => {
                write!(f, "bad num_total_nodes {total} (1 to {MAX_NODES})")
            }
            Self::UnknownFlags(flags) => write!(f, "unknown flags {flags:#x}"),
            Self::EndlessDevice => f.write_str("bad device name"),
            Self::LocalAboveTotal { node, total } => {
                write!(f, "local node {node} is above num_total_nodes {total}")
            }
        }
    }
}
