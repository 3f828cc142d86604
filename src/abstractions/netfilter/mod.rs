// SPDX-License-Identifier: GPL-2.0-only

//! Abstraction layer: netfilter. One file for each kind of registration.

pub(crate) mod conntrack;
pub(crate) mod hook;
pub(crate) mod target;
