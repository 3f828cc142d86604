// SPDX-License-Identifier: GPL-2.0-only

//! The same thing for a long time: connections to a cluster of three, each answered exactly once by the
//! node that should, while numbers are handed over; and no memory is lost on the way.

mod client;
mod memory;
mod nodes;

use crate::aftermath;
use crate::report::Report;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use fastrand::Rng;
use harness::allocations::Allocations;
use harness::kmsg::Kmsg;
use memory::Sample;
use memory::Series;
use nix::sys::eventfd::EventFd;
use nodes::Cluster;
use nodes::NODES;
use std::time::Duration;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seed: u64,
    /// Look at the kernel's memory, too: not for few connections, whose noise is all there is to see.
    #[arg(long)]
    memory: bool,
    /// To see that growth is seen: keep a descriptor for every so many connections.
    #[arg(long)]
    plant: Option<usize>,
}

/// Connections at a time.
const BATCH: usize = 64;
const HANDOVER: Duration = Duration::from_secs(1);
const PROGRESS: Duration = Duration::from_secs(30);
/// Where samples are taken, in percent of all connections, one after each.
const PLACES: [std::ops::Range<usize>; 3] = [6..14, 46..54, 92..100];

pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::default();
    if !aftermath::forget(&mut report) {
        return report;
    }
    println!(
        "soak: {} connections, seed {}",
        arguments.connections, arguments.seed
    );
    let start = Instant::now();
    let mut soak = Soak::default();
    let done = soak.run(arguments);
    let connections = soak.done;
    let what = "each connection is answered once, by the node that holds its number";
    report.test(
        what,
        done.map(|()| format!("{connections} connections, {} handovers", soak.handovers)),
    );
    if arguments.memory {
        let [first, _, last] = PLACES.map(|place| place.start + place.len() / 2);
        let between = arguments.connections * (last - first) / 100;
        report.test(
            "objects in use in the kernel's caches do not grow",
            memory::flat("slabinfo", &soak.series(|sample| sample.slab), between),
        );
        report.test(
            "memory that is not available does not grow",
            memory::flat("MemAvailable", &soak.series(|sample| sample.taken), between),
        );
        report.test("the module's own objects stay as many", soak.objects());
    }
    aftermath::test(&mut report);
    println!("total connections {connections}");
    println!("total handovers {}", soak.handovers);
    println!("total seconds {}", start.elapsed().as_secs());
    report
}

#[derive(Default)]
struct Soak {
    done: usize,
    handovers: usize,
    samples: [Vec<Sample>; 3],
    /// How many objects the module has, at each of the three places.
    objects: Vec<u64>,
    planted: Vec<EventFd>,
}

impl Soak {
    fn run(&mut self, arguments: &Arguments) -> Result<()> {
        let mut log = Kmsg::from_now()?;
        let mut cluster = Cluster::new().context("the cluster")?;
        let mut random = Rng::with_seed(arguments.seed);
        let mut allocations = match arguments.memory {
            true => Some(Allocations::new()?),
            false => None,
        };
        if let Some(allocations) = &mut allocations {
            allocations.note()?;
        }
        let all = arguments.connections;
        let (mut next, mut percent) = (0, 0);
        let start = Instant::now();
        let (mut told, mut handed) = (start, start);
        while self.done < all {
            let count = BATCH.min(all - self.done);
            // At first, too, so that what handovers take once is there from the start.
            let late = self.done >= all / 4 * 3 && handed.elapsed() >= HANDOVER;
            let handover = (late || self.done < all / 50).then(|| {
                handed = Instant::now();
                let number = random.usize(..NODES);
                let to = (cluster.holder[number] + random.usize(1..NODES)) % NODES;
                (number, to)
            });
            self.handovers += usize::from(handover.is_some());
            next = client::batch(&mut cluster, next, count, handover)?;
            self.done += count;
            self.plant(arguments)?;
            while percent < 100 && self.done >= (percent + 1) * all / 100 {
                if let Some(allocations) = &allocations {
                    self.sample(percent, &cluster, allocations)?;
                }
                percent += 1;
            }
            let crashes = log.crashes()?;
            ensure!(
                crashes.is_empty(),
                "the kernel says: {}",
                crashes.join("; ")
            );
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                println!(
                    "soak: {} of {all} connections, {} handovers, {} a second",
                    self.done,
                    self.handovers,
                    self.done as u64 / start.elapsed().as_secs().max(1)
                );
            }
        }
        println!(
            "soak: {} connections in {} s",
            self.done,
            start.elapsed().as_secs()
        );
        self.planted.clear();
        count(&cluster, self.done as u64)
    }

    fn plant(&mut self, arguments: &Arguments) -> Result<()> {
        if let Some(each) = arguments.plant {
            while self.planted.len() < self.done / each {
                self.planted.push(EventFd::new()?);
            }
        }
        Ok(())
    }

    fn sample(&mut self, percent: usize, cluster: &Cluster, own: &Allocations) -> Result<()> {
        let Some(place) = PLACES.iter().position(|place| place.contains(&percent)) else {
            return Ok(());
        };
        let spaces: Vec<_> = cluster.nodes.iter().map(|node| &node.ns).collect();
        self.samples[place].push(Sample::take(&spaces)?);
        if self.objects.len() == place {
            self.objects.push(own.count()?);
            println!("soak: at {percent} %: {}", memory::told()?);
        }
        Ok(())
    }

    fn series(&self, of: impl Fn(&Sample) -> i64) -> Series {
        self.samples
            .each_ref()
            .map(|place| place.iter().map(&of).collect())
    }

    fn objects(&self) -> Result<String> {
        ensure!(
            self.objects.len() == PLACES.len() && self.objects[0] > 0,
            "seen only {:?}",
            self.objects
        );
        ensure!(
            self.objects.iter().all(|count| *count == self.objects[0]),
            "{:?} at the start, in the middle and at the end",
            self.objects
        );
        Ok(format!("{} at each of three places", self.objects[0]))
    }
}

/// What TCP counted says whether another node answered, too: it would have made a connection of its own,
/// or have had to reset one.
fn count(cluster: &Cluster, connections: u64) -> Result<()> {
    let (mut passive, mut resets) = (0, 0);
    for node in &cluster.nodes {
        passive += Cluster::counter(&node.ns, "PassiveOpens")?;
        resets += Cluster::counter(&node.ns, "OutRsts")?;
    }
    println!(
        "soak: {} segments sent again by the clients",
        Cluster::counter(&cluster.client, "RetransSegs")?
    );
    ensure!(
        passive == connections,
        "the nodes took {passive} connections together, of {connections}"
    );
    ensure!(resets == 0, "the nodes reset {resets} connections");
    Ok(())
}
