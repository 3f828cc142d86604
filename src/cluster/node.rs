// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: node numbers, how many nodes there are, and sets of nodes.
//!
//! A number that would index past a set can't be built (D1, D10): [`NodeId`] and [`Total`] are
//! checked once, where they enter, and every operation after that is total.

use core::fmt;

/// The highest node number there is: one bit of a `u64` for each node.
pub const MAX_NODES: u32 = u64::BITS;

/// The number of one node: 1 to [`MAX_NODES`], as admins and userspace count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node of this number, or `None` for 0 and for numbers above [`MAX_NODES`].
    #[inline]
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            1..=MAX_NODES => Some(Self(number)),
            _ => None,
        }
    }

    /// The number, 1 to [`MAX_NODES`].
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many nodes share the address: 1 to [`MAX_NODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total(u8);

impl Total {
    /// A cluster of `count` nodes, or `None` for 0 and for counts above [`MAX_NODES`].
    #[inline]
    pub const fn new(count: u32) -> Option<Self> {
        match count {
            // CAST: 64 at most.
            1..=MAX_NODES => Some(Self(count as u8)),
            _ => None,
        }
    }

    /// The count, 1 to [`MAX_NODES`].
    #[inline]
    pub const fn get(self) -> u32 {
        // CAST: widening.
        self.0 as u32
    }

    /// Whether the cluster has a node of this number.
    #[inline]
    pub const fn contains(self, node: NodeId) -> bool {
        node.0 <= self.get()
    }

    /// The node that a hash falls to.
    ///
    /// The hash is scaled onto `1..=total` by a multiplication (`reciprocal_scale()` of the
    /// kernel's `math.h`), not by a remainder.
    #[inline]
    pub const fn node_of(self, hash: u32) -> NodeId {
        // CAST: widening; the product of two 32-bit numbers fits in 64 bits.
        let product = (hash as u64).wrapping_mul(self.0 as u64);
        // CAST: the upper half of 64 bits. It is less than the total, so that one more is in range.
        NodeId(((product >> 32) as u32).wrapping_add(1))
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of nodes: bit `n - 1` stands for node `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(u64);

impl NodeSet {
    /// The set of no node.
    pub const EMPTY: Self = Self(0);

    /// The length in bytes of the longest text of a set: `1,2,…,64`.
    pub const MAX_TEXT_LEN: usize = 9 + 55 * 2 + 63;

    /// The bit that stands for `node`; exactly one bit is set.
    #[inline]
    pub const fn mask(node: NodeId) -> u64 {
        // The distance is 0 to 63, by construction of the number.
        1u64.wrapping_shl(node.0.wrapping_sub(1))
    }

    /// The set that these bits describe.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that describe the set.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `node` is in the set.
    #[inline]
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 & Self::mask(node) != 0
    }

    /// The set with `node` added.
    #[inline]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | Self::mask(node))
    }

    /// The set with `node` taken away.
    #[inline]
    pub const fn without(self, node: NodeId) -> Self {
        Self(self.0 & !Self::mask(node))
    }

    /// Whether no node is in the set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The nodes of the set, in ascending order.
    #[inline]
    pub const fn iter(self) -> Iter {
        Iter(self.0)
    }
}

impl IntoIterator for NodeSet {
    type Item = NodeId;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

/// Prints `1,3,16`: ascending, without spaces or a newline; nothing at all for the empty set.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for node in self.iter() {
            write!(f, "{separator}{node}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// The nodes of a [`NodeSet`], in ascending order.
#[derive(Clone, Debug)]
pub struct Iter(u64);

impl Iterator for Iter {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let node = NodeId::new(self.0.trailing_zeros().wrapping_add(1))?;
        self.0 &= !NodeSet::mask(node);
        Some(node)
    }
}
