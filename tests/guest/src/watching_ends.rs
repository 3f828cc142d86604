// SPDX-License-Identifier: GPL-2.0-only

//! What ends while somebody polls a VIP's file: the VIP, its namespace, the module. Who polls wakes where there is
//! something to be told; and nobody goes through memory that is gone when he takes himself off the queue, however late.

use crate::watching::open;
use crate::watching::text;
use crate::watching::watched;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::clean::namespaces_beyond;
use harness::clean::uses;
use harness::cluster::VIP;
use harness::eventually;
use harness::expect_errno;
use harness::host::expect_no_vip;
use harness::module;
use harness::pace;
use harness::sys;
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
use std::io::Read;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    tests![
        watching_ends_with_the_vip,
        watching_goes_on_when_the_vip_comes_again,
        watching_ends_with_the_module,
        watching_ends_with_the_module_and_again,
        watching_ends_with_the_namespace,
        watching_ends_while_vips_come_and_go,
    ]
}

/// How long who sleeps sleeps on, when what he polls has ended.
const LONG: Duration = Duration::from_secs(2);

fn flush(host: &Netns) -> Result<()> {
    for table in ["filter", "mangle"] {
        host.enter(|| blob::replace(&blob::socket()?, table, &[]))??;
    }
    expect_no_vip(host, VIP)
}

/// Polls for these events, and says which there were.
fn polled(file: &File, events: PollFlags, limit: Duration) -> Result<PollFlags> {
    let mut fds = [PollFd::new(file.as_fd(), events)];
    poll(&mut fds, PollTimeout::try_from(limit)?)?;
    fds[0].revents().ok_or_else(|| anyhow!("unknown events"))
}

/// On the file's queue until it is dropped, and never woken: no event is asked for that a file has.
fn on_the_queue(file: &File) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let never = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    epoll.add(file, EpollEvent::new(never, 0))?;
    Ok(epoll)
}

fn watching_ends_with_the_vip(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut files = [open(&host)?, open(&host)?];
    for file in &mut files {
        text(file)?;
    }
    let limit = pace::patience(Duration::from_secs(10));
    let [one, two] = &files;
    thread::scope(|scope| {
        let plain = scope.spawn(|| polled(one, PollFlags::POLLIN, limit));
        let other = scope.spawn(|| -> Result<usize> {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            epoll.add(two, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            let mut events = [EpollEvent::empty(); 2];
            Ok(epoll.wait(&mut events, PollTimeout::try_from(limit)?)?)
        });
        thread::sleep(pace::patience(Duration::from_millis(300)));
        ensure!(
            !plain.is_finished() && !other.is_finished(),
            "woken for nothing"
        );
        flush(&host)?;
        // procfs itself speaks for a dead file, and knows no POLLPRI: POLLIN is what a watcher has to ask for.
        let seen = plain.join().map_err(|_| anyhow!("a thread panicked"))??;
        ensure!(seen == PollFlags::POLLIN, "poll saw {seen:?}");
        let seen = other.join().map_err(|_| anyhow!("a thread panicked"))??;
        ensure!(seen == 1, "epoll saw {seen} events");
        Ok(())
    })?;
    for file in &mut files {
        let seen = polled(file, PollFlags::POLLIN, Duration::ZERO)?;
        ensure!(seen == PollFlags::POLLIN, "a dead file says {seen:?}");
        expect_errno("reading a dead file", file.read(&mut [0; 8]), libc::EIO)?;
    }
    Ok(())
}

/// The next VIP of that address is another: the old file stays dead.
fn watching_goes_on_when_the_vip_comes_again(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let mut file = open(&host)?;
    text(&mut file)?;
    let _queued = on_the_queue(&file)?;
    flush(&host)?;
    host.iptables(&format!("-A {}", harness::host::rule()))?;
    let mut anew = open(&host)?;
    ensure!(text(&mut anew)? == "1\n");
    host.tell(VIP, "+2")?;
    expect_errno("reading a dead file", file.read(&mut [0; 8]), libc::EIO)?;
    let seen = polled(&anew, PollFlags::POLLIN, Duration::ZERO)?;
    ensure!(seen == PollFlags::POLLIN, "the new file says {seen:?}");
    Ok(())
}

/// The VIP, and then the module, go while one sleeps in `poll()` and another's epoll has the file.
fn without_the_module(host: &Netns) -> Result<()> {
    let mut files = [open(host)?, open(host)?];
    for file in &mut files {
        text(file)?;
    }
    let [one, two] = &files;
    let epoll = on_the_queue(two)?;
    thread::scope(|scope| {
        // What no file says of itself: it sleeps as long as it can, and is on the queue all the time.
        let sleeper = scope.spawn(|| polled(one, PollFlags::empty(), pace::patience(LONG)));
        thread::sleep(pace::patience(Duration::from_millis(300)));
        flush(host)?;
        eventually("no rule uses the module", || Ok(uses()? == Some(0)))?;
        module::unload()?;
        ensure!(!module::is_loaded("ipt_CLUSTERIP"));
        // What was to be freed is, and what else wants memory has it.
        sys::wait_for_grace_period()?;
        host.ip("link add dummy0 type dummy\nlink del dummy0\n")?;
        ensure!(!sleeper.is_finished(), "it should still be asleep");
        sleeper.join().map_err(|_| anyhow!("a thread panicked"))??;
        Ok(())
    })?;
    let mut events = [EpollEvent::empty(); 2];
    epoll.wait(&mut events, PollTimeout::ZERO)?;
    drop(epoll);
    for file in &mut files {
        expect_errno("reading it", file.read(&mut [0; 8]), libc::EIO)?;
        polled(file, PollFlags::POLLIN, Duration::ZERO)?;
    }
    drop(files);
    sys::wait_for_grace_period()?;
    Ok(())
}

fn watching_ends_with_the_module(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    without_the_module(&host)?;
    ensure!(ctx.crashes()?.is_empty());
    module::load("ipt_CLUSTERIP")
}

/// The same again in one namespace, which the module knows anew each time.
fn watching_ends_with_the_module_and_again(ctx: &mut Ctx) -> Result<()> {
    for _ in 0..3 {
        let host = watched(ctx)?;
        let keep = open(&host)?;
        let epoll = on_the_queue(&keep)?;
        without_the_module(&host)?;
        // Closed the other way round: the file goes first, and epoll with it.
        drop(keep);
        drop(epoll);
        drop(host);
        namespaces_beyond(0)?;
    }
    module::load("ipt_CLUSTERIP")
}

fn watching_ends_with_the_namespace(ctx: &mut Ctx) -> Result<()> {
    for _ in 0..3 {
        let host = watched(ctx)?;
        let mut files = [open(&host)?, open(&host)?, open(&host)?];
        for file in &mut files {
            text(file)?;
        }
        let [one, two, three] = &files;
        let epoll = on_the_queue(three)?;
        let limit = pace::patience(Duration::from_secs(20));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| polled(one, PollFlags::POLLIN, limit));
            let sleeping = scope.spawn(|| polled(two, PollFlags::empty(), pace::patience(LONG)));
            thread::sleep(pace::patience(Duration::from_millis(300)));
            drop(host);
            eventually("the namespace's rules gone", || Ok(uses()? == Some(0)))?;
            // Who waits for the file's end is told.
            waiting.join().map_err(|_| anyhow!("a thread panicked"))??;
            sys::wait_for_grace_period()?;
            sleeping
                .join()
                .map_err(|_| anyhow!("a thread panicked"))??;
            Ok::<_, anyhow::Error>(())
        })?;
        let left = namespaces_beyond(0)?;
        ensure!(
            left == 0,
            "{left} namespaces do not end while somebody polls"
        );
        drop(epoll);
        for file in &mut files {
            expect_errno("reading it", file.read(&mut [0; 8]), libc::EIO)?;
        }
    }
    Ok(())
}

/// Pollers come and go while VIPs do.
fn watching_ends_while_vips_come_and_go(ctx: &mut Ctx) -> Result<()> {
    let host = watched(ctx)?;
    let turns = pace::cut(100, 20);
    thread::scope(|scope| {
        let hands: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| -> Result<u32> {
                    let mut opened = 0;
                    while opened < turns as u32 {
                        let Ok(mut file) = open(&host) else {
                            thread::yield_now();
                            continue;
                        };
                        opened += 1;
                        let _ = text(&mut file);
                        let _queued = on_the_queue(&file)?;
                        let seen = polled(&file, PollFlags::POLLIN, Duration::from_millis(20))?;
                        ensure!(
                            (PollFlags::POLLIN).contains(seen),
                            "strange events: {seen:?}"
                        );
                    }
                    Ok(opened)
                })
            })
            .collect();
        let rule = harness::blob::Rule::new(
            harness::cluster::VIP_ADDRESS,
            "eth0",
            &blob::Payload::default(),
        );
        while hands.iter().any(|hand| !hand.is_finished()) {
            for rules in [&[][..], std::slice::from_ref(&rule)] {
                host.enter(|| blob::replace(&blob::socket()?, "filter", rules))??;
                // A write that finds no file is none.
                let _ = host.tell(VIP, "+2");
            }
        }
        for hand in hands {
            hand.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}
