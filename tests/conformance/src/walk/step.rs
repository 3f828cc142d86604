// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a walk: values that say all there is to do, so that a step still means something
//! when those before it are left out.

use super::rule::Rule;
use super::table::Chain;
use super::table::Change;
use super::table::TABLES;
use std::fmt;
use std::net::Ipv4Addr;

/// The first namespace, which is always there, and the second, which comes and goes.
pub const SPACES: [&str; 2] = ["first", "second"];

/// What is done, and in which namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub space: usize,
    pub action: Action,
    /// What the count at the end knows it by.
    pub kind: &'static str,
    /// Whether it is made to be refused, at least at times.
    pub bad: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One table, by a socket.
    Change(usize, Change),
    /// Several tables, one after the other up to the first that is refused.
    Restore(Vec<(usize, Vec<(Chain, Rule)>)>),
    /// Counts packets for a table's rules, how many is made of this number.
    Count(usize, u64),
    /// One table, by `iptables-legacy`, or `iptables-legacy-restore` for a whole one.
    Iptables(usize, Change),
    /// What a program says of a table; its arguments.
    Show(&'static str, usize),
    File(Ipv4Addr, FileStep),
    /// Something with a VIP's file that was opened before.
    Held(FileStep),
    Link(LinkStep),
    MakeSecond,
    EndSecond,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FileStep {
    Write(Vec<u8>, How),
    /// As long as that, from where nothing can be read.
    WriteUnreadable(usize),
    Read,
    /// Opened, and not closed before the next is.
    Hold,
    Mode(u32),
    Owner(u32),
    Truncate,
    Remove,
    Create,
}

/// How a file is opened to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Plain,
    Append,
    Truncate,
    ReadWrite,
    /// At a place, which such a file does not have.
    At(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub enum LinkStep {
    Dummy(&'static str),
    Veth(&'static str, &'static str),
    /// A cable to the other namespace.
    Across(&'static str, &'static str),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    Up(&'static str),
    Down(&'static str),
    /// To the other namespace.
    Move(&'static str),
    Name(&'static str, &'static str),
    Unname(&'static str, &'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", SPACES[self.space])?;
        match &self.action {
            Action::Change(table, change) => write!(f, "{} {change}", TABLES[*table]),
            Action::Iptables(table, change) => {
                write!(f, "iptables -t {} {change}", TABLES[*table])
            }
            Action::Restore(tables) => {
                write!(f, "restore")?;
                for (table, rules) in tables {
                    write!(f, " *{} {}", TABLES[*table], Change::Whole(rules.clone()))?;
                }
                Ok(())
            }
            Action::Count(table, number) => write!(f, "{} counts {number}", TABLES[*table]),
            Action::Show(program, table) => write!(f, "{program} of {}", TABLES[*table]),
            Action::File(vip, FileStep::Write(text, how)) => {
                write!(f, "file {vip}: {how:?} {:?}", String::from_utf8_lossy(text))
            }
            Action::File(vip, step) => write!(f, "file {vip}: {step:?}"),
            Action::Held(FileStep::Write(text, how)) => {
                write!(f, "open file: {how:?} {:?}", String::from_utf8_lossy(text))
            }
            Action::Held(step) => write!(f, "open file: {step:?}"),
            Action::Link(step) => write!(f, "link {step:?}"),
            Action::MakeSecond => write!(f, "make the second namespace"),
            Action::EndSecond => write!(f, "end the second namespace"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(chain, rule) => write!(f, "-A {chain} {rule}"),
            Self::Insert(chain, place, rule) => write!(f, "-I {chain} +{place} {rule}"),
            Self::Delete(chain, place) => write!(f, "-D {chain} +{place}"),
            Self::Replace(chain, place, rule) => write!(f, "-R {chain} +{place} {rule}"),
            Self::Flush(chain) => write!(f, "-F {chain}"),
            Self::Clear => write!(f, "-F -X"),
            Self::Policy(hook, drops) => {
                write!(f, "-P {} drops {drops}", Chain::Hook(*hook))
            }
            Self::Whole(rules) => {
                write!(f, "[")?;
                for (chain, rule) in rules {
                    write!(f, "-A {chain} {rule}; ")?;
                }
                write!(f, "]")
            }
            Self::Zero => write!(f, "-Z"),
        }
    }
}
