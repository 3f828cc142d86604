// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: what the `kernel` crate would offer if it had netfilter, procfs and network
//! namespaces.
//!
//! Every `unsafe` of the module lives in this folder, and nothing here knows what the module is
//! for: safe traits, registrations that undo themselves, and adapters that turn the raw pointers of
//! a C callback into references once.

#![allow(unsafe_code)]

pub(crate) mod lockdep;
pub(crate) mod net;
pub(crate) mod netfilter;
pub(crate) mod percpu;
pub(crate) mod proc_file;
pub(crate) mod proc_table;
pub(crate) mod rcu;
pub(crate) mod spread;
pub(crate) mod wait;
