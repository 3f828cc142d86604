// SPDX-License-Identifier: GPL-2.0-only

//! The machine that is walked on: two namespaces, and how a step is done there.

use super::files;
use super::snapshot;
use super::space::Space;
use super::step::Action;
use super::step::LinkStep;
use super::step::Step;
use super::table::Change;
use super::table::TABLES;
use crate::case::errno_name;
use crate::host::grace_period;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean;
use harness::eventually;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The end of a cable in the first namespace that shows when the second one is gone.
const CANARY: &str = "canary";

/// How a step ended, and what was there then.
#[derive(Clone, PartialEq)]
pub struct Seen {
    pub ok: bool,
    pub outcome: String,
    pub state: String,
}

pub struct Machine {
    /// How long to wait for a membership to go.
    patience: Duration,
    held: Option<File>,
    second: Option<Space>,
    first: Space,
}

/// Walks these steps on a new machine.
pub fn walk(steps: &[Step]) -> Result<Vec<Seen>> {
    let mut machine = Machine::new()?;
    let seen = steps
        .iter()
        .map(|step| machine.step(step).with_context(|| step.to_string()))
        .collect();
    drop(machine);
    // All rules are gone with the namespaces.
    eventually("the module unused", || Ok(clean::uses()?.unwrap_or(0) == 0))?;
    seen
}

impl Machine {
    fn new() -> Result<Self> {
        let first = Space::new(0)?;
        first.links.dummy("d0")?;
        first.links.dummy("d1")?;
        first.links.veth("v0", "v1", None)?;
        first.links.set_up("d0", true)?;
        Ok(Self {
            patience: snapshot::PATIENCE,
            held: None,
            second: None,
            first,
        })
    }

    fn step(&mut self, step: &Step) -> Result<Seen> {
        let (ok, outcome) = match &step.action {
            Action::MakeSecond => said(self.make_second()?),
            Action::EndSecond => said(self.end_second()?),
            action => match self.act(step.space, action)? {
                Some(answer) => answer,
                None => (false, "no such namespace".to_string()),
            },
        };
        let state = self.state()?;
        Ok(Seen { ok, outcome, state })
    }

    /// All that is to be seen now.
    fn state(&mut self) -> Result<String> {
        let mut state = String::new();
        for space in [Some(&mut self.first), self.second.as_mut()]
            .into_iter()
            .flatten()
        {
            // What is on its way out of a device that is not there must not meet the next one of its
            // name.
            let gone = std::mem::take(&mut space.gone);
            if !gone.is_empty() {
                let devices = space.host.enter(snapshot::devices)??;
                if !gone.iter().all(|bound| devices.contains(bound.device)) {
                    grace_period();
                }
            }
            state.push_str(&snapshot::of(space, &mut self.patience)?);
            state.push_str(" /");
        }
        let uses = clean::uses()?.context("the module is not loaded")?;
        Ok(format!("{state} {uses} uses"))
    }

    fn act(&mut self, number: usize, action: &Action) -> Result<Option<(bool, String)>> {
        let Self {
            held,
            second,
            first,
            ..
        } = self;
        let (space, other) = match (number, second) {
            (0, second) => (first, second.as_mut()),
            (_, Some(second)) => (second, Some(first)),
            (_, None) => return Ok(None),
        };
        Ok(Some(match action {
            Action::Change(table, change) => match space.change(*table, change) {
                Ok(true) => (true, "ok".to_string()),
                Ok(false) => (false, "nothing there".to_string()),
                Err(error) => (false, errno_name(&error)),
            },
            Action::Restore(tables) => said(tables.iter().try_for_each(|(table, rules)| {
                space
                    .change(*table, &Change::Whole(rules.clone()))
                    .map(drop)
            })),
            Action::Count(table, number) => said(space.count(*table, *number)),
            Action::Iptables(table, change) => space.iptables(*table, change)?,
            Action::Show("save", table) => {
                let line = format!("iptables-legacy-save -t {}", TABLES[*table]);
                space.say(&line, "")?
            }
            Action::Show(how, table) => {
                let line = format!("iptables-legacy -w -t {} {how}", TABLES[*table]);
                space.say(&line, "")?
            }
            Action::File(vip, step) => {
                said_text(space.host.enter(|| files::by_name(*vip, step, held))?)
            }
            Action::Held(step) => said_text(files::by_descriptor(step, held.as_mut())),
            Action::Link(step) => match other {
                Some(other) => said(link(space, Some(other.file.as_raw_fd()), step)?),
                None => said(link(space, None, step)?),
            },
            Action::MakeSecond | Action::EndSecond => unreachable!("not of one namespace"),
        }))
    }

    fn make_second(&mut self) -> Result<io::Result<()>> {
        if self.second.is_some() {
            return Ok(Err(io::Error::from_raw_os_error(libc::EEXIST)));
        }
        let second = Space::new(1)?;
        second.links.dummy("d0")?;
        self.second = Some(second);
        Ok(Ok(()))
    }

    /// Ends the second namespace and waits until its devices, and the other ends of its cables, are
    /// gone.
    fn end_second(&mut self) -> Result<io::Result<()>> {
        let Some(second) = self.second.take() else {
            return Ok(Err(io::Error::from_raw_os_error(libc::ENOENT)));
        };
        let first = &self.first;
        first
            .links
            .veth(CANARY, CANARY, Some(second.file.as_raw_fd()))?;
        drop(second);
        eventually("the end of a namespace", || {
            Ok(!first.host.enter(snapshot::devices)??.contains(CANARY))
        })?;
        // It goes before the others hear of their own end; all of that is under one lock, which this
        // waits for.
        let refused = first.links.set_up(CANARY, true);
        ensure!(
            refused.is_err(),
            "the device of an ended namespace is there"
        );
        Ok(Ok(()))
    }
}

/// A change of a device; `other` is the other namespace, if it is there.
fn link(space: &Space, other: Option<i32>, step: &LinkStep) -> Result<io::Result<()>> {
    let links = &space.links;
    let missing = || io::Error::from_raw_os_error(libc::ENXIO);
    Ok(match step {
        LinkStep::Dummy(name) => links.dummy(name),
        LinkStep::Veth(name, peer) => links.veth(name, peer, None),
        LinkStep::Across(name, peer) => match other {
            Some(_) => links.veth(name, peer, other),
            None => Err(missing()),
        },
        LinkStep::Delete(name) => links.delete(name),
        LinkStep::Rename(name, to) => links.rename(name, to),
        LinkStep::Up(name) => links.set_up(name, true),
        LinkStep::Down(name) => links.set_up(name, false),
        LinkStep::Move(name) => match other {
            Some(other) => links.move_to(name, other),
            None => Err(missing()),
        },
        LinkStep::Name(name, further) => links.further_name(name, further, true),
        LinkStep::Unname(name, further) => links.further_name(name, further, false),
    })
}

fn said(result: io::Result<()>) -> (bool, String) {
    said_text(result.map(|()| "ok".to_string()))
}

fn said_text(result: io::Result<String>) -> (bool, String) {
    match result {
        Ok(text) => (true, text),
        Err(error) => (false, errno_name(&error)),
    }
}
