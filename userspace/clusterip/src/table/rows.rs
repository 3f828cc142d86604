// SPDX-License-Identifier: GPL-2.0-only

//! Which rows a table has: one for each number, or where that would be too many, for neighbours together.

use crate::cluster::node::NodeId;
use crate::stat::sum;
use crate::stat::Number;
use crate::status::Seen;

/// How many rows a table has at most, unless all are asked for.
pub const MOST: usize = 24;

/// A number, or several of which all are this node's or none is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which they are.
    pub label: String,
    /// What is told of them, summed.
    pub total: Number,
    /// What came, if that was looked at.
    pub came: Option<Number>,
}

impl Row {
    /// What the bar shows: what came, or all.
    pub fn bar(&self) -> Number {
        self.came.unwrap_or(self.total)
    }
}

/// The rows, in ascending order.
pub fn rows(seen: &Seen, all: bool) -> Vec<Row> {
    let nodes: Vec<_> = seen.vip.numbers.keys().copied().collect();
    let mut groups: Vec<_> = nodes.iter().map(|node| vec![*node]).collect();
    if all || groups.len() <= MOST {
        return groups.iter().map(|group| row(seen, group, None)).collect();
    }

    // Those of which nothing was ever heard say nothing one by one.
    groups = together(&nodes, |node| {
        let number = number(seen, node);
        let silent = number.accepted == 0 && number.left == 0;
        (number.mine, if silent { 0 } else { node.get() })
    });
    let mut width = 2;
    while groups.len() > MOST && width <= 512 {
        groups = together(&nodes, |node| {
            let block = node.get().saturating_sub(1).checked_div(width);
            (number(seen, node).mine, block.unwrap_or_default())
        });
        width *= 2;
    }
    if groups.len() <= MOST {
        return groups.iter().map(|group| row(seen, group, None)).collect();
    }

    // Mine and others' alternate: no neighbours are left.
    let (mine, others): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| number(seen, **node).mine);
    vec![
        row(seen, &mine, Some("mine")),
        row(seen, &others, Some("others")),
    ]
}

fn number(seen: &Seen, node: NodeId) -> Number {
    seen.vip.numbers.get(&node).copied().unwrap_or_default()
}

/// Neighbours of the same kind, in groups.
fn together<K: PartialEq>(nodes: &[NodeId], kind: impl Fn(NodeId) -> K) -> Vec<Vec<NodeId>> {
    let groups = nodes.chunk_by(|one, other| kind(*one) == kind(*other));
    groups.map(<[NodeId]>::to_vec).collect()
}

fn row(seen: &Seen, group: &[NodeId], label: Option<&str>) -> Row {
    let label = match (label, group) {
        (Some(label), _) => label.to_owned(),
        (None, [first, .., last]) => format!("{first}-{last}"),
        (None, [only]) => only.to_string(),
        (None, []) => String::new(),
    };
    let mine = group.first().is_some_and(|node| number(seen, *node).mine);
    let of = |numbers: &dyn Fn(NodeId) -> Number| {
        let numbers: Vec<_> = group.iter().map(|node| numbers(*node)).collect();
        let (accepted, left) = sum(&numbers);
        Number {
            mine,
            accepted,
            left,
        }
    };
    Row {
        label,
        total: of(&|node| number(seen, node)),
        came: seen.came.as_ref().map(|came| {
            let numbers = &came.vip.numbers;
            of(&|node| numbers.get(&node).copied().unwrap_or_default())
        }),
    }
}
