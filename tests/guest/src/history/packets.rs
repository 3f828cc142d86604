// SPDX-License-Identifier: GPL-2.0-only

//! Bugs on a packet's way, which the tests of that way know as well.

use crate::input;
use crate::raw;
use anyhow::Result;
use harness::cluster::Node;
use harness::flushed::grace_period;
use harness::tests;
use harness::Cluster;
use harness::Ctx;
use harness::Test;

pub fn tests() -> Vec<Test> {
    tests![
        bug_d13_line_for_each_packet,
        bug_d15_template_is_written,
        bug_2010_ports_of_the_wrong_bytes,
    ]
}

fn bug_d13_line_for_each_packet(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let result = input::no_line_per_packet(ctx, &cluster);
    rules_first(&cluster.nodes[0])?;
    result
}

fn bug_d15_template_is_written(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let result = raw::template_is_not_written(&cluster.nodes[0]);
    rules_first(&cluster.nodes[0])?;
    result
}

/// As in `machine`: a test that fails leaves its rules.
fn rules_first(node: &Node) -> Result<()> {
    for table in ["filter", "raw"] {
        node.ns.iptables(&format!("-t {table} -F"))?;
    }
    grace_period();
    Ok(())
}

/// AH gives its SPI, no port is swapped, and of ICMP nothing is hashed.
fn bug_2010_ports_of_the_wrong_bytes(ctx: &mut Ctx) -> Result<()> {
    input::input_protocol_vectors(ctx)
}
