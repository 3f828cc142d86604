// SPDX-License-Identifier: GPL-2.0-only

//! What must not be there any more when all is over.

use crate::report::Report;
use anyhow::ensure;
use anyhow::Result;
use harness::clean;
use harness::kmemleak;
use harness::module;

/// Before all: what the kernel's own start lost is none of ours. Whether that could be asked.
pub fn forget(report: &mut Report) -> bool {
    if kmemleak::available() {
        if let Err(error) = kmemleak::forget() {
            report.test("the search for lost memory", Err(error));
            return false;
        }
    }
    true
}

pub fn test(report: &mut Report) {
    report.test("nothing is left behind", nothing_left());
    if kmemleak::available() {
        report.test("no memory is lost", nothing_lost());
    }
}

fn nothing_left() -> Result<String> {
    let left = clean::left_behind()?;
    ensure!(left.is_empty(), "left behind: {}", left.join("; "));
    module::unload()?;
    Ok("no namespace, no rule, no file, and the module goes".to_string())
}

fn nothing_lost() -> Result<String> {
    let reports = kmemleak::scan()?;
    ensure!(reports.is_empty(), "{}", reports.join("\n"));
    Ok("two scans six seconds apart, no report".to_string())
}
