// SPDX-License-Identifier: GPL-2.0-only

//! `=1,3-5`: a whole set by one write to the VIP's file, all of it at once or nothing.

use crate::checks::install;
use crate::procfs::expect_refused;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::cluster::takers;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::expect_errno;
use harness::host::host;
use harness::pace;
use harness::revision1::Payload;
use harness::stat;
use harness::sys;
use harness::tests;
use harness::traffic::source_of;
use harness::traffic::udp_from;
use harness::Cluster;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        whole_set_accepted,
        whole_set_refused_changes_nothing,
        whole_set_of_a_rule_of_revision_0,
        whole_set_as_long_as_can_be,
        whole_set_readers_see_one_or_the_other,
        whole_set_packets_see_one_or_the_other,
        whole_set_writers_leave_one_of_theirs,
    ]
}

/// A machine with a VIP of so many numbers, and its file.
fn with_numbers(ctx: &mut Ctx, total: u16, nodes: &[u32]) -> Result<(Netns, File)> {
    let host = host(ctx)?;
    let payload = Payload::default().nodes(total, nodes.iter().copied());
    install(&host, &payload.rule(Some(VIP_ADDRESS), "eth0"))??;
    let file = open(&host)?;
    Ok((host, file))
}

fn open(host: &Netns) -> Result<File> {
    let mut options = OpenOptions::new();
    Ok(host.open(VIP, options.read(true).write(true))?)
}

fn whole_set_accepted(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_numbers(ctx, 1000, &[1])?;
    for (command, nodes) in [
        ("=2", "2"),
        ("=1,3-5\n", "1,3,4,5"),
        ("=none\n", ""),
        ("=1000", "1000"),
        ("=64-66,1\n", "1,64,65,66"),
        ("=2-4,3-6", "2,3,4,5,6"),
        ("=7,7,7-7\n", "7"),
        ("=none", ""),
        ("=0001,02", "1,2"),
        ("=999-1000\n", "999,1000"),
    ] {
        let written = file.write(command.as_bytes())?;
        ensure!(written == command.len(), "{command:?} took {written} bytes");
        let seen = host.nodes(VIP)?;
        ensure!(seen == nodes, "after {command:?}: {seen}");
    }
    // As ever beside it.
    for (command, nodes) in [("+1", "1,999,1000"), ("-999\n", "1,1000"), ("=2", "2")] {
        file.write_all(command.as_bytes())?;
        ensure!(
            host.nodes(VIP)? == nodes,
            "after {command:?}: {}",
            host.nodes(VIP)?
        );
    }
    // By a shell.
    let script = format!("echo =5-7 > /proc/net/ipt_CLUSTERIP/{VIP}");
    let output = host.output("sh", &script)?;
    ensure!(output.status.success() && host.nodes(VIP)? == "5,6,7");
    file.seek(SeekFrom::Start(1))?;
    file.write_all(b"=8")?;
    ensure!(
        host.nodes(VIP)? == "8",
        "at another position: {}",
        host.nodes(VIP)?
    );
    expect_errno("pwrite", file.write_at(b"=9", 0), libc::ESPIPE)?;
    ctx.expect_silence()
}

fn whole_set_refused_changes_nothing(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_numbers(ctx, 1000, &[1, 999])?;
    let generation = || Ok::<_, anyhow::Error>(stat::rows(&host)?[0].generation);
    let before = generation()?;
    let cases: [(&str, i32); 38] = [
        ("=", libc::EINVAL),
        ("=\n", libc::EINVAL),
        ("==1", libc::EINVAL),
        ("=1,", libc::EINVAL),
        ("=,1", libc::EINVAL),
        ("=1,,2", libc::EINVAL),
        ("=5-3", libc::EINVAL),
        ("=1-", libc::EINVAL),
        ("=-1", libc::EINVAL),
        ("=1-2-3", libc::EINVAL),
        ("=1 2", libc::EINVAL),
        ("= 1", libc::EINVAL),
        ("=1 ", libc::EINVAL),
        ("=1, 2", libc::EINVAL),
        ("=+1", libc::EINVAL),
        ("=0x1", libc::EINVAL),
        ("=1\0", libc::EINVAL),
        ("=1\n\n", libc::EINVAL),
        ("=1\r\n", libc::EINVAL),
        ("=1\n=2\n", libc::EINVAL),
        ("=none,1", libc::EINVAL),
        ("=None", libc::EINVAL),
        ("=all", libc::EINVAL),
        ("=1-999,x", libc::EINVAL),
        ("=1,2,3,4,5,6,7,8,9,10,", libc::EINVAL),
        ("=0", libc::ERANGE),
        ("=0-5", libc::ERANGE),
        ("=1,0", libc::ERANGE),
        ("=1001", libc::ERANGE),
        ("=1-1001\n", libc::ERANGE),
        ("=1,2,1024", libc::ERANGE),
        ("=1025", libc::ERANGE),
        ("=65537", libc::ERANGE),
        ("=4294967297", libc::ERANGE),
        ("=1-4294967297", libc::ERANGE),
        ("=18446744073709551617", libc::ERANGE),
        (" =1", libc::EIO),
        ("1,2", libc::EIO),
    ];
    expect_refused(&host, &mut file, &cases, "1,999")?;
    for length in [2, 10, 11, 100, 4096] {
        let far = sys::write_unreadable(&file, length);
        ensure!(far.is_err(), "a buffer of {length} bytes that is not there");
        ensure!(host.nodes(VIP)? == "1,999");
    }
    ensure!(
        generation()? == before,
        "refused writes are counted as changes"
    );
    ctx.expect_silence()
}

/// The file is the VIP's, whoever made it.
fn whole_set_of_a_rule_of_revision_0(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let payload = blob::Payload::default().nodes(64, &[1]);
    install(&host, &Rule::new(VIP_ADDRESS, "eth0", &payload))??;
    host.tell(VIP, "=33,60-64\n")?;
    ensure!(
        host.nodes(VIP)? == "33,60,61,62,63,64",
        "{}",
        host.nodes(VIP)?
    );
    let mut file = open(&host)?;
    for command in ["=65", "=64-65", "=1024", "=0"] {
        expect_errno(command, file.write(command.as_bytes()), libc::ERANGE)?;
    }
    ensure!(
        host.nodes(VIP)? == "33,60,61,62,63,64",
        "{}",
        host.nodes(VIP)?
    );
    Ok(())
}

/// 4096 bytes, and one more.
fn whole_set_as_long_as_can_be(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_numbers(ctx, 1024, &[])?;
    let all: Vec<String> = (1..=1024).map(|number: u32| number.to_string()).collect();
    let all = all.join(",");
    file.write_all(format!("={all}\n").as_bytes())?;
    ensure!(host.nodes(VIP)? == all, "all numbers one by one");
    file.write_all(b"=1-1024")?;
    ensure!(host.nodes(VIP)? == all, "all numbers as a range");

    let zeros = |count: usize| format!("={}7\n", "0".repeat(count));
    file.write_all(zeros(4093).as_bytes())?;
    ensure!(
        host.nodes(VIP)? == "7",
        "a line of 4096 bytes: {}",
        host.nodes(VIP)?
    );
    file.write_all(b"=8")?;
    for count in [4094, 4095, 8189, 70_000] {
        let what = format!("{} bytes", count + 3);
        expect_errno(&what, file.write(zeros(count).as_bytes()), libc::EIO)?;
    }
    expect_errno("+ with zeros", file.write(b"+0000000007"), libc::EIO)?;
    expect_errno("nonsense", file.write(&[b'x'; 4096]), libc::EIO)?;
    ensure!(host.nodes(VIP)? == "8", "{}", host.nodes(VIP)?);
    Ok(())
}

/// Runs a hand over and over beside `work`, which is done again until the hand has had its turns.
fn beside(
    mut hand: impl FnMut() -> Result<()> + Send,
    mut work: impl FnMut() -> Result<()>,
) -> Result<()> {
    const ENOUGH: u32 = 20;
    let over = AtomicBool::new(false);
    let turns = AtomicU32::new(0);
    thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<()> {
            while !over.load(Relaxed) {
                hand()?;
                turns.fetch_add(1, Relaxed);
            }
            Ok(())
        });
        let deadline = Instant::now() + pace::patience(Duration::from_secs(60));
        let mut result = work();
        while result.is_ok() && !other.is_finished() && turns.load(Relaxed) < ENOUGH {
            result = if Instant::now() < deadline {
                work()
            } else {
                Err(anyhow!("the other hand had {turns:?} turns only"))
            };
        }
        over.store(true, Relaxed);
        other.join().map_err(|_| anyhow!("a thread panicked"))??;
        result
    })
}

const ONE: &str = "=1,1000\n";
const OTHER: &str = "=2,999\n";

fn whole_set_readers_see_one_or_the_other(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_numbers(ctx, 1024, &[1, 1000])?;
    let mut writer = open(&host)?;
    let hand = || -> Result<()> {
        writer.write_all(OTHER.as_bytes())?;
        writer.write_all(ONE.as_bytes())?;
        Ok(())
    };
    let mut seen = [0; 2];
    beside(hand, || {
        for turn in 0..pace::cut(1000, 200) {
            file.seek(SeekFrom::Start(0))?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            match text.as_str() {
                "1,1000\n" => seen[0] += 1,
                "2,999\n" => seen[1] += 1,
                _ => return Err(anyhow!("turn {turn}: {text:?} was read")),
            }
            // So does the table of all VIPs.
            if turn % 20 == 0 {
                let rows = stat::rows(&host)?;
                let mine: Vec<u32> = rows
                    .iter()
                    .filter(|row| row.mine)
                    .map(|row| row.number)
                    .collect();
                ensure!(
                    [vec![1, 1000], vec![2, 999]].contains(&mine),
                    "turn {turn}: {mine:?} in the table"
                );
            }
        }
        Ok(())
    })?;
    ensure!(
        seen.iter().all(|times| *times > 0),
        "only one of two sets was seen: {seen:?}"
    );
    Ok(())
}

/// A number that both sets have is this node's all the time, one that neither has never is.
fn whole_set_packets_see_one_or_the_other(ctx: &mut Ctx) -> Result<()> {
    let cluster = Cluster::new(ctx, 1)?;
    let node = &cluster.nodes[0];
    node.quiet()?;
    let payload = Payload::default().nodes(1024, [1, 500, 1000, 1024]);
    node.install("filter", &[payload.rule(Some(VIP_ADDRESS), "eth0")])?;
    // In both: 500, 1000. In one: 1, 1024. In the other: 2, 999. In none: 3, 501, 998.
    let sources = [500, 1000, 1, 1024, 2, 999, 3, 501, 998]
        .map(|number| (number, source_of(number, 0, 0, 1024, VIP_ADDRESS)));
    let batch: Vec<_> = sources
        .iter()
        .cycle()
        .take(sources.len() * pace::cut(400, 40))
        .zip(1..)
        .collect();
    let packets: Vec<_> = batch
        .iter()
        .map(|((_, source), id)| udp_from(*source, VIP_ADDRESS, *id).bytes())
        .collect();
    let mut writer = open(&node.ns)?;
    let hand = || -> Result<()> {
        writer.write_all(b"=2,500,999,1000\n")?;
        writer.write_all(b"=1,500,1000,1024\n")?;
        Ok(())
    };
    // Whether each packet of a round of all numbers was taken.
    let mut rounds: Vec<Vec<bool>> = Vec::new();
    beside(hand, || {
        let heard = [node.ask(&packets)?];
        for round in batch.chunks(sources.len()) {
            let taken = round
                .iter()
                .map(|(_, id)| Ok(!takers(&heard, *id)?.is_empty()));
            rounds.push(taken.collect::<Result<_>>()?);
        }
        Ok(())
    })?;
    let (one, other) = (
        [true, true, true, true, false, false, false, false, false],
        [true, true, false, false, true, true, false, false, false],
    );
    // A round that the set changes in sees something of both: which numbers those are is chance.
    let mut seen = [0; 2];
    for (number, round) in rounds.iter().enumerate() {
        let always = round[0] && round[1];
        let never = round[6] || round[7] || round[8];
        ensure!(always && !never, "round {number}: {round:?}");
        seen[0] += u32::from(*round == one);
        seen[1] += u32::from(*round == other);
    }
    ensure!(
        seen.iter().all(|times| *times > 0),
        "only one of two sets was seen: {seen:?}"
    );
    // The other hand ended with that one, and nothing changes any more.
    let heard = [node.ask(&packets)?];
    for (_, id) in &batch {
        let taken = !takers(&heard, *id)?.is_empty();
        let number = usize::from(*id - 1) % one.len();
        ensure!(taken == one[number], "packet {id}, taken: {taken}");
    }
    Ok(())
}

/// Of two who write at the same time, one is the last: its set stands, whole.
fn whole_set_writers_leave_one_of_theirs(ctx: &mut Ctx) -> Result<()> {
    let (host, mut file) = with_numbers(ctx, 1024, &[1, 1000])?;
    for round in 0..20 {
        let mut writer = open(&host)?;
        let hand = || Ok(writer.write_all(OTHER.as_bytes())?);
        beside(hand, || {
            for _ in 0..200 {
                file.write_all(ONE.as_bytes())?;
            }
            Ok(())
        })?;
        let seen = host.nodes(VIP)?;
        ensure!(
            ["1,1000", "2,999"].contains(&seen.as_str()),
            "round {round}: {seen}"
        );
    }
    Ok(())
}
