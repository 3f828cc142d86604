// SPDX-License-Identifier: GPL-2.0-only

//! The forms that a rule may have: empty sets, joining rules, rules without `-i`, odd devices.

use crate::checks::install;
use anyhow::ensure;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::rule;
use harness::host::NEW;
use harness::tests;
use harness::Ctx;
use harness::Test;

pub fn tests() -> Vec<Test> {
    tests![
        forms_initially_empty_set,
        forms_duplicate_local_nodes,
        forms_join_without_new_d5,
        forms_second_new_d6,
        forms_altname_d22,
        forms_odd_interfaces_may_join_d12,
        forms_tunnel_cannot_carry_a_vip,
        forms_loopback_can_carry_a_vip,
        forms_interface_found_by_address,
        forms_interface_found_by_route,
        forms_interface_not_found,
        forms_everywhere_a_rule_may_stand,
    ]
}

fn forms_initially_empty_set(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for nodes in [&[][..], &[0][..]] {
        let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(2, nodes));
        install(&host, &rule)??;
        ensure!(
            host.nodes(VIP)?.is_empty(),
            "{nodes:?}: {}",
            host.nodes(VIP)?
        );
        host.expect_memberships("eth0", MAC, 1)?;
        host.tell(VIP, "+2\n")?;
        ensure!(host.nodes(VIP)? == "2");
        host.iptables("-F")?;
    }
    host.iptables(&format!(
        "-A {}",
        rule().replace("--local-node 1", "--local-node 0")
    ))?;
    ensure!(host.nodes(VIP)?.is_empty());
    ctx.expect_silence()
}

fn forms_duplicate_local_nodes(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = Rule::new(
        VIP_ADDRESS,
        "eth0",
        &Payload::default().nodes(5, &[4, 2, 4, 2]),
    );
    install(&host, &rule)??;
    ensure!(host.nodes(VIP)? == "2,4", "{}", host.nodes(VIP)?);
    Ok(())
}

fn forms_join_without_new_d5(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!(
        "-A INPUT -p tcp -d {VIP} --dport 443 -j CLUSTERIP"
    ))?;
    host.iptables(&format!(
        "-A INPUT -p tcp -d {VIP} -i eth0 --dport 22 -j CLUSTERIP"
    ))?;
    host.iptables(&format!("-t mangle -A INPUT -d {VIP} -j CLUSTERIP"))?;
    ctx.expect_silence()?;
    ensure!(host.nodes(VIP)? == "1");
    // The first rule may go: the others hold the VIP.
    host.iptables(&format!("-D {}", rule()))?;
    ensure!(host.nodes(VIP)? == "1");
    host.expect_memberships("eth0", MAC, 1)?;
    host.iptables("-F")?;
    ensure!(
        host.has_vip(VIP)?,
        "the rule in mangle does not hold the VIP"
    );
    host.iptables("-t mangle -F")?;
    expect_no_vip(&host, VIP)
}

fn forms_second_new_d6(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.tell(VIP, "+2")?;
    // The same again is nothing to speak of.
    host.iptables(&format!("-A {}", rule()))?;
    ctx.expect_silence()?;

    let other = "--hashmode sourceip-sourceport --clustermac 01:00:5e:00:00:20 --total-nodes 5 --local-node 4 --hash-init 7";
    host.iptables(&format!(
        "-A INPUT -d {VIP} -i eth1 -j CLUSTERIP --new {other}"
    ))?;
    let line = ctx.expect_line(VIP)?;
    ensure!(
        line.contains("total") && line.contains('2'),
        "what is in force is not said: {line}"
    );
    ensure!(host.nodes(VIP)? == "1,2", "the second rule changed the set");
    host.expect_memberships("eth1", MAC, 0)?;
    let mut file = std::fs::OpenOptions::new();
    expect_errno(
        "+3 of two nodes",
        std::io::Write::write(&mut host.open(VIP, file.write(true))?, b"+3"),
        libc::ENOMEM,
    )?;
    // Once in a cluster's life.
    host.iptables(&format!(
        "-A INPUT -d {VIP} -i eth1 -j CLUSTERIP --new {other}"
    ))?;
    ctx.expect_silence()?;

    let mac = rule().replace(MAC, "01:00:5e:00:00:21");
    host.fails(&format!("iptables-legacy -A {mac}"))?;
    ctx.expect_line(VIP)?;
    ensure!(host.nodes(VIP)? == "1,2");
    host.expect_memberships("eth0", "01:00:5e:00:00:21", 0)
}

fn forms_altname_d22(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    let rule_by_hand = Rule::new(VIP_ADDRESS, "public", &Payload::default());
    expect_errno(
        "a new VIP on an altname",
        install(&host, &rule_by_hand)?,
        libc::EINVAL,
    )?;
    ctx.expect_line(VIP)?;
    expect_no_vip(&host, VIP)?;

    host.iptables(&format!("-A {}", rule()))?;
    ctx.expect_silence()?;
    host.iptables(&format!("-A INPUT -d {VIP} -i public -j CLUSTERIP"))?;
    let line = ctx.expect_line(VIP)?;
    ensure!(line.contains("public"), "the name is not said: {line}");
    Ok(())
}

fn forms_odd_interfaces_may_join_d12(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    for interface in ["-i eth+", "-i +", "-i gone0", "", "! -i eth0"] {
        host.iptables(&format!("-A INPUT -d {VIP} {interface} -j CLUSTERIP"))?;
    }
    ctx.expect_silence()?;
    ensure!(host.nodes(VIP)? == "1");
    Ok(())
}

/// Its hardware address is four bytes, a membership copies as many as the device has.
fn forms_tunnel_cannot_carry_a_vip(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("addr add 192.0.2.1/24 dev eth0\nlink add tun7 type ipip local 192.0.2.1 remote 192.0.2.2\nlink set tun7 up\n")?;
    let rule = Rule::new(VIP_ADDRESS, "tun7", &Payload::default());
    expect_errno("a VIP on a tunnel", install(&host, &rule)?, libc::EINVAL)?;
    ctx.expect_line(VIP)?;
    expect_no_vip(&host, VIP)?;
    // Found by its address, it is refused as well.
    host.ip(&format!("addr add {VIP}/32 dev tun7\n"))?;
    let rule = Rule::new(VIP_ADDRESS, "", &Payload::default());
    expect_errno(
        "a VIP found on a tunnel",
        install(&host, &rule)?,
        libc::EINVAL,
    )?;
    ctx.expect_line(VIP)?;
    expect_no_vip(&host, VIP)
}

fn forms_loopback_can_carry_a_vip(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!("-A INPUT -d {VIP} -i lo {NEW}"))?;
    host.expect_memberships("lo", MAC, 1)?;
    ctx.expect_silence()?;
    host.iptables("-F")?;
    host.expect_memberships("lo", MAC, 0)
}

fn forms_interface_found_by_address(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    // The route alone would lead to eth0.
    host.ip(&format!(
        "addr add 10.9.0.1/24 dev eth0\naddr add {VIP}/32 dev eth1\naddr add {VIP}/32 dev lo\n"
    ))?;
    host.iptables(&format!("-A INPUT -d {VIP} {NEW}"))?;
    ctx.expect_silence()?;
    host.expect_memberships("eth1", MAC, 1)?;
    host.expect_memberships("eth0", MAC, 0)?;
    // It is looked up once, when the VIP is made.
    host.ip(&format!("addr del {VIP}/32 dev eth1\n"))?;
    host.iptables("-A INPUT -d 192.0.2.7 -j ACCEPT")?;
    host.expect_memberships("eth1", MAC, 1)
}

fn forms_interface_found_by_route(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("addr add 10.9.0.1/24 dev eth1\nroute add default via 10.9.0.254\n")?;
    host.iptables(&format!("-A INPUT -d {VIP} {NEW}"))?;
    ctx.expect_silence()?;
    host.expect_memberships("eth1", MAC, 1)?;
    host.expect_memberships("eth0", MAC, 0)
}

fn forms_interface_not_found(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = Rule::new(VIP_ADDRESS, "", &Payload::default());
    let mut refused = |what: &str| -> Result<()> {
        expect_errno(what, install(&host, &rule)?, libc::EINVAL)?;
        ctx.expect_refusal("Please specify an interface name", VIP)?;
        expect_no_vip(&host, VIP)?;
        host.expect_memberships("lo", MAC, 0)
    };
    refused("no address and no route")?;
    host.ip("addr add 192.0.2.1/24 dev eth0\nroute add default via 192.0.2.254\n")?;
    refused("a default route alone")?;
    host.ip("route add 10.9.0.0/24 via 192.0.2.254\n")?;
    refused("a route through a gateway")?;
    host.ip("route del default\nroute add default dev eth0\n")?;
    refused("a default route without a gateway")?;
    host.ip(&format!(
        "route del 10.9.0.0/24\naddr add {VIP}/32 dev lo\n"
    ))?;
    refused("an address of loopback's")
}

fn forms_everywhere_a_rule_may_stand(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let places = [
        ("filter", "INPUT"),
        ("filter", "FORWARD"),
        ("mangle", "PREROUTING"),
        ("mangle", "INPUT"),
        ("mangle", "FORWARD"),
        ("raw", "PREROUTING"),
        ("nat", "PREROUTING"),
        ("nat", "INPUT"),
        ("security", "INPUT"),
    ];
    for (table, chain) in places {
        let rule = rule().replace("INPUT", chain);
        host.iptables(&format!("-t {table} -A {rule}"))?;
        ensure!(host.nodes(VIP)? == "1", "{table} {chain}");
        host.iptables(&format!("-t {table} -D {rule}"))?;
        ensure!(!host.has_vip(VIP)?, "{table} {chain}: the file stays");
    }
    // A chain that nothing leads to counts too.
    host.iptables("-N unused")?;
    host.iptables(&format!("-A {}", rule().replace("INPUT", "unused")))?;
    ensure!(host.nodes(VIP)? == "1");
    ctx.expect_silence()
}
