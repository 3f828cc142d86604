// SPDX-License-Identifier: GPL-2.0-only

//! The module stays while there are rules, and leaves nothing behind when it goes.

use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::allocations::Allocations;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::clean;
use harness::clean::uses;
use harness::cluster::MAC;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::expect_errno;
use harness::fault::Page;
use harness::host::host;
use harness::host::named;
use harness::host::rule;
use harness::host::NEW;
use harness::module;
use harness::pace;
use harness::sys;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        unload_is_refused_while_there_are_rules,
        unload_leaves_nothing_in_any_namespace,
        unload_with_files_open,
        unload_frees_all_memory,
        unload_and_load_again_many_times,
    ]
}

fn editing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

fn unload_is_refused_while_there_are_rules(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let other = named(ctx, "other")?;
    host.iptables(&format!("-A {}", rule()))?;
    host.iptables(&format!("-t mangle -A PREROUTING -d {VIP} -j CLUSTERIP"))?;
    // A chain that nothing leads to.
    other.iptables("-N unused")?;
    other.iptables(&format!("-A unused -d {VIP} -i eth0 {NEW}"))?;

    let undo = [
        (&host, "-F"),
        (&host, "-t mangle -F"),
        (&other, "-F unused"),
    ];
    for (left, (namespace, command)) in (1..=3).rev().zip(undo) {
        ensure!(
            uses()? == Some(left),
            "{left} rules are {left} uses, not {:?}",
            uses()?
        );
        // The system call itself: `rmmod` asks for the use count first.
        match sys::delete_module("ipt_CLUSTERIP") {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN)) => {}
            other => ensure!(false, "unloading with {left} rules: {other:?}"),
        }
        namespace.iptables(command)?;
    }
    module::unload()?;
    ensure!(
        ctx.log()?
            .last()
            .is_some_and(|line| line.contains("unloading")),
        "no word of it"
    );
    Ok(())
}

fn directory_there(namespace: &Netns) -> Result<bool> {
    namespace.enter(|| Path::new("/proc/thread-self/net/ipt_CLUSTERIP").exists())
}

fn all_hooks(namespace: &Netns) -> Result<String> {
    namespace.run("nft list hooks")
}

fn unload_leaves_nothing_in_any_namespace(ctx: &mut Ctx) -> Result<()> {
    let hosts = [host(ctx)?, named(ctx, "second")?, named(ctx, "third")?];
    for turn in 0..3 {
        module::load("ipt_CLUSTERIP")?;
        let before: Vec<String> = hosts.iter().map(all_hooks).collect::<Result<_>>()?;
        ensure!(
            !before.concat().contains("ipt_CLUSTERIP"),
            "a hook without any rule: {before:?}"
        );
        for host in &hosts {
            host.iptables(&format!("-A {}", rule()))?;
            host.iptables(&format!("-t raw -A PREROUTING -d 10.9.0.101 -i eth0 {NEW}"))?;
            let hooks = all_hooks(host)?;
            let count = hooks.matches("ipt_CLUSTERIP").count();
            ensure!(
                count == 1,
                "two VIPs should have one hook together, not {count}: {hooks}"
            );
            host.expect_memberships("eth0", MAC, 2)?;
            ensure!(directory_there(host)?, "there should be a directory");
        }
        for host in &hosts {
            host.iptables("-F")?;
            host.iptables("-t raw -F")?;
        }
        module::unload()?;
        ensure!(
            !Path::new("/proc/net/ipt_CLUSTERIP").exists(),
            "the first namespace's directory"
        );
        for host in &hosts {
            let name = host.name();
            let hooks = all_hooks(host)?;
            ensure!(
                !hooks.to_uppercase().contains("CLUSTERIP"),
                "turn {turn}, {name}: {hooks}"
            );
            ensure!(
                !directory_there(host)?,
                "turn {turn}, {name}: the directory is there"
            );
            host.expect_memberships("eth0", MAC, 0)?;
            let heard = host.run("ip maddr")?;
            ensure!(!heard.contains(MAC), "turn {turn}, {name}: {heard}");
        }
        // Nobody hears of devices any more.
        hosts[0].ip("link set eth0 name away\nlink set away name eth0\n")?;
    }
    Ok(())
}

/// Checks that a file whose VIP is gone is dead, for whoever has it open.
fn expect_dead(file: &mut File) -> Result<()> {
    expect_errno("read", file.read(&mut [0; 64]), libc::EIO)?;
    expect_errno("write", file.write(b"+2\n"), libc::EIO)?;
    expect_errno("lseek", file.seek(SeekFrom::Start(0)), libc::EINVAL)
}

fn unload_with_files_open(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    for _ in 0..3 {
        module::load("ipt_CLUSTERIP")?;
        host.iptables(&format!("-A {}", rule()))?;
        let mut files = Vec::new();
        for _ in 0..4 {
            let mut file = host.open(VIP, &editing())?;
            let mut byte = [0];
            file.read_exact(&mut byte)?;
            ensure!(&byte == b"1", "{byte:?} from the file");
            files.push(file);
        }
        let mut readers: Vec<_> = (0..2).map(|_| hammer(&host)).collect::<Result<_>>()?;
        let stalled = stall(&host)?;
        let flushed = flush(&host)?;
        stalled.page.fill(b"+2\n")?;
        ensure!(stalled.written()? == 3, "the writer's own bytes");
        flushed.recv_timeout(long()).context("the flush")??;
        for file in &mut files {
            expect_dead(file)?;
        }
        readers
            .drain(..)
            .try_for_each(|reader| reader.join().map_err(|_| anyhow!("a reader panicked"))?)?;

        let mut directory = host.enter(|| File::open("/proc/thread-self/net/ipt_CLUSTERIP"))??;
        eventually("no use of the module", || Ok(uses()? == Some(0)))?;
        module::unload()?;
        for file in &mut files {
            expect_dead(file)?;
        }
        ensure!(
            directory.read(&mut [0; 8]).is_err(),
            "a directory is read as a file"
        );
        drop(files);
    }
    Ok(())
}

/// Reads a VIP's file again and again until it is dead, and is content with nothing but its text.
fn hammer(host: &Netns) -> Result<thread::JoinHandle<Result<()>>> {
    let mut file = host.open(VIP, &editing())?;
    let mut times = 0;
    Ok(thread::spawn(move || loop {
        let mut text = String::new();
        let result = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_string(&mut text));
        match result {
            Ok(_) => ensure!(
                ["1\n", "1,2\n"].contains(&text.as_str()),
                "the file says {text:?}"
            ),
            Err(error) => {
                ensure!(times > 0, "the file was dead from the start");
                let errno = error.raw_os_error();
                ensure!(matches!(errno, Some(libc::EIO | libc::EINVAL)), "{error}");
                return Ok(());
            }
        }
        times += 1;
    }))
}

/// How long a flush may take that a writer no longer holds up.
fn long() -> Duration {
    pace::patience(Duration::from_secs(20))
}

/// A writer of a VIP's file that has stopped in the middle of its system call.
struct Stalled {
    page: std::sync::Arc<Page>,
    writer: thread::JoinHandle<std::io::Result<usize>>,
}

impl Stalled {
    fn written(self) -> Result<usize> {
        Ok(self
            .writer
            .join()
            .map_err(|_| anyhow!("the writer panicked"))??)
    }
}

fn stall(host: &Netns) -> Result<Stalled> {
    let page = std::sync::Arc::new(Page::new().context("userfaultfd")?);
    let file = host.open(VIP, &editing())?;
    let writer = thread::spawn({
        let page = page.clone();
        move || page.write_to(&file, 3)
    });
    page.wait()?;
    Ok(Stalled { page, writer })
}

/// Flushes `filter` by hand, so that no lock of `iptables` is held; tells when it is done.
fn flush(host: &Netns) -> Result<mpsc::Receiver<std::io::Result<()>>> {
    let socket = host.enter(blob::socket)??;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(blob::replace(&socket, "filter", &[])));
    thread::sleep(Duration::from_millis(300));
    ensure!(
        matches!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty)),
        "the flush should wait for the file's writer"
    );
    Ok(receiver)
}

/// The history calls it by the name of a bug.
///
/// A writer that is stopped holds up the removal of its file, and with it whoever removes it; but
/// nobody else, above all nobody who needs RTNL.
pub fn stalled_writer_blocks_no_other_namespace(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let other = named(ctx, "other")?;
    host.iptables(&format!("-A {}", rule()))?;
    let stalled = stall(&host)?;
    let flushed = flush(&host)?;

    let quick = |what: &str, namespace: &Netns, line: &str| -> Result<()> {
        let start = Instant::now();
        let limit = pace::patience(Duration::from_secs(4));
        // A lock that is not given ends `timeout`, not the test.
        namespace
            .run(&format!("timeout {} {line}", limit.as_secs() + 1))
            .with_context(|| format!("{what}, while a writer is stalled"))?;
        ensure!(start.elapsed() < limit, "{what} took {:?}", start.elapsed());
        Ok(())
    };
    quick(
        "a new device elsewhere",
        &other,
        "ip link add dummy1 type dummy",
    )?;
    quick(
        "a rename elsewhere",
        &other,
        "ip link set dummy1 name dummy2",
    )?;
    quick(
        "a rule elsewhere",
        &other,
        &format!("iptables-legacy -A {}", rule()),
    )?;
    quick("a flush elsewhere", &other, "iptables-legacy -F")?;
    // Device events of the VIP itself, in its own namespace.
    quick("a new device", &host, "ip link add dummy1 type dummy")?;
    quick(
        "a rename of the VIP's device",
        &host,
        "ip link set eth0 name away",
    )?;
    quick("a rename back", &host, "ip link set away name eth0")?;
    quick("a deletion of the VIP's device", &host, "ip link del eth0")?;
    ctx.netns("new")?;
    ensure!(
        matches!(flushed.try_recv(), Err(mpsc::TryRecvError::Empty)),
        "the flush should still wait for the file's writer"
    );

    stalled.page.fill(b"+2\n")?;
    ensure!(stalled.written()? == 3, "the writer's own bytes");
    flushed.recv_timeout(long()).context("the flush")??;
    ensure!(!host.has_vip(VIP)?, "the file should be gone");
    Ok(())
}

/// Twenty VIPs in two tables, with their devices and files.
fn twenty_rules() -> String {
    let mut tables = String::new();
    for (table, chain) in [("filter", "INPUT"), ("raw", "PREROUTING")] {
        tables += &format!("*{table}\n");
        for number in 0..10 {
            let new = NEW.replace("sourceip", ["sourceip", "sourceip-sourceport"][number % 2]);
            tables += &format!("-A {chain} -d 10.9.1.{} -i eth0 {new}\n", number * 7 % 10);
        }
        tables += "COMMIT\n";
    }
    tables
}

/// Rules come and go in all the ways there are, refused ones too.
fn a_life(host: &Netns, rules: &str) -> Result<()> {
    host.restore(rules)?;
    host.restore(rules)?;
    host.ip("link set eth0 name away\nlink set away name eth0\n")?;
    let socket = host.enter(blob::socket)??;
    // The second rule is refused, so the first one's VIP is taken back.
    let good = Rule::new(VIP_ADDRESS, "eth0", &Payload::default());
    let bad = Rule::new(
        VIP_ADDRESS,
        "eth0",
        &Payload::default().nodes(2, &[1, 0, 2]),
    );
    for table in ["mangle", "security"] {
        let rules = [good.clone(), bad.clone()];
        expect_errno(
            "a bad rule",
            blob::replace(&socket, table, &rules),
            libc::EINVAL,
        )?;
    }
    drop(host.open("10.9.1.1", &editing())?);
    host.tell("10.9.1.1", "+2\n")?;
    host.iptables("-F")?;
    host.iptables("-t raw -F")
}

/// Waits until the objects are as wanted. What is freed after a grace period may take the kernel ten
/// seconds (it collects such memory for five), and counting takes a while.
pub fn wait_for(
    allocations: &Allocations,
    wanted: &str,
    is_so: impl Fn(&[(u64, String)]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + pace::patience(Duration::from_secs(30));
    loop {
        let held = allocations.held()?;
        if is_so(&held) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let stacks: Vec<_> = held.iter().map(|(_, stack)| stack.as_str()).collect();
            return Err(anyhow!(
                "there should be {wanted}, not these:\n{}",
                stacks.join("\n")
            ));
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until there are so many objects.
fn settles(allocations: &Allocations, wanted: u64) -> Result<()> {
    wait_for(allocations, &format!("{wanted} objects"), |held| {
        held.iter().map(|(count, _)| count).sum::<u64>() == wanted
    })
}

fn unload_frees_all_memory(ctx: &mut Ctx) -> Result<()> {
    module::unload()?;
    // What rules held in the module's last life, which may have been at the same place, may still go.
    let mut allocations = Allocations::new()?.from_now_on()?;
    let host = host(ctx)?;
    allocations.note()?;
    let rules = twenty_rules();
    // The test before may have left a namespace that is about to end, with what it holds.
    ensure!(
        clean::namespaces_beyond(1)? == 0,
        "only this test's namespace should be there"
    );
    let idle = allocations.held()?;
    ensure!(
        !idle.is_empty() && idle.iter().all(|(_, stack)| stack.contains("PerNet")),
        "the module should have memory for its namespaces, and no other: {idle:?}"
    );
    let idle = idle.iter().map(|(count, _)| count).sum::<u64>();
    for _ in 0..5 {
        a_life(&host, &rules)?;
    }
    settles(&allocations, idle)?;
    host.restore(&rules)?;
    ensure!(
        allocations.count()? >= idle + 20,
        "VIPs and files should be seen"
    );
    host.iptables("-F")?;
    host.iptables("-t raw -F")?;
    settles(&allocations, idle)?;

    // With another namespace, which goes with its rules.
    let other = named(ctx, "other")?;
    other.restore(&rules)?;
    drop(other);
    eventually("no use of the module", || Ok(uses()? == Some(0)))?;
    settles(&allocations, idle)?;
    module::unload()?;
    settles(&allocations, 0)
}

fn unload_and_load_again_many_times(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    module::unload()?;
    let mut allocations = Allocations::new()?.from_now_on()?;
    let rules = twenty_rules();
    for _ in 0..20 {
        module::load("ipt_CLUSTERIP")?;
        allocations.note()?;
        host.restore(&rules)?;
        ensure!(uses()? == Some(20), "twenty rules are {:?} uses", uses()?);
        host.iptables("-F")?;
        host.iptables("-t raw -F")?;
        module::unload()?;
    }
    settles(&allocations, 0)
}
