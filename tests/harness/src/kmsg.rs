// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's log, read from where it was when the reader was made.

use anyhow::Context;
use anyhow::Result;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::OpenOptionsExt;

/// What the module's lines start with.
pub const PREFIX: &str = "ipt_CLUSTERIP: ";

/// What the kernel says when something is badly wrong.
const CRASH_MARKS: [&str; 10] = [
    "BUG:",
    "BUG ",
    "WARNING:",
    "Oops",
    "RIP:",
    "Call Trace",
    "rcu: INFO",
    "KFENCE",
    "unreferenced object",
    "panicked",
];

pub struct Kmsg {
    file: File,
    crashes: Vec<String>,
}

impl Kmsg {
    pub fn from_now() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            crashes: Vec::new(),
        })
    }

    /// The lines since the last call.
    pub fn read(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.file.read(&mut buffer) {
                Ok(length) => {
                    let line = text(&buffer[..length]);
                    if is_crash(&line) {
                        self.crashes.push(line.clone());
                    }
                    lines.push(line);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                // Lines were overwritten before they were read: those that are left come next.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) => return Err(error).context("reading /dev/kmsg"),
            }
        }
    }

    /// The marks of a crash among all lines read so far and those that are there now.
    pub fn crashes(&mut self) -> Result<&[String]> {
        self.read()?;
        Ok(&self.crashes)
    }
}

fn is_crash(line: &str) -> bool {
    // The module's name ends in a mark.
    let line = line.replace("CLUSTERIP", "");
    CRASH_MARKS.iter().any(|mark| line.contains(mark))
}

/// The text of a record `priority,number,time,flags;text\n KEY=value…`, its `\xNN` undone.
fn text(record: &[u8]) -> String {
    let record = String::from_utf8_lossy(record);
    let line = record.split_once(';').map_or("", |(_, text)| text);
    let line = line.lines().next().unwrap_or("");
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
