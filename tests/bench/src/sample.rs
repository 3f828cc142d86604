// SPDX-License-Identifier: GPL-2.0-only

//! What the guest tells the host: one line of JSON for each measured value.

use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Whose module was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    Ours,
    Original,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Original => "original",
        })
    }
}

/// One row, measured once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub row: String,
    /// The row that the own cost is counted from, measured in the same round.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    pub who: Who,
    pub round: usize,
    pub value: f64,
}

impl Sample {
    /// Everything else that a program prints is meant for people.
    pub fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
