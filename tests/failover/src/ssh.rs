// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip check`, which asks by ssh: on three nodes with sshd, as somebody at a node's shell types it.

use crate::network::Network;
use crate::network::NODES;
use crate::network::VIP;
use crate::node::log;
use crate::node::Node;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::eventually;
use harness::host::program;
use harness::tests;
use harness::Ctx;
use harness::Test;
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpStream;

const SCRIPT: &str = "node-ssh.sh";
const HEADLINE: &str = "10.0.0.80: 3 numbers, sourceip, seed 0, 01:00:5E:00:00:50\n";

pub fn tests() -> Vec<Test> {
    tests![
        ssh_check_finds_holes_and_doubles,
        ssh_check_when_peers_do_not_answer,
        ssh_check_without_the_module,
    ]
}

/// Three nodes that can be reached.
fn up(ctx: &mut Ctx) -> Result<(Network, Vec<Node>)> {
    program("modprobe ipt_CLUSTERIP")?;
    ctx.log()?;
    let network = Network::new(ctx)?;
    let mut nodes = Vec::new();
    for number in 1..=NODES {
        let node = Node::start(ctx, &network, number, SCRIPT)?;
        eventually("a node with sshd", || {
            let connected = network
                .client
                .enter(|| TcpStream::connect((address(number), 22)))?;
            Ok(connected.is_ok() && node.numbers()?.is_some())
        })
        .with_context(|| fs::read_to_string(log(number, "sshd")).unwrap_or_default())?;
        nodes.push(node);
    }
    Ok((network, nodes))
}

fn address(number: usize) -> String {
    format!("10.0.0.{number}")
}

/// Types a line at the first node's shell; the exit code, and what it says. Lines that it complains in come last.
fn typed(nodes: &[Node], line: &str) -> Result<(i32, String)> {
    let first = nodes.first().context("a node")?;
    let path = "PATH=/opt/clusterip:/usr/sbin:/usr/bin:/sbin:/bin";
    let script = format!("{path}; {line}");
    let output = first.ns.output("bash", &script)?;
    let code = output.status.code().context("it was killed")?;
    let said = String::from_utf8(output.stdout)? + std::str::from_utf8(&output.stderr)?;
    Ok((code, said))
}

fn expect(nodes: &[Node], line: &str, code: i32, wanted: &str) -> Result<()> {
    let seen = typed(nodes, line)?;
    ensure!(
        seen == (code, wanted.into()),
        "`{line}`: {seen:?}, should be {:?}",
        (code, wanted)
    );
    Ok(())
}

fn ssh_check_finds_holes_and_doubles(ctx: &mut Ctx) -> Result<()> {
    let (_network, nodes) = up(ctx)?;
    let check = format!("clusterip check {VIP} node2 node3");
    let whole = "  here   1\n  node2  2\n  node3  3\nwhole: each number is served, by one node\n";
    expect(&nodes, &check, 0, &format!("{HEADLINE}{whole}"))?;

    nodes[2].ns.tell(VIP, "-3\n")?;
    typed(&nodes, &format!("clusterip add {VIP} 2"))?;
    let torn = "  here   1,2\n  node2  2\n  node3  none\nnobody serves 3\n\
                here and node2 serve 2 all at once\n";
    expect(&nodes, &check, 1, &format!("{HEADLINE}{torn}"))?;
    let peers = "  node2  2\n  node3  none\nnobody serves 1,3\n";
    let line = format!("{check} --peers-only");
    expect(&nodes, &line, 1, &format!("{HEADLINE}{peers}"))?;

    // Each number with one node again.
    typed(
        &nodes,
        &format!("clusterip del {VIP} 2; ssh node3 /opt/clusterip/clusterip add {VIP} 3"),
    )?;
    expect(&nodes, &check, 0, &format!("{HEADLINE}{whole}"))?;
    ctx.expect_silence()
}

fn ssh_check_when_peers_do_not_answer(ctx: &mut Ctx) -> Result<()> {
    let (network, mut nodes) = up(ctx)?;
    nodes[1].signal("sshd", Signal::SIGKILL)?;
    nodes.pop().context("a node")?.crash(&network)?;
    let (code, said) = typed(&nodes, &format!("clusterip check {VIP} node2 node3"))?;
    let refused =
        "  node2  could not be asked: ssh: connect to host node2 port 22: Connection refused\n";
    let dead = "  node3  could not be asked: ssh: connect to host node3 port 22: ";
    ensure!(
        code == 2 && said.contains(refused) && said.contains(dead),
        "{code}: {said}"
    );
    ensure!(
        said.ends_with("nobody serves 2,3 (perhaps node2 or node3)\n"),
        "{said}"
    );
    // A key that is not known there: nobody is asked for a password.
    let line = format!(
        "clusterip check {VIP} node1 --peers-only --ssh 'ssh -o BatchMode=yes -o IdentitiesOnly=yes -i /dev/null'"
    );
    let (code, said) = typed(&nodes, &line)?;
    ensure!(
        code == 2
            && said.contains("node1  could not be asked: ")
            && said.contains("Permission denied"),
        "{code}: {said}"
    );
    Ok(())
}

fn ssh_check_without_the_module(ctx: &mut Ctx) -> Result<()> {
    let (_network, nodes) = up(ctx)?;
    nodes[1].ns.run("iptables-legacy -F INPUT")?;
    let none = "  here   1\n  node2  has no such VIP\n  node3  3\nnode2 has no such VIP\nnobody serves 2\n";
    let line = format!("clusterip check {VIP} node2 node3");
    expect(&nodes, &line, 1, &format!("{HEADLINE}{none}"))?;
    for node in [&nodes[0], &nodes[2]] {
        node.ns.run("iptables-legacy -F INPUT")?;
    }
    program("rmmod ipt_CLUSTERIP")?;
    let none = "10.0.0.80: nobody has it\n  node2  has not loaded the module\n\
                node2 has not loaded the module\n";
    expect(
        &nodes,
        &format!("clusterip check {VIP} node2 --peers-only"),
        1,
        none,
    )
}
