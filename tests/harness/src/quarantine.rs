// SPDX-License-Identifier: GPL-2.0-only

//! KASAN keeps freed memory back for a while, so that whoever still uses it is seen. Till then a
//! cache's own count has it among the objects in use; whoever counts empties the quarantine first.

use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Gives back what is kept of a cache. Nothing is to be done on a kernel without KASAN, which is each
/// that has no kmemleak either.
pub fn empty(cache: &str) -> Result<()> {
    let file = Path::new("/sys/kernel/slab").join(cache).join("shrink");
    if super::kmemleak::available() && file.exists() {
        fs::write(&file, "1").with_context(|| format!("emptying {}", file.display()))?;
    }
    Ok(())
}

/// As [`empty`], of all caches whose name starts with one of these.
pub fn empty_all(starts: &[&str]) -> Result<()> {
    if !super::kmemleak::available() {
        return Ok(());
    }
    for entry in fs::read_dir("/sys/kernel/slab").context("/sys/kernel/slab")? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if starts.iter().any(|start| name.starts_with(start)) {
            empty(&name)?;
        }
    }
    Ok(())
}
