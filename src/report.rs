// SPDX-License-Identifier: GPL-2.0-only

//! What the module says: one line for a refusal, with the sentence that the original had, the VIP and
//! the remedy. Never a line for a packet.

#![forbid(unsafe_code)]

use crate::abstractions::net::ratelimit;
use core::fmt;
use core::net::Ipv4Addr;
use kernel::prelude::*;

/// Says why a rule is refused, and returns the error to refuse it with.
pub(crate) fn refuse(
    errno: Error,
    vip: Ipv4Addr,
    sentence: fmt::Arguments<'_>,
    remedy: fmt::Arguments<'_>,
) -> Error {
    tell(vip, sentence, remedy);
    errno
}

/// Says something about a VIP. `false` when too much was said of late, and this was not.
pub(crate) fn tell(
    vip: Ipv4Addr,
    sentence: fmt::Arguments<'_>,
    remedy: fmt::Arguments<'_>,
) -> bool {
    let may = ratelimit();
    if may {
        // The debug form of an address is its dotted quad.
        pr_info!("{}: VIP {:?}: {}\n", sentence, vip, remedy);
    }
    may
}
