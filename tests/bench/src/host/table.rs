// SPDX-License-Identifier: GPL-2.0-only

//! The figures as a table: for a terminal, and in Markdown for the page.

use super::figures::Figures;
use super::figures::Row;
use super::figures::Value;
use crate::sample::Who;

const HEAD: [&str; 6] = [
    "row",
    "ours",
    "original",
    "ours, own",
    "original, own",
    "own, ours/original",
];

fn cells(row: &Row) -> [String; 6] {
    let text = |value: Option<Value>| value.map_or_else(String::new, |value| value.to_string());
    let (ours, original) = (row.own(Who::Ours), row.own(Who::Original));
    // Without a base, the whole is what there is to compare.
    let ratio = match (&row.base, ours, original) {
        (Some(_), Some(ours), Some(original)) => ratio(ours, original),
        (None, _, _) => row
            .whole(Who::Ours)
            .zip(row.whole(Who::Original))
            .and_then(|(ours, original)| ratio(ours, original)),
        _ => None,
    };
    [
        row.name.clone(),
        text(row.whole(Who::Ours)),
        text(row.whole(Who::Original)),
        text(ours),
        text(original),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
    ]
}

fn ratio(ours: Value, original: Value) -> Option<f64> {
    (original.median != 0.0).then(|| ours.median / original.median)
}

/// For people at a terminal.
pub fn text(figures: &Figures) -> String {
    let mut lines = vec![HEAD.map(str::to_string)];
    lines.extend(figures.rows.iter().map(cells));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    lines
        .iter()
        .map(|line| {
            let mut text = format!("{:<1$}", line[0], widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                text += &format!("  {cell:>width$}");
            }
            text.trim_end().to_string() + "\n"
        })
        .collect()
}

/// For the page.
pub fn markdown(figures: &Figures) -> String {
    let mut text = format!("| {} |\n| --- |{}\n", HEAD.join(" | "), " ---: |".repeat(5));
    for row in &figures.rows {
        let mut cells = cells(row);
        cells[0] = format!("`{}`", cells[0]);
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

/// What only several rows say together, a line each.
pub fn in_words(figures: &Figures) -> Vec<String> {
    let whole = |name: &str, who| Some(figures.row(name)?.whole(who)?.median);
    let ours = |name: &str| whole(name, Who::Ours);
    let mut lines = Vec::new();
    let floor = ours("floor/raw/drop/udp");
    let tracked = ours("floor/input/drop/udp/new").zip(ours("floor/input/drop-no-conntrack/udp"));
    let defrag = ours("floor/raw/drop+defrag/udp").zip(floor);
    if let (Some((tracked, plain)), Some((defrag, floor))) = (tracked, defrag) {
        lines.push(format!(
            "Every packet pays for a hook that is there: connection tracking {:.0} (UDP that is new and dropped), \
             putting fragments together {:.0}.",
            tracked - plain,
            defrag - floor
        ));
    }
    let original = whole("not-mine/input/drop/udp/new/sourceip", Who::Original);
    let raw = ours("not-mine/raw/udp/sourceip");
    if let (Some(original), Some(raw), Some(floor)) = (original, raw, floor) {
        let (there, here) = (original - floor, raw - floor);
        lines.push(format!(
            "Somebody else's packet, over a plain drop in raw PREROUTING: {here:.0} with ours there, {there:.0} with \
             the original in INPUT, {:.0} times as much.",
            there / here
        ));
    }
    lines
}
