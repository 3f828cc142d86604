// SPDX-License-Identifier: GPL-2.0-only

//! §7: who loads the module, and what is said when it cannot be had.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::module::run;
use crate::cases::module::used;
use crate::cases::vip::install;
use crate::cases::vip::rule;
use crate::host::Host;
use anyhow::Result;
use harness::cluster::VIP;
use harness::host;
use harness::module;
use std::fs;

pub fn cases() -> Vec<Entry> {
    cases!["7" =>
        module_loaded_by_a_rule, module_loaded_by_a_refused_rule, module_loaded_by_a_raw_rule,
        module_loaded_by_nft, module_not_loaded_by_a_list, module_missing, module_missing_for_nft,
        module_missing_raw
    ]
}

/// A machine whose tables are there and the module is not.
fn without_module(case: &mut Case) -> Result<Host> {
    let host = case.host()?;
    host.iptables("-L")?;
    module::unload()?;
    case.ctx.log()?;
    Ok(host)
}

fn module_loaded_by_a_rule(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    used(case, "before")?;
    run(
        case,
        &host,
        "iptables",
        &format!("iptables-legacy -A {}", host::rule()),
    )?;
    used(case, "after")?;
    case.saw("nodes", host.nodes(VIP)?);
    Ok(())
}

fn module_loaded_by_a_refused_rule(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    let rule = host::rule().replace("eth0", "eth9");
    run(
        case,
        &host,
        "iptables",
        &format!("iptables-legacy -A {rule}"),
    )?;
    used(case, "after")
}

fn module_loaded_by_a_raw_rule(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    let result = install(&host, &rule(2, &[1]))?;
    case.errno("rule", &result);
    used(case, "after")
}

fn module_loaded_by_nft(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    run(
        case,
        &host,
        "iptables-nft",
        &format!("iptables-nft -A {}", host::rule()),
    )?;
    used(case, "after")?;
    host.run("nft flush ruleset").map(drop)
}

/// Nothing is asked of it by what does not name it.
fn module_not_loaded_by_a_list(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    host.iptables("-A INPUT -j ACCEPT")?;
    host.iptables("-S")?;
    used(case, "after")
}

/// While it lives, the kernel finds no program to load modules with.
struct NoModprobe(String);

impl NoModprobe {
    const PATH: &str = "/proc/sys/kernel/modprobe";

    fn new() -> Result<Self> {
        let before = fs::read_to_string(Self::PATH)?;
        fs::write(Self::PATH, "/bin/false")?;
        Ok(Self(before))
    }
}

impl Drop for NoModprobe {
    fn drop(&mut self) {
        // The next case that wants the module says if it did not work.
        let _ = fs::write(Self::PATH, self.0.trim_end());
    }
}

fn module_missing(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    let _guard = NoModprobe::new()?;
    let rule = host::rule();
    run(case, &host, "append", &format!("iptables-legacy -A {rule}"))?;
    run(case, &host, "delete", &format!("iptables-legacy -D {rule}"))?;
    run(case, &host, "check", &format!("iptables-legacy -C {rule}"))?;
    used(case, "after")
}

fn module_missing_for_nft(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    host.run("iptables-nft -L")?;
    let _guard = NoModprobe::new()?;
    run(
        case,
        &host,
        "append",
        &format!("iptables-nft -A {}", host::rule()),
    )?;
    used(case, "after")
}

fn module_missing_raw(case: &mut Case) -> Result<()> {
    let host = without_module(case)?;
    let _guard = NoModprobe::new()?;
    let result = install(&host, &rule(2, &[1]))?;
    case.errno("rule", &result);
    Ok(())
}
