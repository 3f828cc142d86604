// SPDX-License-Identifier: GPL-2.0-only

//! A bad rule gets its error number and a line in the log that names the remedy, and leaves nothing
//! behind.

use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::program;
use harness::host::rule;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::io;
use std::net::Ipv4Addr;

pub fn tests() -> Vec<Test> {
    tests![
        checks_payload_of_wrong_size,
        checks_unknown_mode,
        checks_destination,
        checks_bad_local_nodes,
        checks_total_nodes_d1_d10,
        checks_need_new,
        checks_no_such_interface_d12,
        checks_unicast_mac,
        checks_inverted_matches_d11,
        checks_unknown_flags_mean_nothing,
        checks_names_are_cut_and_escaped,
        checks_kernel_pointer_from_userspace_is_ignored,
        checks_lines_are_rate_limited,
    ]
}

/// Gives a whole table with this one rule to the kernel.
pub fn install(host: &Netns, rule: &Rule) -> Result<io::Result<()>> {
    host.enter(|| blob::replace(&blob::socket()?, "filter", std::slice::from_ref(rule)))
}

/// A rule that must be refused with this error, and leave nothing.
pub fn refused(host: &Netns, what: &str, rule: &Rule, errno: i32) -> Result<()> {
    expect_errno(what, install(host, rule)?, errno)?;
    expect_no_vip(host, &rule.destination.to_string())?;
    ensure!(
        uses()? == Some(0),
        "{what}: the refused rule still uses the module"
    );
    Ok(())
}

fn with(change: impl FnOnce(&mut Payload)) -> Rule {
    let mut payload = Payload::default();
    change(&mut payload);
    Rule::new(VIP_ADDRESS, "eth0", &payload)
}

fn checks_payload_of_wrong_size(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for size in [0, 8, 56, 72, 128] {
        let mut rule = with(|_| ());
        rule.payload.resize(size, 0);
        refused(
            &host,
            &format!("a payload of {size} bytes"),
            &rule,
            libc::EINVAL,
        )?;
        // x_tables itself says so, before the module is asked.
        let lines = ctx.kernel_log()?;
        let line = format!(
            "x_tables: ip_tables: CLUSTERIP.0 target: invalid size 64 (kernel) != (user) {size}"
        );
        ensure!(
            lines == [line.as_str()],
            "the log should have {line:?}, it has {lines:?}"
        );
    }
    ensure!(
        !host.has_arp_hook()?,
        "the ARP hook is there without a rule"
    );
    Ok(())
}

fn checks_unknown_mode(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for mode in [3, 255, u32::MAX] {
        refused(
            &host,
            "a mode",
            &with(|payload| payload.mode = mode),
            libc::EINVAL,
        )?;
        ctx.expect_refusal(&format!("unknown mode {mode}"), VIP)?;
    }
    ensure!(
        !host.has_arp_hook()?,
        "the ARP hook is there without a rule"
    );
    Ok(())
}

fn checks_destination(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let mut rule = with(|_| ());
    for bits in [0_u32, 8, 24, 31] {
        rule.mask = (!0_u32).checked_shl(32 - bits).unwrap_or(0).into();
        refused(&host, "a network as destination", &rule, libc::EINVAL)?;
        ctx.expect_refusal("Please specify destination IP", VIP)?;
    }
    rule = with(|_| ());
    rule.destination = Ipv4Addr::UNSPECIFIED;
    refused(&host, "destination 0.0.0.0", &rule, libc::EINVAL)?;
    ctx.expect_refusal("Please specify destination IP", "0.0.0.0")
}

fn checks_bad_local_nodes(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for count in [17, 64, u16::MAX] {
        let rule = with(|payload| payload.num_local = count);
        refused(&host, "too many local nodes", &rule, libc::EINVAL)?;
        ctx.expect_refusal(&format!("bad num_local_nodes {count}"), VIP)?;
    }
    // A lone 0 is an empty set, see the forms; anywhere else it is none.
    let cases: [(&[u16], usize); 5] = [
        (&[65], 0),
        (&[u16::MAX], 0),
        (&[0, 0], 0),
        (&[1, 0], 1),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 65], 15),
    ];
    for (nodes, bad) in cases {
        let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(64, nodes));
        refused(
            &host,
            &format!("local nodes {nodes:?}"),
            &rule,
            libc::EINVAL,
        )?;
        ctx.expect_refusal(&format!("bad local_nodes[{bad}] {}", nodes[bad]), VIP)?;
    }
    Ok(())
}

fn checks_total_nodes_d1_d10(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for total in [0, 65, 256, u16::MAX] {
        refused(
            &host,
            "a total",
            &with(|payload| payload.total = total),
            libc::EINVAL,
        )?;
        ctx.expect_line(VIP)?;
    }
    for (total, node) in [(1, 2), (2, 3), (63, 64)] {
        let rule = Rule::new(
            VIP_ADDRESS,
            "eth0",
            &Payload::default().nodes(total, &[1, node]),
        );
        refused(&host, "a local node above the total", &rule, libc::EINVAL)?;
        ctx.expect_line(VIP)?;
    }
    for (total, node) in [(1, 1), (64, 64)] {
        let rule = Rule::new(
            VIP_ADDRESS,
            "eth0",
            &Payload::default().nodes(total, &[node]),
        );
        install(&host, &rule)??;
        ensure!(host.nodes(VIP)? == node.to_string());
        host.iptables("-F")?;
    }
    ctx.expect_silence()
}

fn checks_need_new(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = Rule::new(VIP_ADDRESS, "eth0", &Payload::joining().nodes(2, &[1]));
    refused(&host, "a rule without --new, alone", &rule, libc::EINVAL)?;
    ctx.expect_refusal(&format!("no config found for {VIP}, need 'new'"), VIP)?;
    // The command line sends no node at all then.
    host.fails(&format!(
        "iptables-legacy -A INPUT -d {VIP} -i eth0 -j CLUSTERIP"
    ))?;
    ctx.expect_line(VIP)?;
    expect_no_vip(&host, VIP)
}

fn checks_no_such_interface_d12(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    refused(
        &host,
        "no such device",
        &Rule::new(VIP_ADDRESS, "eth9", &Payload::default()),
        libc::ENOENT,
    )?;
    ctx.expect_refusal("no such interface eth9", VIP)?;
    for (name, mask) in [("eth+", 3), ("eth0+", 4), ("+", 0)] {
        let mut rule = Rule::new(VIP_ADDRESS, name, &Payload::default());
        rule.interface_mask = mask;
        refused(&host, &format!("-i {name}"), &rule, libc::ENOENT)?;
        ctx.expect_refusal(&format!("no such interface {name}"), VIP)?;
    }
    Ok(())
}

fn checks_unicast_mac(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for mac in [
        [0; 6],
        [2, 0, 0, 0, 0, 1],
        [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let rule = with(|payload| payload.mac = mac);
        refused(&host, "a unicast MAC", &rule, libc::EINVAL)?;
        ctx.expect_line(VIP)?;
    }
    Ok(())
}

fn checks_inverted_matches_d11(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for inverted in [blob::INV_DSTIP, blob::INV_VIA_IN] {
        let mut rule = with(|_| ());
        rule.inverted = inverted;
        refused(&host, "an inverted match", &rule, libc::EINVAL)?;
        ctx.expect_line(VIP)?;
    }
    // On a rule that joins a VIP only `! -d` is refused.
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!("-A INPUT -d {VIP} ! -i eth1 -j CLUSTERIP"))?;
    ctx.expect_silence()?;
    host.fails(&format!(
        "iptables-legacy -A INPUT ! -d {VIP} -i eth0 -j CLUSTERIP"
    ))?;
    ctx.expect_line(VIP)?;
    Ok(())
}

/// Of the flags, only the first bit means anything.
fn checks_unknown_flags_mean_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for flags in [2, 0xffff_fffe] {
        refused(
            &host,
            "not --new",
            &with(|payload| payload.flags = flags),
            libc::EINVAL,
        )?;
        ctx.expect_refusal(&format!("no config found for {VIP}, need 'new'"), VIP)?;
    }
    for flags in [3, u32::MAX] {
        install(&host, &with(|payload| payload.flags = flags))??;
        ensure!(host.nodes(VIP)? == "1");
        host.iptables("-F")?;
    }
    ctx.expect_silence()
}

fn checks_names_are_cut_and_escaped(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let mut rule = with(|_| ());
    rule.interface_mask = 16;
    rule.interface = b"abcdefghijklmnoP".to_vec();
    refused(&host, "a name of 16 bytes", &rule, libc::ENOENT)?;
    let line = ctx.expect_line(VIP)?;
    ensure!(
        line.contains("abcdefghijklmno") && !line.contains("noP"),
        "not cut at 15: {line}"
    );

    rule.interface = b"a\n\x1b\"\\\xff%s%n\x7f\0zz".to_vec();
    refused(&host, "a name of odd bytes", &rule, libc::ENOENT)?;
    let line = ctx.expect_line(VIP)?;
    let plain = line.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    ensure!(plain, "odd bytes as they are: {line:?}");
    ensure!(line.contains("%s%n"), "the name is not whole: {line:?}");
    ensure!(
        !line.contains("zz"),
        "bytes behind the name's end: {line:?}"
    );
    Ok(())
}

/// What userspace sends in the place of the kernel's pointer is nothing, and nothing comes back.
fn checks_kernel_pointer_from_userspace_is_ignored(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let rule = with(|payload| payload.config = 0xdead_beef_dead_beef);
    install(&host, &rule)??;
    let sent = rule.payload;
    let entries = host.enter(|| blob::entries(&blob::socket()?, "filter"))??;
    let at = entries
        .windows(56)
        .position(|window| window == &sent[..56])
        .ok_or_else(|| anyhow::anyhow!("the first 56 bytes do not come back as sent"))?;
    ensure!(
        entries[at + 56..at + 64] == [0; 8],
        "the kernel shows its pointer"
    );
    ensure!(host.nodes(VIP)? == "1");
    Ok(())
}

fn checks_lines_are_rate_limited(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let burst = program("sysctl -n net.core.message_burst")?
        .trim()
        .parse::<usize>()?;
    fs::write("/proc/sys/net/core/message_cost", "60")?;
    let rule = with(|payload| payload.mode = 3);
    let results: Result<Vec<_>> = (0..5 * burst).map(|_| install(&host, &rule)).collect();
    fs::write("/proc/sys/net/core/message_cost", "0")?;
    ensure!(results?.iter().all(io::Result::is_err));
    let lines = ctx.log()?.len();
    ensure!(
        (1..=burst).contains(&lines),
        "{lines} lines for {} refusals",
        5 * burst
    );
    host.expect_memberships("eth0", MAC, 0)
}
