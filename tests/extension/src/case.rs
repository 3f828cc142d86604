// SPDX-License-Identifier: GPL-2.0-only

//! A case: what is typed, and what has to be there before.

use harness::blob::Payload;
use std::fmt;

/// What a namespace has beside its loopback device.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Place {
    #[default]
    Bare,
    /// `eth0`, with an address of its own and the articles' VIPs.
    Machine,
}

/// A program, its words, and what it reads.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Step {
    pub program: String,
    pub arguments: Vec<String>,
    pub input: String,
}

impl Step {
    pub fn new<S: Into<String>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        Self {
            program: program.to_string(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            input: String::new(),
        }
    }

    /// Words parted by blanks, with a shell's quotes.
    pub fn typed(line: &str) -> Option<Self> {
        let mut words = shlex::split(line)?;
        if words.is_empty() {
            return None;
        }
        let program = words.remove(0);
        Some(Self::new(&program, words))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let line = shlex::try_join(words.map(String::as_str)).map_err(|_| fmt::Error)?;
        write!(f, "{}", line.replace('\n', "\\n"))
    }
}

#[derive(Clone, Default)]
pub struct Case {
    pub name: String,
    pub place: Place,
    /// Payloads put into INPUT by hand, for what iptables cannot type; one rule and VIP each.
    pub put: Vec<Payload>,
    /// What the programs are told instead of those, of what no kernel would take.
    pub told: Vec<[u8; 64]>,
    pub steps: Vec<Step>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "= {}", self.name)?;
        if self.place == Place::Machine {
            writeln!(f, "! machine")?;
        }
        for payload in &self.put {
            writeln!(f, "# put by hand: {:02x?}", payload.bytes())?;
        }
        for payload in &self.told {
            writeln!(f, "# told instead: {payload:02x?}")?;
        }
        for step in &self.steps {
            writeln!(f, "$ {step}")?;
            for line in step.input.lines() {
                writeln!(f, "< {line}")?;
            }
        }
        Ok(())
    }
}
