// SPDX-License-Identifier: GPL-2.0-only

//! Loading and unloading.

use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::host::host;
use harness::host::program;
use harness::host::rule;
use harness::netns::vip_path;
use harness::quarantine;
use harness::tests;
use harness::Ctx;
use harness::Test;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        module_loads_by_name_with_the_first_rule,
        module_names_its_version,
        module_leaves_no_memory,
        module_goes_under_readers,
    ]
}

fn unload() -> Result<()> {
    if uses()?.is_some() {
        program("rmmod ipt_CLUSTERIP")?;
    }
    Ok(())
}

/// Unloads ours and the table modules, then loads modules in this order.
pub fn reload(order: &[&str]) -> Result<()> {
    unload()?;
    for table in ["filter", "mangle", "raw", "nat", "security"] {
        if fs::exists(format!("/sys/module/iptable_{table}"))? {
            program(&format!("rmmod iptable_{table}"))?;
        }
    }
    for module in order {
        program(&format!("modprobe {module}"))?;
    }
    Ok(())
}

fn module_loads_by_name_with_the_first_rule(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    unload()?;
    ensure!(uses()?.is_none());
    host.iptables(&format!("-A {}", rule()))?;
    ensure!(uses()? == Some(1));
    // In a namespace that was there before the module, too.
    ensure!(host.nodes(VIP)? == "1");
    host.iptables("-F")?;
    unload()?;
    // The command's parser is enough, though the rule is refused.
    host.fails(&format!(
        "iptables-legacy -A {}",
        rule().replace("eth0", "eth9")
    ))?;
    ensure!(uses()? == Some(0), "{:?}", uses()?);
    Ok(())
}

fn module_names_its_version(ctx: &mut Ctx) -> Result<()> {
    unload()?;
    ctx.log()?;
    program("modprobe ipt_CLUSTERIP")?;
    let loaded = ctx.log()?;
    unload()?;
    let unloaded = ctx.log()?;
    // The kernel's own lines on modules that are not its own begin with the name as well.
    let says = |lines: &[String], word: &str| -> Option<String> {
        let line = lines
            .iter()
            .find(|line| line.contains("Version") && line.contains(word))?;
        line.split_whitespace()
            .skip_while(|word| *word != "Version")
            .nth(1)
            .map(str::to_string)
    };
    let (first, last) = (says(&loaded, "loaded"), says(&unloaded, "unloading"));
    ensure!(
        first.is_some() && first == last,
        "{loaded:?}, then {unloaded:?}"
    );
    ensure!(
        first.as_deref() != Some("0.8"),
        "that is the original's version"
    );
    Ok(())
}

/// Objects in use, by the cache's name.
fn caches() -> Result<BTreeMap<String, i64>> {
    quarantine::empty_all(&["kmalloc", "proc_dir_entry"])?;
    let table = fs::read_to_string("/proc/slabinfo")?;
    let mut caches = BTreeMap::new();
    for line in table.lines().skip(2) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(count)) = (words.next(), words.next()) {
            caches.insert(name.to_string(), count.parse()?);
        }
    }
    Ok(caches)
}

fn module_leaves_no_memory(ctx: &mut Ctx) -> Result<()> {
    const VIPS: usize = 50;
    const ROUNDS: i64 = 8;
    let host = host(ctx)?;
    let lines: Vec<String> = (1..=VIPS)
        .map(|number| format!("-A {}\n", rule().replace(VIP, &format!("10.9.1.{number}"))))
        .collect();
    let round = || -> Result<()> {
        host.restore(&format!("*filter\n{}COMMIT\n", lines.concat()))?;
        host.restore("*filter\nCOMMIT\n")?;
        unload()
    };
    // What is made once and kept for ever is made in the first rounds.
    round()?;
    round()?;
    let before = caches()?;
    (0..ROUNDS).try_for_each(|_| round())?;
    let grown = || -> Result<Vec<String>> {
        let after = caches()?;
        Ok(before
            .iter()
            .map(|(name, count)| (name, after.get(name).unwrap_or(&0) - count))
            .filter(|(name, more)| {
                let ours = name.starts_with("kmalloc") || name.as_str() == "proc_dir_entry";
                ours && *more >= VIPS as i64 * ROUNDS / 2
            })
            .map(|(name, more)| format!("{name} by {more}"))
            .collect())
    };
    // What waits for a grace period is not lost.
    for _ in 0..20 {
        if grown()?.is_empty() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(anyhow!(
        "{ROUNDS} rounds of {VIPS} VIPs each: grown are {}",
        grown()?.join(", ")
    ))
}

fn module_goes_under_readers(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let stop = AtomicBool::new(false);
    let read = || {
        host.enter(|| {
            let mut seen = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                seen +=
                    u32::from(fs::read_to_string(vip_path(VIP)).is_ok_and(|text| text == "1\n"));
                let _ = fs::write(vip_path(VIP), "-2");
                let _ = fs::read_dir(vip_path("")).map(|list| list.count());
            }
            seen
        })
    };
    thread::scope(|scope| -> Result<()> {
        let readers = [scope.spawn(read), scope.spawn(read)];
        let result = (0..10).try_for_each(|_| {
            host.iptables(&format!("-A {}", rule()))?;
            thread::sleep(Duration::from_millis(10));
            host.iptables("-F")?;
            unload()
        });
        stop.store(true, Ordering::Relaxed);
        let mut seen = 0;
        for reader in readers {
            seen += reader.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        result?;
        ensure!(seen > 0, "the readers never saw the file");
        Ok(())
    })
}
