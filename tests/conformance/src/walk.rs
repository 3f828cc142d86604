// SPDX-License-Identifier: GPL-2.0-only

//! Not there yet.

use anyhow::bail;
use anyhow::Result;

#[derive(clap::Args)]
pub struct Options {}

pub fn run(_options: &Options) -> Result<bool> {
    bail!("walk: not there yet")
}
