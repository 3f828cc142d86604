// SPDX-License-Identifier: GPL-2.0-only

//! Clients: where a cluster's connections come from, the same ones in every run.

use host::cluster::hash::Flow;
use host::cluster::hash::Mode;
use host::cluster::hash::Params;
use host::cluster::node::Total;

/// How many connections a simulation looks at.
pub const CLIENTS: usize = 1_000_000;
/// The ports that Linux takes for a connection, unless it is told otherwise.
const EPHEMERAL: (u64, u64) = (32_768, 60_999);
/// The ports that a NAT gateway has for all who are behind it.
const NAT: (u64, u64) = (1_024, 65_535);
/// The address that all of them ask: 10.0.0.80.
const VIP: u32 = 0x0a00_0050;
/// The ports that the cluster answers on.
const SERVED: [u16; 2] = [80, 443];

/// A generator of numbers that any machine and any version of a crate repeats: `splitmix64`.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.0)
    }

    /// A number from the first to the last; that some come 2^-32 more often than others does not matter.
    fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        low + (((self.word() >> 32) * (high - low + 1)) >> 32)
    }
}

/// A function that spreads its argument over all 64 bits.
fn scatter(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What the hash sees of a connection.
#[derive(Clone, Copy)]
pub struct Client {
    source: u32,
    ports: [u8; 4],
}

impl Client {
    /// Its hash in this mode, by the function that the module is built of.
    pub fn hash(&self, mode: Mode) -> u32 {
        let params = Params {
            mode,
            seed: 0,
            total: Total::new(1).expect("1 is a total"),
        };
        params.prepare().hash(&Flow {
            source: self.source,
            destination: VIP,
            ports: self.ports,
            spi: None,
        })
    }

    /// What the mode sees of it: clients that agree in this always share a node.
    pub fn seen(&self, mode: Mode) -> u64 {
        let [a, b, c, d] = self.ports;
        let (address, ports) = match mode {
            Mode::SourceIp | Mode::SourceIpDestIp | Mode::SourceIpSpi => (self.source, [0; 4]),
            Mode::SourceIpSourcePort => (self.source, [a, b, 0, 0]),
            Mode::SourceIpSourcePortDestPort => (self.source, [a, b, c, d]),
            Mode::DestIp => (VIP, [0; 4]),
        };
        (u64::from(address) << 32) | u64::from(u32::from_be_bytes(ports))
    }

    /// What a perfect hash would give instead: a draw for each thing that the mode sees.
    pub fn draw(&self, mode: Mode) -> u32 {
        (scatter(scatter(self.seen(mode) ^ 0x6a09_e667_f3bc_c908)) >> 32) as u32
    }
}

/// Where connections come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Anywhere in the public address space, a client each.
    Public,
    /// The 254 addresses of one network.
    Network,
    /// One address, behind which everyone is.
    Gateway,
}

impl Sources {
    pub const ALL: [Self; 3] = [Self::Public, Self::Network, Self::Gateway];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public addresses",
            Self::Network => "one /24",
            Self::Gateway => "one NAT gateway",
        }
    }

    /// A million connections; another `sample` has another network or gateway.
    pub fn clients(self, sample: u64) -> Vec<Client> {
        let mut random = Random::new(sample.wrapping_mul(0x1_0000_0001));
        let home = public(&mut random);
        let one = |_| Client {
            source: match self {
                Self::Public => public(&mut random),
                Self::Network => (home & !0xff) | random.within((1, 254)) as u32,
                Self::Gateway => home,
            },
            ports: {
                let range = if self == Self::Gateway {
                    NAT
                } else {
                    EPHEMERAL
                };
                let [a, b] = (random.within(range) as u16).to_be_bytes();
                let [c, d] = SERVED[random.within((0, 1)) as usize].to_be_bytes();
                [a, b, c, d]
            },
        };
        (0..CLIENTS).map(one).collect()
    }
}

/// An address that a host on the Internet can have: 1.0.0.0 to 223.255.255.255 without the private,
/// shared, loopback and link-local ranges.
fn public(random: &mut Random) -> u32 {
    loop {
        let address = std::net::Ipv4Addr::from_bits(random.word() as u32);
        let [first, second, ..] = address.octets();
        let shared = first == 100 && (64..128).contains(&second);
        if (1..=223).contains(&first)
            && !address.is_private()
            && !address.is_loopback()
            && !address.is_link_local()
            && !shared
        {
            return address.to_bits();
        }
    }
}

/// The modes for clients of one address, in the order of their numbers. Those of revision 1 are for packets
/// that are routed and for IPsec.
pub fn modes() -> impl Iterator<Item = Mode> {
    (0..)
        .map_while(Mode::from_abi)
        .filter(|mode| mode.is_in_revision_0())
}

/// The total of this many numbers.
pub fn total(count: u32) -> Total {
    Total::new(count).expect("a total from 1 to 1024")
}
