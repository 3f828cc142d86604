// SPDX-License-Identifier: GPL-2.0-only

//! Tables for `IPT_SO_SET_REPLACE`: sound ones of generated rules, and the same with their sizes,
//! offsets, names and counts changed.

use crate::input::Input;
use crate::revision1;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::MAC_BYTES;
use std::net::Ipv4Addr;

pub const TABLES: [&str; 5] = ["filter", "mangle", "raw", "nat", "security"];
/// Where the two VIPs are decided that packets are judged by; see [`Steady`].
pub const STEADY: [&str; 2] = ["raw", "mangle"];
pub const VIPS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 100), Ipv4Addr::new(10, 9, 0, 101)];
pub const DEVICES: [&str; 12] = [
    "eth0",
    "eth1",
    "lo",
    "peer1",
    "dum0",
    "dum1",
    "br0",
    "public",
    "a_15_byte_name_",
    "eth+",
    "nobody",
    "",
];

/// `struct ipt_replace`, without the entries.
pub const HEADER: usize = 96;
const ENTRY: usize = 112;
const RETURN: i32 = -5;
const ACCEPT: i32 = -2;
const DROP: i32 = -1;

/// A VIP whose rule stays, with a rule behind it that counts what passes. It is the first of its
/// table's PREROUTING, so that a packet is counted before anything generated can drop it.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    pub vip: Ipv4Addr,
    pub mode: u32,
    pub seed: u32,
    pub total: u16,
}

impl Steady {
    fn rule(&self) -> Vec<u8> {
        let payload = Payload {
            mode: self.mode,
            seed: self.seed,
            ..Payload::default()
        };
        let half: Vec<u16> = (1..=self.total.min(32)).step_by(2).collect();
        let mut rule = Rule::new(self.vip, "eth0", &payload.nodes(self.total, &half));
        rule.hook = 0;
        rule.entry()
    }

    fn count(&self) -> Vec<u8> {
        let rule = Rule::new(self.vip, "eth0", &Payload::default());
        blob::entry(rule.entry()[..84].to_vec(), &blob::target("", &[0; 8]))
    }
}

/// Entries of one chain or more, one after the other, with the places where others lead.
pub struct Layout {
    pub table: String,
    pub hooks: u32,
    pub heads: [u32; 5],
    pub policies: [u32; 5],
    pub entries: Vec<Vec<u8>>,
}

impl Layout {
    /// A table of these rules, after the steady one if it has one; sound.
    pub fn new(table: &str, steady: Option<&Steady>, input: &mut Input, rules: usize) -> Self {
        let mut layout = Self {
            table: table.to_string(),
            hooks: blob::hooks(table),
            heads: [0; 5],
            policies: [0; 5],
            entries: Vec::new(),
        };
        let hooks: Vec<usize> = (0..5)
            .filter(|hook| layout.hooks & (1 << hook) != 0)
            .collect();
        let rules: Vec<(usize, Vec<u8>)> = (0..rules)
            .map(|_| (input.pick(&hooks), entry(input)))
            .collect();
        let chains = if input.one_in(3) { input.below(4) } else { 0 };
        let mut jumps = Vec::new();
        for hook in hooks {
            layout.heads[hook] = layout.size();
            if let Some(steady) = steady.filter(|_| hook == 0) {
                layout.entries.push(steady.rule());
                layout.fall_through(steady.count());
            }
            for (_, rule) in rules.iter().filter(|(place, _)| *place == hook) {
                layout.entries.push(rule.clone());
            }
            if chains > 0 && input.one_in(2) {
                jumps.push((layout.entries.len(), input.below(chains)));
                layout.entries.push(standard(0));
            }
            layout.policies[hook] = layout.size();
            layout.entries.push(standard(ACCEPT));
        }
        let starts: Vec<u32> = (0..chains).map(|_| layout.chain(input)).collect();
        for (at, chain) in jumps {
            layout.entries[at] = standard(starts[chain] as i32);
        }
        layout.entries.push(error("ERROR"));
        layout
    }

    fn chain(&mut self, input: &mut Input) -> u32 {
        self.entries.push(error("own"));
        let start = self.size();
        for _ in 0..input.below(3) {
            self.entries.push(entry(input));
        }
        if input.one_in(4) {
            self.entries.push(standard(input.pick(&[DROP, RETURN])));
        }
        self.entries.push(standard(RETURN));
        start
    }

    /// An entry that counts and lets the next one have the packet: it leads to where it ends.
    fn fall_through(&mut self, mut entry: Vec<u8>) {
        let next = self.size() + entry.len() as u32;
        entry[ENTRY + 32..ENTRY + 36].copy_from_slice(&next.to_ne_bytes());
        self.entries.push(entry);
    }

    fn size(&self) -> u32 {
        self.entries.iter().map(|entry| entry.len() as u32).sum()
    }

    /// What is handed to the kernel, but for the counters' number and address, which are zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.table.as_bytes().to_vec();
        bytes.resize(32, 0);
        for word in [self.hooks, self.entries.len() as u32, self.size()] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in self.heads.iter().chain(&self.policies) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.resize(HEADER, 0);
        bytes.extend(self.entries.concat());
        bytes
    }

    /// Where each entry starts in [`bytes`](Self::bytes).
    fn starts(&self) -> Vec<usize> {
        let mut at = HEADER;
        self.entries
            .iter()
            .map(|entry| {
                at += entry.len();
                at - entry.len()
            })
            .collect()
    }

    /// The bytes with something changed that their reader has to notice.
    pub fn changed(&self, input: &mut Input) -> Vec<u8> {
        let mut bytes = self.bytes();
        let starts = self.starts();
        for _ in 0..=input.below(3) {
            let start = input.pick(&starts);
            // Flags, target_offset, next_offset, a target's size, name, revision and payload.
            let (at, width) = match input.below(12) {
                0 => (start + 82, 1),
                1 => (start + 88, 2),
                2 => (start + 90, 2),
                3 => (start + ENTRY, 2),
                4 => (start + ENTRY + 2 + input.below(29), 1),
                5 => (start + ENTRY + 31, 1),
                6 => (start + ENTRY + 32 + 4 * input.below(16), 4),
                // The hooks, the counts, the chains' places.
                7 => (32 + 4 * input.below(3), 4),
                8 => (44 + 4 * input.below(10), 4),
                9 => (input.below(32), 1),
                10 => (start + input.below(ENTRY), 1),
                _ => (HEADER + input.below(bytes.len() - HEADER), 1),
            };
            let value = if input.one_in(2) {
                let nearby = input.pick(&[1_u32, 4, 8, 16, 112, 0xffff_ffff, 0xffff_fff8]);
                word(&bytes, at, width).wrapping_add(nearby)
            } else {
                input.odd_number()
            };
            if let Some(place) = bytes.get_mut(at..at + width) {
                place.copy_from_slice(&value.to_ne_bytes()[..width]);
            }
        }
        match input.below(8) {
            0 => bytes.truncate(input.below(bytes.len() + 1)),
            1 => {
                let more = input.below(200);
                bytes.extend(input.bytes(more));
            }
            // An entry twice, or one less; sizes as they were.
            2 => {
                let at = input.pick(&starts);
                let copy = bytes.get(at..at + 208).unwrap_or(&[]).to_vec();
                let at = at.min(bytes.len());
                bytes.splice(at..at, copy);
            }
            3 => {
                let at = input.pick(&starts).min(bytes.len());
                let end = (at + 208).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {}
        }
        bytes
    }
}

fn word(bytes: &[u8], at: usize, width: usize) -> u32 {
    let mut word = [0; 4];
    if let Some(place) = bytes.get(at..at + width) {
        word[..width].copy_from_slice(place);
    }
    u32::from_ne_bytes(word)
}

fn standard(verdict: i32) -> Vec<u8> {
    let payload = [verdict.to_ne_bytes(), [0; 4]].concat();
    blob::entry(vec![0; 84], &blob::target("", &payload))
}

fn error(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    name.resize(32, 0);
    blob::entry(vec![0; 84], &blob::target("ERROR", &name))
}

/// An entry with the target, or now and then with another.
fn entry(input: &mut Input) -> Vec<u8> {
    if input.one_in(24) {
        return standard(input.pick(&[DROP, RETURN, ACCEPT]));
    }
    let mut entry = rule(input).entry();
    if input.one_in(12) {
        let name = input.pick(&["MARK", "CLUSTERIP2", "CLUSTERI", "DNAT", "CT", "clusterip"]);
        let mut field = name.as_bytes().to_vec();
        field.resize(29, 0);
        entry[ENTRY + 2..ENTRY + 31].copy_from_slice(&field);
    }
    entry
}

pub fn vip(input: &mut Input) -> Ipv4Addr {
    match input.below(16) {
        0..=4 => VIPS[0],
        5..=7 => VIPS[1],
        15 => input.pick(&[
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::LOCALHOST,
            Ipv4Addr::new(224, 0, 0, 18),
            Ipv4Addr::new(0, 0, 0, 1),
            Ipv4Addr::new(255, 255, 255, 254),
        ]),
        number => Ipv4Addr::new(10, 9, 0, 94 + number as u8),
    }
}

pub fn payload(input: &mut Input) -> Payload {
    let total = input.pick(&[1, 2, 3, 8, 16, 64]);
    let mut payload = Payload::default().nodes(total, &[1]);
    payload.mode = input.below(3) as u32;
    payload.seed = input.long();
    if input.one_in(12) {
        payload.flags = input.pick(&[0, 2, 3, u32::MAX, 0x8000_0001]);
    }
    if input.one_in(6) {
        payload = Payload::joining();
    }
    if input.one_in(8) {
        payload.mac = [input.byte(), 0, 0x5e, 0, 0, input.byte()];
    } else if input.one_in(16) {
        payload.mac = MAC_BYTES.map(|byte| byte ^ ((input.byte() & 1) << 1));
    }
    let changes = if input.one_in(6) {
        1 + input.below(2)
    } else {
        0
    };
    for _ in 0..changes {
        let number = input.odd_number();
        match input.below(6) {
            0 => payload.total = number as u16,
            1 => payload.num_local = number as u16,
            2 => payload.local[input.below(16)] = number as u16,
            3 => payload.mode = number,
            4 => payload.flags ^= number,
            _ => payload.config = input.quad(),
        }
    }
    payload
}

pub fn device(input: &mut Input) -> &'static str {
    match input.below(4) {
        3 => input.pick(&DEVICES),
        number => ["eth0", "eth0", "lo"][number],
    }
}

fn rule(input: &mut Input) -> Rule {
    let mut rule = if input.one_in(3) {
        revision1::rule(input)
    } else {
        Rule::new(vip(input), device(input), &payload(input))
    };
    if input.one_in(24) {
        rule.mask = Ipv4Addr::from(input.pick(&[0, 0xffff_ff00, 0xffff_fffe, 0x7fff_ffff]));
    }
    if input.one_in(16) {
        rule.inverted = input.byte();
    }
    if input.one_in(24) {
        rule.interface_mask = input.below(17);
        let length = input.below(17);
        rule.interface = input.bytes(length);
    }
    if input.one_in(16) {
        rule.source = input.long().into();
        rule.source_mask = input.long().into();
        rule.out_interface = input.pick(&DEVICES).as_bytes().to_vec();
        rule.protocol = input.word();
    }
    if input.one_in(24) {
        rule.revision = input.pick(&[1, 255]);
    }
    if input.one_in(16) {
        let length = input.pick(&[0, 8, 48, 56, 72, 128, 168, 184, 1024, 4096]);
        rule.payload.resize(length, 0xa5);
    }
    rule
}
