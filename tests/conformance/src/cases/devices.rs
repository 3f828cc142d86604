// SPDX-License-Identifier: GPL-2.0-only

//! §5: a VIP is bound to its device's name.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::host::Host;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::Netns;
use std::io;

pub fn cases() -> Vec<Entry> {
    cases![
        "5" => renamed_away, renamed_back, other_takes_name, names_swapped, deleted,
            deleted_then_edited, made_again, made_again_often, moved_away, moved_back,
            moved_to_vip_of_that_name, moved_under_another_name, renamed_in_another_namespace,
            link_down, link_down_flush, own_address_changed, renamed_flush, other_takes_name_flush,
            tunnel_takes_name, tunnel_made_with_name
    ]
}

/// Replaces a table of a machine by these rules.
pub fn put(host: &Netns, table: &str, rules: &[Rule]) -> Result<io::Result<()>> {
    host.enter(|| blob::replace(&blob::socket()?, table, rules))
}

pub fn rule(interface: &str) -> Rule {
    Rule::new(VIP_ADDRESS, interface, &Payload::default())
}

/// A machine with the rule in place.
pub fn with_rule(case: &mut Case) -> Result<Host> {
    let host = case.host()?;
    put(&host, "filter", &[rule("eth0")])??;
    Ok(host)
}

/// Who hears a MAC, for how many, when all that was given to RCU is done.
pub fn hearers(namespace: &Netns, mac: &str) -> Result<String> {
    // A device that goes waits for all of RCU's callbacks (`rcu_barrier()`).
    namespace.ip("link add last0 type veth peer name last1\nlink del last0\n")?;
    let mac = mac.replace(':', "");
    let list = namespace.read("/proc/thread-self/net/dev_mcast")?;
    let mut hearers = Vec::new();
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, device, users, by_hand, address] = words[..] else {
            continue;
        };
        // A device may have shorter addresses.
        if address == mac || address.len() == 8 && mac.starts_with(address) {
            let by_hand = if by_hand == "0" { "" } else { " static" };
            hearers.push(format!("{device} {users}{by_hand}"));
        }
    }
    hearers.sort();
    Ok(match hearers.is_empty() {
        true => "nobody".to_string(),
        false => hearers.join(", "),
    })
}

pub const MAC: &str = harness::cluster::MAC;

/// Says what is there of the VIP.
pub fn look(case: &mut Case, key: &str, host: &Netns) -> Result<()> {
    let nodes = match host.has_vip(VIP)? {
        true => format!("nodes {}", host.nodes(VIP)?),
        false => "no file".to_string(),
    };
    case.saw(key, format!("{}; {nodes}", hearers(host, MAC)?));
    Ok(())
}

/// Runs lines of `ip`; devices are taken down for a new name, which older kernels want.
pub fn batch(namespace: &Netns, lines: &str) -> Result<()> {
    let mut whole = String::new();
    for line in lines.split(['\n', ';']).map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        whole += &match words[..] {
            ["link", "set", old, "name", new] => {
                format!("link set {old} down\nlink set {old} name {new}\nlink set {new} up\n")
            }
            _ => format!("{line}\n"),
        };
    }
    namespace.ip(&whole)?;
    Ok(())
}

/// Does these in turn, and says each time what is there of the VIP.
fn steps(case: &mut Case, steps: &[&str]) -> Result<()> {
    let host = with_rule(case)?;
    look(case, "at first", &host)?;
    for step in steps {
        if *step == "flush" {
            host.flush()?;
        } else {
            batch(&host, step)?;
        }
        look(case, step, &host)?;
    }
    Ok(())
}

fn renamed_away(case: &mut Case) -> Result<()> {
    steps(case, &["link set eth0 name away"])
}

fn renamed_back(case: &mut Case) -> Result<()> {
    steps(
        case,
        &["link set eth0 name away", "link set away name eth0"],
    )
}

fn other_takes_name(case: &mut Case) -> Result<()> {
    steps(
        case,
        &[
            "link set eth0 name away",
            "link set eth1 name eth0",
            "link set away name last",
        ],
    )
}

fn names_swapped(case: &mut Case) -> Result<()> {
    steps(
        case,
        &["link set eth0 name x; link set eth1 name eth0; link set x name eth1"],
    )
}

fn deleted(case: &mut Case) -> Result<()> {
    steps(case, &["link del eth0", "flush"])
}

fn deleted_then_edited(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    host.ip("link del eth0\n")?;
    host.tell(VIP, "+2")?;
    look(case, "edited", &host)?;
    host.ip("link add eth0 type veth peer name eth1\n")?;
    look(case, "made again", &host)
}

fn made_again(case: &mut Case) -> Result<()> {
    steps(
        case,
        &[
            "link del eth0",
            "link add eth0 type veth peer name eth1",
            "flush",
        ],
    )
}

fn made_again_often(case: &mut Case) -> Result<()> {
    let again = "link del eth0; link add eth0 type veth peer name eth1; ";
    steps(case, &[&again.repeat(4)])
}

fn moved_away(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let elsewhere = case.ctx.netns("elsewhere")?;
    host.ip("link set eth0 netns elsewhere\n")?;
    look(case, "where it was", &host)?;
    look(case, "where it is", &elsewhere)
}

fn moved_back(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let elsewhere = case.ctx.netns("elsewhere")?;
    host.ip("link set eth0 netns elsewhere\n")?;
    elsewhere.ip("link set eth0 netns host\n")?;
    look(case, "back", &host)
}

fn moved_to_vip_of_that_name(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let other = case.host_named("other")?;
    put(&other, "filter", &[rule("eth0")])??;
    other.tell(VIP, "+2")?;
    other.ip("link del eth0\n")?;
    host.ip("link set eth0 netns other\n")?;
    look(case, "where it was", &host)?;
    look(case, "where it is", &other)
}

fn moved_under_another_name(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let elsewhere = case.ctx.netns("elsewhere")?;
    host.ip("link set eth1 netns elsewhere name eth0\n")?;
    look(case, "its peer away", &host)?;
    batch(&host, "link set eth0 name x")?;
    elsewhere.ip("link set eth0 netns host\n")?;
    look(case, "its peer back under its name", &host)
}

fn renamed_in_another_namespace(case: &mut Case) -> Result<()> {
    let host = with_rule(case)?;
    let other = case.host_named("other")?;
    batch(
        &other,
        "link set eth0 name x\nlink set eth1 name eth0\nlink set eth0 name eth1\nlink del x\n",
    )?;
    look(case, "at the VIP's", &host)?;
    look(case, "there", &other)
}

fn link_down(case: &mut Case) -> Result<()> {
    steps(case, &["link set eth0 down", "link set eth0 up"])
}

fn link_down_flush(case: &mut Case) -> Result<()> {
    steps(case, &["link set eth0 down", "flush", "link set eth0 up"])
}

fn own_address_changed(case: &mut Case) -> Result<()> {
    steps(case, &["link set eth0 address 02:00:00:00:00:77"])
}

fn renamed_flush(case: &mut Case) -> Result<()> {
    steps(
        case,
        &[
            "link set eth0 name away",
            "flush",
            "link set away name eth0",
        ],
    )
}

fn other_takes_name_flush(case: &mut Case) -> Result<()> {
    steps(
        case,
        &["link set eth0 name x; link set eth1 name eth0", "flush"],
    )
}

/// Its hardware address has four bytes.
const TUNNEL: &str = "type ipip local 192.0.2.3 remote 192.0.2.4";

fn tunnel_takes_name(case: &mut Case) -> Result<()> {
    let tunnel =
        format!("link add tun7 {TUNNEL}; link set eth0 name away; link set tun7 name eth0");
    steps(
        case,
        &[&tunnel, "link set eth0 name tun7; link set away name eth0"],
    )
}

fn tunnel_made_with_name(case: &mut Case) -> Result<()> {
    steps(case, &["link del eth0", &format!("link add eth0 {TUNNEL}")])
}
