// SPDX-License-Identifier: GPL-2.0-only

//! The call graph of a linked kernel module (`.ko`, x86-64): who mentions whom.
//!
//! A function has an edge to every function that it mentions, called or not, by a relocation in its
//! range. A jump that the linker has already filled in has no relocation: where the bytes read as
//! one, and it ends on a function's first byte, that is an edge too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use object::{
    elf, File, Object, ObjectSection, ObjectSymbol, Relocation, RelocationFlags, RelocationTarget,
    SectionIndex, SymbolKind,
};

/// Who mentions whom, by symbol name. Functions of other objects have no edges.
#[derive(Default)]
pub struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// Why a file has no graph.
#[derive(Debug)]
pub struct NoGraph(String);

impl fmt::Display for NoGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<object::Error> for NoGraph {
    fn from(error: object::Error) -> Self {
        Self(error.to_string())
    }
}

/// Where the functions of one section begin and end.
type Ranges = BTreeMap<u64, (u64, String)>;

impl Graph {
    /// Reads the graph off the bytes of a module.
    pub fn read(bytes: &[u8]) -> Result<Self, NoGraph> {
        let file = File::parse(bytes)?;
        if file.architecture() != object::Architecture::X86_64 {
            return Err(NoGraph("not x86-64: relocations of others differ".into()));
        }

        let functions = functions(&file);
        let mut graph = Self::default();
        for (&section, ranges) in &functions {
            let section = file.section_by_index(section)?;
            for (start, (end, name)) in ranges {
                let edges = graph.edges.entry(name.clone()).or_default();
                let filled = filled_in(section.data()?, *start, *end);
                edges.extend(filled.filter_map(|at| Some(ranges.get(&at)?.1.clone())));
            }
            for (offset, relocation) in section.relocations() {
                let Some(from) = at(ranges, offset) else {
                    continue;
                };
                if let Some(to) = target(&file, &functions, &relocation)? {
                    graph.add(from, &to);
                }
            }
        }
        Ok(graph)
    }

    /// Adds one edge.
    pub fn add(&mut self, from: &str, to: &str) {
        let edges = self.edges.entry(from.into()).or_default();
        edges.insert(to.into());
    }

    /// The functions that the object itself has.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.edges.keys().map(String::as_str)
    }

    /// Whom a function mentions; `None` for a function of another object.
    pub fn mentions(&self, function: &str) -> Option<&BTreeSet<String>> {
        self.edges.get(function)
    }
}

fn functions(file: &File<'_>) -> HashMap<SectionIndex, Ranges> {
    let mut functions = HashMap::<SectionIndex, Ranges>::new();
    for symbol in file.symbols() {
        let (Some(section), Ok(name)) = (symbol.section_index(), symbol.name()) else {
            continue;
        };
        // The no-operations in front of a function that tracing may overwrite are no function.
        let padding = name.is_empty() || name.starts_with("__pfx_");
        if symbol.kind() == SymbolKind::Text && symbol.size() > 0 && !padding {
            let range = (symbol.address() + symbol.size(), name.to_string());
            functions
                .entry(section)
                .or_default()
                .entry(symbol.address())
                // Of several names for one function, the first in order: any is as good.
                .and_modify(|known| *known = known.clone().min(range.clone()))
                .or_insert(range);
        }
    }
    functions
}

/// The function that this place of a section belongs to.
fn at(ranges: &Ranges, offset: u64) -> Option<&str> {
    let (_, (end, name)) = ranges.range(..=offset).next_back()?;
    (offset < *end).then_some(name)
}

/// The name of the function that a relocation points to; of data there is none.
fn target(
    file: &File<'_>,
    functions: &HashMap<SectionIndex, Ranges>,
    relocation: &Relocation,
) -> Result<Option<String>, NoGraph> {
    let RelocationTarget::Symbol(index) = relocation.target() else {
        return Ok(None);
    };
    let symbol = file.symbol_by_index(index)?;
    let Some(section) = symbol.section_index() else {
        return Ok(symbol.name().ok().map(str::to_string));
    };
    let Some(ranges) = functions.get(&section) else {
        return Ok(None);
    };
    // What is relative counts from the end of its four bytes, and the addend makes up for that.
    let behind = match relocation.flags() {
        RelocationFlags::Elf {
            r_type: elf::R_X86_64_PC32 | elf::R_X86_64_PLT32,
        } => 4,
        _ => 0,
    };
    let offset = symbol
        .address()
        .wrapping_add_signed(relocation.addend().wrapping_add(behind));
    Ok(at(ranges, offset).map(str::to_string))
}

/// Where direct jumps and calls of this range lead to, if those bytes are such.
fn filled_in(data: &[u8], start: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
    let bytes = |at: u64| data.get(usize::try_from(at).ok()?..);
    (start..end).filter_map(move |at| {
        let (length, distance) = match *bytes(at)? {
            // call, jmp
            [0xe8 | 0xe9, a, b, c, d, ..] => (5, [a, b, c, d]),
            // jump if
            [0x0f, 0x80..=0x8f, a, b, c, d, ..] => (6, [a, b, c, d]),
            _ => return None,
        };
        let next = at.wrapping_add(length);
        Some(next.wrapping_add_signed(i32::from_le_bytes(distance).into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_that_are_filled_in() {
        // nop; call +0x10; jmp -7; je +2
        let code = [
            0x90, 0xe8, 0x10, 0, 0, 0, 0xe9, 0xf9, 0xff, 0xff, 0xff, 0x0f, 0x84, 2, 0, 0, 0,
        ];
        let found: Vec<u64> = filled_in(&code, 0, code.len() as u64).collect();
        assert_eq!(found, [22, 4, 19]);
    }

    #[test]
    fn places_belong_to_functions() {
        let ranges = Ranges::from([(0, (4, "a".into())), (16, (20, "b".into()))]);
        assert_eq!(at(&ranges, 3), Some("a"));
        assert_eq!(at(&ranges, 4), None);
        assert_eq!(at(&ranges, 16), Some("b"));
        assert_eq!(at(&ranges, 20), None);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(Graph::read(b"no ELF").is_err());
    }
}
