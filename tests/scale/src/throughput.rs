// SPDX-License-Identifier: GPL-2.0-only

//! How much a cluster of N does, in machines: 1 is what one machine does that has the address alone, without a target.

use crate::chart::Chart;
use crate::chart::Line;
use crate::costs::Costs;
use crate::text::grouped;
use std::fmt::Write;

/// As many nodes as there are numbers.
const MOST: u32 = 64;
/// The rows of the table of growth.
const SHOWN: [u32; 9] = [1, 2, 3, 4, 6, 8, 16, 32, 64];
/// Work per packet, from none to a page that a program computes.
const WORK: [f64; 5] = [0.0, 10_000.0, 30_000.0, 100_000.0, 1_000_000.0];

/// One way to answer on one address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Somebody else spreads the packets, at no cost of ours: ECMP in a router.
    Spread,
    /// One of the machines forwards requests to the others, which answer directly.
    Director,
    OursInRaw,
    OursInInput,
    OriginalInInput,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Spread,
        Self::Director,
        Self::OursInRaw,
        Self::OursInInput,
        Self::OriginalInInput,
    ];
    const CLUSTERS: [Self; 3] = [Self::OursInRaw, Self::OursInInput, Self::OriginalInInput];

    const fn name(self) -> &'static str {
        match self {
            Self::Spread => "ideal (ECMP in a router)",
            Self::Director => "director in front",
            Self::OursInRaw => "ours, raw PREROUTING",
            Self::OursInInput => "ours, INPUT",
            Self::OriginalInInput => "the original, INPUT",
        }
    }

    /// Whole paths of a packet that is mine and of one that is not, where every node gets all.
    fn paths(self, costs: &Costs) -> (f64, f64) {
        let Costs { accepted, .. } = *costs;
        match self {
            Self::OursInRaw => (accepted + costs.mine, costs.raw_drop + costs.raw_not_mine),
            Self::OursInInput => (
                accepted + costs.mine,
                costs.input_drop + costs.input_not_mine,
            ),
            Self::OriginalInInput => (
                accepted + costs.original_mine,
                costs.input_drop + costs.original_not_mine,
            ),
            Self::Spread | Self::Director => (accepted, 0.0),
        }
    }

    /// What `machines` do in all.
    pub fn throughput(self, costs: &Costs, machines: u32) -> f64 {
        let n = f64::from(machines);
        let alone = costs.accepted - costs.sender + costs.work;
        match self {
            Self::Spread => n,
            Self::Director => (n - 1.0).min(alone / costs.forward),
            _ => {
                let (mine, other) = self.paths(costs);
                let (mine, other) = (mine - costs.sender + costs.work, other - costs.sender);
                n * alone / (mine + (n - 1.0) * other)
            }
        }
    }

    /// What no number of nodes reaches.
    fn ceiling(self, costs: &Costs) -> f64 {
        let (_, other) = self.paths(costs);
        (costs.accepted - costs.sender + costs.work) / (other - costs.sender)
    }
}

/// The same costs with this much work.
fn with_work(costs: &Costs, work: f64) -> Costs {
    Costs {
        work,
        ..costs.clone()
    }
}

/// Costs per packet, and how far they let a cluster grow.
pub fn costs_table(costs: &Costs) -> String {
    let mut text = format!(
        "| way | mine, sender included | not mine, sender included | mine | not mine | in all at most, no work | … with \
         the sender counted | … with {} of work |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        thousands(costs.work)
    );
    for way in Way::CLUSTERS {
        let (mine, other) = way.paths(costs);
        let bare = with_work(costs, 0.0);
        let counted = Costs {
            sender: 0.0,
            ..bare.clone()
        };
        writeln!(
            text,
            "| {} | {mine:.0} | {other:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            way.name(),
            mine - costs.sender,
            other - costs.sender,
            way.ceiling(&bare),
            way.ceiling(&counted),
            way.ceiling(costs),
        )
        .expect("a string");
    }
    text
}

/// Machines' worth in all, and per node of ours, as the cluster grows.
pub fn growth_table(costs: &Costs) -> String {
    let mut text = String::from("| machines |");
    for way in Way::ALL {
        write!(text, " {} |", way.name()).expect("a string");
    }
    text.push_str(" a node of ours, raw | a node of the original |\n|");
    text.push_str(&" --- |".repeat(Way::ALL.len() + 3));
    text.push('\n');
    for machines in SHOWN {
        write!(text, "| {machines} |").expect("a string");
        for way in Way::ALL {
            match way.throughput(costs, machines) {
                0.0 => write!(text, " – |"),
                throughput => write!(text, " {throughput:.1} |"),
            }
            .expect("a string");
        }
        let node = |way: Way| 100.0 * way.throughput(costs, machines) / f64::from(machines);
        let (ours, original) = (node(Way::OursInRaw), node(Way::OriginalInInput));
        writeln!(text, " {ours:.0} % | {original:.0} % |").expect("a string");
    }
    text
}

/// What the work per packet does to all of it.
pub fn work_table(costs: &Costs) -> String {
    let mut text = String::from(
        "| work per packet | ours, raw: at most | ours, INPUT | the original | director at most | director beats ours in \
         raw | … the original |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for work in WORK {
        let costs = with_work(costs, work);
        write!(text, "| {} |", thousands(work)).expect("a string");
        for way in Way::CLUSTERS {
            write!(text, " {:.1} |", way.ceiling(&costs)).expect("a string");
        }
        writeln!(
            text,
            " {:.1} | {} | {} |",
            (costs.accepted - costs.sender + work) / costs.forward,
            window(&costs, Way::OursInRaw),
            window(&costs, Way::OriginalInInput),
        )
        .expect("a string");
    }
    text
}

/// With how many machines in all a director does more than this cluster.
fn window(costs: &Costs, way: Way) -> String {
    let better: Vec<u32> = (1..=MOST)
        .filter(|n| Way::Director.throughput(costs, *n) > way.throughput(costs, *n))
        .collect();
    match (better.first(), better.last()) {
        (Some(first), Some(&MOST)) => format!("from {first}"),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "never".into(),
    }
}

/// In all and per machine, for packets alone and with work.
pub fn charts(costs: &Costs) -> Vec<Chart> {
    let bare = with_work(costs, 0.0);
    let words = format!("{} instructions of work a packet", thousands(costs.work));
    vec![
        in_all(&bare, "In all, nothing but receiving", 5.0, 1.0),
        in_all(costs, &format!("In all, {words}"), 24.0, 4.0),
        per_machine(&bare, "Per machine, nothing but receiving"),
        per_machine(costs, &format!("Per machine, {words}")),
    ]
}

fn in_all(costs: &Costs, title: &str, top: f64, step: f64) -> Chart {
    Chart {
        title: title.into(),
        up: "machines' worth".into(),
        y: (0.0, top),
        y_ticks: ticks(top, step),
        ..over_machines(costs, |throughput, _| throughput)
    }
}

fn per_machine(costs: &Costs, title: &str) -> Chart {
    Chart {
        title: title.into(),
        up: "% of a machine alone".into(),
        y: (0.0, 100.0),
        y_ticks: ticks(100.0, 20.0),
        ..over_machines(costs, |throughput, n| 100.0 * throughput / n)
    }
}

/// A chart with machines across and what `shown` makes of a throughput and their number.
fn over_machines(costs: &Costs, shown: fn(f64, f64) -> f64) -> Chart {
    let line = |way: Way| {
        let points = (1..=MOST).map(|machines| {
            let n = f64::from(machines);
            (n, shown(way.throughput(costs, machines), n))
        });
        // A director has nobody to forward to before there are two.
        let first = usize::from(way == Way::Director);
        Line::new(way.name(), points.skip(first))
    };
    Chart {
        across: "machines".into(),
        x: (1.0, f64::from(MOST)),
        x_ticks: vec![1.0, 8.0, 16.0, 24.0, 32.0, 40.0, 48.0, 56.0, 64.0],
        lines: Way::ALL.map(line).into(),
        ..Chart::default()
    }
}

fn ticks(top: f64, step: f64) -> Vec<f64> {
    let count = (top / step).round() as u32;
    (0..=count).map(|n| f64::from(n) * step).collect()
}

fn thousands(number: f64) -> String {
    grouped(number.round() as usize)
}
