// SPDX-License-Identifier: GPL-2.0-only

//! A network namespace with a name that `ip` knows.

use super::count;
use super::eventually;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use nix::mount::mount;
use nix::mount::umount2;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::sched::setns;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// Where `ip netns` keeps its names.
pub const DIRECTORY: &str = "/run/netns";

/// The calling thread's own; `/proc/net` is that of the process' first thread.
const CURRENT: &str = "/proc/thread-self/ns/net";
const PROC: &str = "/proc/thread-self/net/ipt_CLUSTERIP";

/// Goes with the last of its processes, sockets and this value.
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    pub fn new(name: &str) -> Result<Self> {
        fs::create_dir_all(DIRECTORY)?;
        let path = Path::new(DIRECTORY).join(name);
        File::create_new(&path).with_context(|| format!("{} from before", path.display()))?;
        let before = File::open(CURRENT)?;
        unshare(CloneFlags::CLONE_NEWNET).context("unshare")?;
        let bound = mount(
            Some(CURRENT),
            &path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        );
        let file = File::open(CURRENT);
        setns(&before, CloneFlags::CLONE_NEWNET)?;
        bound.context("naming the namespace")?;
        let namespace = Self {
            name: name.to_string(),
            file: file?,
        };
        namespace.write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
        namespace.write("/proc/sys/net/ipv4/conf/default/rp_filter", "0")?;
        namespace.write("/proc/sys/net/ipv4/conf/all/rp_filter", "0")?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a closure with the calling thread in this namespace.
    pub fn enter<T>(&self, inside: impl FnOnce() -> T) -> Result<T> {
        let before = File::open(CURRENT)?;
        setns(&self.file, CloneFlags::CLONE_NEWNET).context("setns")?;
        let answer = inside();
        setns(&before, CloneFlags::CLONE_NEWNET).context("setns back")?;
        Ok(answer)
    }

    /// Runs a program, its words parted by blanks; its output. An error when it fails.
    pub fn run(&self, line: &str) -> Result<String> {
        self.run_with(line, "")
    }

    /// As [`run`](Self::run), with something to read.
    pub fn run_with(&self, line: &str, input: &str) -> Result<String> {
        let output = self.output(line, input)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{line}` in {}: {}, {error}{}",
            self.name,
            output.status,
            if input.is_empty() { "" } else { input }
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a program that must fail; what it said to stderr.
    pub fn fails(&self, line: &str) -> Result<String> {
        self.fails_with(line, "")
    }

    /// As [`fails`](Self::fails), with something to read.
    pub fn fails_with(&self, line: &str, input: &str) -> Result<String> {
        let output = self.output(line, input)?;
        if output.status.success() {
            bail!("`{line}` in {} succeeded and should not", self.name);
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs a program, whatever becomes of it.
    pub fn output(&self, line: &str, input: &str) -> Result<Output> {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().context("no program named")?);
        command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self
            .enter(|| command.spawn())?
            .with_context(|| format!("cannot run `{line}`"))?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        match stdin.write_all(input.as_bytes()) {
            // It did not want to read: its exit code will say why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        drop(stdin);
        Ok(child.wait_with_output()?)
    }

    /// Runs lines of `ip`, in one process.
    pub fn ip(&self, lines: &str) -> Result<String> {
        self.run_with("ip -batch -", lines)
    }

    /// Runs `iptables-legacy`.
    pub fn iptables(&self, arguments: &str) -> Result<()> {
        count::add(&count::TABLES, 1);
        self.run(&format!("iptables-legacy -w {arguments}"))?;
        Ok(())
    }

    /// Replaces whole tables by `iptables-legacy-restore`.
    pub fn restore(&self, tables: &str) -> Result<()> {
        count::add(&count::TABLES, tables.matches("COMMIT").count());
        self.run_with("iptables-legacy-restore -w", tables)?;
        Ok(())
    }

    /// Writes a file that belongs to the namespace, a sysctl for instance, in one `write()`.
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        self.enter(|| -> io::Result<()> {
            let mut file = File::options().write(true).open(path)?;
            file.write_all(text.as_ref())
        })?
        .with_context(|| format!("writing {} in {}", path.display(), self.name))
    }

    /// Reads a file that belongs to the namespace.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        self.enter(|| fs::read_to_string(path))?
            .with_context(|| format!("reading {} in {}", path.display(), self.name))
    }

    /// Opens a VIP's file.
    pub fn open(&self, vip: &str, options: &fs::OpenOptions) -> io::Result<File> {
        self.enter(|| options.open(vip_path(vip)))
            .map_err(io::Error::other)?
    }

    /// The VIP's nodes as its file says them, without the newline.
    pub fn nodes(&self, vip: &str) -> Result<String> {
        Ok(self.read(vip_path(vip))?.trim_end_matches('\n').to_string())
    }

    /// Writes to the VIP's file.
    pub fn tell(&self, vip: &str, command: &str) -> Result<()> {
        self.write(vip_path(vip), command)
    }

    pub fn has_vip(&self, vip: &str) -> Result<bool> {
        self.enter(|| vip_path(vip).exists())
    }

    /// How often a device was asked to hear a multicast address, by anyone; `mac` with colons.
    pub fn memberships(&self, device: &str, mac: &str) -> Result<u32> {
        let mac = mac.replace(':', "").to_lowercase();
        let list = self.read("/proc/thread-self/net/dev_mcast")?;
        for line in list.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.get(1) == Some(&device) && words.last() == Some(&mac.as_str()) {
                return words[2].parse().context("dev_mcast");
            }
        }
        Ok(0)
    }

    /// Waits until a device hears a multicast address for so many.
    pub fn expect_memberships(&self, device: &str, mac: &str, wanted: u32) -> Result<()> {
        let mut seen = 0;
        eventually("a membership", || {
            seen = self.memberships(device, mac)?;
            Ok(seen == wanted)
        })
        .with_context(|| format!("{mac} on {device} should be joined {wanted} times, is {seen}"))
    }

    /// How many packets each rule of a chain has matched, in their order.
    pub fn counters(&self, table: &str, chain: &str) -> Result<Vec<u64>> {
        let list = self.run(&format!("iptables-legacy -w -t {table} -nvxL {chain}"))?;
        list.lines()
            .skip(2)
            .map(|line| {
                line.split_whitespace()
                    .next()
                    .unwrap_or("")
                    .parse()
                    .context("counters")
            })
            .collect()
    }

    /// The hooks of one family, as `nft list hooks` has them.
    pub fn hooks(&self, family: &str) -> Result<String> {
        self.run(&format!("nft list hooks {family}"))
    }

    /// Whether the module's ARP hook is there.
    pub fn has_arp_hook(&self) -> Result<bool> {
        Ok(self.hooks("arp")?.contains("[ipt_CLUSTERIP]"))
    }

    /// Whether IPv4 packets are put together before anything else sees them.
    pub fn has_defrag(&self) -> Result<bool> {
        Ok(self.hooks("ip")?.contains("[nf_defrag_ipv4]"))
    }
}

/// A VIP's file, in the calling thread's namespace.
pub fn vip_path(vip: &str) -> PathBuf {
    Path::new(PROC).join(vip)
}

impl Drop for Netns {
    fn drop(&mut self) {
        let path = Path::new(DIRECTORY).join(&self.name);
        // The runner finds what stays.
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&path);
    }
}
