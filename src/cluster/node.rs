// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: node numbers, how many nodes there are, and sets of nodes.
//!
//! A number that would index past a set can't be built (D1, D10): [`NodeId`] and [`Total`] are
//! checked once, where they enter, and every operation after that is total.

use core::fmt;

/// The highest node number there is.
pub const MAX_NODES: u32 = 1024;

/// The highest that a rule of revision 0 can give: the original had a bit of an `unsigned long` for each.
pub const MAX_NODES_REVISION_0: u32 = 64;

/// How many words hold a bit for each node.
const WORDS: usize = 16;

const _: () = assert!(WORDS as u32 * u64::BITS == MAX_NODES); // CAST: 16.

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
pub struct Total(u16);

impl Total {
    /// A cluster of `count` nodes, or `None` for 0 and for counts above [`MAX_NODES`].
    #[inline]
    pub const fn new(count: u32) -> Option<Self> {
        match count {
            // CAST: 1024 at most.
            1..=MAX_NODES => Some(Self(count as u16)),
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

/// A set of nodes.
///
/// Bit `n - 1` stands for node `n`, counted through the words from the lowest bit of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet([u64; WORDS]);

/// Why a text is no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// It is not of the form `1,3-5` or `none`, or a range ends before it begins.
    NotASet,
    /// It is, but names 0 or a number above [`MAX_NODES`].
    NoSuchNode,
}

impl NodeSet {
    /// The set of no node.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// The length in bytes of the longest text of a set: `1,2,…,1024`.
    pub const MAX_TEXT_LEN: usize = 9 + 90 * 2 + 900 * 3 + 25 * 4 + 1023;

    /// Reads `1,3-5`, or `none` for the empty set: decimal numbers and ranges, in any order and as often as one
    /// likes, and nothing else, no space either.
    pub fn parse(text: &[u8]) -> Result<Self, SetError> {
        if text == b"none" {
            return Ok(Self::EMPTY);
        }
        let mut set = Self::EMPTY;
        let mut fault = None;
        for item in text.split(|byte| *byte == b',') {
            let (first, last) = range(item)?;
            match (NodeId::new(first), NodeId::new(last)) {
                (Some(first), Some(last)) => set = set.with_all(first, last),
                // That it is a set at all is seen to the end.
                _ => fault = Some(SetError::NoSuchNode),
            }
        }
        match fault {
            None => Ok(set),
            Some(fault) => Err(fault),
        }
    }

    /// The set of the bits of these words of 32, the lowest first, whatever comes after the 32 words that are one.
    pub fn from_words(words: &[u32]) -> Self {
        let mut set = Self::EMPTY;
        for (to, pair) in set.0.iter_mut().zip(words.chunks(2)) {
            let low = pair.first().copied().unwrap_or_default();
            let high = pair.get(1).copied().unwrap_or_default();
            *to = u64::from(low) | (u64::from(high) << 32);
        }
        set
    }

    /// The bits as words of 32, the lowest first.
    pub fn to_words(self) -> [u32; WORDS * 2] {
        let mut words = [0; WORDS * 2];
        for (pair, from) in words.chunks_mut(2).zip(self.0) {
            if let [low, high] = pair {
                // CAST: The lower half, and the upper.
                (*low, *high) = (from as u32, (from >> 32) as u32);
            }
        }
        words
    }

    /// The word that holds the bit of `node`, and the bit in it.
    #[inline]
    const fn place(node: NodeId) -> (usize, u64) {
        let bit = node.0.wrapping_sub(1);
        // CAST: widening. The shift takes the distance modulo 64.
        ((bit / u64::BITS) as usize, 1u64.wrapping_shl(bit))
    }

    /// Whether `node` is in the set.
    #[inline]
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = Self::place(node);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The set with `node` added.
    #[inline]
    #[must_use]
    pub fn with(mut self, node: NodeId) -> Self {
        let (word, bit) = Self::place(node);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
        self
    }

    /// The set with all nodes from `first` to `last` added.
    #[must_use]
    fn with_all(mut self, first: NodeId, last: NodeId) -> Self {
        for number in first.0..=last.0 {
            self = self.with(NodeId(number));
        }
        self
    }

    /// The set with `node` taken away.
    #[inline]
    #[must_use]
    pub fn without(mut self, node: NodeId) -> Self {
        let (word, bit) = Self::place(node);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
        self
    }

    /// Whether no node is in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The highest node of the set.
    pub fn highest(&self) -> Option<NodeId> {
        let mut highest = None;
        for (word, bits) in (0..MAX_NODES).step_by(64).zip(self.0) {
            if let Some(top) = bits.checked_ilog2() {
                highest = NodeId::new(word.wrapping_add(top).wrapping_add(1));
            }
        }
        highest
    }

    /// The nodes of the set, in ascending order.
    #[inline]
    pub fn iter(&self) -> Iter {
        Iter {
            set: *self,
            word: 0,
        }
    }
}

/// The numbers of `7`, or of `3-5`.
fn range(item: &[u8]) -> Result<(u32, u32), SetError> {
    let mut ends = item.splitn(2, |byte| *byte == b'-');
    let first = number(ends.next().unwrap_or_default())?;
    let last = ends.next().map_or(Ok(first), number)?;
    if first > last {
        return Err(SetError::NotASet);
    }
    Ok((first, last))
}

/// A decimal number. One that no `u32` holds is as good as the highest that one does: there is no such node.
fn number(digits: &[u8]) -> Result<u32, SetError> {
    if digits.is_empty() {
        return Err(SetError::NotASet);
    }
    let mut value = 0u32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(SetError::NotASet);
        }
        value = value
            .saturating_mul(10)
            .saturating_add(u32::from(digit.wrapping_sub(b'0')));
    }
    Ok(value)
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<T: IntoIterator<Item = NodeId>>(nodes: T) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
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
pub struct Iter {
    /// Those that are left.
    set: NodeSet,
    /// The words before this one are empty.
    word: u32,
}

impl Iterator for Iter {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        loop {
            // CAST: widening.
            let bits = self.set.0.get_mut(self.word as usize)?;
            if *bits != 0 {
                let first = self.word.wrapping_mul(64).wrapping_add(1);
                let node = NodeId::new(first.wrapping_add(bits.trailing_zeros()));
                *bits &= bits.wrapping_sub(1);
                return node;
            }
            self.word = self.word.wrapping_add(1);
        }
    }
}

/// Prints `1,3-5`, as [`NodeSet::parse`] takes it: `none` for the empty set, and a range for three or more.
pub struct Ranges<'a>(pub &'a NodeSet);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nodes = self.0.iter().peekable();
        if nodes.peek().is_none() {
            return f.write_str("none");
        }
        let mut separator = "";
        while let Some(first) = nodes.next() {
            let mut last = first;
            // Not `next_if()`, which has a place where it would panic.
            while nodes
                .peek()
                .is_some_and(|next| next.0 == last.0.wrapping_add(1))
            {
                last = nodes.next().unwrap_or(last);
            }
            match last.0.wrapping_sub(first.0) {
                0 => write!(f, "{separator}{first}")?,
                1 => write!(f, "{separator}{first},{last}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}
