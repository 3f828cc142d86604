// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel means by an error: it has numbers only, and `echo` says of one of them "Cannot allocate memory".

use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Ranges;
use crate::failure::Failure;
use crate::failure::FAILED;
use crate::failure::NOT_PERMITTED;
use crate::failure::NO_VIP;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// What the kernel says of a VIP that went while its file was open, and older modules of a line that they don't know.
pub const EIO: i32 = Errno::EIO as i32;

/// One line for the VIP's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take it over.
    Add(NodeId),
    /// Give it up.
    Remove(NodeId),
    /// Serve these and no others.
    Replace(NodeSet),
}

/// As the line is written, without its newline.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(node) => write!(f, "+{node}"),
            Self::Remove(node) => write!(f, "-{node}"),
            Self::Replace(set) => write!(f, "={}", Ranges(set)),
        }
    }
}

/// What is known of a VIP.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The numbers that are this node's.
    pub mine: NodeSet,
    /// How many numbers the cluster has, if the module tells.
    pub total: Option<u32>,
}

impl Known {
    /// Whether the cluster is known to have no such number.
    fn lacks(&self, node: NodeId) -> bool {
        self.total.is_some_and(|total| node.get() > total)
    }
}

/// Why these steps can't be taken, as far as that is known before they are tried.
pub fn refused(known: &Known, steps: impl IntoIterator<Item = Step>) -> Option<String> {
    let (mut none, mut held, mut not_held) = (NodeSet::EMPTY, NodeSet::EMPTY, NodeSet::EMPTY);
    for step in steps {
        match step {
            Step::Add(node) | Step::Remove(node) if known.lacks(node) => none = none.with(node),
            Step::Add(node) if known.mine.contains(node) => held = held.with(node),
            Step::Remove(node) if !known.mine.contains(node) => not_held = not_held.with(node),
            Step::Replace(set) => {
                let lacked = set.iter().filter(|node| known.lacks(*node));
                none = lacked.fold(none, NodeSet::with);
            }
            Step::Add(_) | Step::Remove(_) => {}
        }
    }
    if !none.is_empty() {
        let total = known.total.unwrap_or_default();
        let none = Ranges(&none);
        Some(format!("the cluster has no {none}, only 1 to {total}"))
    } else if !held.is_empty() {
        Some(format!("{} is this node's already", Ranges(&held)))
    } else if !not_held.is_empty() {
        Some(format!("{} is not this node's", Ranges(&not_held)))
    } else {
        None
    }
}

/// What the kernel means by this error of a line.
pub fn write(vip: Ipv4Addr, step: Step, error: &io::Error, known: &Known) -> Failure {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let reason = refused(known, [step]);
    let (code, text) = match (errno, step) {
        // A module that does not tell its total tells it so.
        (Errno::ENOMEM, Step::Add(node)) if known.total.is_none() && reason.is_none() => {
            (FAILED, format!("the cluster has no {node}"))
        }
        (Errno::ENOMEM, Step::Add(node)) => {
            let either =
                format!("{node} is this node's already, or the cluster has no such number");
            (FAILED, reason.unwrap_or(either))
        }
        (Errno::ENOENT, Step::Remove(node)) => {
            let either = format!("{node} is not this node's, or the cluster has no such number");
            (FAILED, reason.unwrap_or(either))
        }
        (Errno::ERANGE, _) => {
            let some = "the cluster does not have all of these numbers".to_owned();
            (FAILED, reason.unwrap_or(some))
        }
        (Errno::ENOENT, _) => (NO_VIP, "there is no such VIP any more".to_owned()),
        (Errno::EIO, _) => (NO_VIP, "the VIP went meanwhile".to_owned()),
        (Errno::EINVAL, _) => (FAILED, format!("the module does not understand {step}")),
        (Errno::EACCES | Errno::EPERM | Errno::EROFS, _) => (NOT_PERMITTED, permission(error)),
        _ => (FAILED, format!("{step} was not taken: {error}")),
    };
    Failure::new(code, format!("{vip}: {text}"))
}

/// Why a VIP's file that is there can't be opened or read.
pub fn open(path: &Path, error: &io::Error) -> Failure {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let (code, text) = match errno {
        Errno::EACCES | Errno::EPERM => (NOT_PERMITTED, permission(error)),
        Errno::EIO => (NO_VIP, "the VIP went meanwhile".to_owned()),
        _ => (FAILED, error.to_string()),
    };
    Failure::new(code, format!("{}: {text}", path.display()))
}

fn permission(error: &io::Error) -> String {
    format!("only root may, of the container if it is one's own ({error}); run it as root")
}
