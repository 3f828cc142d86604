// SPDX-License-Identifier: GPL-2.0-only

//! Above all: each flow is taken by exactly one node, the one that the kernel's hash names, and a
//! handover moves one share and nothing else.

use anyhow::ensure;
use anyhow::Result;
use harness::cluster::takers;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::flow::flows;
use harness::flow::Flow;
use harness::pace;
use harness::Cluster;
use harness::Ctx;
use harness::Test;

const SEED: u32 = 0xabcd_ef01;
const FLOWS: u16 = 2000;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (mode, name) in MODES.iter().enumerate() {
        for nodes in [1, 2, 3, 5, 16] {
            tests.push(Test {
                name: format!("exactly_once_{}_{nodes}", name.replace('-', "_")),
                run: Box::new(move |ctx: &mut Ctx| exactly_once(ctx, mode, nodes)),
            });
        }
    }
    tests
}

fn exactly_once(ctx: &mut Ctx, mode: usize, nodes: usize) -> Result<()> {
    let cluster = Cluster::new(ctx, nodes)?;
    cluster.rules("filter", "INPUT", MODES[mode], SEED)?;
    let flows = flows(pace::cut(FLOWS.into(), 40) as u16);
    let node = |flow: &Flow| flow.node(mode, SEED, nodes);

    verdicts(&cluster, &flows, "at first", |flow| Some(node(flow)))?;

    // The node in the middle hands its share over to the one after it.
    let leaver = nodes.div_ceil(2);
    let heir = leaver % nodes + 1;
    let share = flows.iter().filter(|flow| node(flow) == leaver).count();
    ensure!(share > 0, "node {leaver} has no share in these flows");

    cluster.nodes[leaver - 1]
        .ns
        .tell(VIP, &format!("-{leaver}\n"))?;
    verdicts(&cluster, &flows, "after -", |flow| {
        Some(node(flow)).filter(|node| *node != leaver)
    })?;

    cluster.nodes[heir - 1]
        .ns
        .tell(VIP, &format!("+{leaver}\n"))?;
    verdicts(&cluster, &flows, "after +", |flow| match node(flow) {
        node if node == leaver => Some(heir),
        node => Some(node),
    })
}

/// Floods all flows; each must be taken by the node expected and no other.
fn verdicts(
    cluster: &Cluster,
    flows: &[Flow],
    when: &str,
    expected: impl Fn(&Flow) -> Option<usize>,
) -> Result<()> {
    let packets: Vec<_> = flows.iter().map(|flow| flow.ip.bytes()).collect();
    let heard = cluster.ask(&packets)?;
    for flow in flows {
        let takers = takers(&heard, flow.ip.id)?;
        let expected: Vec<usize> = expected(flow).into_iter().collect();
        ensure!(
            takers == expected,
            "{when}: flow {} (protocol {}, from {}, ports {:02x?}) should be taken by {expected:?}, was by {takers:?}",
            flow.ip.id, flow.ip.protocol, flow.ip.source, flow.ports
        );
    }
    Ok(())
}
