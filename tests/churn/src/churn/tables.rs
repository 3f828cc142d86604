// SPDX-License-Identifier: GPL-2.0-only

//! Who replaces tables: each by hand, as fast as it goes, and now and then by iptables.

use super::gate::Kind;
use super::stage::Host;
use super::stage::TABLES;
use super::tally::Tally;
use super::tally::What;
use super::vips::Vip;
use super::vips::POOL;
use super::vips::STANDING;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::blob;
use harness::blob::Chain;
use harness::blob::Rule;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

/// The VIPs whose rules come and go.
fn movable() -> &'static [Vip] {
    &POOL[STANDING + 1..]
}

/// Whether the standing VIP's rule is in this table.
fn stands(host: &Host, table: &str, kind: Kind) -> bool {
    kind == Kind::Rules && host.marks && table == "filter"
}

pub struct Writer<'a> {
    pub host: &'a Host,
    pub table: &'static str,
    pub socket: OwnedFd,
    pub random: Rng,
    pub tally: &'a Tally,
}

impl Writer<'_> {
    /// Replaces the table by other rules, once.
    pub fn step(&mut self, kind: Kind) -> Result<()> {
        let (mut rules, chains) = self.content();
        if stands(self.host, self.table, kind) {
            rules.insert(0, POOL[STANDING].rule(self.table));
        }
        let bad = kind == Kind::Rules && self.random.u8(..12) == 0;
        if bad {
            let vip = &POOL[self.random.usize(1..POOL.len())];
            rules.push(vip.refused(self.table));
        }
        self.replace(&rules, &chains, bad)?;
        if kind == Kind::Module {
            self.flush()?;
            // The module cannot go while anybody has rules.
            thread::sleep(Duration::from_millis(self.random.u64(..200)));
        } else if self.table == "raw" {
            // Long enough for devices to come and go under a VIP.
            thread::sleep(Duration::from_millis(self.random.u64(..1500)));
        }
        Ok(())
    }

    /// Rules for some VIPs, and a chain that nothing leads to with those that see no packets.
    fn content(&mut self) -> (Vec<Rule>, Vec<Chain>) {
        let (mut rules, mut unused) = (Vec::new(), Vec::new());
        for _ in 0..self.random.usize(..5) {
            let vip = &movable()[self.random.usize(..movable().len())];
            let list = if vip.judged { &mut rules } else { &mut unused };
            list.push(vip.rule(self.table));
            if self.random.u8(..4) == 0 {
                list.push(vip.joining(self.table));
            }
        }
        let chain = Chain {
            name: "unused".to_string(),
            from: None,
            rules: unused,
        };
        let chains = if chain.rules.is_empty() {
            vec![]
        } else {
            vec![chain]
        };
        (rules, chains)
    }

    /// What may fail: a rule whose device is not there now, or whose module went between its loading and
    /// its use (ENOENT); a table that somebody else replaced meanwhile (EAGAIN).
    fn replace(&self, rules: &[Rule], chains: &[Chain], bad: bool) -> Result<()> {
        let replaced = blob::replace_with_chains(&self.socket, self.table, rules, chains);
        match errno(&replaced) {
            None if bad => bail!("a rule that has to be refused was taken in {}", self.table),
            None => self.tally.one(What::Changes),
            Some(libc::ENOENT | libc::EAGAIN) => self.tally.one(What::Refused),
            Some(libc::EINVAL) if bad => self.tally.one(What::Refused),
            Some(_) => replaced.with_context(|| {
                format!(
                    "{} rules in {} {}",
                    rules.len(),
                    self.host.ns.name(),
                    self.table
                )
            })?,
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        loop {
            let flushed = blob::replace(&self.socket, self.table, &[]);
            match errno(&flushed) {
                Some(libc::EAGAIN) => thread::yield_now(),
                _ => {
                    flushed.with_context(|| format!("flushing {}", self.table))?;
                    self.tally.one(What::Changes);
                    return Ok(());
                }
            }
        }
    }
}

fn errno(result: &io::Result<()>) -> Option<i32> {
    let error = result.as_ref().err()?;
    Some(error.raw_os_error().unwrap_or(0))
}

/// The real `iptables-legacy-restore`, for one table or all of them.
pub fn restore(host: &Host, kind: Kind, random: &mut Rng, tally: &Tally) -> Result<()> {
    let mut text = String::new();
    let only = random.usize(..TABLES.len() + 1);
    for (number, table) in TABLES.into_iter().enumerate() {
        if only != number && only != TABLES.len() {
            continue;
        }
        text += &format!("*{table}\n");
        if stands(host, table, kind) {
            text += &POOL[STANDING].line(table);
        }
        for _ in 0..random.usize(..4) {
            let vip = &movable()[random.usize(..movable().len())];
            if vip.judged {
                text += &vip.line(table);
            }
        }
        text += "COMMIT\n";
    }
    let output = host.ns.output("iptables-legacy-restore -w", &text)?;
    if output.status.success() {
        tally.one(What::Restores);
        tally.one(What::Changes);
    } else {
        // As above; it has no words for why.
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            said.contains("failed"),
            "iptables-legacy-restore: {}, {said}",
            output.status
        );
        tally.one(What::Refused);
    }
    if kind == Kind::Module {
        host.flush()?;
    }
    thread::sleep(Duration::from_millis(random.u64(..400)));
    Ok(())
}
