// SPDX-License-Identifier: GPL-2.0-only

//! What a generated packet is about, and what became of such packets: what must occur, did.

use super::nflog::Record;
use std::ops::BitOr;

/// A set of the names below.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags(u64);

impl BitOr for Tags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What must have become of a kind of packet at least once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    /// Taken, and refused.
    Both,
    /// Refused, whatever the node.
    Refused,
    /// Put on the wire; the stack refuses it before any rule.
    Sent,
}

macro_rules! tags {
    ($($tag:ident $name:literal $must:ident,)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($tag),+ }
        $(pub const $tag: Tags = Tags(1 << Place::$tag as u64);)+
        const NAMES: &[(&str, Must)] = &[$(($name, Must::$must)),+];
    };
}

tags! {
    TCP "tcp" Both,
    UDP "udp" Both,
    UDP_LITE "udp-lite" Both,
    DCCP "dccp" Both,
    SCTP "sctp" Both,
    ESP "esp" Both,
    AH "ah" Both,
    ICMP "icmp" Both,
    IGMP "igmp" Both,
    GRE "gre" Both,
    IPIP "ipip" Both,
    P253 "protocol 253" Both,
    RANDOM "any protocol" Both,
    OPTIONS "ip options" Both,
    BAD_OPTIONS "bad ip options" Sent,
    FRAGMENTS "fragments" Both,
    SHUFFLED "fragments out of order" Both,
    INCOMPLETE "fragments incomplete" Sent,
    OVERLAPPING "fragments overlapping" Sent,
    TINY "fragments tiny" Both,
    SHORT "short transport header" Both,
    BAD_HEADER "wrong version or header length" Sent,
    BAD_LENGTH "wrong total length" Sent,
    BAD_SUM "wrong header checksum" Sent,
    BAD_TRANSPORT_SUM "wrong transport checksum" Refused,
    BAD_FLAGS "bad tcp flags" Refused,
    BAD_TRANSPORT "wrong transport lengths" Refused,
    PAGED "transport header not linear" Both,
    ERROR_LIVE "icmp error, live flow" Both,
    ERROR_DEAD "icmp error, dead flow" Refused,
    FLOW "later packet of a flow" Both,
    OPENED "answer to the node" Both,
    HELPED "expected by a helper" Both,
    UNTRACKED "notrack" Refused,
    TOS "tos" Both,
    TTL0 "ttl 0" Both,
    TTL1 "ttl 1" Both,
    PRIVATE "from private" Both,
    PUBLIC "from public" Both,
    NEIGHBOUR "from the subnet" Both,
    MULTICAST "from multicast" Both,
    BROADCAST "from broadcast" Both,
    LOOPBACK "from loopback" Both,
    ZERO "from 0.0.0.0/8" Both,
    CLASS_E "from class E" Both,
    FROM_VIP "from the VIP" Both,
    LOCAL "from the node's address" Both,
    TO_OTHER "to another address" Sent,
    MAC_CLUSTER "to the cluster's MAC" Both,
    MAC_BROADCAST "to the broadcast MAC" Both,
    MAC_UNICAST "to the node's MAC" Both,
    MAC_MULTICAST "to another multicast MAC" Both,
    MAC_FOREIGN "to a foreign MAC" Sent,
}

/// The states that must occur: name, and whether packets in it are taken.
const STATES: [(&str, Must); 8] = [
    ("NEW", Must::Both),
    ("ESTABLISHED", Must::Both),
    ("ESTABLISHED reply", Must::Both),
    ("RELATED icmp", Must::Sent),
    ("RELATED reply icmp", Must::Sent),
    ("RELATED other", Must::Both),
    ("INVALID", Must::Refused),
    ("UNTRACKED", Must::Refused),
];

#[derive(Clone, Copy, Default)]
struct Count {
    sent: u64,
    taken: u64,
    refused: u64,
}

/// Of all batches so far: per name, what was sent to the VIP, and what became of it.
pub struct Coverage {
    tags: Vec<Count>,
    states: [Count; STATES.len()],
    /// Packets whose mark a user had set that the rule let through, and whose mark stayed or went.
    kept: u64,
    replaced: u64,
    others: u64,
}

/// What one packet (or reassembled packet) showed.
pub struct Outcome<'a> {
    pub before: &'a Record,
    /// `None`: dropped.
    pub after: Option<&'a Record>,
    pub to_vip: bool,
}

/// Whether `mark` is one that the rules of the guest set, and no node.
fn is_users(mark: u32) -> bool {
    mark > 64
}

impl Coverage {
    pub fn new() -> Self {
        Self {
            tags: vec![Count::default(); NAMES.len()],
            states: Default::default(),
            kept: 0,
            replaced: 0,
            others: 0,
        }
    }

    pub fn sent(&mut self, tags: Tags) {
        self.each(tags, |count| count.sent += 1);
    }

    pub fn outcome(&mut self, tags: Tags, outcome: &Outcome<'_>) {
        if !outcome.to_vip {
            self.others += u64::from(outcome.after.is_some());
            return;
        }
        let taken = outcome.after.is_some();
        let add = |count: &mut Count| {
            count.taken += u64::from(taken);
            count.refused += u64::from(!taken);
        };
        self.each(tags, add);
        let icmp = outcome.before.packet.get(9) == Some(&1);
        let state = match (outcome.before.prefix, outcome.before.connection) {
            (b'I', _) => 6,
            (b'U', _) => 7,
            (_, Some((2, _))) => 0,
            (_, Some((0, _))) => 1,
            (_, Some((3, _))) => 2,
            (_, Some((1, _))) if icmp => 3,
            (_, Some((4, _))) if icmp => 4,
            _ => 5,
        };
        self.states[state].sent += 1;
        add(&mut self.states[state]);
        let after = outcome.after.and_then(|record| record.connection);
        if let (Some((_, before)), Some((_, after))) = (outcome.before.connection, after) {
            if is_users(before) {
                self.kept += u64::from(before == after);
                self.replaced += u64::from(before != after);
            }
        }
    }

    fn each(&mut self, tags: Tags, mut with: impl FnMut(&mut Count)) {
        for (place, count) in self.tags.iter_mut().enumerate() {
            if tags.0 & (1 << place) != 0 {
                with(count);
            }
        }
    }

    /// Prints the totals; true when everything occurred that must.
    pub fn report(&self) -> bool {
        let mut complete = true;
        println!(
            "{:<32} {:>8} {:>8} {:>8}",
            "packets", "sent", "taken", "refused"
        );
        let tags = NAMES.iter().zip(&self.tags);
        for ((name, must), count) in tags.chain(STATES.iter().zip(&self.states)) {
            let enough = match must {
                Must::Both => count.taken > 0 && count.refused > 0,
                Must::Refused => count.refused > 0,
                Must::Sent => count.sent > 0,
            };
            complete &= enough;
            let Count {
                sent,
                taken,
                refused,
            } = count;
            let note = if enough { "" } else { "  MISSING" };
            println!("{name:<32} {sent:>8} {taken:>8} {refused:>8}{note}");
        }
        for (name, count) in [
            ("user's mark kept", self.kept),
            ("user's mark replaced", self.replaced),
            ("to others, let through", self.others),
        ] {
            complete &= count > 0;
            let note = if count > 0 { "" } else { "  MISSING" };
            println!("{name:<32} {count:>8}{note}");
        }
        complete
    }
}
