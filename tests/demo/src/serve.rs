// SPDX-License-Identifier: GPL-2.0-only

//! A web server that says which node it runs on, and nothing else.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Result;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// Says one line once all ports listen, then serves until it is killed.
pub fn serve(node: &str, vip: &str, ports: &[&str]) -> std::result::Result<bool, String> {
    let number: u32 = node
        .parse()
        .map_err(|_| format!("{node} is not a node number"))?;
    let mut threads = Vec::new();
    for port in ports {
        let place = format!("{vip}:{port}");
        let listener = TcpListener::bind(&place)
            .map_err(|e| format!("node {node}: cannot listen on {place}: {e}"))?;
        threads.push(thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that gave up is its own business.
                let _ = stream.and_then(|stream| answer(number, stream));
            }
        }));
    }
    println!("node {node} serves {vip}");
    for thread in threads {
        let _ = thread.join();
    }
    Ok(false)
}

fn answer(node: u32, mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    // An empty line ends a request.
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = format!("node {node}\n");
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
