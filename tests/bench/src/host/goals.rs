// SPDX-License-Identifier: GPL-2.0-only

//! What the figures have to come to. A goal is met when it holds by more than the spread.

use super::figures::Figures;
use super::figures::Value;
use crate::sample::Who;
use std::fmt;

/// The hash modes that the original had, as rows end on them.
const MODES: [&str; 3] = [
    "/sourceip",
    "/sourceip-sourceport",
    "/sourceip-sourceport-destport",
];

pub struct Goal {
    pub what: String,
    pub seen: String,
    pub met: bool,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "met   " } else { "MISSED" };
        write!(f, "{verdict}  {}: {}", self.what, self.seen)
    }
}

/// The goals whose rows were measured.
pub fn goals(figures: &Figures) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in &figures.rows {
        let name = row.name.as_str();
        let (ours, original) = (row.own(Who::Ours), row.own(Who::Original));
        if original.is_none() && name.ends_with("-of-1000") {
            // The same row of two numbers.
            let few = name.trim_end_matches("-of-1000");
            goals.extend(grows(figures, name, few, Figure::Own, 1.02));
        } else if name.starts_with("mine/input/accept/") && name.contains("/established/") {
            let share = if name.ends_with("/sourceip") {
                0.70
            } else {
                0.90
            };
            goals.extend(at_most_share(name, ours, original, share));
        } else if name.starts_with("not-mine/raw/") && MODES.iter().any(|mode| name.ends_with(mode))
        {
            let limit = if name.ends_with("/sourceip") {
                80.0
            } else {
                105.0
            };
            goals.extend(at_most(name, ours, limit));
        } else if name.starts_with("not-mine/input/") {
            goals.extend(below(name, ours, original));
        } else if name.starts_with("restore/clusterip/") {
            goals.extend(at_most_share(name, ours, original, 1.0));
        } else if name == "memory/clusterip/vip" {
            goals.extend(no_more(name, ours, original));
        }
    }
    goals.extend(grows(figures, "arp/10000", "arp/1", Figure::Whole, 1.01));
    let (many, some) = ("restore/clusterip/10000", "restore/clusterip/1000");
    goals.extend(grows(figures, many, some, Figure::Own, 10.5));
    goals
}

enum Figure {
    Whole,
    Own,
}

fn at_most(name: &str, ours: Option<Value>, limit: f64) -> Option<Goal> {
    let ours = ours?;
    Some(Goal {
        what: format!("{name}: own cost at most {limit:.0}"),
        seen: ours.to_string(),
        met: ours.high() <= limit,
    })
}

fn at_most_share(
    name: &str,
    ours: Option<Value>,
    original: Option<Value>,
    share: f64,
) -> Option<Goal> {
    let (ours, original) = (ours?, original?);
    Some(Goal {
        what: format!("{name}: own cost at most {share:.2}x the original's"),
        seen: beside(ours, original),
        met: ours.high() <= original.low() * share,
    })
}

fn below(name: &str, ours: Option<Value>, original: Option<Value>) -> Option<Goal> {
    let (ours, original) = (ours?, original?);
    Some(Goal {
        what: format!("{name}: own cost below the original's"),
        seen: beside(ours, original),
        met: ours.high() < original.low(),
    })
}

fn beside(ours: Value, original: Value) -> String {
    let ratio = ours.median / original.median;
    format!("{ours} of {original}, {ratio:.2}x")
}

/// Bytes are counted, not timed: equal is no more.
fn no_more(name: &str, ours: Option<Value>, original: Option<Value>) -> Option<Goal> {
    let (ours, original) = (ours?, original?);
    Some(Goal {
        what: format!("{name}: no more than the original's"),
        seen: format!("{ours} of {original}"),
        met: ours.median <= original.median,
    })
}

fn grows(figures: &Figures, many: &str, few: &str, which: Figure, limit: f64) -> Option<Goal> {
    let value = |name| {
        let figure = figures.row(name)?.of(Who::Ours)?;
        match which {
            Figure::Whole => Some(figure.whole),
            Figure::Own => figure.own,
        }
    };
    let (high, low) = (value(many)?, value(few)?);
    Some(Goal {
        what: format!("{many} at most {limit}x {few}"),
        seen: format!("{high} of {low}, {:.3}x", high.median / low.median),
        met: high.high() <= low.low() * limit,
    })
}
