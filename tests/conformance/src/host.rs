// SPDX-License-Identifier: GPL-2.0-only

//! A machine of a case.

pub use harness::flushed::grace_period;
pub use harness::flushed::Flushed as Host;
