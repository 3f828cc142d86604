// SPDX-License-Identifier: GPL-2.0-only

//! The node that the packets come to, for one batch: its rules, and what they say of each packet.

use super::bytes::Head;
use super::generator::Config;
use super::generator::Event;
use super::generator::NODE_ADDRESS;
use super::generator::NODE_MAC;
use super::nflog;
use super::nflog::Log;
use super::nflog::Record;
use crate::host::Host;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::host::OURS;
use harness::packet;
use harness::sys;
use harness::sys::TxRing;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use harness::Netns;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// Whose packets are fences, of protocol 254; no other packet has either.
const FENCE_SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const FENCE: u8 = 254;

/// What tells the node's packets of the batch from those of its stack.
const OWN: u32 = 1;
const SO_MARK: i32 = 36;

/// How many frames are sent before what was said of them is read.
const ROUND: usize = 1000;

/// By which iptables the rules come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Legacy,
    Nft,
}

/// The namespaces go last, for all else holds on to them.
pub struct Node {
    log: Log,
    tap: Tap,
    ring: TxRing,
    out: OwnedFd,
    fence: u16,
    machine: Host,
    _wire: Netns,
}

impl Node {
    pub fn new(config: &Config, backend: Backend) -> Result<Self> {
        let wire = Netns::new("wire")?;
        let machine = Host::new(Netns::new("node1")?);
        wire.ip(
            "link add w1 type veth peer name eth0 address 02:00:00:00:00:01 netns node1\n\
             link set w1 up\n",
        )?;
        machine.ip(&format!(
            "link set lo up\nlink set eth0 up\n\
             addr add {NODE_ADDRESS}/24 dev eth0\naddr add {VIP}/24 dev eth0\n\
             route add default via 10.9.0.254\n\
             neigh replace 10.9.0.254 lladdr 02:00:00:00:01:00 dev eth0 nud permanent\n"
        ))?;
        rules(&machine, config, backend)?;
        machine.enter(|| settings(config))??;
        let log = machine.enter(Log::new)??;
        let out = machine.enter(raw_socket)??;
        let tap = Tap::new(&wire, "w1", 0)?;
        tap.expect_carrier()?;
        Ok(Self {
            log,
            tap,
            ring: Tap::new(&wire, "w1", 0)?.into_ring()?,
            out,
            fence: 0,
            machine,
            _wire: wire,
        })
    }

    /// Lets things happen, one after the other; what was said, in order.
    pub fn run(&mut self, events: &[Event]) -> Result<Vec<Record>> {
        sys::stay_on_processor(Some(0))?;
        let result = self.run_here(events);
        sys::stay_on_processor(None)?;
        result
    }

    fn run_here(&mut self, events: &[Event]) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for (number, event) in events.iter().enumerate() {
            match event {
                Event::Frame {
                    frame, paged: true, ..
                } => {
                    self.ring
                        .send(std::slice::from_ref(frame))
                        .context("sending by the ring")?;
                }
                Event::Frame { frame, .. } => self.tap.send(frame)?,
                Event::Node(packet) => {
                    let to = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
                    let sent = sys::send_packet(&self.out, packet, to);
                    // Conntrack may refuse it.
                    note(&mut records, b's', sent);
                }
                Event::Write(text) => {
                    self.settle(&mut records)?;
                    let written = self.write(text)?;
                    note(&mut records, b'w', written);
                }
            }
            if number % ROUND == ROUND - 1 {
                self.settle(&mut records)?;
            }
        }
        self.settle(&mut records)?;
        Ok(records)
    }

    fn write(&self, text: &str) -> Result<io::Result<()>> {
        let path = harness::netns::vip_path(VIP);
        self.machine.enter(|| fs::write(path, text))
    }

    /// Waits until all that was sent is through, and reads what was said: a last packet goes the same
    /// way, and the rule for it hands over at once all that was said before.
    fn settle(&mut self, records: &mut Vec<Record>) -> Result<()> {
        self.fence = self.fence.wrapping_add(1);
        let head = Head {
            tos: 0,
            ttl: 64,
            id: self.fence,
            protocol: FENCE,
            source: FENCE_SOURCE,
            destination: NODE_ADDRESS,
            options: Vec::new(),
        };
        let fence = packet::frame(NODE_MAC, CLIENT_MAC, ETH_IP, &head.packet(&[0; 8]));
        self.tap.send(&fence)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            self.log.read(records)?;
            match records.last() {
                Some(last) if last.prefix == b'f' && last.id() == self.fence => break,
                _ => {}
            }
            ensure!(
                Instant::now() < deadline,
                "the node takes no packets any more"
            );
            std::thread::yield_now();
        }
        records.pop();
        Ok(())
    }
}

/// A failure of the node itself, among what was said of packets.
fn note(records: &mut Vec<Record>, prefix: u8, result: io::Result<()>) {
    if let Err(error) = result {
        records.push(Record {
            prefix,
            connection: None,
            packet: error.raw_os_error().unwrap_or(0).to_be_bytes().to_vec(),
        });
    }
}

/// The rule of the VIP, which iptables-legacy's command line can't say: it takes totals up to 16 only. It is made by
/// hand and kept (`-n`) while the others are put round it.
fn rule_by_hand(machine: &Host, config: &Config) -> Result<()> {
    let payload = Payload {
        mode: config.mode,
        seed: config.seed,
        ..Payload::default().nodes(config.total, &config.nodes)
    };
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", &payload);
    if config.chain == "PREROUTING" {
        rule.hook = 0;
    }
    machine
        .enter(|| -> io::Result<()> { blob::replace(&blob::socket()?, config.table, &[rule]) })?
        .context("the rule of the VIP")
}

/// The same rule, as our extension takes it.
fn rule_in_words(config: &Config) -> String {
    let nodes: Vec<String> = config.nodes.iter().map(u16::to_string).collect();
    format!(
        "-d {VIP} -i eth0 -j CLUSTERIP --new --hashmode {} --clustermac {MAC} --total-nodes {} \
         --local-nodes {} --hash-init {} --vip {VIP} --dev eth0",
        MODES[config.mode as usize],
        config.total,
        if nodes.is_empty() {
            "none".to_string()
        } else {
            nodes.join(",")
        },
        config.seed,
    )
}

fn rules(machine: &Host, config: &Config, backend: Backend) -> Result<()> {
    if backend == Backend::Legacy {
        rule_by_hand(machine, config)?;
    }
    let chain = config.chain;
    let log = |letter: char| {
        format!(
            "-j NFLOG --nflog-group {} --nflog-prefix {letter}",
            nflog::GROUP
        )
    };
    let before = [
        format!(
            "-s {FENCE_SOURCE} -p {FENCE} {} --nflog-threshold 1",
            log('f')
        ),
        format!("-s {FENCE_SOURCE} -p {FENCE} -j ACCEPT"),
        format!(
            "-m conntrack --ctstate NEW,ESTABLISHED,RELATED {}",
            log('T')
        ),
        format!("-m conntrack --ctstate INVALID {}", log('I')),
        format!("-m conntrack --ctstate UNTRACKED {}", log('U')),
    ];
    let after = [
        format!("-m pkttype --pkt-type unicast {}", log('h')),
        format!("-m pkttype --pkt-type multicast {}", log('m')),
        format!("-m pkttype --pkt-type broadcast {}", log('b')),
        // A user's own marks, on some connections.
        "-s 128.0.0.0/2 -j CONNMARK --set-mark 0x99".to_string(),
        "-s 10.0.0.0/8 -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-mark 0xfedcba98"
            .to_string(),
    ];
    let mut lines = Vec::new();
    for (rule, place) in before.iter().zip(1..) {
        lines.push(format!("-I {chain} {place} {rule}\n"));
    }
    if backend == Backend::Nft {
        lines.push(format!("-A {chain} {}\n", rule_in_words(config)));
    }
    lines.extend(after.iter().map(|rule| format!("-A {chain} {rule}\n")));
    let own = format!("-m mark --mark {OWN}");
    let marks = format!("-A OUTPUT {own} -d 64.0.0.0/2 -j CONNMARK --set-mark 0x12345677\n");
    let lines = lines.concat();
    let tables = match config.table {
        "mangle" => format!("*mangle\n{marks}{lines}COMMIT\n"),
        table => format!("*mangle\n{marks}COMMIT\n*{table}\n{lines}COMMIT\n"),
    };
    let raw = format!(
        "*raw\n-A PREROUTING -s 172.31.0.0/16 -j CT --notrack\n\
         -A OUTPUT -m mark ! --mark {OWN} -j DROP\n\
         -A OUTPUT -p udp --dport 69 -j CT --helper tftp\nCOMMIT\n"
    );
    let restore = match backend {
        Backend::Legacy => "iptables-legacy-restore -w -n".to_string(),
        Backend::Nft => format!("{OURS} iptables-nft-restore -w -n"),
    };
    machine.run_with(&restore, &format!("{raw}{tables}"))?;
    Ok(())
}

/// Of the calling thread's namespace: all that can come to the chain comes, and no clock decides.
fn settings(config: &Config) -> Result<()> {
    let set = |name: &str, value: &str| {
        let path = Path::new("/proc/sys/net").join(name);
        fs::write(&path, value).with_context(|| format!("writing {}", path.display()))
    };
    for (name, value) in [
        ("ipv4/conf/all/accept_local", "1"),
        ("ipv4/conf/all/route_localnet", "1"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/eth0/accept_redirects", "0"),
        ("ipv4/ipfrag_time", "100000"),
        ("ipv4/ipfrag_high_thresh", "100000000"),
        (
            "ipv4/ip_early_demux",
            if config.early_demux { "1" } else { "0" },
        ),
        (
            "netfilter/nf_conntrack_tcp_loose",
            if config.loose { "1" } else { "0" },
        ),
    ] {
        set(name, value)?;
    }
    for entry in fs::read_dir("/proc/sys/net/netfilter")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("nf_conntrack") && name.contains("_timeout") {
            // Some are lengths of time in another unit, or switches: what is refused is none.
            let _ = set(&format!("netfilter/{name}"), "100000");
        }
    }
    Ok(())
}

/// For whole packets of the node, marked as the batch's.
fn raw_socket() -> io::Result<OwnedFd> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    sys::set_option(&socket, libc::SOL_SOCKET, SO_MARK, &OWN.to_ne_bytes())?;
    Ok(socket)
}
