// SPDX-License-Identifier: GPL-2.0-only

//! Reads the call graph off a linked kernel module, and asks what can be reached in it.

#![forbid(unsafe_code)]

pub mod graph;
pub mod name;
pub mod reach;
