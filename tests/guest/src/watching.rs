// SPDX-License-Identifier: GPL-2.0-only

//! `poll()` on a VIP's file: it says when the set has become another one, and nothing else. What ends while somebody
//! polls: `watching_ends.rs`.

use crate::checks::install;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::host;
use harness::pace;
use harness::revision1::Payload;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use nix::poll::poll;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::epoll::Epoll;
use nix::sys::epoll::EpollCreateFlags;
use nix::sys::epoll::EpollEvent;
use nix::sys::epoll::EpollFlags;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        watching_a_fresh_file_is_readable,
        watching_changes_by_anybody,
        watching_what_changes_nothing,
        watching_each_open_file_by_itself,
        watching_another_vip,
        watching_wakes_who_sleeps,
        watching_by_epoll_level,
        watching_by_epoll_edge,
        watching_by_many,
        watching_misses_no_change,
    ]
}

/// All that a file can say of itself.
const ALL: PollFlags = PollFlags::POLLIN
    .union(PollFlags::POLLPRI)
    .union(PollFlags::POLLOUT)
    .union(PollFlags::POLLRDNORM)
    .union(PollFlags::POLLWRNORM);
/// What it says when there is something new in it.
const NEWS: PollFlags = PollFlags::POLLIN
    .union(PollFlags::POLLPRI)
    .union(PollFlags::POLLRDNORM);

/// A machine with two VIPs of 1,000 numbers.
pub fn watched(ctx: &mut Ctx) -> Result<Netns> {
    let host = host(ctx)?;
    let payload = Payload::default().nodes(1000, [1]);
    install(&host, &payload.rule(Some(VIP_ADDRESS), "eth0"))??;
    let other = payload.rule(Some(OTHER), "eth0");
    host.enter(|| blob::replace(&blob::socket()?, "mangle", &[other]))??;
    Ok(host)
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 101);

pub fn open(host: &Netns) -> Result<File> {
    let mut options = OpenOptions::new();
    Ok(host.open(VIP, options.read(true).write(true))?)
}

fn has_news(file: &File) -> Result<bool> {
    let mut fds = [PollFd::new(file.as_fd(), ALL)];
    poll(&mut fds, PollTimeout::ZERO)?;
    let seen = fds[0].revents().context("unknown events")?;
    let quiet = PollFlags::POLLOUT | PollFlags::POLLWRNORM;
    ensure!(
        seen == quiet || seen == quiet | NEWS,
        "the file should be writable, and readable or not; it says {seen:?}"
    );
    Ok(seen.contains(NEWS))
}

/// Waits for news, no longer than this; whether there were some.
fn wait(file: &File, limit: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
    let limit = PollTimeout::try_from(limit)?;
    Ok(poll(&mut fds, limit)? == 1)
}

/// The whole text anew.
pub fn text(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn watching_a_fresh_file_is_readable(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    ensure!(has_news(&file)?, "nobody has read it yet");
    ensure!(has_news(&file)?, "asking is not reading");
    for times in 1..=2 {
        ensure!(text(&mut file)? == "1\n");
        ensure!(!has_news(&file)?, "it has been read {times} times");
    }
    // One whose text is empty, too.
    host.tell(VIP, "=none")?;
    let mut file = open(&host)?;
    ensure!(has_news(&file)?, "nobody has read that there is nothing");
    ensure!(text(&mut file)?.is_empty());
    ensure!(!has_news(&file)?, "it has been read that there is nothing");
    Ok(())
}

fn watching_changes_by_anybody(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    text(&mut file)?;
    for (command, nodes) in [
        ("+2", "1,2\n"),
        ("-1\n", "2\n"),
        ("=1,1000", "1,1000\n"),
        ("=5-7\n", "5,6,7\n"),
        ("+1000", "5,6,7,1000\n"),
        ("=none", ""),
    ] {
        host.tell(VIP, command)?;
        ensure!(
            has_news(&file)?,
            "{command:?} of somebody else's is no news"
        );
        // The old text's end is not the new one.
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        ensure!(rest.is_empty() && has_news(&file)?, "{command:?}: {rest:?}");
        ensure!(text(&mut file)? == nodes, "after {command:?}");
        ensure!(
            !has_news(&file)?,
            "{command:?} is news after it has been read"
        );
    }
    // What is written by the file itself is news for its reader as well.
    for command in ["+3", "-3", "=8"] {
        file.write_all(command.as_bytes())?;
        ensure!(has_news(&file)?, "{command:?} of its own is no news");
        text(&mut file)?;
        ensure!(!has_news(&file)?);
    }
    // There and back again is a change, though the text is as before.
    host.tell(VIP, "=9")?;
    host.tell(VIP, "=8")?;
    ensure!(has_news(&file)?, "two changes are none");
    Ok(())
}

fn watching_what_changes_nothing(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    text(&mut file)?;
    for (command, errno) in [
        ("+1", libc::ENOMEM),
        ("-2", libc::ENOENT),
        ("+1001", libc::ENOMEM),
        ("=1001", libc::ERANGE),
        ("=1,", libc::EINVAL),
        ("+x", libc::EINVAL),
        ("2", libc::EIO),
    ] {
        expect_errno(command, file.write(command.as_bytes()), errno)?;
        ensure!(!has_news(&file)?, "{command:?} is news");
    }
    // The set that is there already.
    for command in ["=1", "=1-1\n"] {
        file.write_all(command.as_bytes())?;
        ensure!(!has_news(&file)?, "{command:?} is news");
    }
    // Another rule of the VIP's, and one less.
    let payload = Payload::joining().rule(Some(VIP_ADDRESS), "");
    let raw = |rules: &[_]| host.enter(|| blob::replace(&blob::socket()?, "raw", rules));
    raw(&[payload])??;
    ensure!(!has_news(&file)?, "a rule is news");
    raw(&[])??;
    ensure!(!has_news(&file)?, "the end of a rule is news");
    ensure!(!wait(&file, Duration::from_millis(200))?, "time is news");
    Ok(())
}

fn watching_each_open_file_by_itself(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let (mut one, mut two) = (open(&host)?, open(&host)?);
    text(&mut one)?;
    ensure!(!has_news(&one)? && has_news(&two)?);
    text(&mut two)?;
    host.tell(VIP, "+2")?;
    ensure!(has_news(&one)? && has_news(&two)?);
    text(&mut two)?;
    ensure!(has_news(&one)? && !has_news(&two)?);
    text(&mut one)?;
    ensure!(!has_news(&one)?);
    Ok(())
}

fn watching_another_vip(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    text(&mut file)?;
    thread::scope(|scope| {
        let hand = scope.spawn(|| {
            for turn in 0..20 {
                let command = if turn % 2 == 0 { "+2" } else { "-2" };
                host.tell(&OTHER.to_string(), command)?;
                thread::sleep(Duration::from_millis(5));
            }
            Ok::<_, anyhow::Error>(())
        });
        let woken = wait(&file, Duration::from_millis(400))?;
        hand.join().map_err(|_| anyhow!("a thread panicked"))??;
        ensure!(!woken && !has_news(&file)?, "another VIP's set is news");
        Ok(())
    })
}

/// Does something a moment later, while `wait` goes on.
fn meanwhile<T: Send>(
    host: &Netns,
    commands: &[&str],
    wait: impl FnOnce() -> Result<T>,
) -> Result<(T, Duration)> {
    thread::scope(|scope| {
        let hand = scope.spawn(|| -> Result<Instant> {
            thread::sleep(Duration::from_millis(300));
            let start = Instant::now();
            commands
                .iter()
                .try_for_each(|command| host.tell(VIP, command))?;
            Ok(start)
        });
        let result = wait()?;
        let end = Instant::now();
        let start = hand.join().map_err(|_| anyhow!("a thread panicked"))??;
        ensure!(end >= start, "it woke before there was a reason");
        Ok((result, end - start))
    })
}

fn watching_wakes_who_sleeps(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    let limit = pace::patience(Duration::from_secs(10));
    for command in ["+2", "-2", "=3-5", "=none"] {
        text(&mut file)?;
        let (woken, after) = meanwhile(&host, &[command], || wait(&file, limit))?;
        ensure!(woken, "{command:?} did not wake who sleeps");
        ensure!(after < limit / 4, "{command:?} woke after {after:?}");
    }
    Ok(())
}

fn epoll(file: &File, flags: EpollFlags) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(file, EpollEvent::new(flags, 7))?;
    Ok(epoll)
}

/// How many events there are within this time: one at most.
fn events(epoll: &Epoll, limit: Duration) -> Result<usize> {
    let mut events = [EpollEvent::empty(); 4];
    let count = epoll.wait(&mut events, PollTimeout::try_from(limit)?)?;
    ensure!(events[..count].iter().all(|event| event.data() == 7));
    Ok(count)
}

const AT_ONCE: Duration = Duration::ZERO;

fn watching_by_epoll_level(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    let epoll = epoll(&file, EpollFlags::EPOLLIN)?;
    let limit = pace::patience(Duration::from_secs(10));
    ensure!(events(&epoll, AT_ONCE)? == 1, "nobody has read it yet");
    text(&mut file)?;
    ensure!(
        events(&epoll, Duration::from_millis(100))? == 0,
        "it has been read"
    );
    for command in ["+2", "=7,8"] {
        let (seen, _) = meanwhile(&host, &[command], || events(&epoll, limit))?;
        ensure!(seen == 1, "{command:?}: {seen} events");
        ensure!(events(&epoll, AT_ONCE)? == 1, "{command:?}: still not read");
        text(&mut file)?;
        ensure!(events(&epoll, AT_ONCE)? == 0, "{command:?}: read");
    }
    Ok(())
}

fn watching_by_epoll_edge(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    text(&mut file)?;
    let epoll = epoll(&file, EpollFlags::EPOLLIN | EpollFlags::EPOLLET)?;
    let limit = pace::patience(Duration::from_secs(10));
    ensure!(events(&epoll, AT_ONCE)? == 0, "nothing is new");
    for round in 0..3 {
        let (seen, _) = meanwhile(&host, &["+2"], || events(&epoll, limit))?;
        ensure!(seen == 1, "round {round}: {seen} events");
        ensure!(
            events(&epoll, AT_ONCE)? == 0,
            "round {round}: one change, two events"
        );
        // The next one is told though the one before was not read.
        let (seen, _) = meanwhile(&host, &["-2"], || events(&epoll, limit))?;
        ensure!(
            seen == 1,
            "round {round}: {seen} events of the second change"
        );
    }
    Ok(())
}

/// All who wait wake, in both ways.
fn watching_by_many(ctx: &mut Ctx) -> Result<()> {
    const MANY: usize = 30;
    let host = watched(ctx)?;
    let limit = pace::patience(Duration::from_secs(10));
    let mut files = (0..MANY).map(|_| open(&host)).collect::<Result<Vec<_>>>()?;
    for file in &mut files {
        text(file)?;
    }
    thread::scope(|scope| {
        let sleepers: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(number, file)| {
                scope.spawn(move || match number % 2 {
                    0 => wait(file, limit),
                    _ => Ok(events(&epoll(file, EpollFlags::EPOLLPRI)?, limit)? == 1),
                })
            })
            .collect();
        thread::sleep(pace::patience(Duration::from_millis(300)));
        ensure!(
            sleepers.iter().all(|sleeper| !sleeper.is_finished()),
            "somebody woke before there was a reason"
        );
        host.tell(VIP, "+2")?;
        for (number, sleeper) in sleepers.into_iter().enumerate() {
            let woken = sleeper.join().map_err(|_| anyhow!("a thread panicked"))??;
            ensure!(woken, "number {number} slept on");
        }
        Ok(())
    })
}

/// Whoever reads what is there, and then sleeps until there is something else, sees the last of all changes.
fn watching_misses_no_change(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let changes = pace::cut(2000, 200);
    let mut file = open(&host)?;
    let limit = pace::patience(Duration::from_secs(10));
    thread::scope(|scope| {
        let hand = scope.spawn(|| -> Result<()> {
            let mut writer = open(&host)?;
            for turn in 0..changes {
                writer.write_all(format!("={}\n", 2 + turn % 998).as_bytes())?;
            }
            writer.write_all(b"=1000")?;
            Ok(())
        });
        let mut woken = 0;
        let result = loop {
            match text(&mut file) {
                Ok(text) if text == "1000\n" && woken > 0 => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
            match wait(&file, limit) {
                Ok(true) => woken += 1,
                Ok(false) => break Err(anyhow!("asleep after {woken} of {changes} changes")),
                Err(error) => break Err(error),
            }
        };
        hand.join().map_err(|_| anyhow!("a thread panicked"))??;
        result
    })
}
