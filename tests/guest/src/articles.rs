// SPDX-License-Identifier: GPL-2.0-only

//! What the documents about CLUSTERIP tell people to type, typed into a shell as it stands there, and
//! what Pacemaker's IPaddr2 types for them; the examples of our own manual page last.

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::sixty_clients;
use harness::host;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::program;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

pub fn tests() -> Vec<Test> {
    tests![
        articles_iptables_tutorial,
        articles_loadbalancer_less_clusters,
        articles_simple_load_balancing,
        articles_load_sharing_with_ipaddr2,
        articles_manual_page,
    ]
}

/// `iptables` meant what is now called `iptables-legacy`.
const THEN: &str = r#"iptables() { iptables-legacy "$@"; }; "#;

/// Types a line, in which VIP stands for the address; what it says. An error when it fails.
fn typed(host: &Netns, line: &str) -> Result<String> {
    typed_now(host, &format!("{THEN}{}", line.replace("VIP", VIP)))
}

/// As it stands there, on today's machine.
fn typed_now(host: &Netns, line: &str) -> Result<String> {
    let output = host.enter(|| Command::new("bash").args(["-c", line]).output())??;
    ensure!(
        output.status.success(),
        "`{line}`: {}, {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
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

fn articles_iptables_tutorial(ctx: &mut Ctx) -> Result<()> {
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 5);
    let cluster = two_machines(ctx)?;
    for (seed, line) in [
        (0, "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1"),
        (1234, "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1 --hash-init 1234"),
    ] {
        typed_on_both(&cluster, "ip addr replace 192.168.0.5/24 dev eth0")?;
        typed_on_both(&cluster, line)?;
        // A later rule of the same VIP, --new left out.
        typed_on_both(&cluster, "iptables -A INPUT -p tcp -d 192.168.0.5 --dport 443 -j CLUSTERIP")?;
        ctx.expect_silence()?;
        sixty_clients(&cluster, (VIP, 80), seed, [&[1], &[2]])?;

        let [first, second] = cluster.both()?;
        for (node, number) in [(first, "1\n"), (second, "2\n")] {
            let seen = typed(&node.ns, "cat /proc/net/ipt_CLUSTERIP/192.168.0.5")?;
            ensure!(seen == number, "{number:?} became {seen:?}");
            let saved = typed(&node.ns, "iptables -S INPUT")?;
            ensure!(saved.contains(&format!("--hash-init {seed}")), "{saved}");
        }
        typed_on_both(&cluster, "iptables -F INPUT")?;
    }
    Ok(())
}

fn articles_loadbalancer_less_clusters(ctx: &mut Ctx) -> Result<()> {
    let cluster = two_machines(ctx)?;
    typed_on_both(&cluster, "iptables -A INPUT -d VIP -i eth0 -p tcp --dport 80 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:23:45:67:89:AB --total-nodes 2 --local-node 1")?;
    let [first, second] = cluster.both()?;
    for node in [first, second] {
        node.ns.expect_memberships("eth0", "01:23:45:67:89:ab", 1)?;
    }
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    // The first one fails; the survivor takes over.
    typed(&first.ns, "ip link set eth0 down")?;
    typed(&second.ns, r#"echo "+1" > /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(typed(&second.ns, "cat /proc/net/ipt_CLUSTERIP/VIP")? == "1,2\n");
    typed(
        &first.ns,
        "ip link set eth0 up; ip route replace default via 10.9.0.254",
    )?;
    typed(&first.ns, r#"echo "-1" > /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(typed(&first.ns, "cat /proc/net/ipt_CLUSTERIP/VIP")?.is_empty());
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[2], &[2]])?;
    ctx.expect_silence()
}

fn articles_simple_load_balancing(ctx: &mut Ctx) -> Result<()> {
    let cluster = two_machines(ctx)?;
    // `ifconfig eth0:1 VIP netmask 255.255.255.255 up`, without ifconfig.
    typed_on_both(&cluster, "ip addr del VIP/24 dev eth0")?;
    typed_on_both(&cluster, "ip addr add VIP/32 dev eth0 label eth0:1")?;
    typed_on_both(&cluster, "iptables -I INPUT -d VIP -i eth0 -p tcp --dport 80 -j CLUSTERIP --new --clustermac 01:02:03:04:05:06 --total-nodes 2 --local-node 1 --hashmode sourceip")?;
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    let [first, second] = cluster.both()?;
    // web2 crashes,
    typed(&second.ns, "iptables -F INPUT; ip addr del VIP/32 dev eth0")?;
    typed(&first.ns, r#"echo "+2" >> /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(typed(&first.ns, "cat /proc/net/ipt_CLUSTERIP/VIP")? == "1,2\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[1]])?;
    // and is back.
    typed(&second.ns, "ip addr add VIP/32 dev eth0 label eth0:1; iptables -I INPUT -d VIP -i eth0 -p tcp --dport 80 -j CLUSTERIP --new --clustermac 01:02:03:04:05:06 --total-nodes 2 --local-node 2 --hashmode sourceip")?;
    typed(&first.ns, r#"echo "-2" >> /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(typed(&first.ns, "cat /proc/net/ipt_CLUSTERIP/VIP")? == "1\n");
    sixty_clients(&cluster, (VIP_ADDRESS, 80), 0, [&[1], &[2]])?;
    ctx.expect_silence()
}

/// The steps of the agent for `clusterip_hash="sourceip-sourceport"` with `clone-max="2"`
/// and `clone-node-max="2"`: this machine starts both clones and stops them again.
fn articles_load_sharing_with_ipaddr2(ctx: &mut Ctx) -> Result<()> {
    const RULE: &str = "INPUT -d VIP -i eth0 -j CLUSTERIP --new --clustermac 41:b1:80:6f:1b:f9 \
                        --total-nodes 2 --local-node LOCAL --hashmode sourceip-sourceport";
    let host = host(ctx)?;
    let serves = |number: &str| {
        typed(
            &host,
            &format!("grep -q -E '(^|,){number}(,|$)' /proc/net/ipt_CLUSTERIP/VIP"),
        )
        .is_ok()
    };
    typed(
        &host,
        &format!("iptables-legacy -I {}", RULE.replace("LOCAL", "1")),
    )?;
    typed(&host, "ip addr add VIP/24 dev eth0")?;
    ensure!(serves("1") && !serves("2"), "after the first clone's start");
    typed(&host, r#"echo "+2" > /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(serves("1") && serves("2"), "after the second clone's start");

    typed(&host, r#"echo "-1" > /proc/net/ipt_CLUSTERIP/VIP"#)?;
    ensure!(!serves("1") && serves("2"), "after the first clone's stop");
    let rest = r#"[ "x$(cat /proc/net/ipt_CLUSTERIP/VIP)" = "x" ]"#;
    ensure!(
        typed(&host, rest).is_err(),
        "a node is left, the file should say so"
    );
    typed(&host, r#"echo "-2" > /proc/net/ipt_CLUSTERIP/VIP"#)?;
    typed(&host, rest).context("the last node is gone, the file should be empty and there")?;
    // It does not know which number the rule was made with, and tries them all.
    let deleted: Vec<bool> = ["1", "2"]
        .iter()
        .map(|local| {
            typed(
                &host,
                &format!("iptables-legacy -D {}", RULE.replace("LOCAL", local)),
            )
        })
        .map(|result| result.is_ok())
        .collect();
    ensure!(
        deleted == [true, false],
        "the rule of node 1 should go, once: {deleted:?}"
    );
    ensure!(uses()? == Some(0));
    host.expect_memberships("eth0", "41:b1:80:6f:1b:f9", 0)?;
    expect_no_vip(&host, VIP)?;
    ctx.expect_silence()
}

/// The examples of our own manual page, as `scripts/check-man --examples` takes them out of it: `#` and a heading, below
/// which there are other machines; a place and a command, or `=` and a line that the command before has to say.
fn articles_manual_page(ctx: &mut Ctx) -> Result<()> {
    let file = std::env::current_exe()?.with_file_name("examples");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut machines: BTreeMap<String, Netns> = BTreeMap::new();
    let mut section = 0;
    // What an admin has exported, with our directories and the distribution's filled in.
    let mut environment = String::new();
    let mut said = String::new();
    let mut answers = 0;
    for line in text.lines() {
        let (place, what) = line.split_once('\t').context("no place and command")?;
        let node = match place {
            "=" => {
                let rest = said.strip_prefix(&format!("{what}\n"));
                said = rest
                    .with_context(|| format!("the page has {what:?}, it said {said:?}"))?
                    .to_string();
                answers += 1;
                continue;
            }
            "#" => {
                section += 1;
                continue;
            }
            "node1" | "node2" | "fw1" => {
                let name = format!("{place}-{section}");
                if !machines.contains_key(&name) {
                    machines.insert(name.clone(), host::named(ctx, &name)?);
                }
                &machines[&name]
            }
            _ => bail!("where is {place}?"),
        };
        ensure!(said.is_empty(), "the page lacks {said:?}");
        if let Some(what) = what.strip_prefix("export ") {
            let what = what
                .replace("ours", "/opt/clusterip/xtables")
                .replace("theirs", "/usr/lib/x86_64-linux-gnu/xtables");
            environment = format!("export {what}; ");
            continue;
        }
        said = typed_now(node, &format!("{environment}{what}"))?;
    }
    ensure!(said.is_empty(), "the page lacks {said:?}");
    ensure!(answers >= 6, "only {answers} answers on the page");
    for (name, vip, wanted) in [
        ("node1-1", "10.0.0.80", Some("1")),
        ("node2-1", "10.0.0.80", None),
        ("node1-2", "10.0.0.80", Some("1,2,3,4")),
        ("fw1-2", "10.0.0.1", Some("1")),
        ("fw1-2", "192.168.0.1", Some("1")),
    ] {
        let machine = machines.get(name).with_context(|| name.to_string())?;
        let seen = machine
            .has_vip(vip)?
            .then(|| machine.nodes(vip))
            .transpose()?;
        ensure!(
            seen.as_deref() == wanted,
            "{name} has {seen:?} of {vip}, should have {wanted:?}"
        );
    }
    Ok(())
}
