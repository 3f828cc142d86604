// SPDX-License-Identifier: GPL-2.0-only

//! A firewall of two machines with two arms: on each arm its machines share an address, and the two directions of a
//! flow go through one machine.
//!
//! ```text
//!   left                      fw1, fw2                         right
//!   10.1.0.1 and clients      10.1.0.2, .3     10.2.0.2, .3    10.2.0.1, the server
//!   br0 -- l1 ------------ eth0  fw1  eth1 ------------ r1 -- br0
//!    |                                                         |
//!    +---- l2 ------------ eth0  fw2  eth1 ------------ r2 ----+
//!        10.1.0.254, at a multicast MAC    10.2.0.254, at another one
//! ```

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::packet::Mac;
use harness::revision1::Payload;
use harness::tap::Tap;
use harness::tests;
use harness::Ctx;
use harness::Netns;
use harness::Test;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    tests![
        firewall_both_addresses_on_both_arms,
        firewall_source_on_one_arm_destination_on_the_other,
        firewall_in_raw,
        firewall_in_forward,
        firewall_modes_that_do_not_fit,
        firewall_one_takes_over,
    ]
}

const SEED: u32 = 0x2b7e_1516;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const VIPS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 254), Ipv4Addr::new(10, 2, 0, 254)];
const MACS: [Mac; 2] = [[1, 0, 0x5e, 0, 0, 0x31], [1, 0, 0x5e, 0, 0, 0x32]];
const CLIENTS: u8 = 40;

/// `ETH_P_ALL`: what a bridge takes is seen by nobody who wants less.
const EVERYTHING: u16 = 3;

const DESTIP: u32 = 3;
const SOURCEIP_DESTIP: u32 = 4;

struct Bed {
    left: Netns,
    machines: Vec<Netns>,
    /// What comes from each machine: on the left, and on the right.
    taps: [[Tap; 2]; 2],
    server: UdpSocket,
    _right: Netns,
}

/// The network, where the machines are known by these MACs on their arms; unicast ones are the devices' own.
fn bed(ctx: &mut Ctx, macs: [Mac; 2]) -> Result<Bed> {
    harness::module::load("ipt_CLUSTERIP ip_tables")?;
    let (left, right) = (ctx.netns("left")?, ctx.netns("right")?);
    let machines = vec![ctx.netns("fw1")?, ctx.netns("fw2")?];
    let shown = macs.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
    for (arm, side, port, device) in [(1, &left, 'l', "eth0"), (2, &right, 'r', "eth1")] {
        side.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up\nlink set lo up\n")?;
        for machine in 1..=2 {
            // A hub: what one machine is sent, the other hears.
            side.ip(&format!(
                "link add {port}{machine} type veth peer name {device} netns fw{machine}\n\
                 link set {port}{machine} master br0 up\n"
            ))?;
            side.run(&format!(
                "bridge link set dev {port}{machine} learning off flood on mcast_flood on"
            ))?;
        }
        let (mac, other) = (&shown[arm - 1], 3 - arm);
        side.ip(&format!(
            "addr add 10.{arm}.0.1/24 dev br0\n\
             neigh add 10.{arm}.0.254 lladdr {mac} dev br0 nud permanent\n\
             route add 10.{other}.0.0/24 via 10.{arm}.0.254\n"
        ))?;
    }
    // Clients' addresses are its own, all of them.
    left.ip("route add local 10.1.0.128/26 dev lo\n")?;
    for (machine, number) in machines.iter().zip(1..) {
        for (arm, device) in [(1, "eth0"), (2, "eth1")] {
            let mac = macs[arm - 1];
            if mac[0] % 2 == 0 {
                machine.ip(&format!("link set {device} address {}\n", shown[arm - 1]))?;
            }
            machine.ip(&format!(
                "link set {device} up\naddr add 10.{arm}.0.{}/24 dev {device}\n",
                number + 1
            ))?;
        }
        machine.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    }
    let taps = |side: &Netns, port: char| -> Result<[Tap; 2]> {
        let tap = |machine| Tap::new(side, &format!("{port}{machine}"), EVERYTHING);
        let taps = [tap(1)?, tap(2)?];
        taps.iter().try_for_each(Tap::expect_carrier)?;
        Ok(taps)
    };
    let server = right.enter(|| UdpSocket::bind((SERVER, 7)))??;
    server.set_nonblocking(true)?;
    Ok(Bed {
        taps: [taps(&left, 'l')?, taps(&right, 'r')?],
        left,
        machines,
        server,
        _right: right,
    })
}

impl Bed {
    /// Gives each machine a rule for each arm, in these modes; the first machine has number 1 of 2.
    fn rules(&self, table: &str, hook: usize, modes: [u32; 2]) -> Result<()> {
        for (machine, number) in self.machines.iter().zip(1..) {
            let rules = [0, 1].map(|arm| {
                let mut payload = Payload::default().nodes(2, [number]).hash(modes[arm], SEED);
                payload.mac = MACS[arm];
                let device = format!("eth{arm}");
                // Clients' packets on one arm, the server's on the other; no others.
                let mut rule = payload.vip(VIPS[arm]).device(&device).rule(None, &device);
                rule.hook = hook;
                rule.source = [Ipv4Addr::new(10, 1, 0, 128), SERVER][arm];
                rule.source_mask = [Ipv4Addr::new(255, 255, 255, 192), Ipv4Addr::BROADCAST][arm];
                rule
            });
            machine.enter(|| blob::replace(&blob::socket()?, table, &rules))??;
        }
        Ok(())
    }

    /// Which machines let a client's question through, and which the server's answer.
    fn ask(&self, client: Ipv4Addr) -> Result<[Vec<usize>; 2]> {
        for tap in self.taps.iter().flatten() {
            while tap.receive()?.is_some() {}
        }
        let socket = self.left.enter(|| UdpSocket::bind((client, 4000)))??;
        socket.set_nonblocking(true)?;
        let mut buffer = [0; 64];
        let (mut seen, mut answers) = ([vec![], vec![]], 0);
        socket.send_to(b"question", (SERVER, 7))?;
        let deadline = Instant::now() + harness::pace::patience(Duration::from_secs(5));
        let mut quiet = None;
        // A little longer than until the answer is there: a second one would be seen, too.
        while quiet.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(30)) {
            ensure!(
                Instant::now() < deadline,
                "{client} has no answer; seen at {seen:?}"
            );
            match self.server.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    self.server.send_to(&buffer[..length], from)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("the server"),
            }
            match socket.recv_from(&mut buffer) {
                Ok(_) => answers += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("the client"),
            }
            if answers > 0 && quiet.is_none() {
                quiet = Some(Instant::now());
            }
            self.look(client, &mut seen)?;
        }
        ensure!(answers == 1, "{client} has {answers} answers");
        Ok([seen[1].clone(), seen[0].clone()])
    }

    /// What has come from the machines meanwhile: on the left answers, on the right questions.
    fn look(&self, client: Ipv4Addr, seen: &mut [Vec<usize>; 2]) -> Result<()> {
        let ends = [(SERVER, client), (client, SERVER)];
        for ((taps, ends), seen) in self.taps.iter().zip(ends).zip(seen) {
            for (tap, machine) in taps.iter().zip(1..) {
                while let Some(frame) = tap.receive()? {
                    let address = |at: usize| {
                        let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
                        Some(Ipv4Addr::from(bytes))
                    };
                    // What is sent to the machines is seen there as well, with the other source.
                    if (address(26), address(30)) == (Some(ends.0), Some(ends.1)) {
                        seen.push(machine);
                    }
                }
            }
        }
        Ok(())
    }
}

fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (0..CLIENTS).map(|number| Ipv4Addr::new(10, 1, 0, 130 + number))
}

/// The machine of a client's flow by the oracle.
fn wanted(client: Ipv4Addr, mode: u32) -> usize {
    let packet = jhash::Packet {
        source: client.octets(),
        destination: SERVER.octets(),
        ports: [0; 4],
        spi: None,
    };
    packet.node(mode, SEED, 2) as usize
}

/// Each client's question and its answer go through that one machine, and through no other.
fn expect_one_machine(bed: &Bed, mode: u32) -> Result<()> {
    let mut shares = [0; 2];
    for client in clients() {
        let machine = wanted(client, mode);
        let [questions, answers] = bed.ask(client)?;
        ensure!(
            questions == [machine] && answers == [machine],
            "{client}: its machine is {machine}; the question went through {questions:?}, the answer through {answers:?}"
        );
        shares[machine - 1] += 1;
    }
    ensure!(!shares.contains(&0), "the shares are {shares:?}");
    Ok(())
}

fn firewall_both_addresses_on_both_arms(ctx: &mut Ctx) -> Result<()> {
    let bed = bed(ctx, MACS)?;
    bed.rules("mangle", 0, [SOURCEIP_DESTIP; 2])?;
    expect_one_machine(&bed, SOURCEIP_DESTIP)
}

fn firewall_source_on_one_arm_destination_on_the_other(ctx: &mut Ctx) -> Result<()> {
    let bed = bed(ctx, MACS)?;
    bed.rules("mangle", 0, [0, DESTIP])?;
    expect_one_machine(&bed, 0)
}

/// Where there is no connection tracking.
fn firewall_in_raw(ctx: &mut Ctx) -> Result<()> {
    let bed = bed(ctx, MACS)?;
    for (modes, mode) in [([SOURCEIP_DESTIP; 2], SOURCEIP_DESTIP), ([0, DESTIP], 0)] {
        bed.rules("raw", 0, modes)?;
        expect_one_machine(&bed, mode)?;
        for machine in &bed.machines {
            machine.iptables("-t raw -F")?;
        }
    }
    Ok(())
}

/// A packet that came to a multicast MAC is not forwarded unless a rule made it the machine's own before. Where both
/// machines have one unicast MAC it is.
fn firewall_in_forward(ctx: &mut Ctx) -> Result<()> {
    const FORWARD: usize = 2;
    let bed = bed(ctx, [[2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]])?;
    for (modes, mode) in [([SOURCEIP_DESTIP; 2], SOURCEIP_DESTIP), ([0, DESTIP], 0)] {
        bed.rules("filter", FORWARD, modes)?;
        expect_one_machine(&bed, mode)?;
        for machine in &bed.machines {
            machine.iptables("-F")?;
        }
    }
    Ok(())
}

/// That the two arms agree is the modes' doing: with the source on both they do not.
fn firewall_modes_that_do_not_fit(ctx: &mut Ctx) -> Result<()> {
    let bed = bed(ctx, MACS)?;
    bed.rules("mangle", 0, [0, 0])?;
    // All answers have one source, and so one machine.
    let back = jhash::node(0, SERVER.octets(), [0; 4], SEED, 2) as usize;
    let mut apart = 0;
    for client in clients().take(20) {
        let there = wanted(client, 0);
        let [questions, answers] = bed.ask(client)?;
        ensure!(
            questions == [there] && answers == [back],
            "{client}: {questions:?}, {answers:?}; it should be {there} and {back}"
        );
        apart += usize::from(there != back);
    }
    ensure!(apart > 0, "no flow has two machines");
    Ok(())
}

fn firewall_one_takes_over(ctx: &mut Ctx) -> Result<()> {
    let bed = bed(ctx, MACS)?;
    bed.rules("raw", 0, [SOURCEIP_DESTIP; 2])?;
    for (taker, giver) in [(0, 1), (1, 0)] {
        for vip in VIPS.map(|vip| vip.to_string()) {
            bed.machines[giver].tell(&vip, "=none")?;
            bed.machines[taker].tell(&vip, "=1-2")?;
        }
        for client in clients().take(20) {
            let [questions, answers] = bed.ask(client)?;
            ensure!(
                questions == [taker + 1] && answers == [taker + 1],
                "{client}: {questions:?} and {answers:?}, not machine {}",
                taker + 1
            );
        }
    }
    Ok(())
}
