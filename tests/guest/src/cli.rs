// SPDX-License-Identifier: GPL-2.0-only

//! What the people at the command line see: stock iptables' own words, and where it puts rules.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::host::NEW;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;

pub fn tests() -> Vec<Test> {
    tests![
        cli_says_that_it_failed_and_the_log_why,
        cli_refuses_by_itself,
        cli_shows_and_finds_rules,
        cli_chains_without_an_input_device,
        cli_of_nftables_is_refused,
        cli_routes_that_lead_nowhere,
        cli_interface_of_the_best_route,
    ]
}

/// Runs what must fail with this exit code, and with these words to stderr.
fn fails(host: &Netns, line: &str, input: &str, code: i32, words: &str) -> Result<()> {
    let output = host.output(line, input)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code) && error.contains(words),
        "`{line}` should fail with code {code} and {words:?}, it did with {}, {error}",
        output.status
    );
    Ok(())
}

const INVALID: &str = "iptables: Invalid argument. Run `dmesg' for more information.";
const MISSING: &str = "iptables: No chain/target/match by that name.";

fn cli_says_that_it_failed_and_the_log_why(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    let rule = rule();
    let cases = [
        (
            INVALID,
            rule.replace(VIP, "10.9.0.0/24"),
            "Please specify destination IP",
            "10.9.0.0",
        ),
        (
            INVALID,
            rule.replace("-d 10.9.0.100 ", ""),
            "Please specify destination IP",
            "0.0.0.0",
        ),
        (
            INVALID,
            rule.replace("-d", "! -d"),
            "Please specify destination IP",
            VIP,
        ),
        (
            INVALID,
            rule.replace("-i", "! -i"),
            "Please specify an interface name",
            VIP,
        ),
        (
            INVALID,
            rule.replace("-i eth0", ""),
            "Please specify an interface name",
            VIP,
        ),
        (
            INVALID,
            format!("INPUT -d {VIP} -j CLUSTERIP"),
            "no config found for 10.9.0.100, need 'new'",
            VIP,
        ),
        (
            INVALID,
            rule.replace("total-nodes 2", "total-nodes 0"),
            "bad num_total_nodes 0",
            VIP,
        ),
        (
            INVALID,
            rule.replace("local-node 1", "local-node 3"),
            "local node 3",
            VIP,
        ),
        (
            INVALID,
            rule.replace("eth0", "public"),
            "public is an alternative name",
            VIP,
        ),
        (
            MISSING,
            rule.replace("eth0", "eth9"),
            "no such interface eth9",
            VIP,
        ),
        (
            MISSING,
            rule.replace("eth0", "eth+"),
            "no such interface eth+",
            VIP,
        ),
        (
            MISSING,
            rule.replace("eth0", "+"),
            "no such interface +",
            VIP,
        ),
    ];
    for (words, rule, sentence, vip) in &cases {
        let line = format!("iptables-legacy -A {rule}");
        fails(&host, &line, "", 1, words)?;
        let said = ctx.expect_line(vip)?;
        ensure!(
            said.starts_with(sentence),
            "`{line}`: {sentence:?} became {said:?}"
        );
        let table = format!("*filter\n-A {rule}\nCOMMIT\n");
        fails(&host, "iptables-legacy-restore", &table, 1, "line 3 failed")?;
        let again = ctx.expect_line(vip)?;
        ensure!(again == said, "restored, {said:?} became {again:?}");
        expect_no_vip(&host, vip)?;
    }
    ensure!(uses()? == Some(0));
    ensure!(!host.has_arp_hook()?);
    Ok(())
}

/// Its extension's own checks, which the module never hears of.
fn cli_refuses_by_itself(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = rule();
    let cases = [
        (rule.replace("--new", ""), "Invalid parameter combination"),
        (
            rule.replace("sourceip", "destip"),
            "Unknown hashmode \"destip\"",
        ),
        (
            rule.replace(MAC, "02:00:00:00:00:01"),
            "MAC has to be a multicast ethernet address",
        ),
        (rule.replace("nodes 2", "nodes 17"), "--total-nodes"),
        (rule.replace("INPUT", "OUTPUT"), "with OUTPUT"),
        (
            rule.replace("INPUT", "POSTROUTING -t mangle"),
            "with POSTROUTING",
        ),
    ];
    for (rule, words) in &cases {
        fails(&host, &format!("iptables-legacy -A {rule}"), "", 2, words)?;
    }
    ctx.expect_silence()?;
    expect_no_vip(&host, VIP)
}

fn cli_shows_and_finds_rules(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {} --hash-init 7", rule()))?;
    host.iptables(&format!("-A INPUT -d {VIP} -j CLUSTERIP"))?;
    let saved = host.run("iptables-legacy-save -t filter")?;
    let first = format!("-A INPUT -d {VIP}/32 -i eth0 {NEW} --hash-init 7");
    let second = format!("-A INPUT -d {VIP}/32 -j CLUSTERIP");
    for wanted in [&first, &second] {
        let there = saved.lines().any(|line| line.eq_ignore_ascii_case(wanted));
        ensure!(there, "{wanted:?} is not in {saved}");
    }
    let listed = host.run("iptables-legacy -L INPUT -nv")?;
    let shown = " CLUSTERIP hashmode=sourceip clustermac=01:00:5E:00:00:20 total_nodes=2 local_node=1 hash_init=7";
    ensure!(listed.contains(shown), "{shown:?} is not in {listed}");

    // What was saved can be restored, into what is there and into nothing.
    host.restore(&saved)?;
    host.iptables("-F")?;
    host.restore(&saved)?;
    ensure!(host.nodes(VIP)? == "1");
    ctx.expect_silence()?;

    fails(&host, &format!("iptables-legacy -C {}", rule()), "", 1, "")?;
    fails(&host, &format!("iptables-legacy -D {}", rule()), "", 1, "")?;
    host.iptables(&format!("-C {} --hash-init 7", rule()))?;
    host.iptables(&format!("-D {} --hash-init 7", rule()))?;
    host.iptables(&format!("-D INPUT -d {VIP} -j CLUSTERIP"))?;
    ctx.expect_silence()?;
    expect_no_vip(&host, VIP)
}

/// Chains that packets leave by have no input device; a rule there may join a VIP.
fn cli_chains_without_an_input_device(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let places = [
        ("filter", "OUTPUT"),
        ("mangle", "OUTPUT"),
        ("mangle", "POSTROUTING"),
        ("nat", "OUTPUT"),
    ];
    for (table, chain) in places {
        let rule = format!("-t {table} -A {chain} -d {VIP} {NEW}");
        fails(&host, &format!("iptables-legacy {rule}"), "", 1, INVALID)?;
        ctx.expect_refusal("Please specify an interface name", VIP)?;
    }
    expect_no_vip(&host, VIP)?;
    host.iptables(&format!("-A {}", rule()))?;
    for (table, chain) in places {
        host.iptables(&format!("-t {table} -A {chain} -d {VIP} {NEW}"))?;
    }
    ensure!(uses()? == Some(5));
    host.expect_memberships("eth0", MAC, 1)?;
    ctx.expect_silence()
}

fn cli_of_nftables_is_refused(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let unsupported = "(Operation not supported)";
    let table = format!("*filter\n-A {}\nCOMMIT\n", rule());
    for (line, input, words) in [
        (
            format!("iptables-nft -A {}", rule()),
            "",
            "RULE_APPEND failed",
        ),
        (
            format!("iptables-nft -I {}", rule()),
            "",
            "RULE_INSERT failed",
        ),
        (
            "iptables-nft-restore".to_string(),
            table.as_str(),
            "RULE_APPEND failed",
        ),
    ] {
        fails(&host, &line, input, 4, unsupported)?;
        fails(&host, &line, input, 4, words)?;
        let lines = ctx.log()?;
        // nftables does not say what else is in the rule, so there is no VIP to name.
        let sentence = "cannot use CLUSTERIP target from nftables compat: ";
        let right = |line: &String| line.starts_with(sentence) && line.len() > sentence.len();
        ensure!(
            lines.len() == 2 && lines.iter().all(right),
            "`{line}` twice: {lines:?}"
        );
    }
    ensure!(uses()? == Some(0));
    expect_no_vip(&host, VIP)
}

/// What is no route at all names no device either; the device's own address goes before both.
fn cli_routes_that_lead_nowhere(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("addr add 10.9.0.1/24 dev eth0\n")?;
    let line = format!("-A INPUT -d {VIP} {NEW}");
    for kind in ["blackhole", "unreachable", "prohibit"] {
        host.ip(&format!("route replace {kind} {VIP}/32\n"))?;
        fails(&host, &format!("iptables-legacy {line}"), "", 1, INVALID)?;
        ctx.expect_refusal("Please specify an interface name", VIP)?;
        expect_no_vip(&host, VIP)?;
        host.ip(&format!("route del {kind} {VIP}/32\n"))?;
    }
    // The narrower of two routes counts, as for packets.
    host.ip(&format!("route add {VIP}/32 dev eth1\n"))?;
    host.iptables(&line)?;
    host.expect_memberships("eth1", MAC, 1)?;
    host.expect_memberships("eth0", MAC, 0)?;
    ctx.expect_silence()
}

/// Of several routes without a gateway the narrowest counts, and loopback's never.
fn cli_interface_of_the_best_route(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let line = format!("-A INPUT -d {VIP} {NEW}");
    let cases = [
        // The VIP as an address of loopback's, as many balancers have it, does not hide eth0.
        (
            format!("addr add {VIP}/32 dev lo\naddr add 10.9.0.1/24 dev eth0\n"),
            "eth0",
        ),
        ("route add 10.9.0.64/26 dev eth1\n".to_string(), "eth1"),
        ("route add 10.9.0.96/28 dev eth0\n".to_string(), "eth0"),
        // The device that has the address goes before all routes.
        (format!("addr add {VIP}/32 dev eth1\n"), "eth1"),
    ];
    for (lines, wanted) in &cases {
        host.ip(lines)?;
        host.iptables(&line)?;
        let other = if *wanted == "eth0" { "eth1" } else { "eth0" };
        host.expect_memberships(wanted, MAC, 1)
            .context(lines.clone())?;
        host.expect_memberships(other, MAC, 0)
            .context(lines.clone())?;
        host.expect_memberships("lo", MAC, 0)?;
        host.iptables("-F")?;
    }
    ctx.expect_silence()
}
