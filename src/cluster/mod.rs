// SPDX-License-Identifier: GPL-2.0-only

//! Pure layer: what a cluster is, in values and bytes; the root of this folder.
//!
//! Nothing here knows a kernel. The files need `core` alone (and zerocopy's derives, which a kernel
//! build offers too), allocate nothing, and have no path to a panic: no indexing, no `unwrap`, no
//! arithmetic that can overflow. The same files are compiled into the module and into the tests of
//! the host, and name each other by `super::` only, so that they work wherever they are mounted.
//!
//! The crate that mounts this folder declares it `pub mod cluster;`: what one of the two users
//! does not need would otherwise be reported as dead code.
//!
//! Values print by core's `Display`. The kernel's print macros want a trait of their own, which
//! core's `Arguments` has: there, write `pr_info!("{}", core::format_args!("{set}"))`.

#![forbid(unsafe_code)]

pub mod abi;
pub mod arp;
pub mod command;
pub mod hash;
pub mod node;
pub mod packet;
