// SPDX-License-Identifier: GPL-2.0-only

//! §10.1: what harms the original's kernel. Each runs in a boot of its own, and what the kernel
//! says of it on its console is put to what is seen here.
//!
//! Up to the deed each thing is said before the next is done: the kernel may not live to the end.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::duplicate;
use crate::cases::module::used;
use crate::cases::vip::count;
use crate::cases::vip::editing;
use crate::cases::vip::install;
use crate::cases::vip::rule;
use crate::cases::vip::Vip;
use crate::host::grace_period;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::eventually;
use harness::host;
use harness::Ctx;
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

pub fn cases() -> Vec<Entry> {
    let mut cases = cases!["10.1" =>
        d1_number_beyond_the_set, d1_number_beyond_the_object, namespace_ends_with_rules
    ];
    cases.extend(duplicate::cases());
    cases
}

/// The kernel's complaint is read from its console, with what came before the end.
pub fn survived(case: &mut Case) -> Result<()> {
    case.log("log")?;
    case.ctx = Ctx::new()?;
    case.saw("to the end", "yes");
    Ok(())
}

/// A rule of far too many nodes, and what comes of numbers that it lets in.
fn beyond(case: &mut Case, total: u16, numbers: &[u16]) -> Result<()> {
    let host = case.host()?;
    let result = install(&host, &rule(total, &[1]))?;
    case.errno("rule", &result);
    if result.is_ok() {
        let file = host.open(VIP, &editing())?;
        let mut vip = Vip { file, host };
        for number in numbers {
            let result = vip.file.write(format!("+{number}").as_bytes());
            case.saw(&format!("+{number}"), count(&result));
        }
        // The VIP's memory is given back, and looked at.
        drop(vip);
        grace_period();
    }
    look_at_memory()?;
    survived(case)
}

/// Has the kernel look at all objects of the size that the original's VIP has.
fn look_at_memory() -> Result<()> {
    for entry in fs::read_dir("/sys/kernel/slab")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("kmalloc-") && name.ends_with("-128") {
            fs::write(path.join("validate"), "1").with_context(|| format!("{name}/validate"))?;
        }
    }
    Ok(())
}

/// The number after the last that the set has room for.
fn d1_number_beyond_the_set(case: &mut Case) -> Result<()> {
    beyond(case, 65, &[65])
}

/// A number whose bit is past the end of the VIP's memory, where the kernel keeps a pattern.
fn d1_number_beyond_the_object(case: &mut Case) -> Result<()> {
    beyond(case, 65535, &[641])
}

/// A namespace that goes with its rules.
fn namespace_ends_with_rules(case: &mut Case) -> Result<()> {
    let host = host::named(&mut case.ctx, "host")?;
    host.enter(|| blob::replace(&blob::socket()?, "filter", &[rule(2, &[1])]))??;
    used(case, "uses")?;
    drop(host);
    eventually("the namespace's rules gone", || Ok(uses()? == Some(0)))?;
    for _ in 0..10 {
        grace_period();
        thread::sleep(Duration::from_millis(100));
    }
    used(case, "uses then")?;
    survived(case)
}
