// SPDX-License-Identifier: GPL-2.0-only

//! What the documents about CLUSTERIP have one type, as it stands there: `iptables` is what
//! update-alternatives makes it, `ifconfig` is that of net-tools, and only VIP is filled in. One test for
//! each line. (The lines for Pacemaker's shell are tests of their own.)

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::sixty_clients;
use harness::host::program;
use harness::neighbour::Neighbour;
use harness::packet::Mac;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::net::Ipv4Addr;
use std::process::Command;

const TUTORIAL: &str = "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1";
const TUTORIAL_SEED: &str = "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1 --hash-init 1234";
const TUTORIAL_LATER: &str =
    "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 443 -j CLUSTERIP            # a later rule of the same VIP, --new left out";
const LESS: &str = "iptables -A INPUT -d VIP -i eth0 -p tcp --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:23:45:67:89:AB --total-nodes 2 --local-node 1";
const SIMPLE: &str = "iptables -I INPUT -d VIP -i eth0 -p tcp --dport 80 -j CLUSTERIP --new --clustermac 01:02:03:04:05:06 --total-nodes 2 --local-node 1 --hashmode sourceip";
const IFCONFIG: &str = "ifconfig eth0:1 VIP netmask 255.255.255.255 up";
const CAT: &str = "cat /proc/net/ipt_CLUSTERIP/VIP";
const PLUS_2: &str = r#"echo "+2" >> /proc/net/ipt_CLUSTERIP/VIP"#;
const MINUS_2: &str = r#"echo "-2" >> /proc/net/ipt_CLUSTERIP/VIP"#;
const PLUS_1: &str = r#"echo "+1" > /proc/net/ipt_CLUSTERIP/VIP"#;

/// The tutorial's.
const TUTORIAL_VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 5);
const TUTORIAL_MAC: Mac = [1, 0, 0x5e, 0, 0, 0x20];

pub fn tests() -> Vec<Test> {
    tests![
        articles_iptables_is_the_legacy_one,
        articles_tutorial_rule,
        articles_tutorial_hash_init,
        articles_tutorial_later_rule,
        articles_loadbalancer_less_rule,
        articles_loadbalancer_less_takeover,
        articles_simple_rule,
        articles_simple_ifconfig,
        articles_simple_cat,
        articles_simple_web2_crashes,
        articles_simple_web2_is_back,
    ]
}

/// Types a line into a shell; what it says. An error when it fails, or complains.
fn typed(host: &Netns, line: &str) -> Result<String> {
    let script = line.replace("VIP", VIP);
    let output = host.enter(|| Command::new("bash").args(["-c", &script]).output())??;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && error.is_empty(),
        "`{line}`: {}, {error}",
        output.status,
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Two machines on a wire, with the module loaded and its log read.
fn two_machines(ctx: &mut Ctx) -> Result<Cluster> {
    program("modprobe ipt_CLUSTERIP")?;
    ctx.log()?;
    Cluster::new(ctx, 2)
}

/// Types a line on both machines; the second one is told its own number.
fn typed_on_both(cluster: &Cluster, line: &str) -> Result<()> {
    let [first, second] = cluster.both()?;
    typed(&first.ns, line)?;
    typed(
        &second.ns,
        &line.replace("--local-node 1", "--local-node 2"),
    )?;
    Ok(())
}

/// What each machine answers by ARP for an address.
fn expect_mac(cluster: &Cluster, vip: Ipv4Addr, wanted: Mac) -> Result<()> {
    // Their OUTPUT chains do not see ARP.
    for number in 1..=cluster.nodes.len() {
        let seen = Neighbour::new(&cluster.wire, &format!("w{number}"))?.asks(vip)?;
        ensure!(
            seen == wanted,
            "machine {number} answers with {seen:02x?}, not with {wanted:02x?}"
        );
    }
    Ok(())
}

/// The tutorial's machines: both have its VIP.
fn tutorial(ctx: &mut Ctx) -> Result<Cluster> {
    let cluster = two_machines(ctx)?;
    typed_on_both(&cluster, "ip addr add 192.168.0.5/24 dev eth0")?;
    Ok(cluster)
}

/// The other machines, the first of which has the VIP and a rule for it.
fn with_rule(ctx: &mut Ctx, line: &str) -> Result<Cluster> {
    let cluster = two_machines(ctx)?;
    typed_on_both(&cluster, line)?;
    Ok(cluster)
}

fn articles_iptables_is_the_legacy_one(ctx: &mut Ctx) -> Result<()> {
    let cluster = two_machines(ctx)?;
    let [first, _] = cluster.both()?;
    let version = typed(&first.ns, "iptables -V")?;
    ensure!(version.trim_end().ends_with("(legacy)"), "{version}");
    Ok(())
}

fn articles_tutorial_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = tutorial(ctx)?;
    let page = (TUTORIAL_VIP, 80);
    sixty_clients(&cluster, page, 0, [&[1, 2], &[1, 2]]).context("without a rule")?;
    typed_on_both(&cluster, TUTORIAL)?;
    sixty_clients(&cluster, page, 0, [&[1], &[2]])?;
    expect_mac(&cluster, TUTORIAL_VIP, TUTORIAL_MAC)?;
    let [first, second] = cluster.both()?;
    for (node, number) in [(first, "1\n"), (second, "2\n")] {
        let seen = typed(&node.ns, "cat /proc/net/ipt_CLUSTERIP/192.168.0.5")?;
        ensure!(seen == number, "{number:?} became {seen:?}");
        node.ns.expect_memberships("eth0", "01:00:5e:00:00:20", 1)?;
    }
    ctx.expect_silence()
}

fn articles_tutorial_hash_init(ctx: &mut Ctx) -> Result<()> {
    let cluster = tutorial(ctx)?;
    typed_on_both(&cluster, TUTORIAL_SEED)?;
    let page = (TUTORIAL_VIP, 80);
    sixty_clients(&cluster, page, 1234, [&[1], &[2]])?;
    ensure!(
        sixty_clients(&cluster, page, 0, [&[1], &[2]]).is_err(),
        "the seed changes nothing"
    );
    ctx.expect_silence()
}

fn articles_tutorial_later_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = tutorial(ctx)?;
    typed_on_both(&cluster, TUTORIAL)?;
    let secure = (TUTORIAL_VIP, 443);
    // TCP's destination is not looked at by the first rule: no rule, no choice.
    sixty_clients(&cluster, secure, 0, [&[1, 2], &[1, 2]]).context("without the rule")?;
    typed_on_both(&cluster, TUTORIAL_LATER)?;
    sixty_clients(&cluster, secure, 0, [&[1], &[2]])?;
    sixty_clients(&cluster, (TUTORIAL_VIP, 80), 0, [&[1], &[2]])?;
    let [first, _] = cluster.both()?;
    first
        .ns
        .expect_memberships("eth0", "01:00:5e:00:00:20", 1)?;
    ctx.expect_silence()
}

fn articles_loadbalancer_less_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, LESS)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    expect_mac(&cluster, VIP_ADDRESS, [1, 0x23, 0x45, 0x67, 0x89, 0xab])?;
    for node in cluster.both()? {
        node.ns.expect_memberships("eth0", "01:23:45:67:89:ab", 1)?;
    }
    ctx.expect_silence()
}

/// The first machine dies; the survivor takes over.
fn articles_loadbalancer_less_takeover(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, LESS)?;
    let [first, second] = cluster.both()?;
    typed(&first.ns, "iptables -F INPUT; ip addr del VIP/24 dev eth0")?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[], &[2]])?;
    typed(&second.ns, PLUS_1)?;
    ensure!(typed(&second.ns, CAT)? == "1,2\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[2], &[2]])?;
    ctx.expect_silence()
}

fn articles_simple_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    expect_mac(&cluster, VIP_ADDRESS, [1, 2, 3, 4, 5, 6])?;
    ctx.expect_silence()
}

fn articles_simple_ifconfig(ctx: &mut Ctx) -> Result<()> {
    let cluster = two_machines(ctx)?;
    typed_on_both(&cluster, "ip addr del VIP/24 dev eth0")?;
    typed_on_both(&cluster, SIMPLE)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[], &[]]).context("without the address")?;
    typed_on_both(&cluster, IFCONFIG)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    expect_mac(&cluster, VIP_ADDRESS, [1, 2, 3, 4, 5, 6])?;
    let [first, _] = cluster.both()?;
    let shown = typed(&first.ns, "ip -o -4 address show label eth0:1")?;
    ensure!(shown.contains(&format!("{VIP}/32")), "{shown:?}");
    ctx.expect_silence()
}

fn articles_simple_cat(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, second] = cluster.both()?;
    for (node, wanted) in [(first, "1\n"), (second, "2\n")] {
        let seen = typed(&node.ns, CAT)?;
        ensure!(seen == wanted, "{wanted:?} became {seen:?}");
    }
    ctx.expect_silence()
}

fn articles_simple_web2_crashes(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, second] = cluster.both()?;
    typed(&second.ns, "iptables -F INPUT; ip addr del VIP/24 dev eth0")?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[]])?;
    typed(&first.ns, PLUS_2)?;
    ensure!(typed(&first.ns, CAT)? == "1,2\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[1]])?;
    ctx.expect_silence()
}

fn articles_simple_web2_is_back(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, _] = cluster.both()?;
    typed(&first.ns, PLUS_2)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[1, 2]])
        .context("web2 is back, and web1 does not know it")?;
    typed(&first.ns, MINUS_2)?;
    ensure!(typed(&first.ns, CAT)? == "1\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    ctx.expect_silence()
}
