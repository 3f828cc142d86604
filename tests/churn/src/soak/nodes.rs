// SPDX-License-Identifier: GPL-2.0-only

//! Three nodes and their clients' machine on one switch, and who holds which number.
//!
//! ```text
//!   namespace "client"  eth0 --- client |          | node1 --- eth0  namespace "node1"
//!      10.0.0.100 ... 10.0.0.115        |  "switch" | node2 --- eth0  "node2"    10.0.0.80 on each
//!                                       |          | node3 --- eth0  "node3"
//! ```

use anyhow::Context;
use anyhow::Result;
use harness::module;
use harness::Netns;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;

pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);
pub const PORT: u16 = 80;
pub const NODES: usize = 3;
pub const CLIENTS: u8 = 16;
/// `sourceip-sourceport`.
const MODE: u32 = 1;
const SEED: u32 = 0x5eed;

pub fn client(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 100 + number)
}

/// The number that a connection falls to, by the kernel's own hash; from 1.
pub fn number(source: Ipv4Addr, port: u16) -> usize {
    let [a, b] = port.to_be_bytes();
    let [c, d] = PORT.to_be_bytes();
    jhash::node(MODE, source.octets(), [a, b, c, d], SEED, NODES as u32) as usize
}

pub struct Node {
    pub ns: Netns,
    listener: TcpListener,
    open: Vec<TcpStream>,
}

pub struct Cluster {
    pub client: Netns,
    pub nodes: Vec<Node>,
    /// Which node has each number; both from 0.
    pub holder: [usize; NODES],
    _switch: Netns,
}

/// A request that a node answered: the connection's number.
pub type Served = usize;

impl Cluster {
    pub fn new() -> Result<Self> {
        module::load("veth bridge iptable_filter nf_conntrack ipt_CLUSTERIP")?;
        let switch = Netns::new("switch")?;
        let client = Netns::new("client")?;
        let spaces: Vec<Netns> = (1..=NODES)
            .map(|number| Netns::new(&format!("node{number}")))
            .collect::<Result<_>>()?;
        let mut lines =
            "link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up\n".to_string();
        for (end, number) in [("client", 100), ("node1", 1), ("node2", 2), ("node3", 3)] {
            lines += &format!(
                "link add {end} type veth peer name eth0 address 02:00:00:00:00:{number:02x} netns {end}\n\
                 link set {end} master br0 up\n"
            );
        }
        switch.ip(&lines)?;
        let mut lines = "link set lo up\nlink set eth0 up\n".to_string();
        for number in 0..CLIENTS {
            lines += &format!("addr add {}/24 dev eth0\n", self::client(number));
        }
        client.ip(&lines)?;
        let nodes = spaces
            .into_iter()
            .zip(1..)
            .map(|(ns, number)| Node::new(ns, number))
            .collect::<Result<_>>()?;
        Ok(Self {
            client,
            nodes,
            holder: std::array::from_fn(|number| number),
            _switch: switch,
        })
    }

    /// Gives a number to another node, as a cluster manager does: first away, then there.
    pub fn hand_over(&mut self, number: usize, to: usize) -> Result<()> {
        let from = self.holder[number];
        let vip = VIP.to_string();
        let sign = number + 1;
        self.nodes[from].ns.tell(&vip, &format!("-{sign}\n"))?;
        self.nodes[to].ns.tell(&vip, &format!("+{sign}\n"))?;
        self.holder[number] = to;
        Ok(())
    }

    /// A counter of TCP in a namespace (`/proc/net/snmp`).
    pub fn counter(ns: &Netns, name: &str) -> Result<u64> {
        let text = ns.read("/proc/thread-self/net/snmp")?;
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, values) = lines.next().zip(lines.next()).context("snmp")?;
        let at = names.split(' ').position(|word| word == name);
        let value = at.and_then(|at| values.split(' ').nth(at));
        value
            .with_context(|| format!("no {name} of TCP"))?
            .parse()
            .context("snmp")
    }
}

impl Node {
    fn new(ns: Netns, number: usize) -> Result<Self> {
        ns.ip(&format!(
            "link set lo up\nlink set eth0 up\naddr add 10.0.0.{number}/24 dev eth0\naddr add {VIP}/32 dev eth0\n"
        ))?;
        ns.iptables(&format!(
            "-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport \
             --clustermac 01:00:5e:00:00:50 --total-nodes {NODES} --local-node {number} --hash-init {SEED}"
        ))?;
        let listener = ns.enter(|| TcpListener::bind((VIP, PORT)))??;
        listener.set_nonblocking(true)?;
        Ok(Self {
            ns,
            listener,
            open: Vec::new(),
        })
    }

    /// Takes new connections, answers requests with this node's number (from 0), forgets connections that
    /// the client has ended. Does not wait for anything.
    pub fn serve(&mut self, number: usize, served: &mut impl FnMut(Served)) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.open.push(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("accept"),
            }
        }
        let mut still = Vec::new();
        for mut stream in self.open.drain(..) {
            let mut request = [0; 8];
            match stream.read(&mut request) {
                Ok(8) => {
                    served(u64::from_ne_bytes(request) as Served);
                    let answer = [&request[..], &[number as u8]].concat();
                    // A client that went away has its own word for it.
                    if stream.write_all(&answer).is_ok() {
                        still.push(stream);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => still.push(stream),
                // Ended, by a reset as a rule.
                _ => {}
            }
        }
        self.open = still;
        Ok(())
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}
