// SPDX-License-Identifier: GPL-2.0-only

//! A node of its own: namespaces for its network, mounts, processes and host name, in which its
//! programs run. It can be killed as a power cut would do it.

use crate::network::Network;
use crate::network::VIP;
use anyhow::Context;
use anyhow::Result;
use harness::Ctx;
use harness::Netns;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

/// Where nodes find their scripts, and write what they log.
pub const HOME: &str = "/opt/clusterip/failover";
pub const LOGS: &str = "/tmp/failover";

pub struct Node {
    pub number: usize,
    pub ns: Netns,
    /// `unshare`, which takes the node's first process with it.
    first: Child,
}

impl Node {
    /// Plugs the node in and has it run a script of [`HOME`], which is given its number. Then its
    /// first process is there; what it starts need not be.
    pub fn start(ctx: &Ctx, network: &Network, number: usize, script: &str) -> Result<Self> {
        fs::create_dir_all(LOGS)?;
        let ns = ctx.netns(&format!("node{number}"))?;
        network.plug(number, &ns)?;
        ns.ip(&format!(
            "link set lo up\nlink set eth0 up\naddress add 10.0.0.{number}/24 dev eth0\n"
        ))?;
        // Connections that nobody has any more would keep the network of a dead node for minutes.
        ns.write("/proc/sys/net/ipv4/tcp_orphan_retries", "1")?;
        ns.write("/proc/sys/net/ipv4/tcp_fin_timeout", "1")?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "--ipc", "--pid", "--fork"])
            .args(["--kill-child=KILL", "--mount-proc", "bash", "-eu"])
            .arg(Path::new(HOME).join(script))
            .arg(number.to_string())
            .stdin(Stdio::null())
            .stdout(fs::File::create(log(number, "node"))?)
            .stderr(fs::File::create(log(number, "errors"))?);
        let first = ns.enter(|| command.spawn())?.context("unshare")?;
        Ok(Self { number, ns, first })
    }

    /// What its file says it answers for; none when there is no file.
    pub fn numbers(&self) -> Result<Option<String>> {
        if !self.ns.has_vip(VIP)? {
            return Ok(None);
        }
        self.ns.nodes(VIP).map(Some)
    }

    /// The processes of a name in its network.
    pub fn processes(&self, name: &str) -> Result<Vec<Pid>> {
        let ours = self
            .ns
            .enter(|| fs::metadata("/proc/thread-self/ns/net"))??
            .ino();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str());
            let Some(number) = number.and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that ends meanwhile is none.
            let same = fs::metadata(path.join("ns/net")).is_ok_and(|at| at.ino() == ours);
            let comm = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if same && comm.trim_end() == name {
                found.push(Pid::from_raw(number));
            }
        }
        Ok(found)
    }

    /// Sends a signal to all processes of a name; an error if there are none.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let found = self.processes(name)?;
        anyhow::ensure!(
            !found.is_empty(),
            "there is no {name} on {}",
            self.ns.name()
        );
        for process in found {
            kill(process, signal).with_context(|| format!("{signal} to {name}"))?;
        }
        Ok(())
    }

    /// Runs a line of shell where a program of this node runs; what it says.
    pub fn inside(&self, name: &str, line: &str) -> Result<String> {
        let found = self.processes(name)?;
        let process = found
            .first()
            .with_context(|| format!("there is no {name}"))?;
        let output = Command::new("nsenter")
            .args([
                "-t",
                &process.to_string(),
                "-m",
                "-n",
                "-u",
                "sh",
                "-c",
                line,
            ])
            .output()
            .context("nsenter")?;
        anyhow::ensure!(
            output.status.success(),
            "`{line}` on {}: {}",
            self.ns.name(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A power cut: first nothing gets out any more, then all processes and the network are gone. The
    /// moment of it.
    pub fn crash(mut self, network: &Network) -> Result<Instant> {
        let name = self.ns.name().to_string();
        network.switch.ip(&format!("link set {name} down\n"))?;
        let moment = Instant::now();
        self.first.kill().context("the end of a node")?;
        self.first.wait()?;
        network.switch.ip(&format!("link delete {name}\n"))?;
        Ok(moment)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// A file that a node's program writes.
pub fn log(number: usize, what: &str) -> String {
    format!("{LOGS}/node{number}.{what}")
}
