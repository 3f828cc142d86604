// SPDX-License-Identifier: GPL-2.0-only

//! §7: the module: what it says of itself, how it comes and goes.

use crate::case::Case;
use crate::case::Entry;
use crate::case::DEPRECATED;
use crate::cases;
use crate::cases::vip::install;
use crate::cases::vip::rule;
use crate::host::Host;
use anyhow::Result;
use harness::blob;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::host;
use harness::host::program;
use harness::module;
use harness::sys;
use std::path::Path;

pub fn cases() -> Vec<Entry> {
    cases!["7" =>
        module_fields, module_parameters, module_holds, module_target_listed, module_loaded_says,
        module_loaded_twice, module_uses, module_uses_of_refused_rules, module_uses_of_tables_and_namespaces,
        module_busy, module_busy_says, module_namespace_ends, module_deprecated
    ]
}

/// The module's own lines since the last look; the kernel's about the module begin the same.
fn lines(case: &mut Case, key: &str) -> Result<()> {
    let lines: Vec<String> = case
        .sentences()?
        .into_iter()
        .filter(|line| line.contains("ClusterIP"))
        .collect();
    let said = lines.join(" | ");
    case.saw(key, if said.is_empty() { "nothing" } else { &said });
    Ok(())
}

/// How many use it.
pub fn used(case: &mut Case, key: &str) -> Result<()> {
    let uses = uses()?;
    case.saw(
        key,
        uses.map_or("not loaded".to_string(), |uses| uses.to_string()),
    );
    Ok(())
}

fn module_fields(case: &mut Case) -> Result<()> {
    for field in ["name", "license", "description", "alias", "softdep"] {
        let value = program(&format!("modinfo -F {field} ipt_CLUSTERIP"))?;
        let value = value.trim_end();
        case.saw(field, if value.is_empty() { "none" } else { value });
    }
    let depends = program("modinfo -F depends ipt_CLUSTERIP")?;
    let mut depends: Vec<&str> = depends.trim_end().split(',').collect();
    depends.sort_unstable();
    case.saw("depends", depends.join(","));
    Ok(())
}

fn module_parameters(case: &mut Case) -> Result<()> {
    module::load("ipt_CLUSTERIP")?;
    let value = program("modinfo -F parm ipt_CLUSTERIP")?;
    let value = value.trim_end();
    case.saw("modinfo", if value.is_empty() { "none" } else { value });
    let there = Path::new("/sys/module/ipt_CLUSTERIP/parameters").exists();
    case.saw("in sysfs", if there { "some" } else { "none" });
    Ok(())
}

/// What stays loaded because of it.
fn module_holds(case: &mut Case) -> Result<()> {
    module::load("ipt_CLUSTERIP ip_tables")?;
    for other in ["x_tables", "nf_conntrack", "ip_tables", "nf_defrag_ipv4"] {
        let holder = format!("/sys/module/{other}/holders/ipt_CLUSTERIP");
        case.saw(
            other,
            if Path::new(&holder).exists() {
                "held"
            } else {
                "not held"
            },
        );
    }
    Ok(())
}

fn module_target_listed(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let mut listed = |key: &str| -> Result<()> {
        let targets = host.read("/proc/thread-self/net/ip_tables_targets")?;
        let times = targets.lines().filter(|line| *line == "CLUSTERIP").count();
        case.saw(key, times);
        Ok(())
    };
    listed("loaded")?;
    module::unload()?;
    listed("unloaded")
}

fn module_loaded_says(case: &mut Case) -> Result<()> {
    module::unload()?;
    case.ctx.log()?;
    program("modprobe ipt_CLUSTERIP")?;
    lines(case, "loaded")?;
    program("rmmod ipt_CLUSTERIP")?;
    lines(case, "unloaded")
}

fn module_loaded_twice(case: &mut Case) -> Result<()> {
    module::load("ipt_CLUSTERIP")?;
    case.ctx.log()?;
    module::load("ipt_CLUSTERIP")?;
    lines(case, "modprobe again")?;
    used(case, "uses")
}

/// Runs a command: its exit status and what it said.
pub fn run(case: &mut Case, host: &Host, key: &str, line: &str) -> Result<()> {
    let output = host.output(line, "")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let status = output.status.code().unwrap_or(-1);
    case.saw(
        key,
        format!("{status} {}", said.trim_end().replace('\n', " | ")),
    );
    Ok(())
}

fn module_uses(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    used(case, "no rule")?;
    let rules = vec![rule(2, &[1]); 3];
    let socket = host.enter(blob::socket)??;
    for number in [1, 3, 2, 0] {
        blob::replace(&socket, "filter", &rules[..number])?;
        used(case, &format!("rules: {number}"))?;
    }
    Ok(())
}

fn module_uses_of_refused_rules(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let mut bad = rule(2, &[1]);
    bad.interface = b"eth9".to_vec();
    let result = install(&host, &bad)?;
    case.errno("one", &result);
    used(case, "uses")?;
    bad.destination = [10, 9, 0, 101].into();
    let rules = [rule(2, &[1]), bad];
    let result = host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))?;
    case.errno("good and bad", &result);
    used(case, "uses then")
}

fn module_uses_of_tables_and_namespaces(case: &mut Case) -> Result<()> {
    let (one, two) = (case.host_named("one")?, case.host_named("two")?);
    one.iptables(&format!("-A {}", host::rule()))?;
    used(case, "a rule")?;
    one.iptables(&format!("-t mangle -A {}", host::rule()))?;
    used(case, "another table")?;
    two.iptables("-N unused")?;
    let unused = host::rule().replace("INPUT", "unused");
    two.iptables(&format!("-A {unused}"))?;
    used(case, "an unused chain elsewhere")?;
    one.iptables("-F")?;
    used(case, "one flushed")?;
    one.iptables("-t mangle -F")?;
    two.iptables("-F")?;
    used(case, "all flushed")
}

/// Refused by the kernel itself, whichever namespace has the rule.
fn module_busy(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    install(&host, &rule(2, &[1]))??;
    case.errno("with a rule", &sys::delete_module("ipt_CLUSTERIP"));
    lines(case, "log")?;
    case.saw("nodes", host.nodes(VIP)?);
    host.flush()?;
    case.errno("without", &sys::delete_module("ipt_CLUSTERIP"));
    used(case, "uses")
}

fn module_busy_says(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    install(&host, &rule(2, &[1]))??;
    run(case, &host, "rmmod", "rmmod ipt_CLUSTERIP")?;
    run(case, &host, "modprobe -r", "modprobe -r ipt_CLUSTERIP")?;
    used(case, "uses")
}

/// A namespace whose rules are gone goes without a word; one with rules is a case of its own.
fn module_namespace_ends(case: &mut Case) -> Result<()> {
    let (ends, stays) = (case.host_named("ends")?, case.host_named("stays")?);
    install(&stays, &rule(2, &[1]))??;
    for _ in 0..3 {
        install(&ends, &rule(2, &[1]))??;
        ends.flush()?;
    }
    case.log("before")?;
    drop(ends);
    used(case, "uses")?;
    case.log("after")?;
    case.saw("nodes of the other", stays.nodes(VIP)?);
    Ok(())
}

/// Whether the word about the end was said, and how often.
fn deprecated(case: &mut Case, key: &str) -> Result<()> {
    let lines = case.ctx.log()?;
    let times = lines.iter().filter(|line| *line == DEPRECATED).count();
    let value = match times {
        0 => "not said".to_string(),
        1 => "said once".to_string(),
        _ => format!("said {times} times"),
    };
    case.saw(key, value);
    Ok(())
}

fn module_deprecated(case: &mut Case) -> Result<()> {
    let (one, two) = (case.host_named("one")?, case.host_named("two")?);
    case.ctx.log()?;
    install(&one, &rule(2, &[1]))??;
    deprecated(case, "first rule")?;
    one.iptables(&format!("-t mangle -A {}", host::rule()))?;
    deprecated(case, "second rule")?;
    one.flush()?;
    install(&one, &rule(2, &[1]))??;
    deprecated(case, "after a flush")?;
    install(&two, &rule(2, &[1]))??;
    deprecated(case, "another namespace")?;
    one.flush()?;
    two.flush()?;
    module::unload()?;
    install(&one, &rule(2, &[1]))??;
    deprecated(case, "after a reload")
}
