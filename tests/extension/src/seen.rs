// SPDX-License-Identifier: GPL-2.0-only

//! Runs one program and keeps all that it showed: what it printed, how it ended, and what it handed
//! to the kernel by `setsockopt`.

use crate::case::Step;
use crate::normal;
use crate::sys;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use nix::sys::memfd::memfd_create;
use nix::sys::memfd::MFdFlags;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// The extension's file, in whatever directory.
pub const FILE: &str = "libipt_CLUSTERIP.so";

const IPT_SO_GET_ENTRIES: i32 = 65;

/// One call of `setsockopt`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Handed {
    pub level: i32,
    pub name: i32,
    pub bytes: Vec<u8>,
}

/// What a program showed; normalised.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// As a shell has it: above 128 it died of a signal.
    pub code: i32,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub handed: Vec<Handed>,
}

/// Beside it, what is no matter of comparison.
pub struct Trace {
    /// It had a socket, so it may have asked the kernel, and tables may have come to be.
    pub asked: bool,
    /// The file of the extension that it was seen to have in its memory: at a `setsockopt`, and at
    /// its end, when most have let go of it.
    pub mapped: Option<String>,
}

impl Seen {
    /// In lines, for people and for patterns.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("exit {}", self.code)];
        for (what, bytes) in [("out", &self.out), ("err", &self.err)] {
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let (text, end) = match line.strip_suffix(b"\n") {
                    Some(text) => (text, ""),
                    None => (line, " (no newline)"),
                };
                let text = match std::str::from_utf8(text) {
                    Ok(text) => text.to_string(),
                    Err(_) => text.escape_ascii().to_string(),
                };
                // An empty one is `err` alone: a row of the differences cannot end in a blank.
                let blank = if text.is_empty() { "" } else { " " };
                lines.push(format!("{what}{blank}{text}{end}"));
            }
        }
        for call in &self.handed {
            let hex: Vec<String> = call
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let hex = hex.concat();
            lines.push(format!("set {} {} {hex}", call.level, call.name));
        }
        lines
    }
}

/// Where a suite's programs are, and what they see of the world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub root: &'a Path,
    /// `XTABLES_LIBDIR`.
    pub libraries: &'a str,
    /// The target's payloads that the programs are told instead of the kernel's own, in the order of
    /// the rules; of rules beyond these they are told the truth.
    pub told: &'a [[u8; 64]],
}

/// Runs a program, in the calling thread's network namespace.
pub fn run(world: World, step: &Step) -> Result<(Seen, Trace)> {
    // Files of memory, so that no program waits for its reader.
    let file = || -> Result<File> { Ok(memfd_create("", MFdFlags::MFD_CLOEXEC)?.into()) };
    let (mut out, mut err) = (file()?, file()?);
    let Step {
        program,
        arguments,
        input,
    } = step;
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        let mut stdin = file()?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        stdin.into()
    };
    let mut command = Command::new(format!("/usr/sbin/{program}"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("TZ", "UTC")
        .env("XTABLES_LIBDIR", world.libraries)
        .stdin(stdin)
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?);
    let stops = [libc::SYS_setsockopt, libc::SYS_socket, libc::SYS_getsockopt];
    let stops = if world.told.is_empty() {
        &stops[..2]
    } else {
        &stops[..]
    };
    sys::traced(&mut command, world.root, stops);
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let (code, handed, trace) = follow(Pid::from_raw(child.id() as i32), world.told)?;
    let mut seen = Seen {
        code,
        handed,
        ..Seen::default()
    };
    for (file, bytes) in [(&mut out, &mut seen.out), (&mut err, &mut seen.err)] {
        file.rewind()?;
        file.read_to_end(bytes)?;
    }
    normal::normalise(&mut seen);
    Ok((seen, trace))
}

/// Goes from stop to stop until the program's end.
fn follow(pid: Pid, told: &[[u8; 64]]) -> Result<(i32, Vec<Handed>, Trace)> {
    let mut handed = Vec::new();
    let mut trace = Trace {
        asked: false,
        mapped: None,
    };
    let mut started = false;
    // Where an answer goes, and where its length stands, while the kernel gives it.
    let mut answer = None;
    loop {
        let mut signal = None;
        match waitpid(pid, None)? {
            WaitStatus::Exited(_, code) => return Ok((code, handed, trace)),
            WaitStatus::Signaled(_, signal, _) => return Ok((128 + signal as i32, handed, trace)),
            WaitStatus::Stopped(_, Signal::SIGTRAP) if !started => {
                started = true;
                ptrace::setoptions(
                    pid,
                    ptrace::Options::PTRACE_O_TRACESECCOMP
                        | ptrace::Options::PTRACE_O_TRACEEXIT
                        | ptrace::Options::PTRACE_O_TRACESYSGOOD
                        | ptrace::Options::PTRACE_O_EXITKILL,
                )?;
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_SECCOMP) => {
                trace.asked = true;
                let registers = ptrace::getregs(pid)?;
                match registers.orig_rax as i64 {
                    libc::SYS_setsockopt => {
                        trace.mapped = mapped(pid, trace.mapped)?;
                        handed.push(handed_over(pid, &registers)?);
                    }
                    libc::SYS_getsockopt if registers.rdx as i32 == IPT_SO_GET_ENTRIES => {
                        answer = Some(registers.r10);
                        ptrace::syscall(pid, None)?;
                        continue;
                    }
                    _ => {}
                }
            }
            WaitStatus::PtraceSyscall(_) => {
                if let Some(at) = answer.take() {
                    tell(pid, at, told)?;
                }
            }
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXIT) => {
                trace.mapped = mapped(pid, trace.mapped)?;
            }
            other => bail!("a traced program is {other:?}"),
        }
        ptrace::cont(pid, signal)?;
    }
}

/// What is handed over by the `setsockopt` at which it stopped.
fn handed_over(pid: Pid, registers: &libc::user_regs_struct) -> Result<Handed> {
    let mut bytes = vec![0; registers.r8 as u32 as usize];
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    memory
        .read_exact_at(&mut bytes, registers.r10)
        .context("reading what is handed over")?;
    Ok(Handed {
        level: registers.rsi as i32,
        name: registers.rdx as i32,
        bytes,
    })
}

/// Puts other payloads into the table that the kernel just gave it (`struct ipt_get_entries`).
fn tell(pid: Pid, at: u64, told: &[[u8; 64]]) -> Result<()> {
    let path = format!("/proc/{pid}/mem");
    let memory = File::options().read(true).write(true).open(path)?;
    let mut size = [0; 4];
    memory.read_exact_at(&mut size, at + 32)?;
    let start = at + 40;
    let mut entries = vec![0; u32::from_ne_bytes(size) as usize];
    memory.read_exact_at(&mut entries, start)?;
    let targets = blob::targets(&entries);
    ensure!(
        targets.len() >= told.len(),
        "there are {} rules to tell {} payloads of",
        targets.len(),
        told.len()
    );
    for (target, payload) in targets.iter().zip(told) {
        let offset = target.as_ptr() as usize - entries.as_ptr() as usize;
        memory.write_all_at(payload, start + offset as u64 + 32)?;
    }
    Ok(())
}

/// The extension's file as a program has it in its memory, or had it before; two of them are an
/// error.
fn mapped(pid: Pid, before: Option<String>) -> Result<Option<String>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let now = maps
        .lines()
        .filter(|line| line.ends_with(FILE))
        .filter_map(|line| line.split_whitespace().last());
    let mut found: Vec<String> = before.into_iter().chain(now.map(str::to_string)).collect();
    found.dedup();
    match &found[..] {
        [] | [_] => Ok(found.pop()),
        _ => bail!("a program mapped {found:?}"),
    }
}
