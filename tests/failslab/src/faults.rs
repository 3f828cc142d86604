// SPDX-License-Identifier: GPL-2.0-only

//! Allocations that fail on demand (`Documentation/fault-injection/fault-injection.rst`).
//!
//! The kernel's `failslab` is asked before each allocation from a slab, GFP_KERNEL ones too with
//! `ignore-gfp-wait` off. Its stack filter lets those alone fail that have a frame of the module's
//! text on their stack: the module's own, and those that C code makes on its behalf.
//!
//! Which of them fails is said in one of two ways. `fail-nth` of a thread counts what that thread
//! allocates and fails the one whose number it was given: no chance is in it, nobody else is hit,
//! and what is left of the number tells whether it came to that. It is of no use where the kernel
//! acts in a thread of its own; for that there are failslab's own attributes, `times` above all,
//! which fail the first few allocations of whoever makes them.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use object::Object;
use object::ObjectSection;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::BufRead;
use std::io::BufReader;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

const FAILSLAB: &str = "/sys/kernel/debug/failslab";
/// The other things that can be made to fail, where the kernel has them. `fail-nth` counts them all.
const OTHERS: [&str; 2] = [
    "/sys/kernel/debug/fail_page_alloc",
    "/sys/kernel/debug/fail_usercopy",
];
/// Where kmemleak makes its note of each allocation. It has other memory for that when this fails, so
/// to try that would take as long again, and say nothing of the module.
const KMEMLEAK: &str = "__alloc_object";
const SECTIONS: &str = "/sys/module/ipt_CLUSTERIP/sections";
/// No operation makes as many allocations.
const MANY: u32 = 1 << 30;

/// Whose frames an allocation must have on its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The module's, which is loaded.
    Module,
    /// That of a function of the kernel's own, of this name: one that calls the module, where the
    /// module's last step is a jump that leaves no frame of its own.
    Kernel(&'static str),
    /// Any module's: where the one that is about to be loaded will be is not known. Only its start
    /// runs on the stack of `init_module()`, if the file has been read before.
    AnyModule,
}

/// How long memory is short.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// One allocation fails.
    Once,
    /// So do all that come after it, those of the way back too: some callers try again and would
    /// never feel a single failure.
    Lasting,
}

/// What came of an operation and of the failure that was meant for it.
pub struct Outcome<T> {
    pub value: T,
    /// How many allocations failed.
    pub injected: u32,
    /// How many there were, when none failed.
    pub allocations: u32,
}

pub struct Faults {
    /// The module as it is loaded, to know how long its sections are.
    image: Vec<u8>,
    /// Where functions of the kernel's own are, as far as they were asked for: looking takes long.
    known: RefCell<BTreeMap<&'static str, Range<u64>>>,
}

impl Faults {
    /// `image` is the module's file.
    pub fn new(image: &Path) -> Result<Self> {
        ensure!(
            Path::new(FAILSLAB).join("require-start").exists(),
            "this kernel cannot fail allocations by their stack: it has no {FAILSLAB}/require-start \
             (CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_STACKTRACE_FILTER); the debug kernel has it"
        );
        for (name, value) in [
            ("probability", "0"),
            ("interval", "1"),
            ("space", "0"),
            ("task-filter", "N"),
            ("ignore-gfp-wait", "N"),
            ("cache-filter", "N"),
            ("stacktrace-depth", "32"),
            // What it says has the words of a crash in it.
            ("verbose", "0"),
        ] {
            set(FAILSLAB, name, value)?;
        }
        for other in OTHERS {
            if Path::new(other).exists() {
                require(other, &(1..1))?;
            }
        }
        let own = function(KMEMLEAK)?.unwrap_or(0..0);
        set(FAILSLAB, "reject-start", &format!("{:#x}", own.start))?;
        set(FAILSLAB, "reject-end", &format!("{:#x}", own.end))?;
        Ok(Self {
            image: fs::read(image).with_context(|| format!("reading {}", image.display()))?,
            known: RefCell::default(),
        })
    }

    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Says what the failing allocation's stack was, in the kernel's log. For a look at it by hand:
    /// the log is then full of crash marks.
    pub fn show_stacks(&self) -> Result<()> {
        set(FAILSLAB, "verbose", "2")?;
        set(FAILSLAB, "verbose_ratelimit_interval_ms", "0")
    }

    /// Runs an operation in which the calling thread's `nth` allocation within reach fails, if it
    /// comes to that.
    pub fn during<T>(
        &self,
        reach: Reach,
        nth: u32,
        shortage: Shortage,
        operation: impl FnOnce() -> T,
    ) -> Result<Outcome<T>> {
        require(FAILSLAB, &self.range(reach)?)?;
        let counter = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")
            .context("/proc/thread-self/fail-nth (CONFIG_FAULT_INJECTION)")?;
        counter.write_at(nth.to_string().as_bytes(), 0)?;
        // Failslab's own attributes are looked at when the thread's number is used up.
        let (value, injected) = self.limited(MANY, shortage == Shortage::Lasting, operation)?;
        let left = number(&counter)?;
        counter.write_at(b"0", 0)?;
        ensure!(
            (left == 0) == (injected > 0),
            "fail-nth is {left}, and {injected} allocations failed"
        );
        Ok(Outcome {
            value,
            injected,
            allocations: if left == 0 { 0 } else { nth - left },
        })
    }

    /// Runs an operation in which no allocation fails; how many there are within reach.
    pub fn count<T>(&self, reach: Reach, operation: impl FnOnce() -> T) -> Result<(T, u32)> {
        let outcome = self.during(reach, MANY, Shortage::Once, operation)?;
        Ok((outcome.value, outcome.allocations))
    }

    /// Runs an operation in which the first `times` allocations under the module's frames fail,
    /// whoever makes them; how many did.
    pub fn of_anyone<T>(&self, times: u32, operation: impl FnOnce() -> T) -> Result<(T, u32)> {
        require(FAILSLAB, &self.range(Reach::Module)?)?;
        self.limited(times, true, operation)
    }

    /// Runs an operation in which at most `times` allocations fail: all, or those only that a thread
    /// has a number for. How many did.
    fn limited<T>(&self, times: u32, all: bool, operation: impl FnOnce() -> T) -> Result<(T, u32)> {
        set(FAILSLAB, "times", &times.to_string())?;
        set(FAILSLAB, "probability", if all { "100" } else { "0" })?;
        let value = operation();
        set(FAILSLAB, "probability", "0")?;
        let left = fs::read_to_string(Path::new(FAILSLAB).join("times"))?;
        let left: u32 = left.trim().parse().context("failslab's times")?;
        Ok((value, times - left))
    }

    fn range(&self, reach: Reach) -> Result<Range<u64>> {
        match reach {
            Reach::Module => self.module(),
            Reach::Kernel(name) => self.known(name),
            Reach::AnyModule => any_module(),
        }
    }

    fn known(&self, name: &'static str) -> Result<Range<u64>> {
        if let Some(range) = self.known.borrow().get(name) {
            return Ok(range.clone());
        }
        let range = function(name)?.with_context(|| format!("there is no {name}()"))?;
        self.known.borrow_mut().insert(name, range.clone());
        Ok(range)
    }

    /// Where the module's code is now: from its first section of code to the end of its last one, as
    /// its own functions lie in one piece.
    fn module(&self) -> Result<Range<u64>> {
        let file = object::File::parse(&*self.image).context("the module's file")?;
        let (mut start, mut end) = (u64::MAX, 0);
        for section in file.sections() {
            let name = section.name()?;
            let is_code = section.kind() == object::SectionKind::Text;
            // Gone once the module has started.
            if !is_code || section.size() == 0 || name.starts_with(".init") {
                continue;
            }
            let path = Path::new(SECTIONS).join(name);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{}: is the module loaded?", path.display()))?;
            let address = hexadecimal(&text)?;
            start = start.min(address);
            end = end.max(address + section.size());
        }
        ensure!(start < end, "the module has no code");
        Ok(start..end)
    }
}

impl Drop for Faults {
    /// Whoever comes next gets all its memory.
    fn drop(&mut self) {
        let _ = set(FAILSLAB, "probability", "0");
    }
}

/// All of the memory that modules are loaded to, which begins at a multiple of 512 MiB above the
/// kernel's own text and grows from there.
fn any_module() -> Result<Range<u64>> {
    let list = fs::read_to_string("/proc/modules")?;
    let lowest = list
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .map(hexadecimal)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .min()
        .context("no module is loaded")?;
    ensure!(lowest != 0, "/proc/modules hides addresses");
    Ok(lowest & !0x1fff_ffff..0xffff_ffff_ff00_0000)
}

/// Where a function of the kernel's own is, if there is one of the name: up to the next symbol.
fn function(name: &str) -> Result<Option<Range<u64>>> {
    let symbols = BufReader::new(File::open("/proc/kallsyms")?);
    let mut start = None;
    // They are in the order of their addresses, and reading all of them takes long.
    for line in symbols.lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let address = hexadecimal(words.next().unwrap_or_default())?;
        match start {
            None if words.nth(1) == Some(name) => start = Some(address),
            Some(start) if address > start => return Ok(Some(start..address)),
            _ => {}
        }
    }
    Ok(None)
}

fn hexadecimal(text: &str) -> Result<u64> {
    let digits = text.trim().trim_start_matches("0x");
    u64::from_str_radix(digits, 16).with_context(|| format!("an address, not {text:?}"))
}

fn number(counter: &File) -> Result<u32> {
    let mut text = [0; 16];
    let length = counter.read_at(&mut text, 0)?;
    let text = std::str::from_utf8(&text[..length])?;
    text.trim().parse().context("fail-nth")
}

fn set(directory: &str, name: &str, value: &str) -> Result<()> {
    let path = Path::new(directory).join(name);
    fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
}

fn require(directory: &str, range: &Range<u64>) -> Result<()> {
    set(directory, "require-start", &format!("{:#x}", range.start))?;
    set(directory, "require-end", &format!("{:#x}", range.end))
}
