// SPDX-License-Identifier: GPL-2.0-only

//! A VIP is bound to its device's name: it follows whatever device has that name.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::host::expect_no_vip;
use harness::host::host;
use harness::host::named;
use harness::host::program;
use harness::host::rule;
use harness::pace;
use harness::sys;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        devices_rename_away_and_back,
        devices_another_takes_the_name,
        devices_delete_and_create_again,
        devices_move_to_another_namespace_and_back,
        devices_down_and_up,
        devices_unfit_one_takes_the_name,
        devices_two_vips_with_one_mac,
        devices_of_another_type,
        devices_static_membership_stays,
        devices_flush_while_renamed,
        devices_deleting_is_never_held_up,
        devices_rename_of_a_running_device,
        devices_many_vips_follow_one_device,
    ]
}

/// A machine with the rule in place.
fn with_rule(ctx: &mut Ctx) -> Result<Netns> {
    let host = host(ctx)?;
    host.iptables(&format!("-A {}", rule()))?;
    host.expect_memberships("eth0", MAC, 1)?;
    Ok(host)
}

fn devices_rename_away_and_back(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    for _ in 0..3 {
        host.ip("link set eth0 name away\n")?;
        host.expect_memberships("away", MAC, 0)?;
        ensure!(host.nodes(VIP)? == "1", "the file does not stay");
        host.ip("link set away name eth0\n")?;
        host.expect_memberships("eth0", MAC, 1)?;
    }
    host.ip("link set eth0 name away\n")?;
    host.tell(VIP, "+2")?;
    host.ip("link set away name eth0\n")?;
    ensure!(host.nodes(VIP)? == "1,2");
    host.iptables("-F")?;
    expect_no_vip(&host, VIP)
}

fn devices_another_takes_the_name(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    host.ip("link set eth0 name old0\nlink set eth1 name eth0\n")?;
    host.expect_memberships("old0", MAC, 0)?;
    host.expect_memberships("eth0", MAC, 1)?;
    // The one of old is nothing to it any more.
    host.ip("link set old0 name old1\nlink set old1 down\n")?;
    host.expect_memberships("eth0", MAC, 1)?;
    host.iptables("-F")?;
    host.expect_memberships("eth0", MAC, 0)?;
    host.expect_memberships("old1", MAC, 0)
}

fn devices_delete_and_create_again(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    for _ in 0..3 {
        host.ip("link del eth0\n")?;
        ensure!(host.nodes(VIP)? == "1", "the file does not stay");
        host.ip("link add eth0 type veth peer name eth1\n")?;
        host.expect_memberships("eth0", MAC, 1)?;
        host.expect_memberships("eth1", MAC, 0)?;
    }
    host.iptables("-F")?;
    expect_no_vip(&host, VIP)
}

fn devices_move_to_another_namespace_and_back(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    let elsewhere = ctx.netns("elsewhere")?;
    host.ip("link set eth0 netns elsewhere\n")?;
    elsewhere.expect_memberships("eth0", MAC, 0)?;
    ensure!(host.nodes(VIP)? == "1", "the file does not stay");
    elsewhere.ip("link set eth0 netns host\n")?;
    host.expect_memberships("eth0", MAC, 1)?;
    // In a namespace with a VIP of its own on that name it joins there.
    let other = named(ctx, "other")?;
    other.ip("link del eth0\n")?;
    let vip = rule().replace(MAC, "01:00:5e:00:00:66");
    other.ip("link add eth0 type veth peer name eth1\n")?;
    other.iptables(&format!("-A {vip}"))?;
    other.ip("link del eth0\n")?;
    host.ip("link set eth0 netns other\n")?;
    other.expect_memberships("eth0", "01:00:5e:00:00:66", 1)?;
    other.expect_memberships("eth0", MAC, 0)
}

fn devices_down_and_up(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    host.ip("link set eth0 down\n")?;
    host.expect_memberships("eth0", MAC, 1)?;
    host.ip("link set eth0 address 02:00:00:00:00:77\nlink set eth0 up\n")?;
    host.expect_memberships("eth0", MAC, 1)?;
    host.ip("link set eth0 down\n")?;
    host.iptables("-F")?;
    expect_no_vip(&host, VIP)
}

/// A tunnel's hardware address is four bytes: it cannot hear the MAC, and is left alone.
fn devices_unfit_one_takes_the_name(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    host.ip("addr add 192.0.2.1/24 dev eth1\nlink add tun7 type ipip local 192.0.2.1 remote 192.0.2.2\n")?;
    host.ip("link set eth0 name away\nlink set tun7 name eth0\n")?;
    let list = host.read("/proc/thread-self/net/dev_mcast")?;
    ensure!(!list.contains("01005e000020"), "joined on a tunnel: {list}");
    ensure!(
        !list.contains(" 01005e00\n"),
        "joined on a tunnel, in part: {list}"
    );
    ensure!(host.nodes(VIP)? == "1");
    // A fit one again.
    host.ip("link del eth0\nlink set away name eth0\n")?;
    host.expect_memberships("eth0", MAC, 1)?;
    // One that is made with that name.
    host.ip("link del eth0\nlink add eth0 type ipip local 192.0.2.3 remote 192.0.2.4\n")?;
    let list = host.read("/proc/thread-self/net/dev_mcast")?;
    ensure!(!list.contains("01005e0000"), "joined on a tunnel: {list}");
    Ok(())
}

fn devices_two_vips_with_one_mac(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    let other = rule().replace(VIP, "10.9.0.101");
    host.iptables(&format!("-A {other}"))?;
    let list = host.run("ip maddr show dev eth0")?;
    ensure!(list.contains(&format!("{MAC} users 2")), "{list}");
    host.ip("link set eth0 name away\nlink set away name eth0\n")?;
    host.expect_memberships("eth0", MAC, 2)?;
    host.iptables(&format!("-D {}", rule()))?;
    host.expect_memberships("eth0", MAC, 1)?;
    host.iptables("-F")?;
    host.expect_memberships("eth0", MAC, 0)
}

/// A device whose addresses are of no length is in no group; of Ethernet again, it is, once for each VIP. What is not
/// ours stays as it is.
fn devices_of_another_type(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip("link del eth0\n")?;
    program("modprobe tun")?;
    let tap = host.enter(|| sys::tap("eth0"))??;
    host.ip("maddr add 01:00:5e:00:00:07 dev eth0\nlink set eth0 up\n")?;
    let other = rule().replace(VIP, "10.9.0.101");
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!("-A {other}"))?;
    host.expect_memberships("eth0", MAC, 2)?;
    for _ in 0..2 {
        host.ip("link set eth0 down\n")?;
        sys::retype(&tap, libc::ARPHRD_NONE).context("no addresses")?;
        host.expect_memberships("eth0", MAC, 0)?;
        sys::retype(&tap, libc::ARPHRD_ETHER).context("Ethernet again")?;
        host.expect_memberships("eth0", MAC, 2)?;
        host.expect_memberships("eth0", "01:00:5e:00:00:07", 1)?;
    }
    host.iptables(&format!("-D {}", rule()))?;
    host.expect_memberships("eth0", MAC, 1)?;
    host.iptables("-F")?;
    host.expect_memberships("eth0", MAC, 0)?;
    host.expect_memberships("eth0", "01:00:5e:00:00:07", 1)
}

fn devices_static_membership_stays(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.ip(&format!("maddr add {MAC} dev eth0\n"))?;
    host.iptables(&format!("-A {}", rule()))?;
    host.expect_memberships("eth0", MAC, 2)?;
    host.iptables("-F")?;
    host.expect_memberships("eth0", MAC, 1)?;
    let list = host.run("ip maddr show dev eth0")?;
    ensure!(list.contains(&format!("{MAC} static")), "{list}");
    Ok(())
}

fn devices_flush_while_renamed(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    // Its membership must not be taken from the device that has the name now.
    host.ip(&format!("link set eth0 name away\nlink set eth1 name eth0\nlink set eth0 name eth1\nmaddr add {MAC} dev eth1\n"))?;
    host.iptables("-F")?;
    host.expect_memberships("away", MAC, 0)?;
    host.expect_memberships("eth1", MAC, 1)?;
    ensure!(!host.has_vip(VIP)?);
    Ok(())
}

fn devices_deleting_is_never_held_up(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    let start = std::time::Instant::now();
    for _ in 0..5 {
        host.ip("link del eth0\nlink add eth0 type veth peer name eth1\n")?;
    }
    let took = start.elapsed();
    ensure!(
        took < pace::patience(Duration::from_secs(5)),
        "five deletions took {took:?}: who holds the device?"
    );
    host.expect_memberships("eth0", MAC, 1)
}

fn devices_rename_of_a_running_device(ctx: &mut Ctx) -> Result<()> {
    let host = with_rule(ctx)?;
    host.ip("link property add dev eth0 altname public\n")?;
    // An altname that is taken over by a rename is the device's own then.
    host.ip("link set eth0 name eth7\n")?;
    host.expect_memberships("eth7", MAC, 0)?;
    host.ip("link set eth7 name eth0\n")?;
    host.expect_memberships("eth0", MAC, 1)
}

fn devices_many_vips_follow_one_device(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let lines: Vec<String> = (1..=100)
        .map(|number| format!("-A {}\n", rule().replace(VIP, &format!("10.9.1.{number}"))))
        .collect();
    host.restore(&format!("*filter\n{}COMMIT\n", lines.concat()))?;
    host.expect_memberships("eth0", MAC, 100)?;
    host.ip("link set eth0 name away\n")?;
    host.expect_memberships("away", MAC, 0)?;
    host.ip("link set eth1 name eth0\n")?;
    host.expect_memberships("eth0", MAC, 100)?;
    host.iptables("-F")?;
    host.expect_memberships("eth0", MAC, 0)
}
