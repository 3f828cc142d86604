// SPDX-License-Identifier: GPL-2.0-only

//! Network namespaces, and the user namespaces that own them.

use crate::module::reload;
use anyhow::ensure;
use anyhow::Result;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::eventually;
use harness::expect_errno;
use harness::holder::Holder;
use harness::host::host;
use harness::host::named;
use harness::host::program;
use harness::host::rule;
use harness::host::NEW;
use harness::tests;
use harness::Ctx;
use harness::Test;
use std::fs;
use std::io::Read;

pub fn tests() -> Vec<Test> {
    tests![
        namespaces_same_vip_with_two_macs,
        namespaces_end_with_rules_loaded_before_the_tables,
        namespaces_end_with_rules_loaded_after_the_tables,
        namespaces_many_end_with_rules,
        namespaces_owner_with_map_written_before,
        namespaces_owner_with_map_written_after,
    ]
}

fn namespaces_same_vip_with_two_macs(ctx: &mut Ctx) -> Result<()> {
    let one = host(ctx)?;
    let two = named(ctx, "other")?;
    let other = "01:00:5e:00:00:66";
    one.iptables(&format!("-A {}", rule()))?;
    two.iptables(&format!(
        "-A {}",
        rule().replace(MAC, other).replace("node 1", "node 2")
    ))?;
    ctx.expect_silence()?;
    one.expect_memberships("eth0", MAC, 1)?;
    two.expect_memberships("eth0", other, 1)?;
    one.expect_memberships("eth0", other, 0)?;
    ensure!(one.nodes(VIP)? == "1" && two.nodes(VIP)? == "2");
    one.tell(VIP, "+2")?;
    ensure!(one.nodes(VIP)? == "1,2" && two.nodes(VIP)? == "2");
    one.iptables("-F")?;
    ensure!(!one.has_vip(VIP)? && two.nodes(VIP)? == "2");
    ensure!(!one.has_arp_hook()? && two.has_arp_hook()?);
    two.expect_memberships("eth0", other, 1)
}

pub fn namespaces_end_with_rules_loaded_before_the_tables(ctx: &mut Ctx) -> Result<()> {
    reload(&[
        "ipt_CLUSTERIP",
        "iptable_filter",
        "iptable_mangle",
        "iptable_raw",
        "iptable_nat",
    ])?;
    end_with_rules(ctx)
}

pub fn namespaces_end_with_rules_loaded_after_the_tables(ctx: &mut Ctx) -> Result<()> {
    reload(&[
        "iptable_filter",
        "iptable_mangle",
        "iptable_raw",
        "iptable_nat",
        "ipt_CLUSTERIP",
    ])?;
    end_with_rules(ctx)
}

fn end_with_rules(ctx: &mut Ctx) -> Result<()> {
    for _ in 0..3 {
        let host = host(ctx)?;
        let new = NEW.replace("sourceip", "sourceip-sourceport");
        host.restore(&format!(
            "*filter\n-A {}\n-A INPUT -d 10.9.0.101 -i eth0 {NEW}\n-A INPUT -d 10.9.0.102 -i lo {NEW}\nCOMMIT\n\
             *mangle\n-A {}\n-A PREROUTING -d 10.9.0.103 -i eth1 {NEW}\nCOMMIT\n\
             *raw\n-A PREROUTING -d 10.9.0.104 -i eth1 {new}\nCOMMIT\n\
             *nat\n-A INPUT -d 10.9.0.105 -i eth1 {new}\nCOMMIT\n",
            rule(),
            rule()
        ))?;
        ensure!(uses()? == Some(7), "{:?} uses", uses()?);
        let mut options = fs::OpenOptions::new();
        let mut file = host.open(VIP, options.read(true).write(true))?;
        drop(host);
        eventually("the namespace's rules gone", || Ok(uses()? == Some(0)))?;
        expect_errno(
            "reading a file of an ended namespace",
            file.read(&mut [0; 8]),
            libc::EIO,
        )?;
        ctx.expect_silence()?;
    }
    Ok(())
}

fn namespaces_many_end_with_rules(ctx: &mut Ctx) -> Result<()> {
    let hosts = (0..10)
        .map(|number| {
            let host = named(ctx, &format!("host{number}"))?;
            host.iptables(&format!("-A {}", rule()))?;
            Ok(host)
        })
        .collect::<Result<Vec<_>>>()?;
    ensure!(uses()? == Some(10), "{:?} uses", uses()?);
    drop(hosts);
    eventually("all rules gone", || Ok(uses()? == Some(0)))
}

/// The namespace's own root reads, writes and gives away the VIP's file.
fn owner(ctx: &mut Ctx, holder: &Holder, enter: &[&str]) -> Result<()> {
    let file = format!("/proc/net/ipt_CLUSTERIP/{VIP}");
    let said = holder.script(
        enter,
        &format!(
            "ip link add eth0 type veth peer name eth1\n\
             iptables-legacy -A {}\n\
             stat -c %u:%g:%a /proc/net/ipt_CLUSTERIP {file}\n\
             cat {file}\necho +2 >{file}\ncat {file}\n\
             chown 7:9 {file}\nstat -c %u:%g:%a {file}\n",
            rule()
        ),
    )?;
    let wanted = "0:0:555\n0:0:600\n1\n1,2\n7:9:600\n";
    ensure!(said == wanted, "inside should be {wanted:?}, is {said:?}");
    ctx.expect_silence()
}

fn user_namespaces(ctx: &mut Ctx) -> Result<()> {
    program("modprobe -a ipt_CLUSTERIP iptable_filter veth")?;
    ctx.log()?;
    Ok(())
}

fn namespaces_owner_with_map_written_before(ctx: &mut Ctx) -> Result<()> {
    user_namespaces(ctx)?;
    let holder = Holder::new("-U")?;
    owner(ctx, &holder, &["-U", "--", "unshare", "-n", "--"])
}

fn namespaces_owner_with_map_written_after(ctx: &mut Ctx) -> Result<()> {
    user_namespaces(ctx)?;
    let holder = Holder::new("-Un")?;
    owner(ctx, &holder, &["-U", "-n", "--"])
}
