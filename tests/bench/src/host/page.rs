// SPDX-License-Identifier: GPL-2.0-only

//! The generated part of a page, between its two markers.

use super::figures::Figures;
use super::goals;
use super::table;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- bench: made by make bench WRITE=1 -->\n";
const END: &str = "<!-- bench: end -->\n";

pub fn write(figures: &Figures, path: &Path) -> Result<()> {
    let page = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (before, rest) = page
        .split_once(BEGIN)
        .context("the page has no begin marker")?;
    let (_, after) = rest.split_once(END).context("the page has no end marker")?;
    let text = [before, BEGIN, &body(figures), END, after].concat();
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn body(figures: &Figures) -> String {
    let goals = goals::goals(figures);
    let met = goals.iter().filter(|goal| goal.met).count();
    let mut text = format!(
        "\nMeasured on {}. Goals: {met} met, {} missed.\n\n| goal | measured | |\n| --- | --- | --- |\n",
        figures.kernel,
        goals.len() - met
    );
    for goal in goals {
        let verdict = if goal.met { "met" } else { "**missed**" };
        text += &format!("| {} | {} | {verdict} |\n", goal.what, goal.seen);
    }
    text += "\n";
    for line in table::in_words(figures) {
        text += &format!("{line}\n\n");
    }
    text + &table::markdown(figures) + "\n"
}
