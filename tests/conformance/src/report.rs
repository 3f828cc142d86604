// SPDX-License-Identifier: GPL-2.0-only

//! What three guests saw, side by side; and whether each difference is one that was decided.

use crate::record::Seen;
use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Options {
    /// What the original showed on the kernel that ours runs on
    original: PathBuf,
    /// What ours showed
    ours: PathBuf,
    /// What the original showed on bookworm's kernel; without it, only the other two are compared
    #[arg(long)]
    bookworm: Option<PathBuf>,
    /// The differences that were decided
    #[arg(long)]
    differences: PathBuf,
    /// Where the table goes, as Markdown
    #[arg(long)]
    table: Option<PathBuf>,
    /// Put what ours shows into the list of differences, instead of comparing it
    #[arg(long)]
    write: bool,
    /// Not all cases were run: what is listed of others need not be there
    #[arg(long)]
    part: bool,
}

/// Which implementation stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Ours; the original is the same on both kernels.
    Ours,
    /// The original on bookworm's kernel: the newer kernel is what differs.
    Bookworm,
    /// The original on the newer kernel.
    Original,
    /// Each is different.
    All,
}

impl Who {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ours" => Self::Ours,
            "bookworm" => Self::Bookworm,
            "original" => Self::Original,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// Whether that is to be seen of the two on the newer kernel alone.
    fn shows_on_one_kernel(self) -> bool {
        self != Self::Bookworm
    }

    /// Of three values, in the order of the columns.
    fn of(values: &[Option<String>; 3]) -> Option<Self> {
        let [bookworm, original, ours] = values;
        match (bookworm == original, original == ours, bookworm == ours) {
            (true, true, _) => None,
            (true, ..) => Some(Self::Ours),
            (_, true, _) => Some(Self::Bookworm),
            (_, _, true) => Some(Self::Original),
            _ => Some(Self::All),
        }
    }
}

/// A difference that was decided.
pub struct Listed {
    who: Who,
    pub reason: String,
    /// What ours shows.
    shows: Option<String>,
    found: bool,
}

pub type Differences = BTreeMap<(String, String), Listed>;

/// Lines `case | what | who | reason | what ours shows`; `#` begins a remark. Of a stream (`*`) the last is
/// not there.
pub fn read_differences(path: &Path) -> Result<Differences> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut listed = Differences::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{}:{}", path.display(), number + 1);
        let words: Vec<&str> = line.split('|').map(str::trim).collect();
        let (case, key, who, reason, shows) = match words[..] {
            [case, key, who, reason] => (case, key, who, reason, None),
            [case, key, who, reason, shows] => (case, key, who, reason, Some(shows.to_string())),
            _ => bail!("{place}: not `case | what | who | reason | what ours shows`"),
        };
        let who = Who::parse(who).with_context(|| format!("{place}: who is {who}?"))?;
        if reason.is_empty() {
            bail!("{place}: a difference needs its reason");
        }
        let entry = Listed {
            who,
            reason: reason.to_string(),
            shows,
            found: false,
        };
        if listed
            .insert((case.to_string(), key.to_string()), entry)
            .is_some()
        {
            bail!("{place}: listed twice");
        }
    }
    Ok(listed)
}

pub fn run(options: &Options) -> Result<bool> {
    let bookworm = options.bookworm.as_ref().unwrap_or(&options.original);
    let columns = [
        Seen::read(bookworm)?,
        Seen::read(&options.original)?,
        Seen::read(&options.ours)?,
    ];
    let mut listed = read_differences(&options.differences)?;
    if options.bookworm.is_none() {
        listed.retain(|_, entry| entry.who.shows_on_one_kernel());
        listed.values_mut().for_each(|entry| entry.who = Who::Ours);
    }
    let mut order: Vec<String> = Vec::new();
    for case in columns.iter().flat_map(|seen| &seen.order) {
        if !order.contains(case) {
            order.push(case.clone());
        }
    }

    let (mut passed, mut failed) = (0, 0);
    let mut table = String::from(
        "| case | the original, bookworm's kernel | the original, the lab's kernel | ours | why |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for case in &order {
        let (rows, wrong) = judge(case, &columns, &mut listed, options);
        table += &rows;
        if wrong.is_empty() {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED {case}");
            wrong.iter().for_each(|line| println!("         {line}"));
        }
    }
    for ((case, key), entry) in listed.iter().filter(|((case, key), entry)| {
        !entry.found && key != "*" && (!options.part || order.contains(case))
    }) {
        failed += 1;
        println!(
            "FAILED {case}: `{key}` is listed as a difference ({}) and is none",
            entry.reason
        );
    }
    table += &differences_table(&listed);
    if options.write {
        write_differences(&options.differences, &listed)?;
    }
    if let Some(path) = &options.table {
        fs::write(path, table)?;
    }
    println!("{} cases, {} differences listed", order.len(), listed.len());
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

/// A case's row, and what is wrong with it.
fn judge(
    case: &str,
    columns: &[Seen; 3],
    listed: &mut Differences,
    options: &Options,
) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in columns
        .iter()
        .filter_map(|seen| seen.cases.get(case))
        .flatten()
    {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut cells: [Vec<String>; 3] = Default::default();
    let mut reasons = Vec::new();
    for key in keys {
        let values = [0, 1, 2].map(|column| columns[column].value(case, key));
        for (cell, value) in cells.iter_mut().zip(&values) {
            cell.push(format!("{key}: {}", value.as_deref().unwrap_or("–")));
        }
        if key == "broken" {
            wrong.push(format!("could not be carried out: {values:?}"));
            continue;
        }
        let differs = Who::of(&values);
        let entry = listed.get_mut(&(case.to_string(), key.to_string()));
        match (differs, entry) {
            (None, None) => {}
            (Some(who), Some(entry)) => {
                entry.found = true;
                reasons.push(entry.reason.clone());
                let shows = pinned(values[2].as_deref());
                if options.write {
                    entry.shows = Some(shows);
                } else if entry.shows.as_ref() != Some(&shows) {
                    wrong.push(format!(
                        "{key}: ours shows {shows}, listed is {:?}",
                        entry.shows
                    ));
                }
                if who != entry.who {
                    wrong.push(format!(
                        "{key}: {:?} is listed to stand alone, {who:?} does",
                        entry.who
                    ));
                }
            }
            (Some(_), None) => wrong.push(format!(
                "{key}: bookworm {:?}, original {:?}, ours {:?}",
                values[0], values[1], values[2]
            )),
            // Said at the end, with all those that are not found.
            (None, Some(_)) => {}
        }
    }
    reasons.dedup();
    let whole = cells.clone();
    let cells = cells.map(|cell| cut(&shown(&cell.join("; "))));
    let same = |column: usize| {
        if whole[column] == whole[0] {
            "same"
        } else {
            &cells[column]
        }
    };
    let row = format!(
        "| {case} | {} | {} | {} | {} |\n",
        cells[0],
        same(1),
        same(2),
        reasons.join("; ")
    );
    (row, wrong)
}

/// A value as it stands in the list, where bars part the fields.
fn pinned(value: Option<&str>) -> String {
    value.unwrap_or("–").trim().replace('|', "¦")
}

/// Puts what ours shows behind each line of the list.
fn write_differences(path: &Path, listed: &Differences) -> Result<()> {
    let mut text = String::new();
    for line in fs::read_to_string(path)?.lines() {
        let words: Vec<&str> = line.split('|').map(str::trim).collect();
        let entry = match words[..] {
            [case, key, ..] => listed.get(&(case.to_string(), key.to_string())),
            _ => None,
        };
        match entry.and_then(|entry| entry.shows.as_ref()) {
            Some(shows) => text += &format!("{} | {shows}\n", words[..4].join(" | ")),
            None => text += &format!("{line}\n"),
        }
    }
    Ok(fs::write(path, text)?)
}

/// The differences by their reasons, and where each is to be seen.
fn differences_table(listed: &Differences) -> String {
    let mut reasons: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for ((case, _), entry) in listed {
        let who = format!("{:?}", entry.who).to_lowercase();
        let cases = reasons.entry((&entry.reason, who)).or_default();
        if cases.last() != Some(&case.as_str()) {
            cases.push(case);
        }
    }
    let mut table = String::from(
        "\n| what is different, and why | who stands alone | seen in |\n| --- | --- | --- |\n",
    );
    for ((reason, who), cases) in reasons {
        table += &format!(
            "| {} | {who} | {} |\n",
            shown(reason),
            shown(&cases.join(", "))
        );
    }
    table
}

/// So much of it as a table bears; all of it is in the record.
fn cut(text: &str) -> String {
    const MOST: usize = 240;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_string(),
    }
}

/// A cell's text.
fn shown(text: &str) -> String {
    text.replace('|', "\\|")
}
