// SPDX-License-Identifier: GPL-2.0-only

//! Rules that come and go, by whole tables, as `iptables-legacy` hands them over.

use crate::faults::Faults;
use crate::faults::Reach;
use crate::room;
use crate::room::Room;
use crate::sweep::Operation;
use crate::sweep::Tally;
use anyhow::ensure;
use anyhow::Result;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::revision1;
use harness::Ctx;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

/// In `raw`.
const PREROUTING: usize = 0;
const SOURCEIP_SOURCEPORT: u32 = 1;
/// More numbers than a VIP has room for by itself, and more counters than a processor's memory is cut into.
pub const MANY: u16 = 1000;

/// A table of some rules becomes one of others.
struct Replacing {
    room: Room,
    table: &'static str,
    before: Vec<Rule>,
    after: Vec<Rule>,
    /// Whether a failure may be felt at all: rules can always be taken away.
    may_be_refused: bool,
    nodes: BTreeMap<Ipv4Addr, String>,
}

pub fn first(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    replacing(ctx, "filter", vec![], vec![rule(VIP_ADDRESS)])
}

/// The device is the one that has the VIP for its address.
pub fn by_route(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let rule = Rule::new(VIP_ADDRESS, "", &payload(VIP_ADDRESS));
    replacing(ctx, "filter", vec![], vec![rule])
}

/// Needs defragmentation rather than conntrack.
pub fn in_raw(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    replacing(ctx, "raw", vec![], vec![raw_rule()])
}

fn raw_rule() -> Rule {
    let payload = Payload {
        mode: SOURCEIP_SOURCEPORT,
        ..payload(VIP_ADDRESS)
    };
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", &payload);
    rule.hook = PREROUTING;
    rule
}

/// Flags and counters of so many numbers have memory of their own.
pub fn of_many(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    replacing(ctx, "filter", vec![], vec![rule_of_many()])
}

/// A rule of revision 1 that makes a VIP.
pub fn rule_of_many() -> Rule {
    let payload = revision1::Payload {
        mac: room::mac(VIP_ADDRESS),
        ..revision1::Payload::default().nodes(MANY, [1])
    };
    payload.rule(Some(VIP_ADDRESS), "eth0")
}

fn joining() -> Rule {
    Rule::new(VIP_ADDRESS, "eth0", &Payload::joining())
}

/// A rule of `filter` for a VIP that `raw` has: conntrack is new to the namespace.
pub fn further(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let mut operation = Replacing::new(ctx, "filter", vec![], vec![joining()])?;
    operation.room.stand(vec![raw_rule()])?;
    Ok(Box::new(operation))
}

/// One more rule of the same kind takes no memory at all, so that none can fail. That what is counted
/// here would be seen is shown by the first rule, which takes some.
pub fn joins(ctx: &mut Ctx, faults: &Faults) -> Result<Tally> {
    let room = Room::new(ctx)?;
    let rules = [rule(VIP_ADDRESS), joining()];
    let count = |rules: &[Rule]| -> Result<u32> {
        let (replaced, allocations) =
            faults.count(Reach::Module, || room.replace("filter", rules))?;
        replaced?;
        Ok(allocations)
    };
    let first = count(&rules[..1])?;
    ensure!(first > 0, "the first rule should take memory");
    // The kernel checks all rules of a table that replaces another: both of them join here.
    let more = count(&rules)?;
    ensure!(more == 0, "a further rule took memory {more} times");
    room.expect("filter", &rules, &room.nodes()?)?;
    room.replace("filter", &[])?;
    Ok(Tally::default())
}

/// As many VIPs, the last of which is the one that is asked for by ARP.
pub fn restore(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let last = u32::from(VIP_ADDRESS);
    let rules = (last - 49..=last).map(|vip| rule(vip.into())).collect();
    replacing(ctx, "filter", vec![], rules)
}

pub fn last(ctx: &mut Ctx, _: &Faults) -> Result<Box<dyn Operation>> {
    let mut operation = Replacing::new(ctx, "filter", vec![rule(VIP_ADDRESS)], vec![])?;
    operation.may_be_refused = false;
    Ok(Box::new(operation))
}

fn payload(vip: Ipv4Addr) -> Payload {
    Payload {
        mac: room::mac(vip),
        ..Payload::default()
    }
}

/// A rule that makes a VIP.
pub fn rule(vip: Ipv4Addr) -> Rule {
    Rule::new(vip, "eth0", &payload(vip))
}

fn replacing(
    ctx: &mut Ctx,
    table: &'static str,
    before: Vec<Rule>,
    after: Vec<Rule>,
) -> Result<Box<dyn Operation>> {
    Ok(Box::new(Replacing::new(ctx, table, before, after)?))
}

/// A room with these rules in it.
fn room_with(ctx: &mut Ctx, table: &str, rules: &[Rule]) -> Result<Room> {
    let room = Room::new(ctx)?;
    room.replace(table, rules)?;
    if !rules.is_empty() {
        // What was written must outlive what fails.
        room.host.tell(VIP, "+2")?;
    }
    Ok(room)
}

impl Replacing {
    fn new(
        ctx: &mut Ctx,
        table: &'static str,
        before: Vec<Rule>,
        after: Vec<Rule>,
    ) -> Result<Self> {
        let room = room_with(ctx, table, &before)?;
        Ok(Self {
            nodes: room.nodes()?,
            room,
            table,
            before,
            after,
            may_be_refused: true,
        })
    }
}

impl Operation for Replacing {
    fn prepare(&mut self) -> Result<()> {
        self.nodes = self.room.nodes()?;
        Ok(())
    }

    fn attempt(&mut self) -> io::Result<()> {
        self.room.replace(self.table, &self.after)
    }

    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()> {
        ensure!(self.may_be_refused, "taking rules away should never fail");
        ensure!(
            error.raw_os_error() == Some(libc::ENOMEM),
            "the error should be ENOMEM"
        );
        let lines = ctx.log()?;
        let says_all = |line: &String| {
            let told = self.after.iter().any(|rule| {
                let vip = format!(": VIP {}: ", rule.destination);
                line.split_once(&vip)
                    .is_some_and(|(_, remedy)| remedy.contains("memory"))
            });
            told && lines.len() == 1
        };
        ensure!(
            lines.iter().any(says_all),
            "one line should name the VIP and say that memory is to be freed, the log has {lines:?}"
        );
        if lines[0].starts_with("cannot load conntrack support") {
            self.room.defrag_stays = true;
        }
        self.room.expect(self.table, &self.before, &self.nodes)?;
        if self.room.defrag_stays {
            let standing = std::mem::take(&mut self.room.standing);
            self.room.replace("raw", &[])?;
            self.room = room_with(ctx, self.table, &self.before)?;
            self.room.stand(standing)?;
        }
        self.prepare()
    }

    fn done(&mut self, ctx: &mut Ctx) -> Result<()> {
        ctx.expect_silence()?;
        self.room.expect(self.table, &self.after, &self.nodes)
    }

    fn undo(&mut self, _: &mut Ctx) -> Result<()> {
        let nodes = self.room.nodes()?;
        self.room.replace(self.table, &self.before)?;
        self.room.expect(self.table, &self.before, &nodes)
    }
}
