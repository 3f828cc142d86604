// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/net/stat/ipt_CLUSTERIP`: where it is, who may read it, and in which pieces.

use crate::checks::install;
use crate::procfs::read_by;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::eventually;
use harness::expect_errno;
use harness::host::host;
use harness::host::named;
use harness::netns::vip_path;
use harness::pace;
use harness::revision1::Payload;
use harness::stat::rows;
use harness::stat::HEADER;
use harness::stat::PATH;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

pub fn tests() -> Vec<Test> {
    tests![
        stat_header_alone,
        stat_of_its_namespace_alone,
        stat_for_anybody_to_read,
        stat_any_read_size,
        stat_many_vips,
        stat_ends_with_the_namespace,
        stat_nothing_else_among_the_vips_files,
    ]
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 101);

fn open(host: &Netns) -> Result<File> {
    host.enter(|| File::open(PATH))?.context("the table")
}

fn stat_header_alone(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    ensure!(
        host.read(PATH)? == format!("{HEADER}\n"),
        "{:?}",
        host.read(PATH)?
    );
    install(&host, &Payload::default().rule(Some(VIP_ADDRESS), "eth0"))??;
    ensure!(rows(&host)?.len() == 2);
    host.iptables("-F")?;
    ensure!(
        host.read(PATH)? == format!("{HEADER}\n"),
        "{:?}",
        host.read(PATH)?
    );
    Ok(())
}

fn stat_of_its_namespace_alone(ctx: &mut Ctx) -> Result<()> {
    let one = host(ctx)?;
    let two = named(ctx, "other")?;
    install(
        &one,
        &Payload::default()
            .nodes(3, [1])
            .rule(Some(VIP_ADDRESS), "eth0"),
    )??;
    ensure!(rows(&one)?.len() == 3 && rows(&two)?.is_empty());
    install(
        &two,
        &Payload::default()
            .nodes(5, [2])
            .rule(Some(VIP_ADDRESS), "eth0"),
    )??;
    two.tell(VIP, "=3")?;
    let (first, second) = (rows(&one)?, rows(&two)?);
    ensure!(
        first.len() == 3 && second.len() == 5,
        "{first:?}, {second:?}"
    );
    ensure!(first[0].generation == 1 && second[0].generation == 2);
    ensure!(first[0].mine && !first[2].mine && second[2].mine && !second[1].mine);
    ensure!(
        fs::read_to_string(PATH)? == format!("{HEADER}\n"),
        "seen outside"
    );
    Ok(())
}

fn stat_for_anybody_to_read(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    install(&host, &Payload::default().rule(Some(VIP_ADDRESS), "eth0"))??;
    let seen = host.enter(|| fs::metadata(PATH))??;
    let mode = seen.permissions().mode() & 0o7777;
    ensure!(
        seen.is_file() && mode == 0o444 && seen.uid() == 0,
        "{seen:?}"
    );
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let text = host.run(&format!("{nobody} cat /proc/net/stat/ipt_CLUSTERIP"))?;
    ensure!(text == host.read(PATH)?, "nobody reads {text:?}");
    // Who is not root can read that, and not the VIP's own file.
    host.fails(&format!("{nobody} cat /proc/net/ipt_CLUSTERIP/{VIP}"))?;
    let mut options = OpenOptions::new();
    let file = host.enter(|| options.write(true).open(PATH))?;
    if let Ok(mut file) = file {
        expect_errno("writing to it", file.write(b"+2"), libc::EIO)?;
    }
    ensure!(host.nodes(VIP)? == "1");
    Ok(())
}

/// Whatever the size and place of a read, the text is the same.
fn stat_any_read_size(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let vips = (0..40_u8).map(|number| {
        let total = [1, 2, 63, 64, 65][usize::from(number % 5)];
        let vip = Ipv4Addr::new(10, 9, 1, number);
        Payload::default().nodes(total, [1]).rule(Some(vip), "eth0")
    });
    let rules: Vec<Rule> = vips.collect();
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    let whole = host.read(PATH)?;
    ensure!(rows(&host)?.len() == 8 * (1 + 2 + 63 + 64 + 65));
    let mut file = open(&host)?;
    for size in [7, 64, 100, 511, 1000, 4095, 4096, 4097, 20_000, 1_000_000] {
        let seen = read_by(&mut file, size)?;
        ensure!(
            seen == whole.as_bytes(),
            "in reads of {size}: {} of {} bytes",
            seen.len(),
            whole.len()
        );
    }
    let step = whole.len() / pace::cut(200, 20);
    for offset in (0..whole.len() + step).step_by(step) {
        file.seek(SeekFrom::Start(offset as u64))?;
        let mut seen = vec![0; 100];
        let length = file.read(&mut seen)?;
        let wanted = whole.as_bytes().get(offset..).unwrap_or_default();
        ensure!(
            wanted.starts_with(&seen[..length]) && (length > 0) != wanted.is_empty(),
            "at {offset}: {:?}",
            String::from_utf8_lossy(&seen[..length])
        );
    }
    Ok(())
}

/// A thousand VIPs, some with as many numbers as can be.
fn stat_many_vips(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let vips = pace::cut(1000, 100) as u32;
    let total = |number: u32| {
        if number % 100 == 99 {
            1024
        } else {
            1 + number % 16
        }
    };
    let address = |number: u32| Ipv4Addr::from(0x0a0a_0000 + number * 3);
    let rules: Vec<Rule> = (0..vips)
        .map(|number| {
            let payload = Payload::default().nodes(total(number) as u16, [total(number)]);
            payload.rule(Some(address(number)), "eth0")
        })
        .collect();
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    let rows = rows(&host)?;
    let wanted: u32 = (0..vips).map(total).sum();
    ensure!(
        rows.len() == wanted as usize,
        "{} rows, not {wanted}",
        rows.len()
    );
    // The rows of a VIP stand together, by number.
    let mut rest = &rows[..];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(first) = rest.first() {
        let number = (u32::from(first.vip) - 0x0a0a_0000) / 3;
        let (own, others) = rest.split_at(total(number) as usize);
        ensure!(
            seen.insert(first.vip),
            "{} has rows in two places",
            first.vip
        );
        for (row, place) in own.iter().zip(1..) {
            let mine = place == total(number);
            ensure!(
                row.vip == address(number) && row.number == place && row.mine == mine,
                "{row:?} is row {place} of {}",
                first.vip
            );
        }
        rest = others;
    }
    ensure!(seen.len() == vips as usize);
    // Some go.
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules[..10]))??;
    let left: u32 = (0..10).map(total).sum();
    ensure!(harness::stat::rows(&host)?.len() == left as usize);
    Ok(())
}

fn stat_ends_with_the_namespace(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    install(
        &host,
        &Payload::default()
            .nodes(1024, [1])
            .rule(Some(VIP_ADDRESS), "eth0"),
    )??;
    let mut file = open(&host)?;
    ensure!(file.read(&mut [0; 100])? > 0);
    drop(host);
    eventually("the namespace's rules gone", || {
        Ok(harness::clean::uses()? == Some(0))
    })?;
    // Read on, or told that there is nothing any more: no more than that.
    let mut seen = Vec::new();
    let _ = file.read_to_end(&mut seen);
    ensure!(
        harness::clean::namespaces_beyond(0)? == 0,
        "the open table holds its namespace"
    );
    expect_errno("reading it", file.read(&mut [0; 8]), libc::EIO)
}

fn stat_nothing_else_among_the_vips_files(ctx: &mut Ctx) -> Result<()> {
    let host = host(ctx)?;
    let payload = Payload::default().nodes(1000, [1]);
    let rules = [
        payload.rule(Some(VIP_ADDRESS), "eth0"),
        payload.clone().vip(OTHER).device("eth0").rule(None, ""),
    ];
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    host.tell(VIP, "=1-1000")?;
    host.read(PATH)?;
    let mut names = Vec::new();
    for entry in host.enter(|| fs::read_dir(vip_path("")))?? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    ensure!(names == [VIP.to_string(), OTHER.to_string()], "{names:?}");
    Ok(())
}
