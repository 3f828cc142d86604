// SPDX-License-Identifier: GPL-2.0-only

//! Which node a packet belongs to, by the kernel's own `jhash.h`.
//!
//! An oracle: what it says comes from the kernel's C and a few lines of ours around it, and shares
//! no code with `src/cluster`.

pub mod vectors;

use std::ptr;

extern "C" {
    fn oracle_node(
        mode: u32,
        source: *const u8,
        ports: *const u8,
        seed: u32,
        total: u32,
        hash: *mut u32,
    ) -> u32;

    fn oracle_node_rev1(
        mode: u32,
        source: *const u8,
        destination: *const u8,
        spi: *const u8,
        seed: u32,
        total: u32,
        hash: *mut u32,
    ) -> u32;
}

/// The hash of a packet and its node, from 1.
///
/// `mode` is the number of the hash mode in a rule's payload (0 to 2), `source` and `ports` are
/// bytes as on the wire.
///
/// # Panics
///
/// When there is no such mode.
pub fn hash_and_node(
    mode: u32,
    source: [u8; 4],
    ports: [u8; 4],
    seed: u32,
    total: u32,
) -> (u32, u32) {
    let mut hash = 0;
    // SAFETY: The function reads the four bytes that each of the first two pointers has, writes the
    // `u32` of the third, and keeps none of them.
    let node = unsafe {
        oracle_node(
            mode,
            source.as_ptr(),
            ports.as_ptr(),
            seed,
            total,
            &mut hash,
        )
    };
    assert_ne!(node, 0, "no hash mode {mode}");
    (hash, node)
}

/// The node of a packet, from 1; see [`hash_and_node`].
pub fn node(mode: u32, source: [u8; 4], ports: [u8; 4], seed: u32, total: u32) -> u32 {
    hash_and_node(mode, source, ports, seed, total).1
}

/// What of a packet any mode hashes, in bytes as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    /// Zero where the packet has none.
    pub ports: [u8; 4],
    /// Of ESP or AH, where it can be read.
    pub spi: Option<[u8; 4]>,
}

impl Packet {
    /// The hash of the packet and its node, from 1, in any of the six modes.
    ///
    /// # Panics
    ///
    /// When there is no such mode.
    pub fn hash_and_node(&self, mode: u32, seed: u32, total: u32) -> (u32, u32) {
        if mode < 3 {
            return hash_and_node(mode, self.source, self.ports, seed, total);
        }
        let mut hash = 0;
        let spi = self.spi.as_ref().map_or(ptr::null(), |spi| spi.as_ptr());
        // SAFETY: The function reads the four bytes that each of the first two pointers has, and of the third
        // unless it is null, writes the `u32` of the fourth, and keeps none of them.
        let node = unsafe {
            oracle_node_rev1(
                mode,
                self.source.as_ptr(),
                self.destination.as_ptr(),
                spi,
                seed,
                total,
                &mut hash,
            )
        };
        assert_ne!(node, 0, "no hash mode {mode}");
        (hash, node)
    }

    /// The node of the packet, from 1; see [`Packet::hash_and_node`].
    pub fn node(&self, mode: u32, seed: u32, total: u32) -> u32 {
        self.hash_and_node(mode, seed, total).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is published is what the oracle says; a row that has been changed by hand is found here.
    #[test]
    fn published_vectors() {
        let published = include_str!("../../host/vectors/hash-vectors-rev1.txt");
        assert_eq!(vectors::revision_1(), published);
    }

    /// Row 6 of the published vectors: the oracle itself is looked at once by hand.
    #[test]
    fn worked_example() {
        let ports = [0x9c, 0x40, 0x00, 0x50];
        assert_eq!(
            hash_and_node(1, [192, 0, 2, 1], ports, 0, 2),
            (0x50e1_60d3, 1)
        );
    }
}
