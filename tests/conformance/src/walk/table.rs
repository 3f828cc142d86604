// SPDX-License-Identifier: GPL-2.0-only

//! What a table should hold, and how it becomes the kernel's.
//!
//! As `iptables` does, each change hands the whole table to the kernel again.

use super::rule::Rule;
use harness::blob;
use harness::blob::Layout;
use std::fmt;

pub const TABLES: [&str; 5] = ["filter", "mangle", "raw", "nat", "security"];
pub const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/// Chains that are not at a hook; each table may have them.
pub const OWN_CHAINS: [&str; 2] = ["east", "west"];

/// What a verdict of the standard target is.
const ACCEPT: i32 = -2;
const DROP: i32 = -1;
const RETURN: i32 = -5;

/// A place for rules in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    Hook(usize),
    Own(usize),
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(hook) => f.write_str(HOOKS[*hook]),
            Self::Own(chain) => f.write_str(OWN_CHAINS[*chain]),
        }
    }
}

/// A change of one table. A chain of the table's own is made when it is first named.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Append(Chain, Rule),
    /// At a place, counted from 0. Here and below, a place beyond the end is counted on from the start.
    Insert(Chain, usize, Rule),
    Delete(Chain, usize),
    Replace(Chain, usize, Rule),
    Flush(Chain),
    /// All rules and all chains of its own.
    Clear,
    /// Whether a hook's chain drops what no rule decided.
    Policy(usize, bool),
    Whole(Vec<(Chain, Rule)>),
    /// The same once more; the counters start from zero.
    Zero,
}

/// A table's rules.
#[derive(Clone, Default, PartialEq)]
pub struct Table {
    hooks: [Vec<Rule>; 5],
    drops: [bool; 5],
    own: [Option<Vec<Rule>>; 2],
}

impl Table {
    fn chain(&mut self, chain: Chain) -> &mut Vec<Rule> {
        match chain {
            Chain::Hook(hook) => &mut self.hooks[hook],
            Chain::Own(own) => self.own[own].get_or_insert_default(),
        }
    }

    /// How many rules a chain has.
    pub fn length(&self, chain: Chain) -> usize {
        match chain {
            Chain::Hook(hook) => self.hooks[hook].len(),
            Chain::Own(own) => self.own[own].as_ref().map_or(0, Vec::len),
        }
    }

    /// The table after a change; none when there is nothing to change at that place.
    pub fn after(&self, change: &Change) -> Option<Self> {
        let mut table = self.clone();
        match change {
            Change::Append(chain, rule) => table.chain(*chain).push(rule.clone()),
            Change::Insert(chain, place, rule) => {
                let rules = table.chain(*chain);
                rules.insert(place % (rules.len() + 1), rule.clone());
            }
            Change::Delete(chain, place) => {
                let rules = table.chain(*chain);
                rules.remove(place.checked_rem(rules.len())?);
            }
            Change::Replace(chain, place, rule) => {
                let rules = table.chain(*chain);
                let place = place.checked_rem(rules.len())?;
                rules[place] = rule.clone();
            }
            Change::Flush(chain) => table.chain(*chain).clear(),
            Change::Clear => {
                table = Self {
                    drops: table.drops,
                    ..Self::default()
                }
            }
            Change::Policy(hook, drops) => table.drops[*hook] = *drops,
            Change::Whole(rules) => {
                table = Self::default();
                for (chain, rule) in rules {
                    table.chain(*chain).push(rule.clone());
                }
            }
            Change::Zero => {}
        }
        // A chain that is gone to must be there.
        let rules = table.hooks.iter().chain(table.own.iter().flatten());
        let wanted: Vec<usize> = rules
            .flatten()
            .filter_map(|rule| match rule {
                Rule::Jump(chain) => Some(*chain),
                _ => None,
            })
            .collect();
        for chain in wanted {
            table.chain(Chain::Own(chain));
        }
        Some(table)
    }

    /// Its rules in the order in which the kernel checks them.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.hooks.iter().chain(self.own.iter().flatten()).flatten()
    }

    /// As the kernel takes it.
    pub fn layout(&self, name: &str) -> Layout {
        let hooks: Vec<usize> = (0..5)
            .filter(|hook| blob::hooks(name) & (1 << hook) != 0)
            .collect();
        let mut own = [0; 2];
        // Once to see where the chains start, once with the jumps to there.
        self.lay_out(&hooks, &mut own);
        self.lay_out(&hooks, &mut own)
    }

    fn lay_out(&self, hooks: &[usize], own: &mut [i32; 2]) -> Layout {
        let mut layout = Layout {
            count: 0,
            heads: [0; 5],
            policies: [0; 5],
            entries: Vec::new(),
        };
        let starts = *own;
        let add = |layout: &mut Layout, entry: Vec<u8>| {
            layout.entries.extend(entry);
            layout.count += 1;
        };
        let add_all = |layout: &mut Layout, rules: &[Rule]| {
            for rule in rules {
                let entry = match rule {
                    Rule::Plain => standard(ACCEPT),
                    Rule::Jump(chain) => standard(starts[*chain]),
                    Rule::Cluster(cluster) => cluster.entry(),
                };
                add(layout, entry);
            }
        };
        for &hook in hooks {
            layout.heads[hook] = layout.entries.len() as u32;
            add_all(&mut layout, &self.hooks[hook]);
            layout.policies[hook] = layout.entries.len() as u32;
            let policy = if self.drops[hook] { DROP } else { ACCEPT };
            add(&mut layout, standard(policy));
        }
        for (number, rules) in self.own.iter().enumerate() {
            let Some(rules) = rules else { continue };
            add(&mut layout, head(OWN_CHAINS[number]));
            own[number] = layout.entries.len() as i32;
            add_all(&mut layout, rules);
            add(&mut layout, standard(RETURN));
        }
        add(&mut layout, head("ERROR"));
        layout
    }
}

/// An entry for all packets with the standard target.
fn standard(verdict: i32) -> Vec<u8> {
    let payload = [verdict.to_ne_bytes(), [0; 4]].concat();
    blob::entry(vec![0; 84], &blob::target("", &payload))
}

/// The entry that begins a chain of the table's own, or ends the table.
fn head(name: &str) -> Vec<u8> {
    let mut payload = name.as_bytes().to_vec();
    payload.resize(32, 0);
    blob::entry(vec![0; 84], &blob::target("ERROR", &payload))
}
