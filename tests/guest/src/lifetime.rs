// SPDX-License-Identifier: GPL-2.0-only

//! How long a VIP lives: as long as there is a rule for it, through every replacement of its table.

use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::host::NEW;
use harness::netns::vip_path;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;

pub fn tests() -> Vec<Test> {
    tests![
        lifetime_survives_changes_of_other_rules,
        lifetime_survives_a_whole_restore,
        lifetime_survives_a_restore_with_other_parameters,
        lifetime_check_again_without_the_device,
        lifetime_flush_takes_all_at_once,
        lifetime_flush_and_add_starts_anew,
        lifetime_shared_by_tables,
        lifetime_failing_batch_leaves_nothing,
        lifetime_failing_batch_keeps_what_was,
        lifetime_new_mac_in_one_transaction_is_refused,
        lifetime_first_rule_of_a_batch_decides,
        lifetime_use_count_is_the_number_of_rules,
        lifetime_delete_compares_the_rule_as_given,
    ]
}

/// What must stay the same: the file's inode, the set, the membership.
fn identity(host: &Netns) -> Result<(u64, String, u32)> {
    let inode = host.enter(|| fs::metadata(vip_path(VIP)))??.ino();
    Ok((inode, host.nodes(VIP)?, host.memberships("eth0", MAC)?))
}

fn lifetime_survives_changes_of_other_rules(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    host.tell(VIP, "-1")?;
    let before = identity(&host)?;
    ensure!(before.1 == "2" && before.2 == 1, "{before:?}");
    for change in [
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -p udp -j ACCEPT",
        "-D INPUT -p udp -j ACCEPT",
        "-Z",
        "-P FORWARD DROP",
        "-N other",
        "-A other -j ACCEPT",
        "-t mangle -A INPUT -j ACCEPT",
        "-R INPUT 2 -p tcp --dport 23 -j ACCEPT",
    ] {
        host.iptables(change)?;
        let after = identity(&host)?;
        ensure!(
            after == before,
            "after {change}: {after:?}, before {before:?}"
        );
    }
    Ok(())
}

fn lifetime_survives_a_whole_restore(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    let before = identity(&host)?;
    let saved = host.run("iptables-legacy-save")?;
    for _ in 0..3 {
        host.restore(&saved)?;
        ensure!(
            identity(&host)? == before,
            "{:?}, before {before:?}",
            identity(&host)?
        );
        ensure!(uses()? == Some(1));
    }
    // Two rules instead of one, then one again.
    host.restore(&format!("*filter\n-A {}\n-A {}\nCOMMIT\n", rule(), rule()))?;
    ensure!(identity(&host)? == before);
    host.restore(&saved)?;
    ensure!(identity(&host)? == before);
    ctx.expect_silence()
}

fn lifetime_survives_a_restore_with_other_parameters(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    let before = identity(&host)?;
    let other = rule()
        .replace("nodes 2", "nodes 7")
        .replace("node 1", "node 6")
        .replace("sourceip", "sourceip-sourceport");
    host.restore(&format!("*filter\n-A {other} --hash-init 5\nCOMMIT\n"))?;
    ensure!(
        identity(&host)? == before,
        "{:?}, before {before:?}",
        identity(&host)?
    );
    let line = ctx.expect_line(VIP)?;
    ensure!(
        line.contains("--total-nodes 2"),
        "what is in force is not said: {line}"
    );
    let mut options = fs::OpenOptions::new();
    let mut file = host.open(VIP, options.write(true))?;
    expect_errno(
        "+6 of two nodes",
        std::io::Write::write(&mut file, b"+6"),
        libc::ENOMEM,
    )?;
    // The rule shows what it was given.
    let listed = host.run("iptables-legacy -S INPUT")?;
    ensure!(
        listed.contains("--total-nodes 7 --local-node 6 --hash-init 5"),
        "{listed}"
    );
    Ok(())
}

fn lifetime_check_again_without_the_device(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.ip("link del eth0\n")?;
    host.iptables("-A INPUT -p tcp --dport 22 -j ACCEPT")?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    ensure!(host.nodes(VIP)? == "1,2");
    ctx.expect_silence()
}

fn lifetime_flush_takes_all_at_once(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for _ in 0..10 {
        let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
        let socket = host.enter(blob::socket)??;
        blob::replace(&socket, "filter", &[rule])?;
        ensure!(host.has_vip(VIP)?, "no file");
        blob::replace(&socket, "filter", &[])?;
        ensure!(!host.has_vip(VIP)?, "the file is there after the flush");
        drop(socket);
        expect_no_vip(&host, VIP)?;
        ensure!(uses()? == Some(0));
    }
    Ok(())
}

fn lifetime_flush_and_add_starts_anew(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    host.iptables("-F")?;
    let other = rule()
        .replace("nodes 2", "nodes 9")
        .replace("node 1", "node 7")
        .replace("eth0", "eth1")
        .replace(MAC, "01:00:5e:00:00:99");
    host.iptables(&format!("-A {other}"))?;
    ensure!(host.nodes(VIP)? == "7");
    host.expect_memberships("eth0", MAC, 0)?;
    host.expect_memberships("eth1", "01:00:5e:00:00:99", 1)?;
    host.tell(VIP, "+9")?;
    ctx.expect_silence()
}

fn lifetime_shared_by_tables(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let tables = ["filter", "mangle", "security", "raw"];
    for table in tables {
        let chain = if table == "raw" {
            "PREROUTING"
        } else {
            "INPUT"
        };
        host.iptables(&format!("-t {table} -A {}", rule().replace("INPUT", chain)))?;
    }
    host.tell(VIP, "+2")?;
    let before = identity(&host)?;
    ensure!(before.2 == 1, "joined more than once: {before:?}");
    for table in &tables[..3] {
        host.iptables(&format!("-t {table} -F"))?;
        ensure!(
            identity(&host)? == before,
            "{table} flushed: {:?}",
            identity(&host)?
        );
    }
    host.iptables("-t raw -F")?;
    expect_no_vip(&host, VIP)
}

/// Rules with a good one first and a bad one last.
fn batch(good: &str) -> Vec<Rule> {
    let bad = Payload {
        mode: 9,
        ..Payload::default()
    };
    vec![
        Rule::new(VIP_ADDRESS, good, &Payload::default()),
        Rule::new(Ipv4Addr::new(10, 9, 0, 101), good, &Payload::default()),
        Rule::new(Ipv4Addr::new(10, 9, 0, 102), good, &bad),
    ]
}

fn lifetime_failing_batch_leaves_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let socket = host.enter(blob::socket)??;
    for _ in 0..10 {
        expect_errno(
            "a batch",
            blob::replace(&socket, "filter", &batch("eth0")),
            libc::EINVAL,
        )?;
        ensure!(
            !host.has_vip(VIP)? && !host.has_vip("10.9.0.101")?,
            "a file stays"
        );
        ensure!(uses()? == Some(0), "{:?} uses", uses()?);
    }
    expect_no_vip(&host, VIP)?;
    ensure!(!host.has_arp_hook()?, "the ARP hook stays");
    ensure!(
        !host.hooks("ip")?.contains("[nf_conntrack]"),
        "connection tracking stays"
    );
    Ok(())
}

fn lifetime_failing_batch_keeps_what_was(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    let before = identity(&host)?;
    let socket = host.enter(blob::socket)??;
    for _ in 0..10 {
        expect_errno(
            "a batch",
            blob::replace(&socket, "filter", &batch("eth0")),
            libc::EINVAL,
        )?;
        ensure!(
            identity(&host)? == before,
            "{:?}, before {before:?}",
            identity(&host)?
        );
        ensure!(!host.has_vip("10.9.0.101")?, "a file stays");
        ensure!(uses()? == Some(1), "{:?} uses", uses()?);
    }
    Ok(())
}

fn lifetime_new_mac_in_one_transaction_is_refused(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let before = identity(&host)?;
    let mac = rule().replace(MAC, "01:00:5e:00:00:21");
    host.fails(&format!(
        "iptables-legacy -R {}",
        mac.replace("INPUT", "INPUT 1")
    ))?;
    ctx.expect_line(VIP)?;
    ensure!(identity(&host)? == before);
    host.expect_memberships("eth0", "01:00:5e:00:00:21", 0)
}

fn lifetime_first_rule_of_a_batch_decides(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let socket = host.enter(blob::socket)??;
    let new = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
    let joining = Rule::new(VIP_ADDRESS, "eth0", &Payload::joining());
    let wrong = blob::replace(&socket, "filter", &[joining.clone(), new.clone()]);
    expect_errno("a joining rule before the new one", wrong, libc::EINVAL)?;
    ctx.expect_refusal(&format!("no config found for {VIP}, need 'new'"), VIP)?;
    expect_no_vip(&host, VIP)?;
    blob::replace(&socket, "filter", &[new, joining])?;
    ensure!(uses()? == Some(2));
    ctx.expect_silence()
}

fn lifetime_use_count_is_the_number_of_rules(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let socket = host.enter(blob::socket)??;
    let rules: Vec<Rule> = (1..=200_u32)
        .map(|number| Ipv4Addr::from(0x0a09_0100 + number % 150))
        .map(|vip| Rule::new(vip, "eth0", &Payload::default()))
        .collect();
    for count in [1, 200, 7, 150, 0, 3] {
        blob::replace(&socket, "filter", &rules[..count])?;
        ensure!(
            uses()? == Some(count as u32),
            "{count} rules, {:?} uses",
            uses()?
        );
        host.expect_memberships("eth0", MAC, count.min(150) as u32)?;
    }
    Ok(())
}

/// The resource agent removes the rule that it made, whatever was written since.
fn lifetime_delete_compares_the_rule_as_given(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-I {}", rule()))?;
    host.tell(VIP, "+2")?;
    host.tell(VIP, "-1")?;
    host.fails(&format!(
        "iptables-legacy -D {}",
        rule().replace("node 1", "node 2")
    ))?;
    host.iptables(&format!("-C INPUT -d {VIP} -i eth0 {NEW}"))?;
    host.iptables(&format!("-D {}", rule()))?;
    expect_no_vip(&host, VIP)
}
