// SPDX-License-Identifier: GPL-2.0-only

//! What was seen, as lines of text: `saw`, the case, what was looked at, what it was; parted by tabs.

use anyhow::Context;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Prints one thing that was seen.
pub fn print(case: &str, key: &str, value: &str) {
    println!("saw\t{case}\t{key}\t{}", escape(value));
}

/// A value in one line.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\r', "\\r")
}

/// What one implementation showed: by case, in the order of the run, what was looked at and what it was.
#[derive(Default)]
pub struct Seen {
    pub order: Vec<String>,
    pub cases: BTreeMap<String, Vec<(String, String)>>,
}

impl Seen {
    /// Reads a guest's output; lines of another form are progress.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let mut seen = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.splitn(4, '\t');
            if words.next() != Some("saw") {
                continue;
            }
            let (Some(case), Some(key), Some(value)) = (words.next(), words.next(), words.next())
            else {
                anyhow::bail!("{}: a broken line: {line}", path.display());
            };
            if !seen.cases.contains_key(case) {
                seen.order.push(case.to_string());
            }
            seen.cases
                .entry(case.to_string())
                .or_default()
                .push((key.to_string(), value.to_string()));
        }
        Ok(seen)
    }

    /// What a case saw of one thing; of several, all.
    pub fn value(&self, case: &str, key: &str) -> Option<String> {
        let values: Vec<&str> = self
            .cases
            .get(case)?
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }
}
