// SPDX-License-Identifier: GPL-2.0-only

//! The marks of connections.

use super::Netns;
use anyhow::Context;
use anyhow::Result;
use std::net::Ipv4Addr;

/// The marks of all that a machine tracks, by who began it.
pub fn all(node: &Netns) -> Result<Vec<(Ipv4Addr, u32)>> {
    let list = node.run("conntrack -L")?;
    let word = |line: &str, start: &str| {
        let words = line.split_whitespace();
        words
            .filter_map(|word| word.strip_prefix(start))
            .map(str::to_string)
            .next()
            .with_context(|| format!("no {start} in {line}"))
    };
    list.lines()
        .map(|line| Ok((word(line, "src=")?.parse()?, word(line, "mark=")?.parse()?)))
        .collect()
}

/// The marks of the connections that an address began.
pub fn of(node: &Netns, source: Ipv4Addr) -> Result<Vec<u32>> {
    let all = all(node)?;
    let from_it = all.iter().filter(|(other, _)| *other == source);
    Ok(from_it.map(|(_, mark)| *mark).collect())
}
