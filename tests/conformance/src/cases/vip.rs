// SPDX-License-Identifier: GPL-2.0-only

//! A VIP and its file, for the cases about the file.

use crate::case::errno_name;
use crate::case::Case;
use crate::host::Host;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;

/// The file goes before the machine does: an open one keeps the VIP in the original's memory.
pub struct Vip {
    pub file: File,
    pub host: Host,
}

/// For reading and writing.
pub fn editing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// The one rule of a VIP of so many nodes, of which this machine is some.
pub fn rule(total: u16, nodes: &[u16]) -> Rule {
    Rule::new(VIP_ADDRESS, "eth0", &Payload::default().nodes(total, nodes))
}

/// Makes a rule the only one of `filter`.
pub fn install(host: &Host, rule: &Rule) -> Result<io::Result<()>> {
    host.enter(|| blob::replace(&blob::socket()?, "filter", std::slice::from_ref(rule)))
}

impl Vip {
    pub fn new(case: &mut Case, total: u16, nodes: &[u16]) -> Result<Self> {
        let host = case.host()?;
        install(&host, &rule(total, nodes))?.context("the VIP's rule")?;
        let file = host.open(VIP, &editing()).context("the VIP's file")?;
        Ok(Self { file, host })
    }

    /// All of the file, read by somebody else; in one call, for the original's text is wrong in pieces.
    pub fn text(&self) -> Result<String> {
        let mut file = self.host.open(VIP, OpenOptions::new().read(true))?;
        Ok(read_once(&mut file, 4096))
    }

    /// The nodes in words.
    pub fn nodes(&self) -> Result<String> {
        let text = self.text()?;
        let nodes = text.trim_end_matches('\n');
        Ok(if nodes.is_empty() { "none" } else { nodes }.to_string())
    }

    /// Writes once, and says what became of it: `3 bytes; 1,2`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<String> {
        let result = count(&self.file.write(bytes));
        Ok(format!("{result}; {}", self.nodes()?))
    }

    /// Takes the last rule away.
    pub fn flush(&self) -> Result<()> {
        self.host.flush()
    }
}

/// How many bytes, or which error.
pub fn count(result: &io::Result<usize>) -> String {
    match result {
        Ok(length) => format!("{length} bytes"),
        Err(error) => errno_name(error),
    }
}

/// What one `read()` into a buffer of `size` gives: its text, or the error.
pub fn read_once(file: &mut File, size: usize) -> String {
    let mut buffer = vec![0; size];
    match file.read(&mut buffer) {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
        Err(error) => errno_name(&error),
    }
}

/// Bytes as a key: in quotes, for blanks may be among them.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii()).replace("\\x00", "\\0")
}
