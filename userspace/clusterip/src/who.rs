// SPDX-License-Identifier: GPL-2.0-only

//! `clusterip who`: which number a client falls to, by the module's own files.

use crate::args::Who;
use crate::cluster::hash::Flow;
use crate::cluster::hash::Mode;
use crate::cluster::hash::Params;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Total;
use crate::failure::Failure;
use crate::failure::Result;
use crate::failure::FAILED;
use crate::failure::USAGE;
use crate::files::Files;
use crate::stat::Vip;
use crate::Terminal;

/// Shows it.
pub fn who(files: &Files, args: &Who, to: &mut Terminal<'_>) -> Result {
    let (params, mine) = match (args.total, args.hashmode) {
        (Some(total), Some(mode)) => {
            let seed = args.hash_init.unwrap_or_default();
            (Params { mode, seed, total }, None)
        }
        _ => {
            let vip = files.read_one(args.vip)?;
            (params(&vip)?, Some(vip.mine()))
        }
    };
    let flow = flow(args, params.mode)?;
    let node = params.prepare().node(&flow);
    let whose = mine.map(|mine: NodeSet| match mine.contains(node) {
        true => ": this node's",
        false => ": not this node's",
    });
    writeln!(
        to.out,
        "{} is for number {node} of {}{} ({}, seed {})",
        described(args, params.mode),
        params.total,
        whose.unwrap_or_default(),
        params.mode.name(),
        params.seed,
    )?;
    Ok(())
}

/// What all nodes of this VIP hash by.
pub fn params(vip: &Vip) -> Result<Params> {
    let mode = Mode::from_name(vip.hashmode.as_bytes()).ok_or_else(|| {
        let mode = &vip.hashmode;
        let text =
            format!("the VIP has the hash mode \"{mode}\", which this program is too old for");
        Failure::new(FAILED, text)
    })?;
    let total = Total::new(vip.total).ok_or_else(|| {
        let total = vip.total;
        let text = format!("the VIP has {total} numbers, which this program is too old for");
        Failure::new(FAILED, text)
    })?;
    let seed = vip.hash_init;
    Ok(Params { mode, seed, total })
}

/// The packet that is meant.
fn flow(args: &Who, mode: Mode) -> Result<Flow> {
    let missing = |what: &str| {
        let text = format!("the hash mode is {}: {what}", mode.name());
        Failure::new(USAGE, text)
    };
    if mode.uses_ports() && args.source.port.is_none() {
        return Err(missing(
            "give the client's port too, as SRC:PORT (0: a packet without ports)",
        ));
    }
    if mode == Mode::SourceIpSourcePortDestPort && args.dport.is_none() {
        return Err(missing(
            "give the port that the client wants too, behind SRC:PORT (0: a packet without ports)",
        ));
    }
    if mode == Mode::SourceIpSpi && args.spi.is_none() {
        return Err(missing(
            "give the packet's SPI too, --spi N (--spi none: it is neither ESP nor AH)",
        ));
    }
    let [s0, s1] = args.source.port.unwrap_or_default().to_be_bytes();
    let [d0, d1] = args.dport.unwrap_or_default().to_be_bytes();
    Ok(Flow {
        source: args.source.address.into(),
        destination: args.dst.unwrap_or(args.vip).into(),
        ports: [s0, s1, d0, d1],
        spi: args.spi.and_then(|spi| spi.0),
    })
}

/// The packet in words: what of it is hashed, and no more.
fn described(args: &Who, mode: Mode) -> String {
    let source = args.source.address;
    let destination = args.dst.unwrap_or(args.vip);
    let port = args.source.port.unwrap_or_default();
    match mode {
        Mode::SourceIp => source.to_string(),
        Mode::SourceIpSourcePort => format!("{source}:{port}"),
        Mode::SourceIpSourcePortDestPort => {
            format!("{source}:{port} to port {}", args.dport.unwrap_or_default())
        }
        Mode::DestIp => format!("what goes to {destination}"),
        Mode::SourceIpDestIp => format!("{source} with {destination}"),
        Mode::SourceIpSpi => match args.spi.and_then(|spi| spi.0) {
            Some(spi) => format!("{source} with SPI {spi:#010x}"),
            None => format!("{source} without an SPI"),
        },
    }
}
