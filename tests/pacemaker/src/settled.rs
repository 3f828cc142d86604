// SPDX-License-Identifier: GPL-2.0-only

//! When a cluster has recovered: the files and Pacemaker agree on who has which number, each number
//! is somewhere once, no action has failed, the files have not changed for some seconds, and the
//! clients were all answered in that time. Never one look at a file.

use crate::bed::wait;
use crate::bed::Bed;
use crate::bed::Files;
use crate::bed::NODES;
use crate::client::Asked;
use crate::client::Stream;
use crate::monitor;
use anyhow::ensure;
use anyhow::Result;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

/// How long nothing may change.
const CALM: Duration = Duration::from_secs(4);
/// A connection that took longer has lost its first SYN.
pub const PROMPT: Duration = Duration::from_millis(950);

/// What became of the numbers on the way.
pub struct Settled {
    pub files: Files,
    /// When each number was first seen on another node than before.
    pub moved: BTreeMap<usize, Instant>,
}

/// Waits until these nodes have recovered; `before` is who had what. The numbers are to be spread as
/// evenly as they can.
pub fn settle(
    bed: &Bed,
    stream: Option<&Stream>,
    nodes: &BTreeSet<usize>,
    before: &Files,
) -> Result<Settled> {
    let mut moved = BTreeMap::new();
    let mut last = bed.files()?;
    let mut since = Instant::now();
    let mut why = String::new();
    let recovered = wait("a cluster that has recovered", || {
        let files = bed.files()?;
        for (node, numbers) in &files {
            let had = before.get(node).cloned().unwrap_or_default();
            for number in numbers.difference(&had) {
                moved.entry(*number).or_insert_with(Instant::now);
            }
        }
        if files != last {
            last = files;
            since = Instant::now();
            return Ok(false);
        }
        if since.elapsed() < CALM {
            return Ok(false);
        }
        why = match wrong(bed, stream, nodes, &last) {
            Ok(()) => return Ok(true),
            Err(error) => format!("{error:#}"),
        };
        std::thread::sleep(Duration::from_secs(1));
        Ok(false)
    });
    recovered.map_err(|error| error.context(why))?;
    Ok(Settled { files: last, moved })
}

fn wrong(bed: &Bed, stream: Option<&Stream>, nodes: &BTreeSet<usize>, files: &Files) -> Result<()> {
    let holders: BTreeMap<usize, BTreeSet<usize>> = files
        .iter()
        .filter(|(_, numbers)| !numbers.is_empty())
        .map(|(node, numbers)| (*node, numbers.clone()))
        .collect();
    let seen: Vec<usize> = holders.values().flatten().copied().collect();
    let all: BTreeSet<usize> = seen.iter().copied().collect();
    ensure!(
        seen.len() == NODES && all == (1..=NODES).collect(),
        "each number should be somewhere once: {files:?}"
    );
    ensure!(
        holders.keys().copied().collect::<BTreeSet<_>>() == *nodes,
        "the nodes {nodes:?} should share the numbers: {files:?}"
    );
    if let Some(stream) = stream {
        let now = Instant::now();
        let asked = stream.since(now - CALM);
        let old: Vec<&Asked> = asked
            .iter()
            .filter(|one| now - one.started > PROMPT)
            .collect();
        ensure!(old.len() > 20, "the client asks too slowly: {}", old.len());
        let silent = old.iter().filter(|one| one.node.is_none()).count();
        ensure!(silent == 0, "{silent} of {} were not answered", old.len());
    }
    let node = nodes.iter().find_map(|number| bed.machines.get(number));
    let view = monitor::view(node.map_or_else(|| bed.any(), Ok)?)?;
    ensure!(view.failed.is_empty(), "failed: {:?}", view.failed);
    ensure!(
        view.running == holders,
        "Pacemaker has {:?}, the files {holders:?}",
        view.running
    );
    Ok(())
}
