// SPDX-License-Identifier: GPL-2.0-only

//! `libipt_CLUSTERIP.so`: what `iptables` knows of the target CLUSTERIP.
//!
//! Its options, its checks, and how a rule of it is shown and saved, of both revisions. It has to be
//! taken for the one that distributions ship, so texts and exit codes are theirs; where they were
//! poor, ours are better, and `docs/differences.md` says so.
//!
//! The file is built with `panic = "abort"` and without std, which would be twenty times as large.
//! Tests and the fuzz targets link the same code with std.

#![allow(
    non_snake_case,
    reason = "the crate is called as libxtables wants the file"
)]
#![cfg_attr(all(panic = "abort", not(fuzzing)), no_std)]

#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
pub mod target;
pub mod xtables;

#[cfg(all(panic = "abort", not(fuzzing)))]
xtables::extension!(target::ClusterIp1);
