// SPDX-License-Identifier: GPL-2.0-only

//! What other nodes have in their files: all are asked at once, by ssh or another command.

use crate::stat;
use crate::stat::Vips;
use std::io;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// What a peer is asked for.
pub const STAT: &str = "/proc/net/stat/ipt_CLUSTERIP";

/// More than any number of VIPs would take is not read.
const MOST: u64 = 64 << 20;

/// What ssh itself ends with when it does not reach a machine.
const SSH_FAILED: i32 = 255;

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its VIPs.
    Vips(Vips),
    /// It has no such file.
    NoModule,
    /// There was no answer that means something.
    Failed(String),
}

/// A question under way.
struct Asked {
    child: Child,
    out: Receiver<Vec<u8>>,
    err: Receiver<Vec<u8>>,
}

/// Asks all of them at once; after so long those that have not answered are let go.
pub fn ask(peers: &[String], ssh: &str, timeout: Duration) -> Vec<Answer> {
    let asked: Vec<_> = peers.iter().map(|peer| start(peer, ssh)).collect();
    let until = Instant::now().checked_add(timeout);
    let left = || {
        let until = until.map(|until| until.saturating_duration_since(Instant::now()));
        until.unwrap_or(timeout)
    };
    let answers = asked.into_iter().map(|asked| match asked {
        Ok(asked) => finish(asked, left, timeout),
        Err(error) => Answer::Failed(format!("\"{ssh}\" can't be run: {error}")),
    });
    answers.collect()
}

fn start(peer: &str, ssh: &str) -> io::Result<Asked> {
    let mut words = ssh.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).args([peer, "cat", STAT]);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    Ok(Asked { child, out, err })
}

/// Reads to the end beside all else, so that nobody waits for a full pipe.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What came before an error is what came.
        let _ = pipe.map(|pipe| pipe.take(MOST).read_to_end(&mut text));
        // Nobody waits for it any more after the time is over.
        let _ = sender.send(text);
    });
    receiver
}

fn finish(mut asked: Asked, left: impl Fn() -> Duration, timeout: Duration) -> Answer {
    let out = asked.out.recv_timeout(left());
    let status = loop {
        match asked.child.try_wait() {
            Ok(Some(status)) if out.is_ok() => break Some(status),
            Ok(None) if out.is_ok() && !left().is_zero() => {
                thread::sleep(Duration::from_millis(10));
            }
            _ => break None,
        }
    };
    let (Some(status), Ok(out)) = (status, out) else {
        // It may have ended by itself just now.
        let _ = asked.child.kill();
        let _ = asked.child.wait();
        return Answer::Failed(format!("no answer in {} s", timeout.as_secs_f32()));
    };
    // A connection that ssh keeps for later may hold this pipe open.
    let err = asked.err.recv_timeout(Duration::from_millis(200));
    judge(status, &out, &err.unwrap_or_default())
}

fn judge(status: ExitStatus, out: &[u8], err: &[u8]) -> Answer {
    let err = String::from_utf8_lossy(err);
    if status.success() {
        return match stat::parse(out) {
            Ok(vips) => Answer::Vips(vips),
            Err(fault) => Answer::Failed(format!("what it sent is not the file: {fault}")),
        };
    }
    // The file may be read by anybody: cat names it when it is not there.
    if status.code() != Some(SSH_FAILED) && err.contains(STAT) {
        return Answer::NoModule;
    }
    let said = err.lines().rev().find(|line| !line.trim().is_empty());
    let said = said.map(|line| line.trim().replace(char::is_control, "\u{fffd}"));
    Answer::Failed(said.unwrap_or_else(|| status.to_string()))
}
