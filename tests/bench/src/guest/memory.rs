// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel's slabs hold.

use anyhow::Context;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;

/// Objects in use and the size of one, by the name of their cache.
pub type Objects = BTreeMap<String, (i64, i64)>;

pub fn objects() -> Result<Objects> {
    // Free objects that a processor keeps at hand are counted as used.
    for cache in fs::read_dir("/sys/kernel/slab")? {
        fs::write(cache?.path().join("shrink"), "1")?;
    }
    let list = fs::read_to_string("/proc/slabinfo")?;
    list.lines()
        .skip(2)
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| -> Result<i64> {
                words
                    .get(at)
                    .context("slabinfo")?
                    .parse()
                    .context("slabinfo")
            };
            Ok((words[0].to_string(), (number(1)?, number(3)?)))
        })
        .collect()
}

/// Caches that grew with `count` things, by how many objects for each; and the bytes for each.
pub fn growth(before: &Objects, after: &Objects, count: usize) -> (Vec<(String, f64)>, f64) {
    let each = |value: i64| value as f64 / count as f64;
    let mut caches = Vec::new();
    let mut bytes = 0.0;
    for (name, (objects, size)) in after {
        let more = objects - before.get(name).map_or(0, |(objects, _)| *objects);
        // What a thing has, all of them have: the rest is what others do meanwhile.
        if each(more) >= 0.5 {
            bytes += each(more * size);
            caches.push((format!("{name} ({size} bytes)"), each(more)));
        }
    }
    (caches, bytes)
}
