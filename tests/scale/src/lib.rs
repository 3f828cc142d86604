// SPDX-License-Identifier: GPL-2.0-only

//! How a cluster grows: what it costs that every node gets all packets, whom a change of the total moves, and how even
//! the shares are. `docs/scale.md` shows what this makes.

#![forbid(unsafe_code)]

pub mod chart;
pub mod clients;
pub mod costs;
pub mod even;
pub mod moved;
pub mod numbers;
pub mod page;
pub mod text;
pub mod throughput;
