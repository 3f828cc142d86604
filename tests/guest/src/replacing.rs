// SPDX-License-Identifier: GPL-2.0-only

//! Each change of a table replaces it whole: what that says, what it begins and ends, and what the
//! new one gives back.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::named;
use harness::host::program;
use harness::host::rule;
use harness::netns::vip_path;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

pub fn tests() -> Vec<Test> {
    tests![
        replacing_says_once_in_a_life_what_is_in_force_d6,
        replacing_when_the_interface_is_gone,
        replacing_by_nothing_ends_all,
        replacing_of_the_rule_that_made_it,
        replacing_of_two_vips_with_one_mac,
        replacing_that_fails_begins_nothing,
        replacing_that_fails_ends_nothing,
        replacing_is_counted_in_all_namespaces,
        replacing_gives_back_what_it_was_given,
        replacing_makes_a_vip_of_its_first_rule,
    ]
}

/// A rule of the same VIP that says everything differently but for the MAC.
const OTHER: &str =
    "INPUT -d 10.9.0.100 -i eth1 -j CLUSTERIP --new --hashmode sourceip-sourceport \
     --clustermac 01:00:5E:00:00:20 --total-nodes 7 --local-node 6 --hash-init 9";

/// A table `filter` with these rules, one at least, and nothing else; it ends in its fifth line and one for each.
fn filter(rules: &[&str]) -> String {
    let rules = rules.join("\n-A ");
    format!("*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A {rules}\nCOMMIT\n")
}

/// What must not change: the file itself, what it says, and who hears the MAC.
fn identity(host: &Netns) -> Result<(u64, String, u32, u32)> {
    let file = host
        .enter(|| fs::metadata(vip_path(VIP)))?
        .context("the VIP's file")?;
    Ok((
        file.ino(),
        host.nodes(VIP)?,
        host.memberships("eth0", MAC)?,
        host.memberships("eth1", MAC)?,
    ))
}

/// A VIP whose nodes are not those that its rule says.
fn changed_vip(host: &Netns) -> Result<(u64, String, u32, u32)> {
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    let before = identity(host)?;
    ensure!(
        (before.1.as_str(), before.2, before.3) == ("1,2", 1, 0),
        "{before:?}"
    );
    Ok(before)
}

fn replacing_says_once_in_a_life_what_is_in_force_d6(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let before = changed_vip(&host)?;
    host.restore(&filter(&["INPUT -s 192.0.2.1 -j DROP", &rule()]))?;
    host.run_with("iptables-legacy-restore --test", &filter(&[OTHER]))?;
    ctx.expect_silence()?;
    host.restore(&filter(&[OTHER]))?;
    let line = ctx.expect_line(VIP)?;
    for word in [
        "--total-nodes 2 ",
        "--hashmode sourceip ",
        "--hash-init 0 ",
        "-i eth0,",
    ] {
        ensure!(
            line.contains(word),
            "{word:?} is in force, the line has not: {line}"
        );
    }
    host.restore(&filter(&[OTHER]))?;
    host.restore(&filter(&[&rule()]))?;
    host.restore(&filter(&[OTHER]))?;
    ctx.expect_silence()?;
    let after = identity(&host)?;
    ensure!(after == before, "{before:?} became {after:?}");

    // Another MAC is refused, for the live table has the old one still.
    let error = host.fails_with(
        "iptables-legacy-restore",
        &filter(&[&OTHER.replace("00:20", "00:21")]),
    )?;
    ensure!(
        error.contains("line 6 failed"),
        "COMMIT, in line 6, should be named: {error}"
    );
    let line = ctx.expect_line(VIP)?;
    ensure!(
        line.contains("01:00:5E:00:00:20"),
        "the MAC in force is not said: {line}"
    );
    ensure!(identity(&host)? == before, "what failed changed it");

    // Its next life is as its first rule says, and has a line of its own.
    host.iptables("-F")?;
    expect_no_vip(&host, VIP)?;
    host.restore(&filter(&[OTHER]))?;
    ctx.expect_silence()?;
    ensure!(host.nodes(VIP)? == "6");
    host.expect_memberships("eth1", MAC, 1)?;
    host.iptables(&format!("-A {}", rule()))?;
    let line = ctx.expect_line(VIP)?;
    ensure!(
        line.contains("--total-nodes 7 "),
        "in force is a total of 7: {line}"
    );
    Ok(())
}

fn replacing_when_the_interface_is_gone(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let (inode, ..) = changed_vip(&host)?;
    host.ip("link del eth0\n")?;
    // Each of these checks the rule on eth0 again.
    host.iptables("-A INPUT -s 192.0.2.1 -j DROP")?;
    host.iptables("-Z")?;
    host.restore(&filter(&[&rule()]))?;
    ctx.expect_silence()?;
    let after = identity(&host)?;
    ensure!(after == (inode, "1,2".to_string(), 0, 0), "{after:?}");
    host.iptables("-F")?;
    expect_no_vip(&host, VIP)?;
    // A new VIP would need it.
    host.fails(&format!("iptables-legacy -A {}", rule()))?;
    ctx.expect_refusal("no such interface eth0", VIP)
}

fn replacing_by_nothing_ends_all(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    changed_vip(&host)?;
    ensure!(host.has_arp_hook()?);
    let mut open = host.open(VIP, fs::OpenOptions::new().read(true).write(true))?;
    let socket = host.enter(blob::socket)??;
    blob::replace(&socket, "filter", &[])?;
    // Not soon, but now.
    ensure!(
        !host.has_vip(VIP)?,
        "the file outlives the call that took its last rule"
    );
    let mut text = String::new();
    expect_errno(
        "reading what is gone",
        open.read_to_string(&mut text),
        libc::EIO,
    )?;
    host.expect_memberships("eth0", MAC, 0)?;
    ensure!(
        uses()? == Some(0),
        "no rule, but uses of the module: {:?}",
        uses()?
    );
    ensure!(!host.has_arp_hook()?, "the ARP hook outlives the rules");
    ctx.expect_silence()
}

fn replacing_of_the_rule_that_made_it(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let before = changed_vip(&host)?;
    let joining = format!("INPUT -p tcp -d {VIP} --dport 443 -j CLUSTERIP");
    let rule = rule();
    let steps = [
        format!("-A {joining}"),
        format!("-I {rule}"),
        format!("-A {rule}"),
        format!("-D {rule}"),
        format!("-D {rule}"),
        format!("-D {rule}"),
        "-Z INPUT 1".to_string(),
    ];
    for step in steps {
        host.iptables(&step)?;
        let after = identity(&host)?;
        ensure!(after == before, "after {step}: {before:?} became {after:?}");
    }
    ensure!(
        uses()? == Some(1),
        "one rule should be left, there are {:?}",
        uses()?
    );
    ctx.expect_silence()?;
    host.iptables(&format!("-D {joining}"))?;
    expect_no_vip(&host, VIP)
}

/// Two VIPs on one MAC ask for it twice, and an admin's own wish for it outlives both.
fn replacing_of_two_vips_with_one_mac(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!("-A {}", rule().replace(VIP, "10.9.0.101")))?;
    host.expect_memberships("eth0", MAC, 2)?;
    host.run(&format!("ip maddr add {MAC} dev eth0"))?;
    host.iptables(&format!("-D {}", rule()))?;
    ensure!(host.nodes("10.9.0.101")? == "1");
    host.iptables("-F")?;
    ensure!(!host.has_vip("10.9.0.101")?);
    host.expect_memberships("eth0", MAC, 1)?;
    let list = host.run("ip maddr show dev eth0")?;
    ensure!(
        list.contains(&format!("{MAC} static")),
        "the admin's own is gone: {list}"
    );
    Ok(())
}

fn replacing_that_fails_begins_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let missing = rule().replace("eth0", "eth9").replace(VIP, "10.9.0.101");
    let table = filter(&["INPUT -s 192.0.2.1 -j DROP", &rule(), &rule(), &missing]);
    for _ in 0..3 {
        let error = host.fails_with("iptables-legacy-restore", &table)?;
        ensure!(
            error.contains("line 9 failed"),
            "COMMIT, in line 9, should be named: {error}"
        );
        ctx.expect_refusal("no such interface eth9", "10.9.0.101")?;
        ensure!(!host.has_vip(VIP)?, "the failed table left the file");
        ensure!(
            uses()? == Some(0),
            "the failed table left uses: {:?}",
            uses()?
        );
    }
    expect_no_vip(&host, VIP)?;
    ensure!(!host.has_arp_hook()?, "the failed table left the ARP hook");
    ensure!(
        !host.run("iptables-legacy -S")?.contains("-A"),
        "rules of the failed table"
    );
    Ok(())
}

fn replacing_that_fails_ends_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let before = changed_vip(&host)?;
    let socket = host.enter(blob::socket)??;
    let good = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
    let new = Rule::new([10, 9, 0, 101].into(), "eth0", &Payload::default());
    let bad = Rule::new([10, 9, 0, 102].into(), "eth9", &Payload::default());
    let rules = [good.clone(), new, good.clone(), good, bad];
    for _ in 0..20 {
        let failed = blob::replace(&socket, "filter", &rules);
        expect_errno("a bad rule behind others", failed, libc::ENOENT)?;
        ctx.expect_refusal("no such interface eth9", "10.9.0.102")?;
        ensure!(
            !host.has_vip("10.9.0.101")?,
            "the failed table left its own VIP's file"
        );
        ensure!(
            uses()? == Some(1),
            "the failed table left uses: {:?}",
            uses()?
        );
    }
    host.expect_memberships("eth0", MAC, 1)?;
    let after = identity(&host)?;
    ensure!(after == before, "{before:?} became {after:?}");
    ensure!(
        host.has_arp_hook()?,
        "the ARP hook went with the failed table"
    );
    // Its rules are counted as before: the one that it has is its last.
    host.iptables(&format!("-D {}", rule()))?;
    expect_no_vip(&host, VIP)?;
    ensure!(!host.has_arp_hook()?, "the ARP hook outlives the rules");
    Ok(())
}

/// The module's use count is the number of its rules, in all namespaces.
fn replacing_is_counted_in_all_namespaces(ctx: &mut Ctx) -> Result<()> {
    let (one, two) = (host(ctx)?, named(ctx, "second")?);
    let expect = |wanted: u32| -> Result<()> {
        let modules = program("lsmod")?;
        let line = modules
            .lines()
            .find(|line| line.starts_with("ipt_CLUSTERIP "))
            .context("lsmod does not name the module")?;
        let seen = line.split_whitespace().nth(2);
        ensure!(
            seen == Some(wanted.to_string().as_str()),
            "{wanted} rules, lsmod: {line}"
        );
        Ok(())
    };
    expect(0)?;
    for count in 1..=3 {
        one.iptables(&format!("-A {}", rule()))?;
        expect(count)?;
    }
    one.iptables(&format!("-A INPUT -d {VIP} -j CLUSTERIP"))?;
    one.iptables(&format!(
        "-t mangle -A {}",
        rule().replace(VIP, "10.9.0.101")
    ))?;
    expect(5)?;
    two.iptables(&format!("-A {}", rule()))?;
    expect(6)?;
    one.iptables(&format!("-D {}", rule()))?;
    expect(5)?;
    one.iptables("-F")?;
    expect(2)?;
    // A namespace takes its rules with it.
    drop(two);
    eventually("the count without the namespace", || Ok(uses()? == Some(1)))?;
    one.iptables("-t mangle -F")?;
    expect(0)
}

/// Byte by byte, in force or not, but for the kernel's own word.
fn replacing_gives_back_what_it_was_given(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let socket = host.enter(blob::socket)??;
    let mut first = Payload::default().nodes(3, &[3, 1, 3]);
    first.flags = 0xffff_ffff;
    first.config = 0xdead_beef_dead_beef;
    let mut second = Payload::default().nodes(64, &[64]);
    second.mode = 2;
    second.seed = 0x1234_5678;
    second.config = 1;
    let mut third = Payload::joining().nodes(0xffff, &[7]);
    third.mac = [2, 0, 0, 0, 0, 1];
    let rules: Vec<Rule> = [first, second, third]
        .iter()
        .map(|payload| {
            let mut rule = Rule::new(VIP_ADDRESS, "eth0", payload);
            // The last place of the list, which does not count here, and padding.
            rule.payload[44..48].copy_from_slice(&[1, 2, 3, 4]);
            rule
        })
        .collect();
    blob::replace(&socket, "filter", &rules)?;
    ctx.expect_line(VIP)?;
    ensure!(host.nodes(VIP)? == "1,3");
    let entries = blob::entries(&socket, "filter")?;
    for (number, rule) in rules.iter().enumerate() {
        // An entry is 112 bytes, then come 32 of the target's own.
        let payload = &entries[number * 208 + 144..][..64];
        ensure!(
            payload[..56] == rule.payload[..56],
            "rule {number}: {payload:02x?}"
        );
        ensure!(
            payload[56..] == [0; 8],
            "rule {number} shows the kernel's word: {payload:02x?}"
        );
    }
    Ok(())
}

fn replacing_makes_a_vip_of_its_first_rule(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let socket = host.enter(blob::socket)??;
    let two = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(2, &[2]));
    let five = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(5, &[5]));
    blob::replace(&socket, "filter", &[five, two.clone()])?;
    ctx.expect_line(VIP)?;
    ensure!(host.nodes(VIP)? == "5");
    // The second one alone, in the place of both: what the first one made stays.
    blob::replace(&socket, "filter", &[two])?;
    ensure!(host.nodes(VIP)? == "5");
    host.tell(VIP, "+4")?;
    ctx.expect_silence()
}
