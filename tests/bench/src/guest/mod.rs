// SPDX-License-Identifier: GPL-2.0-only

//! Measuring, in the guest: rounds of ours and the original in turn, in one boot.

mod clock;
mod flows;
mod many;
mod memory;
mod packets;
mod stage;
mod sys;

use crate::sample::Sample;
use crate::sample::Who;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::VIP;
use harness::eventually;
use harness::host::program;
use harness::module;
use many::Many;
use packets::Row;
use stage::Stage;
use stage::Table;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What the rules need; loaded at once, so that no load falls into a measurement.
const MODULES: &str = "ip_tables iptable_raw iptable_filter iptable_mangle xt_conntrack xt_socket xt_cluster xt_mark \
                       xt_tcpudp nf_conntrack nf_defrag_ipv4 nf_tables nft_ct nft_hash veth arp_tables";

pub struct Options {
    pub rounds: usize,
    /// Only what the check on ours needs.
    pub check: bool,
    /// Only rows with this in their names, and what they are compared with.
    pub filter: Option<String>,
}

/// Prints what one module shows in one round.
struct Recorder<'a> {
    who: Who,
    round: usize,
    options: &'a Options,
}

impl Recorder<'_> {
    fn wants(&self, name: &str) -> bool {
        match &self.options.filter {
            // Some of the names that begin so may be meant.
            Some(filter) if name.ends_with('/') => {
                filter.starts_with(name) || name.contains(filter.as_str())
            }
            Some(filter) => name.contains(filter.as_str()),
            None => true,
        }
    }

    fn row(&self, name: &str, base: Option<&str>, value: f64) -> Result<()> {
        Sample {
            row: name.to_string(),
            base: base.map(str::to_string),
            who: self.who,
            round: self.round,
            value,
        }
        .print()
    }

    /// Bytes for each of `count`; in the first round, where they are.
    fn memory(
        &self,
        name: &str,
        base: Option<&str>,
        before: &memory::Objects,
        after: &memory::Objects,
        count: usize,
    ) -> Result<()> {
        let (caches, bytes) = memory::growth(before, after, count);
        if self.round == 0 {
            let caches: Vec<String> = caches
                .iter()
                .map(|(cache, objects)| format!("{objects:.2} {cache}"))
                .collect();
            println!("{name}, {}: {}", self.who, caches.join(", "));
        }
        self.row(name, base, bytes)
    }
}

pub fn measure(options: &Options) -> Result<()> {
    clock::expect_instructions()?;
    program(&format!("modprobe -a {MODULES}"))?;
    let wanted: Vec<Vec<Row>> = [Who::Ours, Who::Original]
        .into_iter()
        .map(|who| wanted(packets::rows(who), options))
        .collect();
    let mut stages = stages(&wanted)?;
    let many = Many::new().context("the stage of many VIPs")?;
    for round in 0..options.rounds {
        for (who, rows) in [Who::Ours, Who::Original].into_iter().zip(&wanted) {
            if options.check && who == Who::Original {
                continue;
            }
            load(who)?;
            let mut record = Recorder {
                who,
                round,
                options,
            };
            for row in rows {
                let stage = stages.get_mut(&row.table).context("no stage")?;
                let value = packet_row(stage, row, round == 0)
                    .with_context(|| format!("{}, {who}", row.name))?;
                record.row(&row.name, row.base.as_deref(), value)?;
            }
            if !options.check {
                many.measure(&mut record).with_context(|| who.to_string())?;
            }
            unload()?;
        }
        println!("round {} of {}", round + 1, options.rounds);
    }
    Ok(())
}

fn stages(rows: &[Vec<Row>]) -> Result<BTreeMap<Table, Stage>> {
    Table::ALL
        .into_iter()
        .filter(|table| rows.iter().flatten().any(|row| row.table == *table))
        .map(|table| {
            let stage = Stage::new(table).with_context(|| format!("the stage {table:?}"))?;
            Ok((table, stage))
        })
        .collect()
}

/// The rows that are asked for, and those that they are compared with.
fn wanted(rows: Vec<Row>, options: &Options) -> Vec<Row> {
    let named = |row: &Row| match &options.filter {
        Some(filter) => row.name.contains(filter.as_str()),
        None => true,
    };
    let checked = |row: &Row| !options.check || row.tell.is_some();
    let mut names = BTreeSet::new();
    for row in rows.iter().filter(|row| named(row) && checked(row)) {
        names.insert(row.name.clone());
        names.extend(row.base.clone());
    }
    rows.into_iter()
        .filter(|row| names.contains(&row.name))
        .collect()
}

fn packet_row(stage: &mut Stage, row: &Row, first: bool) -> Result<f64> {
    stage.apply(row.policy, &row.rules)?;
    if let Some(command) = row.tell {
        stage.node.tell(VIP, command)?;
    }
    if first {
        stage.expect(row.traffic, row.through)?;
    }
    let cost = stage.cost(row.traffic)?;
    stage.clear()?;
    Ok(cost)
}

fn load(who: Who) -> Result<()> {
    program(&format!("insmod /opt/clusterip/{who}.ko")).map(drop)
}

fn unload() -> Result<()> {
    // What the last rule left may wait for a grace period.
    eventually("unloading", || Ok(module::unload().is_ok()))
}
