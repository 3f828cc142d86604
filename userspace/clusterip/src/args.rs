// SPDX-License-Identifier: GPL-2.0-only

//! What may stand on the command line.

use crate::cluster::hash::Mode;
use crate::cluster::node::NodeSet;
use crate::cluster::node::SetError;
use crate::cluster::node::Total;
use crate::cluster::node::MAX_NODES;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "\
clusterip [ --proc DIR ] COMMAND
       clusterip status [ VIP... ] [ --interval SEC ] [ --json | --all ]
       clusterip watch [ VIP... ]
       clusterip { add | del } VIP NUMBERS
       clusterip set VIP { NUMBERS | none }
       clusterip who VIP SRC[:PORT] [ DPORT ] [ --dst ADDR ] [ --spi SPI ]
                 [ --total N --hashmode MODE [ --hash-init SEED ] ]
       clusterip check VIP PEER... [ --ssh CMD ] [ --timeout SEC ]
                 [ --peers-only ]
where  NUMBERS := 1,3-5
       MODE := { sourceip | sourceip-sourceport | sourceip-sourceport-destport |
                 destip | sourceip-destip | sourceip-spi }";

const CODES: &str = "\
Exit code: 0 done; 1 failed (check: not whole); 2 not understood (check: not all
could be asked); 3 no module; 4 no such VIP; 5 not permitted. See clusterip(8).";

/// What the VIPs of this node do, and which numbers it serves.
#[derive(Debug, Parser)]
#[command(name = "clusterip", version, override_usage = USAGE, after_help = CODES)]
#[command(disable_help_subcommand = true, max_term_width = 80)]
pub struct Args {
    /// For another namespace: /proc/PID
    #[arg(long, value_name = "DIR", default_value = "/proc", global = true)]
    pub proc: PathBuf,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the VIPs: which numbers are this node's, and what came for each
    Status(Status),
    /// Print a line whenever a set changes, or a VIP comes or goes
    Watch {
        /// Only these
        #[arg(value_name = "VIP")]
        vips: Vec<Ipv4Addr>,
    },
    /// Take numbers over
    Add(Change),
    /// Give numbers up
    Del(Change),
    /// Serve these numbers and no others
    Set(Change),
    /// Show which number a client falls to, and whether it is this node's
    Who(Who),
    /// Ask the peers over ssh whether each number is served, and by one node
    Check(Check),
    /// Print what completes its command lines
    #[command(hide = true)]
    Completion {
        /// For this shell
        shell: Shell,
    },
}

/// Of `status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Only these
    #[arg(value_name = "VIP")]
    pub vips: Vec<Ipv4Addr>,
    /// How long to look for rates; 0: totals only
    #[arg(long, value_name = "SEC", default_value = "1", value_parser = seconds)]
    pub interval: Duration,
    /// For programs: all numbers, all digits
    #[arg(long, conflicts_with = "all")]
    pub json: bool,
    /// A row for each number, however many there are
    #[arg(long)]
    pub all: bool,
}

/// Of `add`, `del` and `set`.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Of this VIP
    pub vip: Ipv4Addr,
    /// As 1,3-5; of set also none
    #[arg(value_parser = numbers)]
    pub numbers: NodeSet,
}

/// Of `who`.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// The packet is for this VIP
    pub vip: Ipv4Addr,
    /// It comes from this address, and port (0: it has none, as ping)
    #[arg(value_name = "SRC[:PORT]", value_parser = source)]
    pub source: Source,
    /// It goes to this port
    #[arg(value_name = "DPORT")]
    pub dport: Option<u16>,
    /// It is for this address, as what a firewall forwards
    #[arg(long, value_name = "ADDR")]
    pub dst: Option<Ipv4Addr>,
    /// The SPI of ESP or AH, or none if it is neither
    #[arg(long, value_name = "SPI", value_parser = spi)]
    pub spi: Option<Spi>,
    /// Don't look for the VIP here: it has so many numbers
    #[arg(long, value_name = "N", value_parser = total, requires = "hashmode")]
    pub total: Option<Total>,
    /// What is hashed
    #[arg(long, value_name = "MODE", value_parser = mode, requires = "total")]
    pub hashmode: Option<Mode>,
    /// The seed of the hash; 0 when left out
    #[arg(long, value_name = "SEED", value_parser = word, requires = "total")]
    pub hash_init: Option<u32>,
}

/// Of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Of this VIP
    pub vip: Ipv4Addr,
    /// The other nodes, as ssh takes them
    #[arg(value_name = "PEER", required = true, value_parser = peer)]
    pub peers: Vec<String>,
    /// In place of ssh; PEER and "cat FILE" follow it
    #[arg(
        long,
        value_name = "CMD",
        default_value = "ssh -o BatchMode=yes -o ConnectTimeout=5",
        hide_default_value = true
    )]
    pub ssh: String,
    /// How long a peer may take to answer
    #[arg(long, value_name = "SEC", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// This machine is no node
    #[arg(long)]
    pub peers_only: bool,
}

/// The shells that can be completed for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// As Debian has it.
    Bash,
}

/// An address and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: Ipv4Addr,
    /// The port, if it was given.
    pub port: Option<u16>,
}

/// Which SPI a packet has: perhaps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spi(pub Option<u32>);

/// A second or more, or a part of one.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().unwrap_or(f64::NAN);
    if !(0.0..=86400.0).contains(&seconds) {
        return Err("not a number of seconds, from 0 to 86400".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn numbers(text: &str) -> Result<NodeSet, String> {
    NodeSet::parse(text.as_bytes()).map_err(|error| match error {
        SetError::NotASet => "numbers are given as 1,3-5, without spaces".to_owned(),
        SetError::NoSuchNode => format!("numbers are 1 to {MAX_NODES}"),
    })
}

fn source(text: &str) -> Result<Source, String> {
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address, Some(port)),
        None => (text, None),
    };
    let bad = |_| "not an IPv4 address, with a colon and a port behind it or not".to_owned();
    let address = address.parse().map_err(|_| ()).map_err(bad)?;
    let port = port.map(str::parse).transpose();
    let port = port.map_err(|_| ()).map_err(bad)?;
    Ok(Source { address, port })
}

fn spi(text: &str) -> Result<Spi, String> {
    if text == "none" {
        return Ok(Spi(None));
    }
    word(text).map(|number| Spi(Some(number)))
}

/// As iptables takes them, but for the octal ones.
fn word(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not a number of 32 bits, as 4711 or 0x1267".to_owned())
}

fn total(text: &str) -> Result<Total, String> {
    let total = text.parse().ok().and_then(Total::new);
    total.ok_or(format!("a cluster has 1 to {MAX_NODES} numbers"))
}

fn mode(text: &str) -> Result<Mode, String> {
    let names = (0..).map_while(Mode::from_abi).map(Mode::name);
    let names: Vec<_> = names.collect();
    Mode::from_name(text.as_bytes()).ok_or(format!("there are {}", names.join(", ")))
}

/// What begins with a dash would be an option of ssh, which has some that run commands here.
fn peer(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') {
        return Err("not the name of a machine".to_owned());
    }
    Ok(text.to_owned())
}
