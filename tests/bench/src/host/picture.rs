// SPDX-License-Identifier: GPL-2.0-only

//! The own costs as bars, readable on white and on dark, and without seeing it by its description.

use super::figures::Figures;
use crate::sample::Who;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;
use svg::node::element::Description;
use svg::node::element::Rectangle;
use svg::node::element::Style;
use svg::node::element::Text;
use svg::node::element::Title;
use svg::Document;

const WIDTH: f64 = 820.0;
const LABELS: f64 = 330.0;
const LINE: f64 = 20.0;
const STYLE: &str = "text { font: 13px sans-serif; fill: #24292f; } .head { font-weight: bold; } \
     .ours { fill: #2f7ed8; } .original { fill: #c9803a; } .other { fill: #8a8f98; } \
     @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }";

/// What is drawn: rows under a heading.
const GROUPS: [(&str, &[(&str, &str)]); 3] = [
    (
        "Mine, established UDP, taken by a socket behind INPUT",
        &[
            ("sourceip", "mine/input/accept/udp/established/sourceip"),
            (
                "sourceip-sourceport",
                "mine/input/accept/udp/established/sourceip-sourceport",
            ),
            (
                "sourceip-sourceport-destport",
                "mine/input/accept/udp/established/sourceip-sourceport-destport",
            ),
            (
                "xt_cluster (mangle PREROUTING)",
                "mine/xt_cluster/mangle/udp",
            ),
            ("nft jhash (input)", "mine/nft-jhash/input/udp"),
        ],
    ),
    (
        "Somebody else's, in INPUT",
        &[
            ("sourceip", "not-mine/input/drop/udp/new/sourceip"),
            (
                "sourceip-sourceport",
                "not-mine/input/drop/udp/new/sourceip-sourceport",
            ),
            (
                "sourceip-sourceport-destport",
                "not-mine/input/drop/udp/new/sourceip-sourceport-destport",
            ),
            ("nft jhash (input)", "not-mine/nft-jhash/input/udp"),
        ],
    ),
    (
        "Somebody else's, in raw PREROUTING",
        &[
            ("sourceip", "not-mine/raw/udp/sourceip"),
            (
                "sourceip-sourceport",
                "not-mine/raw/udp/sourceip-sourceport",
            ),
            (
                "sourceip-sourceport-destport",
                "not-mine/raw/udp/sourceip-sourceport-destport",
            ),
            ("nft jhash (raw)", "not-mine/nft-jhash/raw/udp"),
        ],
    ),
];

struct Bar {
    label: String,
    class: &'static str,
    value: f64,
}

fn bars(figures: &Figures, rows: &[(&str, &str)]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (label, name) in rows {
        let Some(row) = figures.row(name) else {
            continue;
        };
        let other = name.contains("xt_cluster") || name.contains("nft");
        for who in [Who::Ours, Who::Original] {
            let Some(own) = row.own(who) else { continue };
            bars.push(Bar {
                label: if other {
                    label.to_string()
                } else {
                    format!("{who}: {label}")
                },
                class: match who {
                    _ if other => "other",
                    Who::Ours => "ours",
                    Who::Original => "original",
                },
                value: own.median,
            });
        }
    }
    bars
}

pub fn write(figures: &Figures, path: &Path) -> Result<()> {
    let groups: Vec<(&str, Vec<Bar>)> = GROUPS
        .iter()
        .map(|(head, rows)| (*head, bars(figures, rows)))
        .collect();
    let most = groups
        .iter()
        .flat_map(|(_, bars)| bars)
        .map(|bar| bar.value)
        .fold(1.0, f64::max);
    let lines: usize = groups.iter().map(|(_, bars)| bars.len() + 1).sum();
    let height = LINE * (lines as f64 + 0.5 * groups.len() as f64 + 0.5);
    let title =
        "What a target adds to a packet, in instructions: ours, the C original, xt_cluster, nft";
    // The first child of the picture is its name for whoever does not see it.
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("role", "img")
        .add(Title::new(title))
        .add(Description::new().add(svg::node::Text::new(in_words(&groups))))
        .add(Style::new(STYLE));
    let mut y = LINE;
    for (head, bars) in &groups {
        document = document.add(text(0.0, y, head).set("class", "head"));
        y += LINE;
        for bar in bars {
            let width = (bar.value / most) * (WIDTH - LABELS - 60.0);
            let shape = Rectangle::new()
                .set("x", LABELS)
                .set("y", y - 13.0)
                .set("width", format!("{width:.1}"))
                .set("height", 14)
                .set("class", bar.class);
            document = document.add(text(12.0, y, &bar.label)).add(shape).add(text(
                LABELS + width + 6.0,
                y,
                &format!("{:.0}", bar.value),
            ));
            y += LINE;
        }
        y += LINE / 2.0;
    }
    let licence = "<!-- SPDX-License-Identifier: GPL-2.0-only -->\n";
    fs::write(path, format!("{licence}{document}\n")).with_context(|| path.display().to_string())
}

fn in_words(groups: &[(&str, Vec<Bar>)]) -> String {
    let groups: Vec<String> = groups
        .iter()
        .map(|(head, bars)| {
            let bars: Vec<String> = bars
                .iter()
                .map(|bar| format!("{} {:.0}", bar.label, bar.value))
                .collect();
            format!("{head}: {}.", bars.join(", "))
        })
        .collect();
    format!("Instructions per packet. {}", groups.join(" "))
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content)
        .set("x", format!("{x:.1}"))
        .set("y", format!("{y:.1}"))
}
