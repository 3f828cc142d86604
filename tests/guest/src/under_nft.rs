// SPDX-License-Identifier: GPL-2.0-only

//! `iptables` as distributions have it now, over nftables, with our extension: a rule says its VIP and device itself.

use anyhow::ensure;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::takers;
use harness::cluster::ALL_MODES;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::named;
use harness::host::OURS;
use harness::pace;
use harness::stat;
use harness::tests;
use harness::traffic::datagrams;
use harness::traffic::packets;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        nft_rule_makes_a_vip_and_ends_it,
        nft_rule_is_shown_and_found,
        nft_saved_is_restored,
        nft_refusals,
        nft_device_by_route,
        nft_and_legacy_share_a_vip,
        nft_a_line_that_fails_leaves_all_as_it_was,
        nft_many_vips,
        nft_namespace_ends_with_rules,
        nft_decides_as_legacy_does,
        nft_counts_and_marks,
    ]
}

/// The options of a rule as they are saved.
const SAVED: &str = "-j CLUSTERIP --vip 10.9.0.100 --dev eth0 --new --hashmode sourceip-destip \
                     --clustermac 01:00:5E:00:00:20 --total-nodes 1000 --local-nodes 1,3-5,1000 --hash-init 7 --no-mark";
const SET: &str = "1,3,4,5,1000";

fn nft(host: &Netns, arguments: &str) -> Result<String> {
    host.run(&format!("{OURS} iptables-nft -w {arguments}"))
}

/// nftables lets go of rules a moment later.
fn expect_gone(host: &Netns) -> Result<()> {
    eventually("no rule uses the module", || Ok(uses()? == Some(0)))?;
    expect_no_vip(host, VIP)?;
    host.expect_memberships("eth0", MAC, 0)?;
    ensure!(!host.has_arp_hook()?, "the ARP hook is left");
    Ok(())
}

fn nft_rule_makes_a_vip_and_ends_it(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for (table, chain, match_) in [
        ("filter", "INPUT", format!("-d {VIP} -i eth0")),
        ("filter", "INPUT", String::new()),
        ("filter", "FORWARD", String::new()),
        ("mangle", "PREROUTING", String::new()),
        ("raw", "PREROUTING", format!("-d {VIP}")),
    ] {
        nft(&host, &format!("-t {table} -A {chain} {match_} {SAVED}"))?;
        ensure!(host.nodes(VIP)? == SET, "{table}: {}", host.nodes(VIP)?);
        ensure!(uses()? == Some(1), "{table}: {:?} uses", uses()?);
        host.expect_memberships("eth0", MAC, 1)?;
        ensure!(host.has_arp_hook()?, "{table}: no ARP hook");
        host.tell(VIP, "=7-9")?;
        ensure!(host.nodes(VIP)? == "7,8,9");
        nft(&host, &format!("-t {table} -D {chain} {match_} {SAVED}"))?;
        expect_gone(&host)?;
    }
    nft(&host, &format!("-A INPUT {SAVED}"))?;
    nft(&host, "-F")?;
    expect_gone(&host)?;
    ctx.expect_silence()
}

fn nft_rule_is_shown_and_found(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    nft(&host, &format!("-A INPUT -d {VIP} -i eth0 {SAVED}"))?;
    let line = format!("-A INPUT -d {VIP}/32 -i eth0 {SAVED}");
    let listed = nft(&host, "-S INPUT")?;
    ensure!(
        listed.lines().any(|shown| shown == line),
        "{line:?} is not in {listed}"
    );
    nft(&host, &line.replacen("-A", "-C", 1))?;
    host.fails(&format!("{OURS} iptables-nft -C INPUT {SAVED}"))?;
    let other = line
        .replacen("-A", "-D", 1)
        .replace("--hash-init 7", "--hash-init 8");
    host.fails(&format!("{OURS} iptables-nft {other}"))?;
    let shown = nft(&host, "-L INPUT -nv")?;
    let wanted =
        " CLUSTERIP vip=10.9.0.100 dev=eth0 hashmode=sourceip-destip clustermac=01:00:5E:00:00:20 \
                  total_nodes=1000 local_nodes=1,3-5,1000 hash_init=7 no_mark";
    ensure!(shown.contains(wanted), "{wanted:?} is not in {shown}");
    // What was written since is no matter to what a rule says.
    host.tell(VIP, "=2")?;
    nft(&host, &format!("-R INPUT 1 -d {VIP} -i eth0 {SAVED}"))?;
    ensure!(
        host.nodes(VIP)? == "2",
        "replaced in place: {}",
        host.nodes(VIP)?
    );
    eventually("the old rule has gone", || Ok(uses()? == Some(1)))?;
    nft(&host, &line.replacen("-A", "-D", 1))?;
    expect_gone(&host)
}

fn nft_saved_is_restored(ctx: &mut Ctx) -> Result<()> {
    let one = host(ctx)?;
    let two = named(ctx, "other")?;
    nft(&one, &format!("-A INPUT -d {VIP} {SAVED}"))?;
    nft(&one, "-A INPUT -p udp -j CLUSTERIP --vip 10.9.0.100")?;
    nft(
        &one,
        &format!(
            "-A INPUT {}",
            SAVED.replace(VIP, "10.9.0.101").replace(" --no-mark", "")
        ),
    )?;
    let saved = one.run(&format!("{OURS} iptables-nft-save"))?;
    two.run_with(&format!("{OURS} iptables-nft-restore"), &saved)?;
    let again = two.run(&format!("{OURS} iptables-nft-save"))?;
    let rules = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("-A"));
        lines.map(str::to_string).collect()
    };
    ensure!(rules(&saved).len() == 3, "{saved}");
    ensure!(rules(&saved) == rules(&again), "{saved} became {again}");
    for vip in [VIP, "10.9.0.101"] {
        ensure!(two.nodes(vip)? == SET, "{vip}: {}", two.nodes(vip)?);
    }
    ensure!(uses()? == Some(6), "{:?} uses", uses()?);
    // Over what is there: the VIP is the same all along.
    two.tell(VIP, "=9")?;
    two.run_with(
        &format!("{OURS} iptables-nft-restore -n"),
        "*filter\nCOMMIT\n",
    )?;
    ensure!(two.nodes(VIP)? == "9", "{}", two.nodes(VIP)?);
    for host in [&one, &two] {
        nft(host, "-F")?;
    }
    expect_gone(&one)?;
    expect_gone(&two)?;
    ctx.expect_silence()
}

/// The kernel's reasons are in its log, the command line says that there is one.
fn nft_refusals(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    for (rule, sentence, vip) in [
        (
            SAVED.replace("--vip 10.9.0.100 ", &format!("-d {VIP} ")),
            "Please specify destination IP",
            None,
        ),
        (
            SAVED.replace("eth0", "eth9"),
            "no such interface eth9",
            Some(VIP),
        ),
        (
            SAVED.replace("eth0", "public"),
            "public is an alternative name",
            Some(VIP),
        ),
        (
            SAVED.replace("--dev eth0 ", ""),
            "Please specify an interface name",
            Some(VIP),
        ),
        (
            "-j CLUSTERIP --vip 10.9.0.100".to_string(),
            "no config found for 10.9.0.100, need 'new'",
            Some(VIP),
        ),
    ] {
        ctx.log()?;
        host.fails(&format!("{OURS} iptables-nft -A INPUT {rule}"))?;
        let lines = ctx.log()?;
        // iptables may ask more than once.
        ensure!(!lines.is_empty(), "{rule}: nothing is said");
        for line in lines {
            let named = vip.is_none_or(|vip| line.contains(&format!(": VIP {vip}: ")));
            ensure!(
                line.starts_with(sentence) && named,
                "{sentence:?} became {line:?}"
            );
        }
        expect_gone(&host)?;
    }
    // What is of revision 0 is refused as ever.
    let old =
        "--new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1";
    host.fails(&format!(
        "{OURS} iptables-nft -A INPUT -d {VIP} -i eth0 -j CLUSTERIP {old}"
    ))?;
    let lines = ctx.log()?;
    let words = "cannot use CLUSTERIP target from nftables compat";
    ensure!(
        !lines.is_empty() && lines.iter().all(|line| line.starts_with(words)),
        "{lines:?}"
    );
    expect_gone(&host)
}

fn nft_device_by_route(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("addr add 10.9.0.1/24 dev eth0\n")?;
    nft(
        &host,
        &format!("-A INPUT {}", SAVED.replace("--dev eth0 ", "")),
    )?;
    host.expect_memberships("eth0", MAC, 1)?;
    ensure!(stat::rows(&host)?[0].device == "eth0");
    nft(&host, "-F")?;
    expect_gone(&host)
}

/// The VIP is there until the last rule of both goes.
fn nft_and_legacy_share_a_vip(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let joining = "--vip 10.9.0.100";
    nft(&host, &format!("-A INPUT {SAVED}"))?;
    host.iptables(&format!("-A INPUT -d {VIP} -j CLUSTERIP"))?;
    host.tell(VIP, "=6")?;
    nft(&host, "-F")?;
    eventually("one rule is left", || Ok(uses()? == Some(1)))?;
    ensure!(host.nodes(VIP)? == "6", "{}", host.nodes(VIP)?);
    nft(
        &host,
        &format!("-t mangle -A PREROUTING -j CLUSTERIP {joining}"),
    )?;
    host.iptables("-F")?;
    eventually("one rule is left", || Ok(uses()? == Some(1)))?;
    ensure!(host.nodes(VIP)? == "6", "{}", host.nodes(VIP)?);
    nft(&host, "-t mangle -F")?;
    expect_gone(&host)
}

/// A transaction is done as a whole or not at all.
fn nft_a_line_that_fails_leaves_all_as_it_was(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    nft(&host, &format!("-A INPUT {SAVED}"))?;
    host.tell(VIP, "=2")?;
    let (good, bad) = (
        SAVED.replace(VIP, "10.9.0.101"),
        SAVED.replace("eth0", "eth9").replace(VIP, "10.9.0.102"),
    );
    let lines = format!("*filter\n-A INPUT {good}\n-A INPUT {bad}\nCOMMIT\n");
    host.fails_with(&format!("{OURS} iptables-nft-restore -n"), &lines)?;
    eventually("the one rule of before", || Ok(uses()? == Some(1)))?;
    ensure!(host.nodes(VIP)? == "2", "{}", host.nodes(VIP)?);
    for vip in ["10.9.0.101", "10.9.0.102"] {
        ensure!(!host.has_vip(vip)?, "{vip} is there");
    }
    let listed = nft(&host, "-S INPUT")?;
    ensure!(listed.matches("CLUSTERIP").count() == 1, "{listed}");
    nft(&host, "-F")?;
    expect_gone(&host)
}

fn nft_many_vips(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let vips: Vec<String> = (1..=200).map(|number| format!("10.9.4.{number}")).collect();
    let lines: Vec<String> = vips
        .iter()
        .map(|vip| format!("-A INPUT {}\n", SAVED.replace(VIP, vip)))
        .collect();
    let text = format!("*filter\n{}COMMIT\n", lines.concat());
    for _ in 0..3 {
        host.run_with(&format!("{OURS} iptables-nft-restore"), &text)?;
        eventually("the rules of before gone", || Ok(uses()? == Some(200)))?;
        for vip in &vips {
            ensure!(host.nodes(vip)? == SET, "{vip}: {}", host.nodes(vip)?);
        }
    }
    nft(&host, "-F")?;
    expect_gone(&host)
}

fn nft_namespace_ends_with_rules(ctx: &mut Ctx) -> Result<()> {
    for _ in 0..3 {
        let host = host(ctx)?;
        nft(&host, &format!("-A INPUT {SAVED}"))?;
        nft(
            &host,
            &format!("-t raw -A PREROUTING {}", SAVED.replace(VIP, "10.9.0.101")),
        )?;
        host.iptables(&format!("-A INPUT -d {VIP} -j CLUSTERIP"))?;
        ensure!(uses()? == Some(3), "{:?} uses", uses()?);
        drop(host);
        eventually("the namespace's rules gone", || Ok(uses()? == Some(0)))?;
    }
    ctx.expect_silence()
}

/// Every mode in every place, by rules of either, and by the oracle.
fn nft_decides_as_legacy_does(ctx: &mut Ctx) -> Result<()> {
    const NODES: u32 = 3;
    let cluster = Cluster::new(ctx, NODES as usize)?;
    let somewhere = |id: u16| Ipv4Addr::new(10, 9, 3, (id % 251) as u8);
    let datagrams = datagrams(pace::cut(200, 20) as u16, somewhere);
    let packets = packets(&datagrams);
    for node in &cluster.nodes {
        node.quiet()?;
        node.ns.ip("route add local 10.9.3.0/24 dev lo\n")?;
    }
    for (mode, name) in (0..).zip(ALL_MODES) {
        for (table, chain) in [
            ("filter", "INPUT"),
            ("mangle", "PREROUTING"),
            ("raw", "PREROUTING"),
        ] {
            for backend in ["iptables-legacy", "iptables-nft"] {
                for (node, number) in cluster.nodes.iter().zip(1..) {
                    node.ns.run(&format!(
                        "{OURS} {backend} -w -t {table} -A {chain} -s 0.0.0.0/1 -j CLUSTERIP --vip {VIP} --dev eth0 \
                         --new --hashmode {name} --clustermac {MAC} --total-nodes {NODES} --local-nodes {number} \
                         --hash-init 7"
                    ))?;
                }
                let heard = cluster.ask(&packets)?;
                for one in &datagrams {
                    let wanted = one.whole.node(mode, 7, NODES) as usize;
                    let seen = takers(&heard, one.id)?;
                    ensure!(
                        seen == [wanted],
                        "{backend}, {table}, {name}: {} from {}: {wanted}, not {seen:?}",
                        one.how,
                        one.source
                    );
                }
                for node in &cluster.nodes {
                    node.ns.run(&format!("{OURS} {backend} -w -t {table} -F"))?;
                }
                eventually("no rule is left", || Ok(uses()? == Some(0)))?;
            }
        }
    }
    Ok(())
}

fn nft_counts_and_marks(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    node.quiet()?;
    let rule = SAVED
        .replace("1,3-5,1000", "1-1000")
        .replace("sourceip-destip", "sourceip");
    let datagrams = datagrams(40, |_| VIP_ADDRESS);
    let packets = packets(&datagrams);
    for (rule, marks) in [
        (rule.clone(), false),
        (rule.replace(" --no-mark", ""), true),
    ] {
        nft(&node.ns, &format!("-A INPUT -d {VIP} {rule}"))?;
        let taken = node.ask(&packets)?.len();
        ensure!(taken == datagrams.len(), "{taken} packets are taken");
        let seen = harness::marks::all(&node.ns)?;
        for one in &datagrams {
            let number = one.whole.node(0, 7, 1000);
            let wanted = (one.source, if marks { number } else { 0 });
            ensure!(
                seen.contains(&wanted),
                "{} from {}: {wanted:?}",
                one.how,
                one.source
            );
        }
        let rows = stat::rows_of(&node.ns, VIP_ADDRESS)?;
        let accepted: u64 = rows.iter().map(|row| row.accepted).sum();
        ensure!(accepted == datagrams.len() as u64, "{accepted} are counted");
        nft(&node.ns, "-F")?;
        expect_gone(&node.ns)?;
        node.ns.run("conntrack -F")?;
    }
    Ok(())
}
