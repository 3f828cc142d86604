// SPDX-License-Identifier: GPL-2.0-only

//! The text of `/proc/net/stat/ipt_CLUSTERIP`: one row for each VIP and number.
//!
//! Columns are found by their names in the first line, so that there may be more of them one day. What a peer sent is
//! read here too, so nothing is taken for granted.

use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// All VIPs of a network namespace, by address.
pub type Vips = BTreeMap<Ipv4Addr, Vip>;

/// One VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: Ipv4Addr,
    /// ARP answers and requests that were given the cluster's MAC.
    pub arp: u64,
    /// 1 when it was made, one more with each change of the set.
    pub generation: u64,
    /// How many numbers the cluster has.
    pub total: u32,
    /// What of a packet is hashed: a name, perhaps one that this program does not know.
    pub hashmode: String,
    /// The start value of the hash.
    pub hash_init: u32,
    /// The cluster's MAC, as the file writes it.
    pub clustermac: String,
    /// The name of the device that it follows.
    pub device: String,
    /// The device, or 0 when there is none of that name now.
    pub ifindex: u32,
    /// Its numbers, in ascending order.
    pub numbers: BTreeMap<NodeId, Number>,
}

/// What is told of one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// Whether it is this node's.
    pub mine: bool,
    /// Packets that were let through, for it was this node's.
    pub accepted: u64,
    /// Packets that were left to others.
    pub left: u64,
}

impl Vip {
    /// The numbers that are this node's.
    pub fn mine(&self) -> NodeSet {
        let mine = self.numbers.iter().filter(|(_, number)| number.mine);
        mine.map(|(node, _)| *node).collect()
    }

    /// Packets of all numbers: accepted, and left to others.
    pub fn packets(&self) -> (u64, u64) {
        sum(self.numbers.values())
    }
}

/// Packets accepted, and left to others.
pub fn sum<'a>(numbers: impl IntoIterator<Item = &'a Number>) -> (u64, u64) {
    let zero = (0u64, 0u64);
    numbers.into_iter().fold(zero, |(accepted, left), number| {
        (
            accepted.saturating_add(number.accepted),
            left.saturating_add(number.left),
        )
    })
}

/// Why a text is not of this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first line does not name this column.
    NoColumn(&'static str),
    /// This line, counted from 1, has nothing that would do in this column.
    BadField(usize, &'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColumn(name) => write!(f, "its first line names no column \"{name}\""),
            Self::BadField(line, name) => write!(f, "line {line} has no good \"{name}\""),
        }
    }
}

/// The names of the columns, as the first line has them.
const COLUMNS: [&str; 13] = [
    "vip",
    "number",
    "mine",
    "accepted",
    "left",
    "arp",
    "generation",
    "total",
    "hashmode",
    "hash_init",
    "clustermac",
    "device",
    "ifindex",
];

/// A line, with the places of the columns in it.
struct Line<'a> {
    places: &'a BTreeMap<&'static str, usize>,
    fields: Vec<&'a str>,
    number: usize,
}

impl Line<'_> {
    fn text(&self, name: &'static str) -> Result<&str, Fault> {
        let place = self.places.get(name).ok_or(Fault::NoColumn(name))?;
        let field = self.fields.get(*place).copied();
        field.ok_or(Fault::BadField(self.number, name))
    }

    fn value<T: FromStr>(&self, name: &'static str) -> Result<T, Fault> {
        let value = self.text(name)?.parse();
        value.map_err(|_| Fault::BadField(self.number, name))
    }

    /// The number of a row, and what is told of it.
    fn number(&self) -> Result<(NodeId, Number), Fault> {
        let node = NodeId::new(self.value("number")?);
        let node = node.ok_or(Fault::BadField(self.number, "number"))?;
        let number = Number {
            mine: self.value::<u8>("mine")? != 0,
            accepted: self.value("accepted")?,
            left: self.value("left")?,
        };
        Ok((node, number))
    }

    /// The VIP of a row, without its numbers.
    fn vip(&self) -> Result<Vip, Fault> {
        Ok(Vip {
            address: self.value("vip")?,
            arp: self.value("arp")?,
            generation: self.value("generation")?,
            total: self.value("total")?,
            hashmode: self.text("hashmode")?.to_owned(),
            hash_init: self.value("hash_init")?,
            clustermac: self.text("clustermac")?.to_owned(),
            device: self.text("device")?.to_owned(),
            ifindex: self.value("ifindex")?,
            numbers: BTreeMap::new(),
        })
    }
}

/// Reads the text.
///
/// Whoever may name a device may have any bytes in that name: what a terminal would obey is replaced.
pub fn parse(text: &[u8]) -> Result<Vips, Fault> {
    let text = String::from_utf8_lossy(text).replace(
        |letter: char| letter.is_control() && letter != '\n',
        "\u{fffd}",
    );
    let mut lines = (1..).zip(text.lines());
    let names: Vec<_> = lines.next().unwrap_or_default().1.split(' ').collect();
    let mut places = BTreeMap::new();
    for name in COLUMNS {
        let place = names.iter().position(|other| *other == name);
        places.insert(name, place.ok_or(Fault::NoColumn(name))?);
    }

    let mut vips = Vips::new();
    for (number, line) in lines {
        let line = Line {
            places: &places,
            fields: line.split(' ').collect(),
            number,
        };
        let vip = line.vip()?;
        let (node, number) = line.number()?;
        let vip = vips.entry(vip.address).or_insert(vip);
        vip.numbers.insert(node, number);
    }
    Ok(vips)
}
