// SPDX-License-Identifier: GPL-2.0-only

//! One namespace of the walk: its rules, and what changes them.

use super::rule::Rule;
use super::step::SPACES;
use super::table::Chain;
use super::table::Change;
use super::table::Table;
use super::table::HOOKS;
use super::table::OWN_CHAINS;
use super::table::TABLES;
use crate::host::Host;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::links::Links;
use harness::netns::DIRECTORY;
use harness::Netns;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What a VIP was made with, as far as it is to be heard on a device.
#[derive(Clone, Copy)]
pub struct Bound {
    pub mac: [u8; 6],
    pub device: &'static str,
}

pub struct Space {
    pub socket: OwnedFd,
    pub links: Links,
    /// Keeps the namespace, and is what a device is moved by.
    pub file: File,
    pub tables: [Table; 5],
    /// The VIPs that should be there.
    pub vips: BTreeMap<Ipv4Addr, Bound>,
    /// VIPs that a step took away.
    pub gone: Vec<Bound>,
    // The last field: goes when all of the above is closed.
    pub host: Host,
}

impl Space {
    pub fn new(number: usize) -> Result<Self> {
        let host = Host::new(Netns::new(SPACES[number])?);
        let (socket, links) =
            host.enter(|| -> Result<_> { Ok((blob::socket()?, Links::new()?)) })??;
        Ok(Self {
            socket,
            links,
            file: File::open(Path::new(DIRECTORY).join(SPACES[number]))?,
            tables: Default::default(),
            vips: BTreeMap::new(),
            gone: Vec::new(),
            host,
        })
    }

    /// Changes a table by its socket; whether there was something to change.
    pub fn change(&mut self, table: usize, change: &Change) -> io::Result<bool> {
        let Some(next) = self.tables[table].after(change) else {
            return Ok(false);
        };
        blob::submit(&self.socket, TABLES[table], &next.layout(TABLES[table]))?;
        self.took(table, next);
        Ok(true)
    }

    /// Counts packets for each entry of a table.
    pub fn count(&self, table: usize, number: u64) -> io::Result<()> {
        let (entries, _) = blob::info(&self.socket, TABLES[table])?;
        let counters: Vec<(u64, u64)> = (0..u64::from(entries))
            .map(|entry| (number + entry, number * entry))
            .collect();
        blob::add_counters(&self.socket, TABLES[table], &counters)
    }

    /// The table is another one now, and so are the VIPs.
    fn took(&mut self, table: usize, next: Table) {
        let new = next.rules().filter_map(|rule| match rule {
            Rule::Cluster(rule) => Some((rule.vip, rule.mac, rule.device)),
            _ => None,
        });
        for (vip, mac, device) in new {
            // The first rule of a VIP decides.
            self.vips.entry(vip).or_insert(Bound { mac, device });
        }
        self.tables[table] = next;
        let before = std::mem::take(&mut self.vips);
        for (vip, bound) in before {
            let wanted = self
                .tables
                .iter()
                .flat_map(Table::rules)
                .any(|rule| match rule {
                    Rule::Cluster(rule) => rule.vip == vip,
                    _ => false,
                });
            if wanted {
                self.vips.insert(vip, bound);
            } else {
                self.gone.push(bound);
            }
        }
    }

    /// Changes a table as an admin does; how that ended, and what was said.
    pub fn iptables(&mut self, table: usize, change: &Change) -> Result<(bool, String)> {
        let name = TABLES[table];
        // As the socket's step would have it: a place beyond the end counts on from the start.
        let at = |chain: &Chain, place: &usize, more: usize| {
            let length = self.tables[table].length(*chain) + more;
            place.checked_rem(length).unwrap_or(*place) + 1
        };
        let arguments = match change {
            Change::Append(chain, rule) => format!("-A {chain} {rule}"),
            Change::Insert(chain, place, rule) => {
                format!("-I {chain} {} {rule}", at(chain, place, 1))
            }
            Change::Delete(chain, place) => format!("-D {chain} {}", at(chain, place, 0)),
            Change::Replace(chain, place, rule) => {
                format!("-R {chain} {} {rule}", at(chain, place, 0))
            }
            Change::Flush(chain) => format!("-F {chain}"),
            Change::Zero => "-Z".to_string(),
            Change::Policy(hook, drops) => {
                let policy = if *drops { "DROP" } else { "ACCEPT" };
                format!("-P {} {policy}", HOOKS[*hook])
            }
            Change::Clear => bail!("to clear a table takes more than one line of iptables"),
            Change::Whole(rules) => {
                let text = restore_text(name, rules)?;
                return self.program(table, change, "iptables-legacy-restore -w", &text);
            }
        };
        let line = format!("iptables-legacy -w -t {name} {arguments}");
        self.program(table, change, &line, "")
    }

    fn program(
        &mut self,
        table: usize,
        change: &Change,
        line: &str,
        input: &str,
    ) -> Result<(bool, String)> {
        let (ok, said) = self.say(line, input)?;
        let next = self.tables[table].after(change);
        if let Some(next) = next.filter(|_| ok) {
            self.took(table, next);
            let (entries, _) = blob::info(&self.socket, TABLES[table])?;
            let wanted = self.tables[table].layout(TABLES[table]).count;
            ensure!(
                entries == wanted,
                "`{line}` made {entries} entries of {}, not {wanted}: {input}",
                TABLES[table]
            );
        }
        Ok((ok, said))
    }

    /// Runs a program; whether it ended well, and all that it said.
    pub fn say(&self, line: &str, input: &str) -> Result<(bool, String)> {
        let output = self.host.output(line, input)?;
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            // Comments have the time of day.
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            lines.join("\n")
        };
        let said = format!(
            "{:?} {:?} {:?}",
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr)
        );
        Ok((output.status.success(), said))
    }
}

/// A table as `iptables-restore` reads it.
fn restore_text(table: &str, rules: &[(Chain, Rule)]) -> Result<String> {
    let mut text = format!("*{table}\n");
    for hook in (0..5).filter(|hook| blob::hooks(table) & (1 << hook) != 0) {
        writeln!(text, ":{} ACCEPT [0:0]", HOOKS[hook])?;
    }
    for (number, name) in OWN_CHAINS.iter().enumerate() {
        if rules.iter().any(|(chain, _)| *chain == Chain::Own(number)) {
            writeln!(text, ":{name} - [0:0]")?;
        }
    }
    for (chain, rule) in rules {
        writeln!(text, "-A {chain} {rule}")?;
    }
    text.push_str("COMMIT\n");
    Ok(text)
}
