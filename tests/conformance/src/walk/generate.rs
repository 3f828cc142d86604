// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a seed.
//!
//! Kept out are the inputs on which it was decided to differ from the original (`docs/differences.md`),
//! since the two would be in different states from there on; each has cases of its own:
//! a total of 0 or above 64 (D1) and local nodes above the total (D10); numbers above 65535 written
//! to a file (D2); `=` before a number, which ours takes; nodes above 32, which the original does not show (D4); a rule without `--new` whose
//! MAC is not the VIP's (D5), so only the first VIP has such rules, and it has one MAC ever;
//! `! -d` and `! -i` (D11); a new VIP by a further name of a device (D22), which is why those names are
//! in no rule; a unicast MAC, devices without a MAC, a name that is compared in part only; and node 0 alone,
//! which is the empty set now. A new VIP without `-i` is here: the namespaces have no address by which ours
//! could find a device.

use super::generate_bad::FAULTS;
use super::rule::Cluster;
use super::rule::Rule;
use super::step::Action;
use super::step::Step;
use super::table::Chain;
use super::table::Change;
use super::table::TABLES;
use fastrand::Rng;
use harness::blob;
use std::net::Ipv4Addr;

/// One step in so many goes through `iptables` itself.
const BY_IPTABLES: usize = 40;
/// What a device can be called; those from the start come first.
pub const DEVICES: [&str; 7] = ["d0", "d1", "v0", "v1", "d2", "d3", "lo"];
const TOTALS: [u16; 10] = [1, 2, 2, 3, 4, 5, 8, 16, 32, 64];
const NEW: u32 = 1;

pub fn vip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 1 + number)
}
pub const VIPS: u8 = 6;

/// The cluster's MACs; `01:00:5e:00:00:20` and up.
pub fn mac(number: u8) -> [u8; 6] {
    [1, 0, 0x5e, 0, 0, 0x20 + number]
}
pub const MACS: u8 = 4;

pub struct Generator {
    pub rng: Rng,
    /// Whether the second namespace should be there by now.
    pub second: bool,
}

impl Generator {
    /// The steps of one segment, which has a seed of its own; they begin at step `first` of the walk.
    pub fn segment(seed: u64, segment: usize, first: usize, count: usize) -> Vec<Step> {
        let mut generator = Self {
            rng: Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(segment as u64)),
            second: false,
        };
        (first..first + count)
            .map(|number| generator.step((number + 1) % BY_IPTABLES == 0))
            .collect()
    }

    fn step(&mut self, by_iptables: bool) -> Step {
        let space = usize::from(self.second && self.one_in(3));
        let mut step = match self.rng.u8(0..100) {
            _ if by_iptables => self.by_iptables(),
            0..60 => self.rules(),
            60..84 => self.file(),
            84..89 => self.held(),
            89..98 => self.link(),
            _ => self.namespace(),
        };
        step.space = space;
        step
    }

    pub fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(0..count) == 0
    }

    pub fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.rng.usize(0..items.len())].clone()
    }

    /// A step that is not bad.
    pub fn good(kind: &'static str, action: Action) -> Step {
        Step {
            space: 0,
            action,
            kind,
            bad: false,
        }
    }

    fn table(&mut self) -> usize {
        self.of(&[0, 0, 0, 0, 1, 1, 2, 3, 4])
    }

    fn chain(&mut self, table: usize) -> Chain {
        if self.one_in(5) {
            return Chain::Own(self.rng.usize(0..2));
        }
        let hooks = blob::hooks(TABLES[table]);
        let of: Vec<usize> = (0..5).filter(|hook| hooks & (1 << hook) != 0).collect();
        Chain::Hook(self.of(&of))
    }

    fn rules(&mut self) -> Step {
        let table = self.table();
        let (kind, change) = match self.rng.u8(0..60) {
            0..36 => return self.one_rule(table, false),
            36..42 => ("delete", self.delete(table)),
            42..45 => ("flush a chain", Change::Flush(self.chain(table))),
            45 => ("clear a table", Change::Clear),
            46..49 => ("zero", Change::Zero),
            49..51 => {
                let number = self.rng.u64(1..1000);
                return Self::good("count", Action::Count(table, number));
            }
            51 => {
                // What nat's policy is, the kernel does not care.
                let Chain::Hook(hook) = self.chain(0) else {
                    return self.rules();
                };
                return Self::good(
                    "policy",
                    Action::Change(0, Change::Policy(hook, self.one_in(2))),
                );
            }
            _ => return self.restore(),
        };
        Self::good(kind, Action::Change(table, change))
    }

    fn delete(&mut self, table: usize) -> Change {
        Change::Delete(self.chain(table), self.rng.usize(0..6))
    }

    /// A rule more or another one, good or bad.
    fn one_rule(&mut self, table: usize, by_iptables: bool) -> Step {
        let chain = self.chain(table);
        let hook = matches!(chain, Chain::Hook(_));
        let (rule, fault) = match self.rng.u8(0..20) {
            0 => (Rule::Plain, None),
            1 if hook => (Rule::Jump(self.rng.usize(0..2)), None),
            2..7 if !by_iptables => {
                let fault = self.of(&FAULTS);
                (Rule::Cluster(self.faulty(fault)), Some(fault))
            }
            // Without `--new`, and to be taken if the VIP is there.
            7 if !by_iptables => {
                let mut cluster = self.cluster(0);
                cluster.flags = self.of(&[0, 2]);
                (Rule::Cluster(cluster), Some("without --new"))
            }
            _ => (Rule::Cluster(self.any_cluster()), None),
        };
        let rule = match rule {
            Rule::Cluster(cluster) if by_iptables => Rule::Cluster(self.plain(cluster)),
            other => other,
        };
        let place = self.rng.usize(0..6);
        let (kind, change) = match self.rng.u8(0..10) {
            0..6 => ("append", Change::Append(chain, rule)),
            6..8 => ("insert", Change::Insert(chain, place, rule)),
            _ => ("replace", Change::Replace(chain, place, rule)),
        };
        Step {
            space: 0,
            action: Action::Change(table, change),
            kind: fault.unwrap_or(kind),
            bad: fault.is_some(),
        }
    }

    /// Whole tables, up to three of them; a bad rule in the midst of one at times.
    fn restore(&mut self) -> Step {
        let bad = self.one_in(3);
        let mut tables = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let table = self.table();
            let rules = self.whole(table, 7);
            tables.push((table, rules));
        }
        if bad {
            let fault = self.of(&FAULTS);
            let rule = Rule::Cluster(self.faulty(fault));
            let number = self.rng.usize(0..tables.len());
            let (table, rules) = &mut tables[number];
            let chain = self.chain(*table);
            rules.insert(self.rng.usize(0..=rules.len()), (chain, rule));
        }
        Step {
            space: 0,
            action: Action::Restore(tables),
            kind: if bad {
                "restore, one rule bad"
            } else {
                "restore"
            },
            bad,
        }
    }

    /// A whole table of less than so many rules.
    fn whole(&mut self, table: usize, limit: usize) -> Vec<(Chain, Rule)> {
        (0..self.rng.usize(0..limit))
            .map(|_| {
                let rule = if self.one_in(8) {
                    Rule::Plain
                } else {
                    Rule::Cluster(self.any_cluster())
                };
                (self.chain(table), rule)
            })
            .collect()
    }

    /// The number of a VIP: some are named more often, so that they are there when they are.
    pub fn vip(&mut self) -> u8 {
        (0..3).fold(VIPS - 1, |least, _| least.min(self.rng.u8(0..VIPS)))
    }

    pub fn any_cluster(&mut self) -> Cluster {
        let number = self.vip();
        self.cluster(number)
    }

    /// A rule for this VIP with its usual MAC, that is taken if there is the device.
    pub fn cluster(&mut self, number: u8) -> Cluster {
        let total = self.of(&TOTALS);
        let count = match self.rng.u8(0..10) {
            0 => 0,
            1 => 16,
            2..5 => self.rng.usize(1..6),
            _ => 1,
        };
        // The same node twice is taken by both.
        let local = (0..count)
            .map(|_| self.rng.u16(1..=total.min(32)))
            .collect();
        let device = if self.one_in(12) {
            self.of(&DEVICES)
        } else {
            self.of(&DEVICES[..4])
        };
        Cluster {
            vip: vip(number),
            mask: Ipv4Addr::BROADCAST,
            device,
            flags: if self.one_in(10) {
                self.rng.u32(..) | NEW
            } else {
                NEW
            },
            mac: mac(number % 3),
            total,
            local,
            num_local: None,
            mode: self.rng.u32(0..3),
            seed: self.of(&[0, 1, 0xdead_beef, u32::MAX]),
            short: false,
        }
    }

    /// What of it `iptables` has words for.
    fn plain(&mut self, cluster: Cluster) -> Cluster {
        Cluster {
            flags: NEW,
            local: vec![self.rng.u16(1..=cluster.total.min(16))],
            total: cluster.total.min(16),
            ..cluster
        }
    }

    fn by_iptables(&mut self) -> Step {
        let table = self.table();
        let change = match self.rng.u8(0..20) {
            0..8 => {
                let step = self.one_rule(table, true);
                let Action::Change(_, change) = step.action else {
                    return step;
                };
                change
            }
            8..10 => self.delete(table),
            10 => Change::Flush(self.chain(table)),
            // INPUT, FORWARD and OUTPUT, which filter has.
            11 if table == 0 => Change::Policy(self.of(&[1, 2, 3]), self.one_in(2)),
            11 => Change::Zero,
            12..15 => {
                let mut rules = self.whole(table, 5);
                for (_, rule) in &mut rules {
                    if let Rule::Cluster(cluster) = rule {
                        *cluster = self.plain(cluster.clone());
                    }
                }
                Change::Whole(rules)
            }
            15..18 => {
                // Refused by the kernel, or by `iptables` itself.
                let fault = self.of(&[
                    "mask not /32",
                    "no such device",
                    "wildcard device",
                    "other MAC",
                ]);
                let cluster = self.faulty(fault);
                let rule = Rule::Cluster(self.plain(cluster));
                return Step {
                    space: 0,
                    action: Action::Iptables(table, Change::Append(Chain::Hook(1), rule)),
                    kind: "iptables, bad",
                    bad: true,
                };
            }
            _ => {
                let program = self.of(&["-S", "-nvxL", "save"]);
                return Self::good("iptables shows", Action::Show(program, table));
            }
        };
        Self::good("iptables", Action::Iptables(table, change))
    }
}
