// SPDX-License-Identifier: GPL-2.0-only

//! Memory that nobody can reach any more (`CONFIG_DEBUG_KMEMLEAK`): the kernel's own search, in
//! debugfs.
//!
//! It reports nothing younger than five seconds, and nothing that it has looked at only once: one
//! scan right after a test could not find anything.

use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

const FILE: &str = "/sys/kernel/debug/kmemleak";

/// Longer than the age below which nothing is reported (`MSECS_MIN_AGE`).
const AGE: Duration = Duration::from_secs(6);

/// Whether this kernel can look for leaks at all. A stock one cannot.
pub fn available() -> bool {
    Path::new(FILE).exists()
}

/// Two scans, six seconds apart, and each report since the last call: of the module under test or of
/// anything else. An error where the search has switched itself off.
pub fn scan() -> Result<Vec<String>> {
    command("scan")?;
    thread::sleep(AGE);
    command("scan")?;
    let reports = reports(&fs::read_to_string(FILE).context(FILE)?);
    // What was told once is not told again.
    command("clear")?;
    Ok(reports)
}

/// Forgets what there is to report now: of the start of the kernel, say.
pub fn forget() -> Result<()> {
    scan().map(drop)
}

fn command(word: &str) -> Result<()> {
    fs::write(FILE, word).with_context(|| format!("writing {word} to {FILE}"))
}

/// The text parted into reports, each of which starts with a line of its own.
fn reports(text: &str) -> Vec<String> {
    let mut reports: Vec<String> = Vec::new();
    for line in text.lines() {
        match reports.last_mut() {
            Some(last) if !line.starts_with("unreferenced object") => {
                last.push('\n');
                last.push_str(line);
            }
            _ => reports.push(line.to_string()),
        }
    }
    reports
}
