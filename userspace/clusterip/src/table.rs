// SPDX-License-Identifier: GPL-2.0-only

//! What `clusterip status` shows to people, on 80 columns.

pub mod rows;

use crate::cluster::node::Ranges;
use crate::stat::Vip;
use crate::status::Seen;
use rows::Row;
use std::fmt;
use std::fmt::Write;
use std::iter::repeat_n;

/// How wide a terminal is taken to be.
pub const WIDTH: usize = 80;

/// Where it stands that a line says something of.
const INDENT: usize = 11;

/// How it is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Bars are of block characters, or of ASCII.
    pub blocks: bool,
    /// A row for each number, or for larger totals those that say something.
    pub all: bool,
}

impl Style {
    /// What stands for a part of what was accepted, and of what was left to others.
    const fn marks(self) -> (char, char) {
        if self.blocks {
            ('█', '░')
        } else {
            ('#', '.')
        }
    }
}

/// One VIP: some lines about it, and a row with a bar for each number.
pub fn text(seen: &Seen, style: Style) -> String {
    let mut text = String::new();
    // A String takes all that is written to it.
    let _ = head(&mut text, seen).and_then(|()| body(&mut text, seen, style));
    text
}

fn head(text: &mut String, seen: &Seen) -> fmt::Result {
    let (vip, came) = (&seen.vip, seen.came.as_ref());
    let counted = |of: &dyn Fn(&Vip) -> u64| match came {
        Some(came) => format!("{} ({}/s)", count(of(vip)), rate(came.rate(of(&came.vip)))),
        None => count(of(vip)),
    };
    writeln!(text, "{} on {}", vip.address, vip.device)?;
    if vip.ifindex == 0 {
        item(
            text,
            "MISSING",
            "there is no such device now: nothing comes in",
        )?;
    }
    item(text, "mac", &vip.clustermac)?;
    let hash = format!("{}, seed {}", vip.hashmode, vip.hash_init);
    item(text, "hash", &hash)?;
    let mine = format!("{} of {}", Ranges(&vip.mine()), vip.total);
    item(text, "mine", &mine)?;
    let changes = vip.generation.saturating_sub(1).to_string();
    item(text, "changes", &changes)?;
    let accepted = counted(&|vip| vip.packets().0);
    let left = counted(&|vip| vip.packets().1);
    let packets = format!("{accepted} accepted, {left} left to others");
    item(text, "packets", &packets)?;
    let arp = counted(&|vip| vip.arp);
    item(text, "arp", &format!("{arp} with the cluster's MAC"))
}

/// A word and what is said of it; where that is long, it is broken behind commas.
fn item(text: &mut String, name: &str, value: &str) -> fmt::Result {
    let mut line = format!("  {name:<8} ");
    for part in value.split_inclusive(',') {
        let length = line.chars().count().saturating_add(part.chars().count());
        if length > WIDTH && line.trim_end().len() > INDENT {
            writeln!(text, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        }
        line.push_str(part);
    }
    writeln!(text, "{}", line.trim_end())
}

fn body(text: &mut String, seen: &Seen, style: Style) -> fmt::Result {
    let head = match seen.came {
        Some(_) => " accepted      /s      left      /s  packets per second",
        None => " accepted      left  packets",
    };
    writeln!(text, "\n       number {head}")?;
    let rows = rows::rows(seen, style.all);
    let most = rows.iter().map(|row| length(row).0).max();
    for row in &rows {
        let cells = cells(row, seen);
        let room = WIDTH.saturating_sub(cells.chars().count());
        let bar = bar(row, most.unwrap_or_default(), room, style);
        writeln!(text, "{}", format!("{cells}{bar}").trim_end())?;
    }
    let (accepted, left) = style.marks();
    writeln!(
        text,
        "  * this node's   {accepted} accepted   {left} left to others"
    )
}

fn cells(row: &Row, seen: &Seen) -> String {
    let mark = if row.total.mine { '*' } else { ' ' };
    let (accepted, left) = (count(row.total.accepted), count(row.total.left));
    let label = &row.label;
    match (&seen.came, row.came) {
        (Some(came), Some(number)) => {
            let rates = [number.accepted, number.left].map(|count| rate(came.rate(count)));
            let [now, other] = rates;
            format!("  {mark} {label:>9} {accepted:>9} {now:>7} {left:>9} {other:>7}  ")
        }
        _ => format!("  {mark} {label:>9} {accepted:>9} {left:>9}  "),
    }
}

/// What a bar shows: all packets, and of these the accepted ones.
fn length(row: &Row) -> (u128, u128) {
    let number = row.bar();
    let accepted = u128::from(number.accepted);
    (accepted.saturating_add(number.left.into()), accepted)
}

/// The longest bar takes all the room; one of anything at all can be seen.
fn bar(row: &Row, most: u128, room: usize, style: Style) -> String {
    let part = |of: u128, whole: u128, room: usize| {
        // Not above the room, for no part is above the whole.
        let room = u128::try_from(room).unwrap_or_default();
        let columns = of
            .saturating_mul(room)
            .saturating_add(whole / 2)
            .checked_div(whole)
            .unwrap_or_default();
        usize::try_from(columns).unwrap_or_default()
    };
    let (packets, accepted) = length(row);
    let whole = part(packets, most, room).max(usize::from(packets > 0));
    let filled = part(accepted, packets, whole).max(usize::from(accepted > 0));
    let (mine, others) = style.marks();
    let rest = whole.saturating_sub(filled);
    repeat_n(mine, filled)
        .chain(repeat_n(others, rest))
        .collect()
}

/// A count in at most six characters: exact up to 999999, above in millions (M) and more, never rounded up.
pub fn count(number: u64) -> String {
    if number < 1_000_000 {
        return number.to_string();
    }
    let mut rest = number;
    let mut unit = ' ';
    let mut below = 0;
    for next in ['k', 'M', 'G', 'T', 'P', 'E'] {
        if rest < 1000 {
            break;
        }
        (rest, below, unit) = (rest / 1000, rest % 1000, next);
    }
    match rest {
        0..10 => format!("{rest}.{:02}{unit}", below / 10),
        10..100 => format!("{rest}.{}{unit}", below / 100),
        _ => format!("{rest}{unit}"),
    }
}

/// So many per second, in at most six characters.
pub fn rate(per_second: f64) -> String {
    if per_second <= 0.0 {
        "0".to_owned()
    } else if per_second < 0.05 {
        "<0.1".to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        // CAST: It saturates.
        count(per_second.round() as u64)
    }
}
