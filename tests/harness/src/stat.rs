// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/stat/ipt_CLUSTERIP`, as a script would read it.

use super::Netns;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::net::Ipv4Addr;
use std::str::FromStr;

pub const PATH: &str = "/proc/thread-self/net/stat/ipt_CLUSTERIP";
pub const HEADER: &str =
    "vip number mine accepted left arp generation total hashmode hash_init clustermac device ifindex";

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub vip: Ipv4Addr,
    pub number: u32,
    pub mine: bool,
    pub accepted: u64,
    pub left: u64,
    pub arp: u64,
    pub generation: u32,
    pub total: u32,
    pub hashmode: String,
    pub hash_init: u32,
    pub clustermac: String,
    pub device: String,
    pub ifindex: u32,
}

/// All rows of a namespace.
pub fn rows(namespace: &Netns) -> Result<Vec<Row>> {
    parse(&namespace.read(PATH)?)
}

/// The rows of one VIP: all of its numbers.
pub fn rows_of(namespace: &Netns, vip: Ipv4Addr) -> Result<Vec<Row>> {
    let mut rows = rows(namespace)?;
    rows.retain(|row| row.vip == vip);
    let numbers = rows.iter().map(|row| row.number);
    let total = rows.first().map_or(0, |row| row.total);
    ensure!(
        numbers.eq(1..=total),
        "the rows of {vip} are not those of its {total} numbers"
    );
    Ok(rows)
}

/// The whole text: the header, and rows of 13 fields with single spaces between them.
pub fn parse(text: &str) -> Result<Vec<Row>> {
    let mut lines = text.split_terminator('\n');
    let header = lines.next().context("an empty table")?;
    ensure!(header == HEADER, "the header is {header:?}");
    ensure!(text.ends_with('\n'), "the last line has no end");
    lines
        .map(|line| row(line).with_context(|| format!("a row {line:?}")))
        .collect()
}

fn row(line: &str) -> Result<Row> {
    let fields: Vec<&str> = line.split(' ').collect();
    let fields: [&str; 13] = fields.as_slice().try_into().context("13 fields")?;
    let mine = match fields[2] {
        "0" => false,
        "1" => true,
        _ => anyhow::bail!("mine is neither 0 nor 1"),
    };
    Ok(Row {
        vip: field(fields[0])?,
        number: field(fields[1])?,
        mine,
        accepted: field(fields[3])?,
        left: field(fields[4])?,
        arp: field(fields[5])?,
        generation: field(fields[6])?,
        total: field(fields[7])?,
        hashmode: fields[8].to_string(),
        hash_init: field(fields[9])?,
        clustermac: fields[10].to_string(),
        device: fields[11].to_string(),
        ifindex: field(fields[12])?,
    })
}

fn field<T: FromStr>(text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("{text:?}"))
}
