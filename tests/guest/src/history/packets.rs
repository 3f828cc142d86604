// SPDX-License-Identifier: GPL-2.0-only

//! Bugs on a packet's way, which the tests of that way know as well.

use crate::input;
use crate::raw;
use anyhow::Result;
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
    input::input_no_line_per_packet_d13(ctx)
}

fn bug_d15_template_is_written(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    let result = raw::template_is_not_written(node);
    // The rules first: see `machine`.
    node.ns.iptables("-F")?;
    node.ns.iptables("-t raw -F")?;
    grace_period();
    result
}

/// AH gives its SPI, no port is swapped, and of ICMP nothing is hashed.
fn bug_2010_ports_of_the_wrong_bytes(ctx: &mut Ctx) -> Result<()> {
    input::input_protocol_vectors(ctx)
}
