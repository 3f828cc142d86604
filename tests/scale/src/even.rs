// SPDX-License-Identifier: GPL-2.0-only

//! How even the shares are that the hash makes.

use crate::clients::modes;
use crate::clients::total;
use crate::clients::Client;
use crate::clients::Sources;
use crate::clients::CLIENTS;
use crate::text::grouped;
use crate::text::rounded;
use host::cluster::hash::Mode;
use std::fmt::Write;

const TOTALS: [u32; 5] = [2, 3, 5, 16, 64];
/// So many networks, gateways or crowds are looked at; what is printed is their median.
const SAMPLES: u64 = 25;

/// The largest share over the mean, for each total.
type Unevenness = [f64; TOTALS.len()];

fn unevenness(hashes: impl Iterator<Item = u32>) -> Unevenness {
    let mut counts = TOTALS.map(|count| vec![0u32; count as usize]);
    for hash in hashes {
        for (counts, count) in counts.iter_mut().zip(TOTALS) {
            counts[total(count).node_of(hash).get() as usize - 1] += 1;
        }
    }
    counts.map(|counts| {
        let largest = counts.iter().copied().max().unwrap_or(0);
        f64::from(largest) * counts.len() as f64 / CLIENTS as f64
    })
}

/// Per total, the median of the samples.
fn median(samples: &[Unevenness]) -> Unevenness {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = samples.iter().map(|sample| sample[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// How many different things a mode sees in a million connections of these.
fn different(clients: &[Client], mode: Mode) -> usize {
    let mut seen: Vec<u64> = clients.iter().map(|client| client.seen(mode)).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

/// What a mode made of all samples.
#[derive(Default)]
struct Seen {
    /// How many different things it saw in the last of them.
    apart: usize,
    /// The shares by the module's hash, and by a perfect one.
    module: Vec<Unevenness>,
    perfect: Vec<Unevenness>,
}

fn look(sources: Sources) -> [Seen; 3] {
    let mut seen: [Seen; 3] = Default::default();
    for sample in 0..SAMPLES {
        let clients = sources.clients(sample);
        for (mode, seen) in modes().zip(&mut seen) {
            let of = |hash: fn(&Client, Mode) -> u32| {
                unevenness(clients.iter().map(|client| hash(client, mode)))
            };
            seen.module.push(of(Client::hash));
            seen.perfect.push(of(Client::draw));
            if sample + 1 == SAMPLES {
                seen.apart = different(&clients, mode);
            }
        }
    }
    seen
}

pub fn table() -> String {
    let mut text = String::from("| clients | mode | tells apart |");
    for count in TOTALS {
        write!(text, " {count} nodes |").expect("a string");
    }
    text.push_str("\n| --- | --- | --- |");
    text.push_str(&" --- |".repeat(TOTALS.len()));
    text.push('\n');
    for sources in Sources::ALL {
        for (mode, seen) in modes().zip(look(sources)) {
            let apart = grouped(rounded(seen.apart));
            write!(text, "| {} | `{}` | {apart} |", sources.name(), mode.name()).expect("a string");
            for (module, perfect) in median(&seen.module).iter().zip(median(&seen.perfect)) {
                write!(text, " {module:.3} / {perfect:.3} |").expect("a string");
            }
            text.push('\n');
        }
    }
    text
}
