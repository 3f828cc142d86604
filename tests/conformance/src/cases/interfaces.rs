// SPDX-License-Identifier: GPL-2.0-only

//! §5: what a rule may name as its interface, and what it is bound to then.

use super::devices::batch;
use super::devices::look;
use super::devices::put;
use super::devices::rule;
use super::devices::with_rule;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Result;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

pub fn cases() -> Vec<Entry> {
    cases![
        "5" => altname_given, altname_becomes_name, wildcard_new, wildcard_all_new, wildcard_joins,
            no_interface_joins, gone_interface_restored, loopback, loopback_packets
    ]
}

/// Offers a first rule on an interface.
fn offer(case: &mut Case, prepare: &str, interface: &str) -> Result<()> {
    let host = case.host()?;
    if !prepare.is_empty() {
        host.ip(prepare)?;
    }
    let result = put(&host, "filter", &[rule(interface)])?;
    case.errno("errno", &result);
    case.log("log")?;
    look(case, "VIP", &host)
}

fn altname_given(case: &mut Case) -> Result<()> {
    offer(
        case,
        "link property add dev eth0 altname public\n",
        "public",
    )
}

/// It was the name's second device all along.
fn altname_becomes_name(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    put(&host, "filter", &[rule("eth0")])??;
    batch(
        &host,
        "link set eth0 name x\nlink property add dev eth1 altname eth0\n",
    )?;
    look(case, "an altname", &host)?;
    batch(
        &host,
        "link property del dev eth1 altname eth0\nlink set eth1 name eth0\n",
    )?;
    look(case, "the name", &host)
}

/// As the command line has it: the `+` is not compared.
fn wildcard(name: &str) -> Rule {
    Rule {
        interface_mask: name.len() - 1,
        ..rule(name)
    }
}

fn wildcard_new(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let result = put(&host, "filter", &[wildcard("eth+")])?;
    case.errno("errno", &result);
    case.log("log")?;
    look(case, "VIP", &host)
}

fn wildcard_all_new(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let result = put(&host, "filter", &[wildcard("+")])?;
    case.errno("errno", &result);
    case.log("log")?;
    look(case, "VIP", &host)
}

/// A further rule for a VIP that is there.
fn joins(case: &mut Case, further: Rule) -> Result<()> {
    let host = with_rule(case)?;
    let result = put(&host, "mangle", &[further])?;
    case.errno("errno", &result);
    look(case, "both rules", &host)?;
    put(&host, "filter", &[])??;
    look(case, "the further one only", &host)
}

fn wildcard_joins(case: &mut Case) -> Result<()> {
    joins(case, wildcard("eth+"))
}

fn no_interface_joins(case: &mut Case) -> Result<()> {
    joins(case, rule(""))
}

/// A table is replaced by itself while the device is not there.
fn gone_interface_restored(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    host.ip("link del eth0\n")?;
    let result = put(&host, "filter", &[rule("eth0")])?;
    case.errno("the same rule again", &result);
    look(case, "VIP", &host)?;
    put(&host, "filter", &[])??;
    let result = put(&host, "filter", &[rule("eth0")])?;
    case.errno("after a flush", &result);
    look(case, "VIP after a flush", &host)
}

fn loopback(case: &mut Case) -> Result<()> {
    offer(case, "", "lo")
}

/// A machine that speaks to its own VIP.
fn loopback_packets(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    host.ip(&format!("addr add {VIP}/32 dev lo\n"))?;
    put(&host, "filter", &[rule("lo")])??;
    let server = host.enter(|| UdpSocket::bind((VIP_ADDRESS, 9)))??;
    server.set_nonblocking(true)?;
    let mut taken = Vec::new();
    for number in 1..=8 {
        let client = host.enter(|| UdpSocket::bind((format!("127.0.1.{number}"), 0)))??;
        client.send_to(b"hello", (VIP_ADDRESS, 9))?;
        // Loopback delivers before it returns, or soon.
        thread::sleep(Duration::from_millis(20));
        taken.push(if server.recv(&mut [0; 16]).is_ok() {
            "taken"
        } else {
            "dropped"
        });
    }
    case.saw("packets", taken.join(", "));
    Ok(())
}
