// SPDX-License-Identifier: GPL-2.0-only

//! A hundred HTTP requests at once, each from an address and a port of its own choice.

use crate::flow;
use crate::flow::Answer;
use crate::flow::Answers;
use crate::flow::Flow;
use crate::report;
use crate::wire::Wire;

use asking::Request;
use nix::errno::Errno;
use nix::poll::poll;
use nix::poll::PollFd;
use nix::poll::PollFlags;

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

/// After this much silence nobody will answer any more. Long enough for a SYN to be lost twice.
const PATIENCE: Duration = Duration::from_millis(3500);
/// How long the wire is watched after the last answer: doubles come late.
const AFTERMATH: Duration = Duration::from_millis(200);

pub fn command(vip: &str, first: &str, file: &str, earlier: Option<&str>) -> Result<bool, String> {
    let address = |text: &str| {
        text.parse()
            .map_err(|_| format!("{text} is no IPv4 address"))
    };
    let earlier = earlier.map(flow::load).transpose()?;
    let (answers, strays) = ask(address(vip)?, &flow::all(address(first)?))?;
    flow::save(file, &answers)?;
    report::draw(&answers);
    match earlier {
        Some(earlier) => report::compare(&earlier, &answers),
        None => report::draw_loyalty(&answers),
    }
    if strays > 0 {
        println!("  {strays} packets of no connection of ours came from {vip}");
    }
    Ok(strays == 0)
}

/// A request and its flow.
fn start(vip: Ipv4Addr, flow: Flow) -> Result<(Flow, Request), String> {
    let from = SocketAddrV4::new(flow.client, flow.source_port);
    let to = SocketAddrV4::new(vip, flow.server_port);
    let request =
        Request::start(from, to).map_err(|e| format!("cannot connect {from} to {to}: {e}"))?;
    Ok((flow, request))
}

/// Asks for every flow at once. Also returns the number of packets that belong to none of them.
fn ask(vip: Ipv4Addr, flows: &[Flow]) -> Result<(Answers, usize), String> {
    let mut answers: Answers = flows
        .iter()
        .map(|flow| (*flow, Answer::default()))
        .collect();
    let mut strays = 0;
    let wire = Wire::open()?;
    let mut open = Vec::new();
    for flow in flows {
        open.push(start(vip, *flow)?);
    }
    let mut end = Instant::now() + PATIENCE;
    let mut asking = true;
    loop {
        if asking && open.is_empty() {
            asking = false;
            end = Instant::now() + AFTERMATH;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((answers, strays));
        }
        let mut polled = vec![PollFd::new(wire.as_fd(), PollFlags::POLLIN)];
        polled.extend(
            open.iter()
                .map(|(_, request)| PollFd::new(request.as_fd(), request.events())),
        );
        let timeout = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(format!("poll: {e}")),
        }
        let ready: Vec<bool> = polled[1..].iter().map(|p| p.any() == Some(true)).collect();
        let mut still = Vec::new();
        for ((flow, mut request), ready) in open.into_iter().zip(ready) {
            match ready.then(|| request.advance()).flatten() {
                None => still.push((flow, request)),
                Some(node) => {
                    let node = node.and_then(|node| u32::try_from(node).ok());
                    answers.entry(flow).or_default().node = node;
                }
            }
        }
        open = still;
        while let Some(packet) = wire.next(vip)? {
            if asking {
                end = Instant::now() + PATIENCE;
            }
            match packet.flow.and_then(|flow| answers.get_mut(&flow)) {
                Some(answer) => drop(answer.macs.insert(packet.mac)),
                None => strays += 1,
            }
        }
    }
}
