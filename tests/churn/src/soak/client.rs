// SPDX-License-Identifier: GPL-2.0-only

//! The clients: some connections at a time, each asks once and ends with the answer.

use super::nodes;
use super::nodes::Cluster;
use super::nodes::CLIENTS;
use super::nodes::NODES;
use super::nodes::PORT;
use super::nodes::VIP;
use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use asking::connecting;
use harness::pace;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

/// A SYN may be lost twice on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const PORTS: usize = 40_000;
const FIRST_PORT: usize = 20_000;

/// One connection.
struct Connection {
    id: usize,
    /// The number that it falls to, from 0.
    number: usize,
    stream: TcpStream,
    sent: bool,
    answer: Vec<u8>,
}

/// Where a connection comes from: never twice within 640,000.
fn source(id: usize) -> (Ipv4Addr, u16) {
    let client = nodes::client((id % usize::from(CLIENTS)) as u8);
    let port = FIRST_PORT + id / usize::from(CLIENTS) % PORTS;
    (client, port as u16)
}

/// Has `count` connections made, from client `first` on, and each answered by who should; the client
/// after the last one. In their middle a number (from 0) may be handed over to another node: then none of
/// these connections is of that number, for it would end there.
pub fn batch(
    cluster: &mut Cluster,
    first: usize,
    count: usize,
    handover: Option<(usize, usize)>,
) -> Result<usize> {
    let left_out = handover.map(|(number, _)| number);
    let mut open = Vec::new();
    let mut id = first;
    let spare = count * NODES * 8;
    while open.len() < count {
        ensure!(id < first + spare, "no clients of the other numbers");
        let (address, port) = source(id);
        let number = nodes::number(address, port) - 1;
        if Some(number) != left_out {
            let from = SocketAddrV4::new(address, port);
            let to = SocketAddrV4::new(VIP, PORT);
            let stream = cluster.client.enter(|| connecting(from, to))??;
            open.push(Connection {
                id,
                number,
                stream,
                sent: false,
                answer: Vec::new(),
            });
        }
        id += 1;
    }
    if let Some((number, to)) = handover {
        cluster.hand_over(number, to)?;
    }
    answer_all(cluster, open, first, id)?;
    Ok(id)
}

/// Until each has its answer.
fn answer_all(
    cluster: &mut Cluster,
    mut open: Vec<Connection>,
    first: usize,
    end: usize,
) -> Result<()> {
    // By how many nodes each was served.
    let mut served = vec![0_u8; end - first];
    let mut strange = None;
    let asked: Vec<usize> = open.iter().map(|connection| connection.id).collect();
    let deadline = Instant::now() + pace::patience(PATIENCE);
    loop {
        let before = open.len();
        let mut still = Vec::new();
        for mut connection in open {
            match advance(&mut connection, &cluster.holder)? {
                true => {}
                false => still.push(connection),
            }
        }
        open = still;
        for (number, node) in cluster.nodes.iter_mut().enumerate() {
            node.serve(
                number,
                &mut |id| match served.get_mut(id.wrapping_sub(first)) {
                    Some(times) => *times += 1,
                    None => strange = Some(id),
                },
            )?;
        }
        let idle = cluster.nodes.iter().all(|node| node.open() == 0);
        if open.is_empty() && idle {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{} connections without an answer, {idle} idle",
            open.len()
        );
        if open.len() == before {
            std::thread::yield_now();
        }
    }
    ensure!(strange.is_none(), "a request {strange:?} that nobody sent");
    for id in asked {
        let times = served[id - first];
        ensure!(times == 1, "connection {id} was answered {times} times");
    }
    Ok(())
}

/// Goes as far as it can; whether it has ended.
fn advance(connection: &mut Connection, holder: &[usize; NODES]) -> Result<bool> {
    if !connection.sent {
        match connection
            .stream
            .write(&(connection.id as u64).to_ne_bytes())
        {
            Ok(8) => connection.sent = true,
            Ok(length) => bail!("{length} bytes of a request sent"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            // Not yet connected.
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => {
                return Err(error).with_context(|| format!("connection {}", connection.id));
            }
        }
    }
    let mut buffer = [0; 16];
    match connection.stream.read(&mut buffer) {
        Ok(0) => bail!("connection {} was closed", connection.id),
        Ok(length) => connection.answer.extend(&buffer[..length]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("connection {}", connection.id)),
    }
    if connection.answer.len() < 9 {
        return Ok(false);
    }
    let (id, node) = connection.answer.split_at(8);
    ensure!(
        id == (connection.id as u64).to_ne_bytes(),
        "connection {} got the answer for another",
        connection.id
    );
    ensure!(
        node == [holder[connection.number] as u8],
        "connection {} of number {} was answered by node {node:?}, from 0, and should by {}",
        connection.id,
        connection.number + 1,
        holder[connection.number]
    );
    Ok(true)
}
