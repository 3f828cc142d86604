// SPDX-License-Identifier: GPL-2.0-only

//! What the clients saw, in numbers.

use crate::client::Request;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::time::Duration;
use std::time::Instant;

/// A share's requests in a span of time.
pub struct Seen {
    pub asked: usize,
    /// Without an answer: reset, or silence.
    pub lost: usize,
    /// Accepted by more than one node.
    pub doubled: usize,
    /// How long the slowest answer took.
    pub slowest: Duration,
}

pub fn seen(requests: &[Request], share: usize, from: Instant, to: Instant) -> Seen {
    let of_it = || {
        requests
            .iter()
            .filter(move |request| request.share == share)
            .filter(move |request| request.at >= from && request.at < to)
    };
    Seen {
        asked: of_it().count(),
        lost: of_it().filter(|request| request.answer.is_none()).count(),
        doubled: of_it().filter(|request| request.doubled).count(),
        slowest: of_it()
            .filter_map(|request| request.answer.map(|(_, when)| when - request.at))
            .max()
            .unwrap_or_default(),
    }
}

/// How long after a moment a share got its first page from another node than `dead`.
pub fn silence(requests: &[Request], share: usize, dead: usize, from: Instant) -> Result<Duration> {
    requests
        .iter()
        .filter(|request| request.share == share && request.at >= from)
        .filter_map(|request| request.answer)
        .filter(|(node, _)| *node != dead)
        .map(|(_, when)| when - from)
        .min()
        .with_context(|| format!("no other node ever answered for share {share}"))
}

/// Which nodes answered a share in a span of time.
pub fn answering(requests: &[Request], share: usize, from: Instant, to: Instant) -> Vec<usize> {
    let mut nodes: Vec<usize> = requests
        .iter()
        .filter(|request| request.share == share && request.at >= from && request.at < to)
        .filter_map(|request| request.answer.map(|(node, _)| node))
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// Checks that a share was asked, lost nothing and was never answered twice.
pub fn expect_untouched(
    requests: &[Request],
    share: usize,
    from: Instant,
    to: Instant,
) -> Result<()> {
    let Seen {
        asked,
        lost,
        doubled,
        ..
    } = seen(requests, share, from, to);
    ensure!(asked >= 5, "share {share} was asked only {asked} times");
    ensure!(
        lost == 0 && doubled == 0,
        "share {share}: of {asked} requests {lost} lost, {doubled} doubled, and nothing should have happened to it"
    );
    Ok(())
}
