// SPDX-License-Identifier: GPL-2.0-only

//! A node seen from outside: it comes up, crashes, loses its cable, goes down in order; programs run
//! in it.

use crate::node::DISKS;
use crate::node::OWN;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::eventually;
use harness::Netns;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

pub struct Machine {
    pub number: usize,
    pub ns: Netns,
    /// `unshare`, which waits for the node's process 1.
    child: Child,
    first: Pid,
}

impl Machine {
    /// Puts its cable into the switch and starts it.
    pub fn start(number: usize, switch: &Netns) -> Result<Self> {
        let name = format!("node{number}");
        let ns = Netns::new(&name)?;
        switch.ip(&format!(
            "link add {name} type veth peer name eth0 address 02:00:00:00:00:0{number} netns {name}\n\
             link set {name} master br0 up\n"
        ))?;
        ns.ip(&format!(
            "link set lo up\n\
             link set eth0 up\n\
             address add 10.9.0.{number}/24 dev eth0\n"
        ))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--"])
            .arg(std::env::current_exe()?)
            .args(["node", &number.to_string()])
            .stdin(Stdio::piped());
        let child = ns.enter(|| command.spawn())?.context("unshare")?;
        let list = format!("/proc/{0}/task/{0}/children", child.id());
        let mut first = 0;
        eventually("a node's process 1", || {
            first = fs::read_to_string(&list)?.trim().parse().unwrap_or(0);
            Ok(first != 0)
        })?;
        Ok(Self {
            number,
            ns,
            child,
            first: Pid::from_raw(first),
        })
    }

    /// Runs a program in the node, its words given one by one, with something to read.
    pub fn output(&self, words: &[&str], input: &str) -> Result<Output> {
        let mut child = Command::new("nsenter")
            .args(["-t", &self.first.to_string(), "-a", "--"])
            .args(words)
            .env("HOME", "/root")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        // It may not want to read: its exit code will say why.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Ok(child.wait_with_output()?)
    }

    /// Runs a program, its words parted by blanks, that must succeed; its output.
    pub fn run(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = self.output(&words, "")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "`{line}` on node{}: {}, {said}{}",
            self.number,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(said)
    }

    /// What its processes think of is lost, its kernel answers no more. A node is a name in the
    /// network and a process 1: both go, the cable first.
    pub fn crash(mut self, switch: &Netns) -> Result<()> {
        switch.ip(&format!("link set node{} down\n", self.number))?;
        kill(self.first, Signal::SIGKILL)?;
        self.child.wait()?;
        let name = format!("node{}", self.number);
        drop(self);
        // The namespace ends in the background, and the switch's end of the cable with it.
        eventually("the end of a crashed node's network", || {
            Ok(!switch.enter(|| Path::new("/proc/sys/net/ipv4/conf").join(&name).exists())?)
        })
    }

    /// Stops Pacemaker, then Corosync, and switches off.
    pub fn power_off(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "node{}: {status}", self.number);
        Ok(())
    }
}

/// Gives each node its disk, new.
pub fn make_disks(numbers: &[usize]) -> Result<()> {
    for number in numbers {
        let disk = format!("{DISKS}/node{number}");
        for path in OWN.iter().filter(|path| **path != "/etc/hosts") {
            fs::create_dir_all(format!("{disk}{path}"))?;
        }
        fs::write(format!("{disk}/etc/hosts"), hosts(numbers))?;
        fs::write(
            format!("{disk}/etc/corosync/corosync.conf"),
            corosync(numbers),
        )?;
        for directory in ["corosync", "crmsh"] {
            fs::create_dir(format!("{disk}/var/log/{directory}"))?;
        }
        // With their owners, as the packages made them. Some leave that to systemd-tmpfiles.
        for path in ["/var/lib/pacemaker", "/var/lib/corosync"] {
            fs::create_dir_all(path)?;
            let copied = Command::new("cp")
                .args(["-a", &format!("{path}/."), &format!("{disk}{path}")])
                .status()?;
            ensure!(copied.success(), "cp -a {path}: {copied}");
        }
    }
    Ok(())
}

fn hosts(numbers: &[usize]) -> String {
    let nodes = numbers.iter().map(|n| format!("10.9.0.{n} node{n}\n"));
    "127.0.0.1 localhost\n".to_string() + &nodes.collect::<String>()
}

/// One item per line: its parser wants it so.
fn corosync(numbers: &[usize]) -> String {
    let nodes = numbers.iter().map(|n| {
        format!("    node {{\n        name: node{n}\n        nodeid: {n}\n        ring0_addr: 10.9.0.{n}\n    }}\n")
    });
    format!(
        "totem {{\n    version: 2\n    cluster_name: clusterip\n    transport: udpu\n    token: 3000\n}}\n\
         nodelist {{\n{}}}\n\
         quorum {{\n    provider: corosync_votequorum\n}}\n\
         logging {{\n    to_stderr: no\n    to_syslog: no\n    to_logfile: yes\n    \
         logfile: /var/log/corosync/corosync.log\n}}\n",
        nodes.collect::<String>()
    )
}
