// SPDX-License-Identifier: GPL-2.0-only

//! What all rounds say together; `docs/bench.json` is one of these.

use crate::sample::Sample;
use crate::sample::Who;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

const LICENCE: &str = "SPDX-License-Identifier: GPL-2.0-only";

#[derive(Serialize, Deserialize)]
pub struct Figures {
    /// JSON has no comments.
    #[serde(rename = "//")]
    licence: String,
    pub kernel: String,
    pub rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// The row that the own cost is counted from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ours: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub original: Option<Figure>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Figure {
    pub whole: Value,
    /// The whole minus the base's, round by round.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub own: Option<Value>,
}

/// The median of the rounds, and half of what lies between the lowest and the highest.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Value {
    pub median: f64,
    pub spread: f64,
    pub rounds: usize,
}

impl Value {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = (values.len() - 1) / 2;
        let median = (values[middle] + values[values.len() / 2]) / 2.0;
        Some(Self {
            median: tenths(median),
            spread: tenths((high - low) / 2.0),
            rounds: values.len(),
        })
    }

    pub fn low(&self) -> f64 {
        self.median - self.spread
    }

    pub fn high(&self) -> f64 {
        self.median + self.spread
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.median.abs() >= 100_000.0 {
            write!(f, "{:.0} ±{:.0}", self.median, self.spread)
        } else {
            write!(f, "{:.1} ±{:.1}", self.median, self.spread)
        }
    }
}

impl Row {
    pub fn of(&self, who: Who) -> Option<&Figure> {
        match who {
            Who::Ours => self.ours.as_ref(),
            Who::Original => self.original.as_ref(),
        }
    }

    /// What a target costs by itself.
    pub fn own(&self, who: Who) -> Option<Value> {
        self.of(who)?.own
    }

    pub fn whole(&self, who: Who) -> Option<Value> {
        Some(self.of(who)?.whole)
    }
}

type Rounds = BTreeMap<usize, f64>;

impl Figures {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// From what the guest printed: its lines of JSON among others.
    pub fn of_samples(path: &Path, kernel: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut samples: Vec<Sample> = Vec::new();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            samples.push(serde_json::from_str(line).with_context(|| line.to_string())?);
        }
        ensure!(!samples.is_empty(), "nothing was measured");
        let mut values: BTreeMap<(&str, Who), Rounds> = BTreeMap::new();
        let mut names: Vec<(&str, &Option<String>)> = Vec::new();
        for sample in &samples {
            let rounds = values.entry((&sample.row, sample.who)).or_default();
            rounds.insert(sample.round, sample.value);
            if !names.iter().any(|(name, _)| *name == sample.row) {
                names.push((&sample.row, &sample.base));
            }
        }
        let rows = names
            .iter()
            .map(|(name, base)| Row {
                name: name.to_string(),
                base: (*base).clone(),
                ours: figure(&values, name, base.as_deref(), Who::Ours),
                original: figure(&values, name, base.as_deref(), Who::Original),
            })
            .collect();
        Ok(Self {
            licence: LICENCE.to_string(),
            kernel: kernel.to_string(),
            rows,
        })
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }
}

fn figure(
    values: &BTreeMap<(&str, Who), Rounds>,
    name: &str,
    base: Option<&str>,
    who: Who,
) -> Option<Figure> {
    let rounds = values.get(&(name, who))?;
    let whole = Value::of(rounds.values().copied().collect())?;
    let own = base
        .and_then(|base| values.get(&(base, who)))
        .and_then(|base| {
            // Only what one round measured can be compared.
            let both = rounds
                .iter()
                .filter_map(|(round, value)| Some(value - base.get(round)?));
            Value::of(both.collect())
        });
    Some(Figure { whole, own })
}
