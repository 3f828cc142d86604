// SPDX-License-Identifier: GPL-2.0-only

//! What a packet costs, in instructions: all that the curves are made of.
//!
//! Rows of `docs/bench.json`, which `make bench` prints again, in whole instructions; the modes that look at ports, whose
//! rule in `raw` has the hook that puts fragments together. They are taken over by hand, so that the page does not change
//! with every bench.

/// What a sender pays for one packet, to its device's queue.
///
/// Measured in the lab's guest, as the bench counts: a raw DROP's whole path minus the same packets sent to a dummy device
/// is 1859 to 1869, by a packet socket (5078 - 3217) and by UDP sockets (6334 - 4468) alike. So the sender of the whole
/// paths below paid their plain raw drop without the hook (`floor/raw/drop/udp`, 5041) minus that.
const SENDER: f64 = 3177.0;

/// What a machine pays to route a packet on: the same subtraction for a packet that leaves by another device. 4073 to 4097
/// without conntrack, 5145 to 5206 with it. A director's own look-up comes on top and is not counted.
const FORWARD: f64 = 4080.0;

/// Whole paths are from the sender's system call to the packet's end, over veth.
#[derive(Clone, Debug, clap::Args)]
pub struct Costs {
    /// Whole path: a plain DROP in raw PREROUTING, with conntrack's and the defragmentation hook registered
    #[arg(long, default_value_t = 5080.0)]
    pub raw_drop: f64,
    /// Whole path: conntrack on, dropped by the policy of INPUT
    #[arg(long, default_value_t = 7676.0)]
    pub input_drop: f64,
    /// Whole path: conntrack on, taken by a socket, no target
    #[arg(long, default_value_t = 7805.0)]
    pub accepted: f64,
    /// Our target's own: not mine in raw PREROUTING (over raw-drop)
    #[arg(long, default_value_t = 80.0)]
    pub raw_not_mine: f64,
    /// Our target's own: not mine in INPUT (over input-drop)
    #[arg(long, default_value_t = 16.0)]
    pub input_not_mine: f64,
    /// Our target's own: mine; taken to be the same in raw PREROUTING as in INPUT
    #[arg(long, default_value_t = 84.0)]
    pub mine: f64,
    /// The C original's own: not mine in INPUT (over input-drop)
    #[arg(long, default_value_t = 22.0)]
    pub original_not_mine: f64,
    /// The C original's own: mine
    #[arg(long, default_value_t = 114.0)]
    pub original_mine: f64,
    /// The sender's part of a whole path; a node has a network card there, which is not counted
    #[arg(long, default_value_t = SENDER)]
    pub sender: f64,
    /// What a director in front pays to receive a packet and send it on
    #[arg(long, default_value_t = FORWARD)]
    pub forward: f64,
    /// What the answering node does for each packet besides receiving it: its program, its answer (an assumption)
    #[arg(long, default_value_t = 30_000.0)]
    pub work: f64,
}
