// SPDX-License-Identifier: GPL-2.0-only

//! What the program makes: sections of the page, between `<!-- NAME -->` and `<!-- end of NAME -->`, and pictures beside it.

use crate::chart::draw;
use crate::costs::Costs;
use crate::even;
use crate::moved;
use crate::numbers;
use crate::throughput;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// The page's name in its folder.
pub const PAGE: &str = "scale.md";

pub struct Made {
    /// Name and text.
    pub sections: Vec<(&'static str, String)>,
    /// File and content.
    pub pictures: Vec<(&'static str, String)>,
}

/// Calculates and simulates everything; some seconds of work.
pub fn make(costs: &Costs) -> Made {
    let growth = moved::simulate();
    Made {
        sections: vec![
            ("costs", throughput::costs_table(costs)),
            ("growth", throughput::growth_table(costs)),
            ("work", throughput::work_table(costs)),
            ("moved", moved::table(&growth)),
            ("even", even::table()),
            ("numbers", numbers::table()),
        ],
        pictures: vec![
            (
                "scale-throughput.svg",
                draw(
                    &throughput::charts(costs),
                    2,
                    "Throughput of a cluster as it grows",
                    "Four panels over 1 to 64 machines, in all and per machine, without and with work per packet. The numbers \
                     are in the tables of docs/scale.md.",
                ),
            ),
            (
                "scale-moved.svg",
                draw(
                    &[moved::chart(&growth)],
                    1,
                    "Clients that find another node when one node is added",
                    "Another total moves half of them, however many nodes there are. Handing over spare numbers moves the \
                     newcomer's share only: a third of the clients at 2 nodes, a twentieth at 16.",
                ),
            ),
            (
                "scale-numbers.svg",
                draw(
                    &[numbers::chart()],
                    1,
                    "The busiest node's share when numbers are dealt out",
                    "16, 60 or 64 numbers dealt to 2 to 16 nodes. With 60 no node has more than 1.2 times the mean; with 16 \
                     one has up to 1.88 times.",
                ),
            ),
        ],
    }
}

impl Made {
    /// Everything, as it is to be read on a terminal.
    pub fn print(&self) {
        for (name, text) in &self.sections {
            println!("== {name}\n\n{text}");
        }
    }

    /// Puts it into the folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let page = folder.join(PAGE);
        let mut text = read(&page)?;
        for (name, section) in &self.sections {
            let (before, _, after) = split(&text, name)?;
            text = [before, section, after].concat();
        }
        fs::write(&page, text).with_context(|| format!("writing {}", page.display()))?;
        for (name, picture) in &self.pictures {
            fs::write(folder.join(name), picture).with_context(|| format!("writing {name}"))?;
        }
        Ok(())
    }

    /// What in the folder is not as this run has it.
    pub fn stale(&self, folder: &Path) -> Result<Vec<String>> {
        let text = read(&folder.join(PAGE))?;
        let mut stale = Vec::new();
        for (name, section) in &self.sections {
            let (_, now, _) = split(&text, name)?;
            if now != section {
                stale.push(format!("{PAGE}, section {name}"));
            }
        }
        for (name, picture) in &self.pictures {
            if read(&folder.join(name))? != *picture {
                stale.push((*name).into());
            }
        }
        Ok(stale)
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// The text up to a section, with its marker; the section; and the rest from its end's marker on.
fn split<'a>(text: &'a str, name: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let (start, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let from = text
        .find(&start)
        .with_context(|| format!("no {start:?} in the page"))?
        + start.len();
    let to = from
        + text[from..]
            .find(&end)
            .with_context(|| format!("no {end:?} in the page"))?;
    Ok((&text[..from], &text[from..to], &text[to..]))
}
