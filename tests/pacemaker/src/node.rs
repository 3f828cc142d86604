// SPDX-License-Identifier: GPL-2.0-only

//! Process 1 of a node. It has come up in namespaces of its own, gives itself the files of a machine,
//! starts what a cluster's node runs, and a web server that says which node it is. Its input ends
//! when the node is to go down in order; a crash is its death.

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use nix::errno::Errno;
use nix::mount::mount;
use nix::mount::MsFlags;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::unistd::sethostname;
use nix::unistd::Pid;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Where the nodes keep their files, one directory for each; as a disk does, they outlive a crash.
pub const DISKS: &str = "/tmp/nodes";

/// What of a node's disk takes the place of the guest's own.
pub const OWN: [&str; 5] = [
    "/etc/corosync",
    "/etc/hosts",
    "/var/lib/pacemaker",
    "/var/lib/corosync",
    "/var/log",
];

/// Corosync is ready when it listens here; libqb's sockets are abstract ones.
const READY: &str = "@cmap";
const LONG: Duration = Duration::from_secs(120);

static END: AtomicBool = AtomicBool::new(false);

pub fn run(number: usize) -> ExitCode {
    match serve(number) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node {number}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(number: usize) -> Result<()> {
    files(number).context("the node's files")?;
    sethostname(format!("node{number}"))?;
    let listener = TcpListener::bind("0.0.0.0:80").context("the web server")?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that gave up is its own business.
            thread::spawn(move || drop(answer(number, stream)));
        }
    });
    thread::spawn(|| {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        END.store(true, Ordering::Relaxed);
    });

    let corosync = start("corosync", &["-f"])?;
    let start_time = Instant::now();
    while !fs::read_to_string("/proc/self/net/unix")?.contains(READY) {
        if !reap(&[corosync])? || start_time.elapsed() > LONG {
            bail!("corosync does not come up");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let pacemakerd = start("pacemakerd", &["-f"])?;
    while !END.load(Ordering::Relaxed) {
        if !reap(&[corosync, pacemakerd])? {
            bail!("one of its programs ended by itself");
        }
        thread::sleep(Duration::from_millis(50));
    }
    for program in [pacemakerd, corosync] {
        kill(program, Signal::SIGTERM)?;
        let asked = Instant::now();
        while reap(&[program])? {
            if asked.elapsed() > LONG {
                bail!("one of its programs does not end when it is asked to");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Gives the node a disk of its own, as far as it needs one, and empty memory file systems.
fn files(number: usize) -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)?;
    for path in OWN {
        let own = format!("{DISKS}/node{number}{path}");
        mount(Some(own.as_str()), path, none, MsFlags::MS_BIND, none).context(own)?;
    }
    // Last: the disks are below one of them.
    for path in ["/run", "/dev/shm", "/tmp"] {
        mount(Some("node"), path, Some("tmpfs"), MsFlags::empty(), none)?;
    }
    fs::create_dir("/run/lock")?;
    DirBuilder::new()
        .mode(0o1755)
        .create("/run/resource-agents")?;
    Ok(())
}

fn start(program: &str, arguments: &[&str]) -> Result<Pid> {
    let child = Command::new(program)
        .args(arguments)
        .env("PCMK_logfile", "/var/log/pacemaker.log")
        .env("PCMK_logfacility", "none")
        .spawn()
        .with_context(|| program.to_string())?;
    // It is reaped with all others, as process 1 does.
    Ok(Pid::from_raw(child.id() as i32))
}

/// Takes leave of those who ended; whether none of `wanted` is among them.
fn reap(wanted: &[Pid]) -> Result<bool> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(true),
            Ok(status) if status.pid().is_some_and(|pid| wanted.contains(&pid)) => {
                return Ok(false);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// An HTTP request up to its empty line, then the node's number.
fn answer(number: usize, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    for line in BufReader::new(&stream).lines() {
        if line?.is_empty() {
            write!(stream, "HTTP/1.0 200 OK\r\n\r\nnode {number}\n")?;
            return Ok(());
        }
    }
    Ok(())
}
