// SPDX-License-Identifier: GPL-2.0-only

//! §2.1: which rules are taken, and what is said of those that are not.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP_ADDRESS;

pub fn cases() -> Vec<Entry> {
    cases!["2.1" => mode_unknown, total_zero]
}

/// Offers one rule, and says what became of it.
fn offer(case: &mut Case, rule: &Rule) -> Result<()> {
    let host = case.host()?;
    let result = host.enter(|| {
        let socket = blob::socket()?;
        blob::replace(&socket, "filter", std::slice::from_ref(rule))
    })?;
    case.errno("errno", &result);
    case.log("log")
}

fn mode_unknown(case: &mut Case) -> Result<()> {
    let payload = Payload {
        mode: 3,
        ..Payload::default()
    };
    offer(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}

fn total_zero(case: &mut Case) -> Result<()> {
    let payload = Payload {
        total: 0,
        ..Payload::default()
    };
    offer(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}
