// SPDX-License-Identifier: GPL-2.0-only

//! What bindgen makes of `include/bindings.h` when the module is built.
//!
//! Types that the `kernel` crate has bound are its own; here stands only what it has not.

#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    improper_ctypes,
    dead_code,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]

pub(crate) use kernel::bindings::*;
use kernel::ffi;
use pin_init::MaybeZeroable;

include!(concat!(env!("CLUSTERIP_OBJ"), "/bindings_generated.rs"));
