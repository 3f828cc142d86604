// SPDX-License-Identifier: GPL-2.0-only

//! The command `clusterip` on the module itself; what it makes of made-up files is tested on the host.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clusterip::run;
use clusterip::Terminal;
use harness::cluster::VIP;
use harness::host::host;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::ffi::OsString;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        command_changes_what_the_kernel_has,
        command_says_what_the_kernel_means,
        command_watch_wakes_at_once,
    ]
}

/// The calling thread's own namespace.
fn words(line: &str) -> Vec<OsString> {
    let line = format!("clusterip --proc /proc/thread-self {line}");
    line.split(' ').map(OsString::from).collect()
}

/// A machine with a VIP of four numbers, of which this is the first.
fn machine(ctx: &mut Ctx) -> Result<Netns> {
    let host = host(ctx)?;
    host.iptables(&format!(
        "-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:20 \
         --total-nodes 4 --local-node 1"
    ))?;
    Ok(host)
}

/// Its exit code, and all that it said.
fn said(host: &Netns, line: &str) -> Result<(u8, String)> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut to = Terminal {
        out: &mut out,
        err: &mut err,
        blocks: false,
    };
    let code = host.enter(|| run(words(line), &mut to))?;
    out.extend(err);
    Ok((code, String::from_utf8(out)?))
}

fn expect(host: &Netns, line: &str, code: u8, text: &str) -> Result<()> {
    let seen = said(host, line)?;
    ensure!(seen == (code, text.to_owned()), "{line}: {seen:?}");
    Ok(())
}

fn command_changes_what_the_kernel_has(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for (line, text, nodes) in [
        ("add", "2,4", "1 -> 1,2,4"),
        ("del", "1", "1,2,4 -> 2,4"),
        ("set", "1-3", "2,4 -> 1-3"),
        ("set", "none", "1-3 -> none"),
    ] {
        expect(
            &host,
            &format!("{line} {VIP} {text}"),
            0,
            &format!("{VIP}: {nodes}\n"),
        )?;
        let nodes = nodes.replace("1-3", "1,2,3");
        let (_, nodes) = nodes.split_once(" -> ").context("no arrow")?;
        ensure!(host.nodes(VIP)? == nodes.replace("none", ""), "{line}");
    }
    let (code, text) = said(&host, "status --interval 0")?;
    // Two more numbers, one less, and a set twice.
    let head = format!(
        "{VIP} on eth0\n  mac      01:00:5E:00:00:20\n  hash     sourceip, seed 0\n  mine     none of 4\n  \
         changes  5\n  packets  0 accepted, 0 left to others\n"
    );
    ensure!(code == 0 && text.starts_with(&head), "{code}: {text}");
    host.iptables("-F INPUT")?;
    ensure!(said(&host, "status")?.0 == 4);
    ctx.expect_silence()
}

fn command_says_what_the_kernel_means(ctx: &mut Ctx) -> Result<()> {
    let host = machine(ctx)?;
    for (line, code, text) in [
        (
            "add 1",
            1,
            format!("{VIP}: 1 is this node's already; nothing was changed"),
        ),
        (
            "add 2-5",
            1,
            format!("{VIP}: the cluster has no 5, only 1 to 4; nothing was changed"),
        ),
        (
            "del 2",
            1,
            format!("{VIP}: 2 is not this node's; nothing was changed"),
        ),
        (
            "set 5",
            1,
            format!("{VIP}: the cluster has no 5, only 1 to 4; nothing was changed"),
        ),
    ] {
        let (what, numbers) = line.split_once(' ').context("no blank")?;
        let line = format!("{what} {VIP} {numbers}");
        expect(&host, &line, code, &format!("clusterip: {text}\n"))?;
    }
    let text = format!("clusterip: there is no VIP 10.9.9.9 here; there is {VIP}\n");
    expect(&host, "add 10.9.9.9 1", 4, &text)?;
    ensure!(host.nodes(VIP)? == "1");
    ctx.expect_silence()
}

/// Where lines go; when nobody takes them any more, it is a broken pipe.
struct Lines(Sender<String>, Vec<u8>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend(bytes);
        if bytes.ends_with(b"\n") {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.1)).into_owned();
            self.0
                .send(line)
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The next line, behind its time.
fn next(lines: &Receiver<String>) -> Result<String> {
    let line = lines.recv_timeout(Duration::from_secs(60))?;
    let (_, rest) = line.split_once(' ').context("no time")?;
    Ok(rest.trim_end().to_owned())
}

/// By the clock each change would take a second.
fn command_watch_wakes_at_once(ctx: &mut Ctx) -> Result<()> {
    const CHANGES: u32 = 20;
    let host = machine(ctx)?;
    let (sender, lines) = mpsc::channel();
    let (complaint, complaints) = mpsc::channel();
    thread::scope(|scope| -> Result<()> {
        let watching = scope.spawn(|| {
            let mut to = Terminal {
                out: &mut Lines(sender, Vec::new()),
                err: &mut Lines(complaint, Vec::new()),
                blocks: false,
            };
            host.enter(|| run(words("watch"), &mut to))
        });
        let seen = changes(&host, &lines, CHANGES);
        // With nobody to tell it ends at the next change, whatever was seen.
        drop(lines);
        host.iptables("-F INPUT")?;
        let code = watching
            .join()
            .map_err(|_| anyhow::anyhow!("it panicked"))??;
        let took = seen?;
        ensure!(code == 0, "it ended with {code}");
        let complaints: Vec<_> = complaints.try_iter().collect();
        ensure!(complaints.is_empty(), "{complaints:?}");
        ensure!(
            took < Duration::from_secs(CHANGES.into()),
            "{CHANGES} changes took {took:?}"
        );
        Ok(())
    })?;
    ctx.expect_silence()
}

fn changes(host: &Netns, lines: &Receiver<String>, count: u32) -> Result<Duration> {
    let line = next(lines)?;
    ensure!(
        line == format!("{VIP} is here: 1 of 4, generation 1"),
        "{line}"
    );
    let begun = Instant::now();
    for change in 0..count {
        let (tell, set) = [("+3", "1 -> 1,3"), ("-3", "1,3 -> 1")][(change % 2) as usize];
        host.tell(VIP, tell)?;
        let line = next(lines)?;
        let wanted = format!("{VIP} {set}, generation {}", change + 2);
        ensure!(line == wanted, "{line}");
    }
    Ok(begun.elapsed())
}
