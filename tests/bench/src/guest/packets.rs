// SPDX-License-Identifier: GPL-2.0-only

//! The rows of the packet path: which rules, which traffic, and which row each is compared with.

use super::flows::Kind;
use super::flows::Protocol;
use super::flows::State;
use super::stage::Table;
use crate::sample::Who;
use harness::cluster::MAC;
use harness::cluster::MODES;
use harness::cluster::VIP;

pub struct Row {
    pub name: String,
    /// The same rule without the target, or what a target has to compete with.
    pub base: Option<String>,
    pub table: Table,
    pub policy: &'static str,
    pub rules: Vec<String>,
    pub traffic: Kind,
    /// What is written to the VIP's file once the rule stands.
    pub tell: Option<&'static str>,
    /// Whether the packets come to the end of the chain.
    pub through: bool,
}

/// What a node of two has to be told so that all packets, or none, are its own.
const ALL: &str = "+2";
const NONE: &str = "-1";

const STATES: [State; 2] = [State::New, State::Established];
const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

fn matching(protocol: Protocol) -> String {
    format!("-d {VIP} -i eth0 -p {}", protocol.name())
}

fn target(mode: &str) -> String {
    format!(
        "-j CLUSTERIP --new --hashmode {mode} --clustermac {MAC} --total-nodes 2 --local-node 1 --hash-init 1"
    )
}

/// Keeps the hook that puts fragments together in the namespace; no packet comes to it.
fn with_defrag() -> String {
    "-m socket -j ACCEPT".to_string()
}

fn row(name: &str, table: Table, rules: Vec<String>, traffic: Kind, through: bool) -> Row {
    Row {
        name: name.to_string(),
        base: None,
        table,
        policy: "ACCEPT",
        rules,
        traffic,
        tell: None,
        through,
    }
}

impl Row {
    fn over(self, base: impl Into<String>) -> Self {
        let base = Some(base.into());
        Self { base, ..self }
    }

    fn policy(self, policy: &'static str) -> Self {
        Self { policy, ..self }
    }

    fn tell(self, tell: &'static str) -> Self {
        let tell = Some(tell);
        Self { tell, ..self }
    }
}

const fn state_name(state: State) -> &'static str {
    match state {
        State::New | State::Unanswered => "new",
        State::Established => "established",
    }
}

/// What is measured with a module loaded; the other ways to share an address once, with ours.
pub fn rows(who: Who) -> Vec<Row> {
    let mut rows = raw_floors();
    rows.extend(input_floors());
    if who == Who::Ours {
        rows.extend(raw());
        rows.extend(revision_1());
    }
    rows.extend(input());
    if who == Who::Ours {
        rows.extend(xt_cluster());
        rows.extend(nft());
    }
    rows
}

fn raw_floors() -> Vec<Row> {
    let mut rows = Vec::new();
    for protocol in PROTOCOLS {
        let (name, rule) = (protocol.name(), matching(protocol));
        let traffic = (protocol, State::New);
        let drop = format!("{rule} -j DROP");
        let (plain, defrag) = (
            format!("floor/raw/drop/{name}"),
            format!("floor/raw/drop+defrag/{name}"),
        );
        rows.push(row(&plain, Table::Raw, vec![drop.clone()], traffic, false));
        let rules = vec![drop, with_defrag()];
        rows.push(row(&defrag, Table::Raw, rules, traffic, false).over(plain));
    }
    let (rule, traffic) = (matching(Protocol::Udp), (Protocol::Udp, State::Unanswered));
    let (plain, defrag) = ("floor/raw/accept/udp", "floor/raw/accept+defrag/udp");
    rows.push(row(plain, Table::Raw, vec![rule.clone()], traffic, true));
    // In a chain of its own, which no packet of ours comes to.
    let rules = vec![rule, format!("-d 192.0.2.1 {}", with_defrag())];
    rows.push(row(defrag, Table::Raw, rules, traffic, true).over(plain));
    rows
}

/// The floor with the hooks that a mode's rule brings along in the raw table.
fn raw_floor(mode: &str, verdict: &str, protocol: Protocol) -> String {
    let hook = if mode == MODES[0] { "" } else { "+defrag" };
    format!("floor/raw/{verdict}{hook}/{}", protocol.name())
}

/// The original drops all that conntrack has not seen: nothing to compare with.
fn raw() -> Vec<Row> {
    let mut rows = Vec::new();
    for mode in MODES {
        for protocol in PROTOCOLS {
            let name = format!("not-mine/raw/{}/{mode}", protocol.name());
            let rules = vec![format!("{} {}", matching(protocol), target(mode))];
            rows.push(
                row(&name, Table::Raw, rules, (protocol, State::New), false)
                    .over(raw_floor(mode, "drop", protocol))
                    .tell(NONE),
            );
        }
        let protocol = Protocol::Udp;
        let traffic = (protocol, State::Unanswered);
        let mut rules = vec![format!("{} {}", matching(protocol), target(mode))];
        if mode != MODES[0] {
            // As its floor has.
            rules.push(format!("-d 192.0.2.1 {}", with_defrag()));
        }
        rows.push(
            row(
                &format!("mine/raw/udp/{mode}"),
                Table::Raw,
                rules,
                traffic,
                true,
            )
            .over(raw_floor(mode, "accept", protocol))
            .tell(ALL),
        );
    }
    rows
}

/// What only revision 1 says: more numbers than the original had room for, and its hash modes. The packets of the raw
/// table show the price best.
fn revision_1() -> Vec<Row> {
    let (udp, protocol) = (matching(Protocol::Udp), Protocol::Udp);
    let mut rows = Vec::new();
    for (name, mode, total) in [
        ("sourceip-of-1000", "sourceip", 1000),
        ("sourceip-sourceport-of-1000", "sourceip-sourceport", 1000),
        ("destip", "destip", 2),
        ("sourceip-destip", "sourceip-destip", 2),
        ("sourceip-spi", "sourceip-spi", 2),
    ] {
        let rules = vec![format!(
            "{udp} -j CLUSTERIP --new --hashmode {mode} --clustermac {MAC} --total-nodes {total} \
             --local-nodes none --hash-init 1"
        )];
        // As many hooks as a mode that looks behind the IP header brings along.
        let floor = match mode {
            "sourceip-sourceport" | "sourceip-spi" => MODES[1],
            _ => MODES[0],
        };
        rows.push(
            row(
                &format!("not-mine/raw/udp/{name}"),
                Table::Raw,
                rules.clone(),
                (protocol, State::New),
                false,
            )
            .over(raw_floor(floor, "drop", protocol))
            .tell("=none"),
        );
        let traffic = (protocol, State::Established);
        rows.push(
            row(
                &format!("mine/input/accept/udp/established/{name}"),
                Table::Filter,
                rules,
                traffic,
                true,
            )
            .over(input_name("floor", "accept", traffic))
            .tell(if total == 2 { "=1-2" } else { "=1-1000" }),
        );
    }
    rows
}

fn input_floors() -> Vec<Row> {
    let udp = matching(Protocol::Udp);
    let plain = "floor/input/drop-no-conntrack/udp";
    let mut rows = vec![row(
        plain,
        Table::Plain,
        vec![format!("{udp} -j DROP")],
        (Protocol::Udp, State::New),
        false,
    )];
    for (policy, verdict, traffic) in input_traffic() {
        let name = input_name("floor", verdict, traffic);
        let rules = vec![matching(traffic.0)];
        rows.push(row(&name, Table::Filter, rules, traffic, true).policy(policy));
    }
    rows
}

/// What packets meet in INPUT: dropped by the policy behind the rule, or taken by a socket. A SYN
/// that is taken would be answered, and that is no packet's price.
fn input_traffic() -> Vec<(&'static str, &'static str, Kind)> {
    let mut kinds = Vec::new();
    for protocol in PROTOCOLS {
        for state in STATES {
            kinds.push(("DROP", "drop", (protocol, state)));
        }
    }
    for kind in [
        (Protocol::Udp, State::Unanswered),
        (Protocol::Udp, State::Established),
        (Protocol::Tcp, State::Established),
    ] {
        kinds.push(("ACCEPT", "accept", kind));
    }
    kinds
}

fn input_name(what: &str, verdict: &str, (protocol, state): Kind) -> String {
    let (protocol, state) = (protocol.name(), state_name(state));
    format!("{what}/input/{verdict}/{protocol}/{state}")
}

fn input() -> Vec<Row> {
    let mut rows = Vec::new();
    for (policy, verdict, traffic) in input_traffic() {
        for mode in MODES {
            let name = format!("{}/{mode}", input_name("mine", verdict, traffic));
            let rules = vec![format!("{} {}", matching(traffic.0), target(mode))];
            rows.push(
                row(&name, Table::Filter, rules.clone(), traffic, true)
                    .over(input_name("floor", verdict, traffic))
                    .policy(policy)
                    .tell(ALL),
            );
            if verdict == "drop" {
                let name = format!("{}/{mode}", input_name("not-mine", verdict, traffic));
                rows.push(
                    row(&name, Table::Filter, rules, traffic, false)
                        .over(input_name("floor", verdict, traffic))
                        .policy(policy)
                        .tell(NONE),
                );
            }
        }
    }
    rows
}

/// As its manual has it: what is ours is marked, what is not marked is dropped.
fn xt_cluster() -> Vec<Row> {
    let rule = matching(Protocol::Udp);
    // Of two numbers both, or all but those.
    let share = |not: &str| {
        vec![
            format!(
                "{rule} -m cluster --cluster-total-nodes 2 {not} --cluster-local-nodemask 3 \
                 --cluster-hash-seed 1 -j MARK --set-mark 0xffff"
            ),
            format!("{rule} -m mark ! --mark 0xffff -j DROP"),
        ]
    };
    let (new, unanswered) = (
        (Protocol::Udp, State::New),
        (Protocol::Udp, State::Unanswered),
    );
    let (drop, accept) = ("floor/mangle/drop/udp", "floor/mangle/accept/udp");
    let dropping = vec![format!("{rule} -j DROP")];
    vec![
        row(drop, Table::Mangle, dropping, new, false),
        row(accept, Table::Mangle, vec![rule.clone()], unanswered, true),
        row(
            "mine/xt_cluster/mangle/udp",
            Table::Mangle,
            share(""),
            unanswered,
            true,
        )
        .over(accept),
        row(
            "not-mine/xt_cluster/mangle/udp",
            Table::Mangle,
            share("!"),
            new,
            false,
        )
        .over(drop),
    ]
}

/// The hash of nftables, in one rule that drops what is not ours.
fn nft() -> Vec<Row> {
    let rule = format!("ip daddr {VIP} iifname \"eth0\" meta l4proto udp");
    let hash = format!("{rule} jhash ip saddr mod 32 seed 0x1");
    let (new, unanswered) = (
        (Protocol::Udp, State::New),
        (Protocol::Udp, State::Unanswered),
    );
    let mut rows = Vec::new();
    for (table, place) in [(Table::Nft, "input"), (Table::NftRaw, "raw")] {
        let (drop, accept) = (
            format!("floor/nft/{place}/drop/udp"),
            format!("floor/nft/{place}/accept/udp"),
        );
        let one = |rule: String| vec![rule];
        rows.push(row(&drop, table, one(format!("{rule} drop")), new, false));
        rows.push(row(
            &accept,
            table,
            one(format!("{rule} accept")),
            unanswered,
            true,
        ));
        let name = format!("mine/nft-jhash/{place}/udp");
        let rules = one(format!("{hash} > 31 drop"));
        rows.push(row(&name, table, rules, unanswered, true).over(accept));
        let name = format!("not-mine/nft-jhash/{place}/udp");
        let rules = one(format!("{hash} <= 31 drop"));
        rows.push(row(&name, table, rules, new, false).over(drop));
    }
    rows
}
