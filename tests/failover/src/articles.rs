// SPDX-License-Identifier: GPL-2.0-only

//! What the documents about CLUSTERIP have one type, as it stands there: `iptables` is what
//! update-alternatives makes it, `ifconfig` is that of net-tools, and only VIP is filled in. One test for
//! each line. (The lines for Pacemaker's shell are tests of their own.)

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::takers;
use harness::cluster::Node;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::Flow;
use harness::host::program;
use harness::neighbour::Neighbour;
use harness::packet;
use harness::packet::Ip;
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

fn both(cluster: &Cluster) -> Result<&[Node; 2]> {
    cluster.nodes.as_slice().try_into().context("two nodes")
}

/// Types a line on both machines; the second one is told its own number.
fn typed_on_both(cluster: &Cluster, line: &str) -> Result<()> {
    let [first, second] = both(cluster)?;
    typed(&first.ns, line)?;
    typed(
        &second.ns,
        &line.replace("--local-node 1", "--local-node 2"),
    )?;
    Ok(())
}

/// Sixty clients ask for a page: each must be taken by those of the two machines that `answering` has for
/// the number that the hash gives it.
fn sixty_clients(
    cluster: &Cluster,
    (vip, port): (Ipv4Addr, u16),
    seed: u32,
    answering: [&[usize]; 2],
) -> Result<()> {
    let [high, low] = port.to_be_bytes();
    let flows: Vec<Flow> = (1..=60)
        .map(|number| {
            let source = Ipv4Addr::new(11, 1, 2, number);
            let ports = [0x9c, number, high, low];
            let segment = packet::tcp((source, vip), ports, packet::SYN);
            let mut ip = Ip::new(packet::TCP, source, vip, segment);
            ip.id = number.into();
            Flow { ip, ports }
        })
        .collect();
    let packets: Vec<Vec<u8>> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    let heard = cluster.ask(&packets)?;
    for number in [1, 2] {
        let mut share = flows
            .iter()
            .filter(|flow| flow.node(0, seed, 2) == number)
            .peekable();
        ensure!(
            share.peek().is_some(),
            "no client falls to machine {number}"
        );
        for flow in share {
            let seen = takers(&heard, flow.ip.id)?;
            let wanted = answering[number - 1];
            let source = flow.ip.source;
            ensure!(
                seen == wanted,
                "{source}, of share {number}: {wanted:?} became {seen:?}"
            );
        }
    }
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
    let [first, _] = both(&cluster)?;
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
    let [first, second] = both(&cluster)?;
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
    let [first, _] = both(&cluster)?;
    first
        .ns
        .expect_memberships("eth0", "01:00:5e:00:00:20", 1)?;
    ctx.expect_silence()
}

fn articles_loadbalancer_less_rule(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, LESS)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    expect_mac(&cluster, VIP_ADDRESS, [1, 0x23, 0x45, 0x67, 0x89, 0xab])?;
    for node in both(&cluster)? {
        node.ns.expect_memberships("eth0", "01:23:45:67:89:ab", 1)?;
    }
    ctx.expect_silence()
}

/// The first machine dies; the survivor takes over.
fn articles_loadbalancer_less_takeover(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, LESS)?;
    let [first, second] = both(&cluster)?;
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
    let [first, _] = both(&cluster)?;
    let shown = typed(&first.ns, "ip -o -4 address show label eth0:1")?;
    ensure!(shown.contains(&format!("{VIP}/32")), "{shown:?}");
    ctx.expect_silence()
}

fn articles_simple_cat(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, second] = both(&cluster)?;
    for (node, wanted) in [(first, "1\n"), (second, "2\n")] {
        let seen = typed(&node.ns, CAT)?;
        ensure!(seen == wanted, "{wanted:?} became {seen:?}");
    }
    ctx.expect_silence()
}

fn articles_simple_web2_crashes(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, second] = both(&cluster)?;
    typed(&second.ns, "iptables -F INPUT; ip addr del VIP/24 dev eth0")?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[]])?;
    typed(&first.ns, PLUS_2)?;
    ensure!(typed(&first.ns, CAT)? == "1,2\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[1]])?;
    ctx.expect_silence()
}

fn articles_simple_web2_is_back(ctx: &mut Ctx) -> Result<()> {
    let cluster = with_rule(ctx, SIMPLE)?;
    let [first, _] = both(&cluster)?;
    typed(&first.ns, PLUS_2)?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[1, 2]])
        .context("web2 is back, and web1 does not know it")?;
    typed(&first.ns, MINUS_2)?;
    ensure!(typed(&first.ns, CAT)? == "1\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    ctx.expect_silence()
}
