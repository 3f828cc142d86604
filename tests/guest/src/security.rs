// SPDX-License-Identifier: GPL-2.0-only

//! Who can reach what: a test for each line of docs/security.md that no other test shows already. What
//! is taken of the machine, by rules and by packets, is in `exposure.rs`.

use crate::module::reload;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::eventually;
use harness::expect_errno;
use harness::holder::Holder;
use harness::host::host;
use harness::host::program;
use harness::host::rule;
use harness::host::NEW;
use harness::host::OURS;
use harness::module;
use harness::netns::vip_path;
use harness::pace;
use harness::sys;
use harness::tests;
use harness::Ctx;
use harness::Test;
use std::fs;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        security_user_without_namespace_reaches_nothing,
        security_any_user_loads_the_module,
        security_any_user_loads_it_by_nftables,
        security_nftables_is_refused_in_a_users_namespace,
        security_blacklist_does_not_forbid_it,
        security_install_line_forbids_it,
        security_namespaces_can_be_forbidden,
        security_container_cannot_reach_the_hosts_files,
        security_container_cannot_reach_the_hosts_devices,
        security_container_holds_the_module_but_cannot_unload_it,
        security_flood_of_vips_stays_in_its_namespace,
        security_container_can_use_up_the_log,
        security_page_names_all_tests,
    ]
}

const SETTINGS: &str = "/etc/modprobe.d/security-test.conf";

/// Runs a script as an ordinary user, without any right or namespace of its own.
fn as_user(script: &str) -> Result<Output> {
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["bash", "-uc", script])
        .env("XTABLES_LOCKFILE", "/tmp/xtables.user")
        .output()
        .context("setpriv")
}

/// What the user's own container does first: a VIP on the one device that it has.
fn first_rule(iptables: &str) -> String {
    format!("unshare -Urn {iptables} -A INPUT -d {VIP} -i lo {NEW}")
}

/// A line of the admin's for modprobe, as long as it is there.
struct Setting;

impl Setting {
    fn new(line: &str) -> Result<Self> {
        fs::create_dir_all("/etc/modprobe.d")?;
        fs::write(SETTINGS, format!("{line}\n")).context(SETTINGS)?;
        Ok(Self)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::remove_file(SETTINGS);
    }
}

/// The module not loaded, and whatever else a rule needs loaded.
fn ready_but_for_the_module() -> Result<()> {
    module::load("iptable_filter nft_compat")?;
    reload(&["iptable_filter"])
}

fn security_user_without_namespace_reaches_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let path = vip_path(VIP);
    let path = path.display();
    let script = format!("cat {path}; echo +2 >{path}; iptables-legacy -F; true");
    let said = host.enter(|| as_user(&script))??;
    let (out, error) = (
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr),
    );
    ensure!(out.is_empty(), "the file is read: {out}");
    ensure!(
        error.matches("Permission denied").count() == 3,
        "read, write and flush should be refused: {error}"
    );
    ensure!(host.nodes(VIP)? == "1" && uses()? == Some(1));
    Ok(())
}

fn security_any_user_loads_the_module(_: &mut Ctx) -> Result<()> {
    ready_but_for_the_module()?;
    let said = as_user(&first_rule("iptables-legacy"))?;
    ensure!(said.status.success(), "{said:?}");
    ensure!(module::is_loaded("ipt_CLUSTERIP"), "it was not loaded");
    eventually("the container's end", || Ok(uses()? == Some(0)))
}

/// Where no table of iptables was ever made the rule is refused, but the module is there.
fn security_any_user_loads_it_by_nftables(ctx: &mut Ctx) -> Result<()> {
    reload(&[])?;
    program("rmmod ip_tables")?;
    ctx.log()?;
    let legacy = as_user(&first_rule("iptables-legacy"))?;
    ensure!(!legacy.status.success(), "{legacy:?}");
    ensure!(
        !module::is_loaded("ip_tables"),
        "a user made iptables' tables come"
    );
    let nft = as_user(&first_rule("iptables-nft"))?;
    ensure!(!nft.status.success(), "{nft:?}");
    ensure!(module::is_loaded("ipt_CLUSTERIP"), "it was not loaded");
    let log = ctx.log()?;
    let refusal = "cannot use CLUSTERIP target from nftables compat";
    ensure!(log.iter().any(|line| line.starts_with(refusal)), "{log:?}");
    Ok(())
}

/// There a rule's end would wait for a user, under a lock that nftables takes under RTNL.
fn security_nftables_is_refused_in_a_users_namespace(ctx: &mut Ctx) -> Result<()> {
    let rule = format!("{OURS} iptables-nft -A INPUT -d {VIP} -i lo {NEW} --vip {VIP} --dev lo");
    program(&format!("unshare -n {rule}"))?;
    eventually("the end of root's", || Ok(uses()? == Some(0)))?;
    ctx.log()?;
    let said = as_user(&format!("unshare -Urn {rule}"))?;
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(
        !said.status.success() && words.contains("Operation not supported"),
        "{said:?}"
    );
    let log = ctx.log()?;
    let refusal =
        "cannot use CLUSTERIP target from nftables compat: in a user's namespace use iptables-legacy";
    ensure!(log.iter().any(|line| line.starts_with(refusal)), "{log:?}");
    Ok(())
}

/// `blacklist` is about the aliases of a module; this one is asked for by its name.
fn security_blacklist_does_not_forbid_it(_: &mut Ctx) -> Result<()> {
    ready_but_for_the_module()?;
    let _setting = Setting::new("blacklist ipt_CLUSTERIP")?;
    let said = as_user(&first_rule("iptables-legacy"))?;
    ensure!(
        said.status.success() && module::is_loaded("ipt_CLUSTERIP"),
        "{said:?}"
    );
    eventually("the container's end", || Ok(uses()? == Some(0)))
}

fn security_install_line_forbids_it(_: &mut Ctx) -> Result<()> {
    ready_but_for_the_module()?;
    let setting = Setting::new("install ipt_CLUSTERIP /bin/false")?;
    for iptables in ["iptables-legacy", "iptables-nft"] {
        let said = as_user(&first_rule(iptables))?;
        ensure!(!said.status.success(), "{iptables}: {said:?}");
    }
    let by_name = Command::new("modprobe").arg("ipt_CLUSTERIP").output()?;
    ensure!(!by_name.status.success(), "{by_name:?}");
    ensure!(!module::is_loaded("ipt_CLUSTERIP"), "it was loaded");
    // The admin can all the same, for this once.
    program("modprobe --ignore-install ipt_CLUSTERIP")?;
    ensure!(module::is_loaded("ipt_CLUSTERIP"), "it was not loaded");
    drop(setting);
    ready_but_for_the_module()?;
    program("modprobe ipt_CLUSTERIP").map(drop)
}

fn security_namespaces_can_be_forbidden(_: &mut Ctx) -> Result<()> {
    let works = || -> Result<bool> { Ok(as_user("unshare -Urn true")?.status.success()) };
    ensure!(works()?, "it does not work at all");
    for sysctl in [
        "user/max_net_namespaces",
        "user/max_user_namespaces",
        "kernel/unprivileged_userns_clone",
    ] {
        let path = format!("/proc/sys/{sysctl}");
        let before = fs::read_to_string(&path).context(sysctl)?;
        fs::write(&path, "0")?;
        let seen = works();
        fs::write(&path, before)?;
        ensure!(!seen?, "{sysctl} = 0 forbids nothing");
        ensure!(works()?, "{sysctl} cannot be taken back");
    }
    Ok(())
}

/// Even one that sees the host's processes, which a PID namespace of its own would hide: the names,
/// then, and no more.
fn security_container_cannot_reach_the_hosts_files(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let mut process = host.enter(|| Command::new("sleep").arg("1000").spawn())??;
    let theirs = format!("/proc/{}/net/ipt_CLUSTERIP", process.id());
    let container = Holder::new("-Un")?;
    let said = container.script(
        &["-U", "-n", "--"],
        &format!(
            "ls /proc/net/ipt_CLUSTERIP\nls {theirs}\n\
             cat {theirs}/{VIP} 2>&1 || true\n(echo +2 >{theirs}/{VIP}) 2>&1 || true\n\
             iptables-legacy -A INPUT -d {VIP} -i lo {NEW}\n\
             echo -1 >/proc/net/ipt_CLUSTERIP/{VIP}\necho +2 >/proc/net/ipt_CLUSTERIP/{VIP}\n\
             cat /proc/net/ipt_CLUSTERIP/{VIP}\n"
        ),
    );
    process.kill()?;
    process.wait()?;
    let said = said?;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(
        lines.len() == 4
            && lines[0] == VIP
            && lines[1].contains("Permission denied")
            && lines[2].contains("Permission denied")
            && lines[3] == "2",
        "{said}"
    );
    ensure!(host.nodes(VIP)? == "1", "the host's nodes are changed");
    Ok(())
}

fn security_container_cannot_reach_the_hosts_devices(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let container = Holder::new("-Un")?;
    let said = container.script(
        &["-U", "-n", "--"],
        &format!("! iptables-legacy -A {} 2>&1", rule()),
    )?;
    ensure!(!said.is_empty(), "nothing was said");
    ctx.expect_refusal("no such interface eth0", VIP)?;
    host.expect_memberships("eth0", MAC, 0)?;
    ensure!(uses()? == Some(0));
    Ok(())
}

fn security_container_holds_the_module_but_cannot_unload_it(_: &mut Ctx) -> Result<()> {
    module::load("ipt_CLUSTERIP iptable_filter")?;
    let container = Holder::new("-Un")?;
    let said = container.script(
        &["-U", "-n", "--"],
        &format!(
            "! rmmod ipt_CLUSTERIP 2>&1\n\
             iptables-legacy -A INPUT -d {VIP} -i lo {NEW}\n! rmmod ipt_CLUSTERIP 2>&1\n"
        ),
    )?;
    ensure!(
        said.contains("Operation not permitted") && module::is_loaded("ipt_CLUSTERIP"),
        "{said}"
    );
    expect_errno(
        "unloading under a container's rule",
        sys::delete_module("ipt_CLUSTERIP"),
        libc::EAGAIN,
    )?;
    drop(container);
    eventually("the container's end", || Ok(uses()? == Some(0)))?;
    module::unload()
}

fn security_flood_of_vips_stays_in_its_namespace(ctx: &mut Ctx) -> Result<()> {
    let vips = pace::cut(2000, 100) as u32;
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let container = Holder::new("-Un")?;
    container.script(
        &["-U", "-n", "--"],
        &format!(
            "(echo '*filter'; for i in {{0..{}}}; do \
             echo \"-A INPUT -d 10.8.$((i / 250)).$((i % 250 + 1)) -i lo {NEW}\"; done; echo COMMIT) | \
             iptables-legacy-restore\n",
            vips - 1
        ),
    )?;
    ensure!(uses()? == Some(vips + 1), "{:?} uses", uses()?);
    // Nobody on the host has to wait for them, or sees them.
    let start = std::time::Instant::now();
    for _ in 0..20 {
        host.tell(VIP, "+2")?;
        host.ip("link set eth0 name away\nlink set away name eth0\n")?;
        host.tell(VIP, "-2")?;
    }
    let took = start.elapsed();
    ensure!(
        took < pace::patience(Duration::from_secs(60)),
        "twenty changes took {took:?}"
    );
    let files = host.enter(|| fs::read_dir(vip_path("")).map(|list| list.count()))??;
    ensure!(files == 1, "the host sees {files} files");
    host.expect_memberships("eth0", MAC, 1)?;
    drop(container);
    eventually("the container's end", || Ok(uses()? == Some(1)))
}

/// One budget of lines for all namespaces: who refuses a lot says a lot, and then nobody says any more
/// for a while. Errors are as ever.
fn security_container_can_use_up_the_log(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let container = Holder::new("-Un")?;
    let limit = |seconds| fs::write("/proc/sys/net/core/message_cost", seconds);
    let bad = format!("-A {}", rule().replace("eth0", "eth9"));
    limit("60")?;
    let flood = container.script(
        &["-U", "-n", "--"],
        &format!("for i in {{1..40}}; do ! iptables-legacy {bad} 2>&1; done\n"),
    );
    let lines = ctx.log();
    let refused = host.fails(&format!("iptables-legacy -w {bad}"));
    let said = ctx.log();
    limit("0")?;
    flood?;
    let (lines, said) = (lines?.len(), said?);
    ensure!(
        (1..=10).contains(&lines),
        "forty refusals gave {lines} lines; ten at most are due"
    );
    ensure!(refused?.contains("No chain/target/match"));
    ensure!(said.is_empty(), "there was a line left: {said:?}");
    host.fails(&format!("iptables-legacy -w {bad}"))?;
    ctx.expect_refusal("no such interface eth9", VIP)
}

/// Each test that the page names is there, and each test of this name is on the page.
fn security_page_names_all_tests(_: &mut Ctx) -> Result<()> {
    let page = include_str!("../../../docs/security.md");
    let tests: Vec<String> = crate::all()
        .into_iter()
        .flat_map(|group| group.tests)
        .map(|test| test.name)
        .collect();
    let mut named = Vec::new();
    for line in page.lines() {
        // What shows a line stands in its last column, or in brackets before a table.
        let last = line.rsplit(['|', '(']).find(|part| part.contains('`'));
        let words = last.unwrap_or("").split('`').skip(1).step_by(2);
        let is_name = |word: &&str| {
            word.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        named.extend(words.filter(|word| word.contains('_')).filter(is_name));
    }
    ensure!(named.len() > 25, "only {named:?} found on the page");
    for name in &named {
        ensure!(
            tests.iter().any(|test| test == name),
            "there is no test {name}"
        );
    }
    for test in tests.iter().filter(|name| name.starts_with("security_")) {
        let is_this = test == "security_page_names_all_tests";
        ensure!(
            is_this || named.contains(&test.as_str()),
            "{test} is not on the page"
        );
    }
    Ok(())
}
