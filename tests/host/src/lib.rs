// SPDX-License-Identifier: GPL-2.0-only

//! The module's pure layer, from the very files that the module is built of.

#![no_std]
#![forbid(unsafe_code)]

#[path = "../../../src/cluster/mod.rs"]
pub mod cluster;
