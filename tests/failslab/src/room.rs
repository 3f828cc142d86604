// SPDX-License-Identifier: GPL-2.0-only

//! Where rules are tried: a namespace with a VIP's device and somebody on its cable, and what there
//! must be of a VIP for each rule, no more and no less.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::hooks;
use harness::hooks::ARP_OUT;
use harness::hooks::IPV4_PREROUTING;
use harness::module;
use harness::neighbour::Neighbour;
use harness::netns::vip_path;
use harness::packet::Mac;
use harness::Ctx;
use harness::Netns;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// How many there have been.
static ROOMS: AtomicU32 = AtomicU32::new(0);

/// The VIPs here have MACs that begin like this, each its own.
const MAC_START: [u8; 5] = [1, 0, 0x5e, 0, 1];

pub struct Room {
    pub host: Netns,
    socket: OwnedFd,
    neighbour: Neighbour,
    /// The device's own MAC.
    own: Mac,
    /// Whether defragmentation may be on for nobody. The kernel turns it on before it registers the
    /// hooks of conntrack, and leaves it on when these can't be (`nf_ct_netns_do_get()`): until the
    /// namespace ends, whoever asked. What is tried next needs a room of its own.
    pub defrag_stays: bool,
    /// Rules of `raw` that stand all the time.
    pub standing: Vec<Rule>,
}

impl Room {
    pub fn new(ctx: &mut Ctx) -> Result<Self> {
        // Rooms are many, and a program takes long to start on a debug kernel.
        for name in ["ipt_CLUSTERIP", "ip_tables", "nfnetlink_hook"] {
            if !module::is_loaded(name) {
                module::load(name)?;
            }
        }
        // The one before may not be gone yet.
        let number = ROOMS.fetch_add(1, Relaxed);
        let host = ctx.netns(&format!("room{number}"))?;
        host.ip(&format!(
            "link set lo up\nlink add eth0 type veth peer name eth1\n\
             link set eth0 up\nlink set eth1 up\naddr add {VIP}/24 dev eth0\n"
        ))?;
        ctx.log()?;
        let socket = host.enter(blob::socket)??;
        // A table is made when it is first asked for; that is not the module's business.
        for table in ["filter", "raw"] {
            blob::replace(&socket, table, &[]).with_context(|| format!("the table {table}"))?;
        }
        let neighbour = Neighbour::new(&host, "eth1")?;
        let own = neighbour.asks(VIP_ADDRESS)?;
        Ok(Self {
            host,
            socket,
            neighbour,
            own,
            defrag_stays: false,
            standing: vec![],
        })
    }

    pub fn replace(&self, table: &str, rules: &[Rule]) -> io::Result<()> {
        blob::replace(&self.socket, table, rules)
    }

    /// Puts rules into `raw` that stay.
    pub fn stand(&mut self, rules: Vec<Rule>) -> Result<()> {
        self.replace("raw", &rules)?;
        self.standing = rules;
        Ok(())
    }

    /// The nodes of each VIP that there is, by its file.
    pub fn nodes(&self) -> Result<BTreeMap<Ipv4Addr, String>> {
        self.host.enter(nodes)?
    }

    /// Checks that there is what these rules bring about, and nothing else. The VIPs have the nodes
    /// that they had, new ones those of the rules here, `1`.
    pub fn expect(
        &self,
        table: &str,
        rules: &[Rule],
        before: &BTreeMap<Ipv4Addr, String>,
    ) -> Result<()> {
        let wanted: BTreeMap<Ipv4Addr, String> = rules
            .iter()
            .chain(&self.standing)
            .map(|rule| rule.destination)
            .map(|vip| {
                let nodes = before.get(&vip).map_or("1", String::as_str);
                (vip, nodes.to_string())
            })
            .collect();
        let count = rules.len() + self.standing.len();
        ensure!(
            uses()? == Some(count as u32),
            "{count} rules should be as many uses of the module, not {:?}",
            uses()?
        );
        let some = count > 0;
        self.host.enter(|| -> Result<()> {
            let seen = nodes()?;
            ensure!(
                seen == wanted,
                "the files should be {wanted:?}, they are {seen:?}"
            );
            expect_memberships(wanted.len())?;
            expect_hook("ipt_CLUSTERIP", ARP_OUT, some)?;
            expect_hook(
                "nf_conntrack",
                IPV4_PREROUTING,
                !rules.is_empty() && table != "raw",
            )?;
            // Conntrack puts packets together, too.
            if some || !self.defrag_stays {
                expect_hook("nf_defrag_ipv4", IPV4_PREROUTING, some)?;
            }
            Ok(())
        })??;
        self.expect_answer(&wanted)
    }

    /// The first VIP is an address of the machine's, which answers for it.
    fn expect_answer(&self, vips: &BTreeMap<Ipv4Addr, String>) -> Result<()> {
        let wanted = if vips.contains_key(&VIP_ADDRESS) {
            mac(VIP_ADDRESS)
        } else {
            self.own
        };
        let seen = self.neighbour.asks(VIP_ADDRESS)?;
        ensure!(
            seen == wanted,
            "an answer by ARP should name {wanted:02x?}, not {seen:02x?}"
        );
        Ok(())
    }
}

/// What the files of the calling thread's namespace say.
fn nodes() -> Result<BTreeMap<Ipv4Addr, String>> {
    let mut nodes = BTreeMap::new();
    for entry in fs::read_dir(vip_path(""))? {
        let entry = entry?;
        let vip = entry.file_name().to_string_lossy().parse()?;
        let text = fs::read_to_string(entry.path())?;
        nodes.insert(vip, text.trim_end_matches('\n').to_string());
    }
    Ok(nodes)
}

fn expect_memberships(wanted: usize) -> Result<()> {
    let start = MAC_START.map(|byte| format!("{byte:02x}")).concat();
    let list = fs::read_to_string("/proc/thread-self/net/dev_mcast")?;
    let seen: Vec<&str> = list.lines().filter(|line| line.contains(&start)).collect();
    let once = |line: &&str| line.split_whitespace().nth(2) == Some("1");
    ensure!(
        seen.len() == wanted && seen.iter().all(once),
        "{wanted} MACs should be joined, each once, not {seen:?}"
    );
    Ok(())
}

fn expect_hook(module: &str, hook: (u8, u32), wanted: bool) -> Result<()> {
    let should = if wanted { "should" } else { "should not" };
    ensure!(
        hooks::has(module, hook)? == wanted,
        "there {should} be a hook of {module}"
    );
    Ok(())
}

/// A VIP's MAC: no two VIPs have the same, so that each allocates a membership of its own.
pub fn mac(vip: Ipv4Addr) -> Mac {
    let mut mac = [0; 6];
    mac[..5].copy_from_slice(&MAC_START);
    mac[5] = vip.octets()[3];
    mac
}
