// SPDX-License-Identifier: GPL-2.0-only

//! The script that keepalived tells by its fifo, alone.

use crate::node::LOGS;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::cluster::VIP;
use harness::eventually;
use harness::host::host;
use harness::Ctx;
use harness::Netns;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::process::Child;
use std::process::Command;

const SCRIPT: &str = "/usr/local/lib/clusterip/keepalived-notify";

/// The script at work; ended with this value, if it has not ended by itself.
struct Script {
    child: Child,
    fifo: File,
    log: String,
}

impl Script {
    fn start(host: &Netns) -> Result<Self> {
        fs::create_dir_all(LOGS)?;
        let fifo = format!("{LOGS}/fifo");
        let log = format!("{LOGS}/script");
        for file in [&fifo, &log] {
            let _ = fs::remove_file(file);
        }
        nix::unistd::mkfifo(fifo.as_str(), nix::sys::stat::Mode::S_IRWXU)?;
        let mut command = Command::new(SCRIPT);
        command.arg(&fifo).env("LOG", &log).env("WAIT", "0.5");
        let child = host.enter(|| command.spawn())?.context(SCRIPT)?;
        // As keepalived does it, which so never waits for its reader.
        let fifo = File::options().read(true).write(true).open(&fifo)?;
        Ok(Self { child, fifo, log })
    }

    /// One after the other, with no time between them.
    fn hear(&mut self, lines: &[String]) -> Result<()> {
        self.fifo.write_all(lines.concat().as_bytes())?;
        Ok(())
    }

    fn expect_line(&self, part: &str) -> Result<()> {
        let mut said = String::new();
        eventually("a line of the script", || {
            said = fs::read_to_string(&self.log).unwrap_or_default();
            Ok(said.contains(part))
        })
        .with_context(|| format!("{part:?} should be among {said:?}"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn instance(name: &str, state: &str) -> String {
    format!("INSTANCE \"{name}\" {state} 100\n")
}

fn expect_nodes(host: &Netns, wanted: &str) -> Result<()> {
    let mut seen = String::new();
    eventually("a file's content", || {
        seen = host.nodes(VIP)?;
        Ok(seen == wanted)
    })
    .with_context(|| format!("{VIP} should have {wanted:?}, has {seen:?}"))
}

pub fn keepalived_script_alone(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    host.iptables(&format!(
        "-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip \
         --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 0"
    ))?;
    let mut script = Script::start(&host)?;
    let of = |number: u8, state: &str| instance(&format!("{VIP}/{number}"), state);

    // A number that is lost before it was taken is not taken afterwards.
    script.hear(&[of(1, "MASTER"), of(2, "MASTER"), of(2, "BACKUP")])?;
    expect_nodes(&host, "1")?;
    script.hear(&[of(2, "MASTER")])?;
    expect_nodes(&host, "1,2")?;
    // What is there already is no error, nor what is not.
    script.hear(&[of(2, "MASTER"), of(1, "FAULT"), of(1, "STOP")])?;
    expect_nodes(&host, "2")?;
    // Other people's instances, and what cannot be done.
    script.hear(&[
        instance("VI_1", "MASTER"),
        "GROUP \"10.9.0.100/1\" MASTER 0\n".into(),
        instance("10.9.0.101/1", "MASTER"),
        of(3, "MASTER"),
        of(1, "MASTER"),
    ])?;
    script.expect_line("10.9.0.101: cannot take 1: no rule has this VIP on this node")?;
    script.expect_line(&format!("{VIP}: +3 failed: Cannot allocate memory"))?;
    script.expect_line(&format!("{VIP}: +1, now: 1,2"))?;

    kill(Pid::from_raw(script.child.id() as i32), Signal::SIGTERM)?;
    let status = script.child.wait()?;
    ensure!(status.success(), "told to end, the script says {status}");
    expect_nodes(&host, "")?;
    let said = fs::read_to_string(&script.log)?;
    let changes = said.lines().filter(|line| line.contains("now: ")).count();
    ensure!(
        changes == 6,
        "six changes were made, the script tells {said}"
    );
    Ok(())
}
