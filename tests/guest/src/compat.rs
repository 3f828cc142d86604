// SPDX-License-Identifier: GPL-2.0-only

//! A 32-bit `iptables` on a 64-bit kernel: its payload is four bytes shorter (`compatsize`). Only a
//! kernel with `CONFIG_NETFILTER_XTABLES_COMPAT` can tell; Debian's has it off.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::takers;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::compat;
use harness::expect_errno;
use harness::flow::flows;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::host::OURS;
use harness::revision1;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::io;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        compat_rule_reads_back_as_it_was_sent,
        compat_rules_decide_packets,
        compat_rule_of_a_64_bit_program_is_read,
        compat_wrong_sizes_are_refused,
        compat_refusals_are_the_same,
        compat_rule_of_revision_1,
        compat_refusals_of_revision_1,
    ]
}

/// A rule of a 32-bit program, whose word for the kernel holds something.
fn short(payload: &Payload) -> Rule {
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", payload);
    rule.payload.truncate(compat::PAYLOAD);
    rule.payload[compat::SHARED..].fill(0xee);
    rule
}

fn install(host: &Netns, rules: &[Rule]) -> Result<io::Result<()>> {
    host.enter(|| compat::replace(&blob::socket()?, "filter", rules))
}

/// The payloads of a table's rules, as a 32-bit program gets them.
fn payloads(host: &Netns) -> Result<Vec<Vec<u8>>> {
    let entries = host.enter(|| compat::entries(&blob::socket()?, "filter"))??;
    Ok(payloads_of(&entries))
}

fn payloads_of(entries: &[u8]) -> Vec<Vec<u8>> {
    let targets = blob::targets(entries);
    targets.iter().map(|target| target[32..].to_vec()).collect()
}

/// As [`short`], of revision 1: as long as a 64-bit program's, so that both say the same.
fn short_of_revision_1(payload: &revision1::Payload) -> Rule {
    let mut rule = payload.rule(Some(VIP_ADDRESS), "eth0");
    rule.payload[revision1::SHARED..].fill(0xee);
    rule
}

/// What was sent, without the kernel's word: of so many bytes, with so many of them shared.
fn shown(rule: &Rule, shared: usize, size: usize) -> Vec<u8> {
    let mut payload = rule.payload[..shared].to_vec();
    payload.resize(size, 0);
    payload
}

fn compat_rule_reads_back_as_it_was_sent(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let first = short(&Payload {
        mode: 2,
        seed: 0x1234_5678,
        ..Payload::default().nodes(5, &[1, 4, 2])
    });
    let second = short(&Payload::joining());
    let rules = [first, second];
    install(&host, &rules)?.context("the rules")?;
    ensure!(host.nodes(VIP)? == "1,2,4", "{}", host.nodes(VIP)?);
    ensure!(uses()? == Some(2), "two rules are {:?} uses", uses()?);
    host.expect_memberships("eth0", MAC, 1)?;

    let seen = payloads(&host)?;
    let wanted: Vec<_> = rules
        .iter()
        .map(|rule| shown(rule, compat::SHARED, compat::PAYLOAD))
        .collect();
    ensure!(seen == wanted, "sent {wanted:02x?}, read back {seen:02x?}");
    // And as the other kind of program sees the same rules.
    let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
    for (target, wanted) in blob::targets(&entries).iter().zip(&wanted) {
        let mut wanted = wanted.clone();
        wanted.resize(64, 0);
        ensure!(
            target[32..] == wanted,
            "a 64-bit program reads {target:02x?}"
        );
    }
    let list = host.run("iptables-legacy -S INPUT")?;
    ensure!(
        list.contains("--hashmode sourceip-sourceport-destport")
            && list.contains("--total-nodes 5")
            && list.contains("--hash-init 305419896"),
        "iptables shows {list}"
    );
    install(&host, &[])?.context("the flush")?;
    expect_no_vip(&host, VIP)
}

fn compat_rules_decide_packets(ctx: &mut Ctx) -> Result<()> {
    const NODES: u16 = 3;
    let cluster = Cluster::new(ctx, NODES.into())?;
    for (node, number) in cluster.nodes.iter().zip(1..) {
        let payload = Payload::default().nodes(NODES, &[number]);
        install(&node.ns, &[short(&payload)])?.context("a rule")?;
    }
    let flows = flows(40);
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    let heard = cluster.ask(&packets)?;
    for flow in &flows {
        let wanted = [flow.node(0, 0, NODES.into())];
        let takers = takers(&heard, flow.ip.id)?;
        ensure!(
            takers == wanted,
            "a flow from {} should be taken by {wanted:?}, was by {takers:?}",
            flow.ip.source
        );
    }
    Ok(())
}

fn compat_rule_of_a_64_bit_program_is_read(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    let seen = payloads(&host)?;
    let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
    let whole = blob::targets(&entries);
    ensure!(
        whole.len() == 1 && seen.len() == 1,
        "{seen:02x?}, {whole:02x?}"
    );
    ensure!(
        seen[0].len() == compat::PAYLOAD
            && seen[0][..compat::SHARED] == whole[0][32..][..compat::SHARED]
            && seen[0][compat::SHARED..] == [0; 4],
        "a 32-bit program reads {:02x?}, a 64-bit program {:02x?}",
        seen[0],
        whole[0]
    );
    Ok(())
}

fn compat_wrong_sizes_are_refused(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for size in [0, 4, 56, 64, 68, 128] {
        let mut rule = short(&Payload::default());
        rule.payload.resize(size, 0);
        let what = format!("a payload of {size} bytes");
        expect_errno(&what, install(&host, &[rule])?, libc::EINVAL)?;
        expect_no_vip(&host, VIP)?;
        ensure!(uses()? == Some(0), "{what}: {:?} uses are left", uses()?);
    }
    // The size of a 64-bit program's is the only one that such a program may send.
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
    rule.payload.truncate(compat::SHARED);
    let result = host.enter(|| blob::replace(&blob::socket()?, "filter", &[rule]))?;
    expect_errno("56 bytes from a 64-bit program", result, libc::EINVAL)
}

/// A rule as programs of both kinds send it: refused by the same error, with the same words.
fn expect_refused_alike(ctx: &mut Ctx, host: &Netns, long: Rule, short: Rule) -> Result<()> {
    ctx.log()?;
    let long = host.enter(|| blob::replace(&blob::socket()?, "filter", &[long]))?;
    let said = ctx.log()?;
    let wanted = long.err().and_then(|error| error.raw_os_error());
    let wanted = wanted.context("a bad payload was taken")?;
    expect_errno("the same", install(host, &[short])?, wanted)?;
    let again = ctx.log()?;
    ensure!(
        said == again && !said.is_empty(),
        "{said:?}, then {again:?}"
    );
    expect_no_vip(host, VIP)
}

/// What a 64-bit program is refused, a 32-bit program is refused, with the same words.
fn compat_refusals_are_the_same(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let bad = [
        Payload {
            mode: 3,
            ..Payload::default()
        },
        Payload {
            mac: [2, 0, 0, 0, 0, 1],
            ..Payload::default()
        },
        Payload::default().nodes(2, &[3]),
        Payload::joining(),
    ];
    for payload in bad {
        let long = Rule::new(VIP_ADDRESS, "eth0", &payload);
        expect_refused_alike(ctx, &host, long, short(&payload))?;
    }
    Ok(())
}

/// Beside one of revision 0: sent, read back by both kinds of program, and obeyed.
fn compat_rule_of_revision_1(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let payload = revision1::Payload::default()
        .nodes(1024, [1, 32, 33, 1024])
        .hash(4, 0x1234_5678)
        .vip(VIP_ADDRESS)
        .device("eth0");
    let rules = [
        short_of_revision_1(&payload),
        short(&Payload::joining()),
        short_of_revision_1(&revision1::Payload::joining()),
    ];
    install(&host, &rules)?.context("the rules")?;
    ensure!(host.nodes(VIP)? == "1,32,33,1024", "{}", host.nodes(VIP)?);
    ensure!(uses()? == Some(3), "three rules are {:?} uses", uses()?);

    let wanted = |rule: &Rule, size: usize| match rule.revision {
        0 => shown(rule, compat::SHARED, size),
        _ => shown(rule, revision1::SHARED, revision1::SIZE),
    };
    let seen = payloads(&host)?;
    let sent: Vec<_> = rules
        .iter()
        .map(|rule| wanted(rule, compat::PAYLOAD))
        .collect();
    ensure!(seen == sent, "sent {sent:02x?}, read back {seen:02x?}");
    let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
    let seen = payloads_of(&entries);
    let sent: Vec<_> = rules.iter().map(|rule| wanted(rule, 64)).collect();
    ensure!(
        seen == sent,
        "sent {sent:02x?}, a 64-bit program reads {seen:02x?}"
    );
    let list = host.run(&format!("{OURS} iptables-legacy -S INPUT"))?;
    ensure!(
        list.contains("--total-nodes 1024 --local-nodes 1,32,33,1024 --hash-init 305419896"),
        "iptables shows {list}"
    );
    install(&host, &[])?.context("the flush")?;
    expect_no_vip(&host, VIP)
}

fn compat_refusals_of_revision_1(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for size in [0, 60, 64, 168, 172, 180] {
        let mut rule = short_of_revision_1(&revision1::Payload::default());
        rule.payload.resize(size, 0);
        let what = format!("a payload of {size} bytes");
        expect_errno(&what, install(&host, &[rule])?, libc::EINVAL)?;
        expect_no_vip(&host, VIP)?;
    }
    for payload in [
        revision1::Payload::default().hash(6, 0),
        revision1::Payload::default().nodes(1025, [1]),
        revision1::Payload::default().vip(Ipv4Addr::new(10, 9, 0, 101)),
        revision1::Payload::joining(),
    ] {
        let long = payload.rule(Some(VIP_ADDRESS), "eth0");
        expect_refused_alike(ctx, &host, long, short_of_revision_1(&payload))?;
    }
    Ok(())
}
