// SPDX-License-Identifier: GPL-2.0-only

//! A namespace with two devices, and the hands that may be in it at the same time.

use crate::abstractions::net::netdev::Event;
use crate::abstractions::net::netdev::Listener;
use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDeviceRef;
use crate::abstractions::net::pernet;
use crate::abstractions::net::Net;
use crate::abstractions::proc_file;
use crate::abstractions::proc_file::Files;
use crate::abstractions::proc_table;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::wait::Retired;
use crate::bindings::Poll;
use crate::devices::DeviceEvents;
use crate::procfs;
use crate::procfs::VipFiles;
use crate::registry::Namespace;
use crate::request::Request;
use crate::stat::Stat;
use crate::vip::Vip;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::rcu;
use kernel::uaccess::UserSliceReader;
use loom::thread;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// How many nodes a cluster has: as many as need no memory of their own.
pub const FEW: u32 = 4;

pub struct World {
    namespace: RcuArc<Namespace>,
    /// Where it stays: the directory knows it.
    net: std::boxed::Box<Net>,
}

impl World {
    pub fn new() -> Arc<Self> {
        let net = std::boxed::Box::new(Net::new(&["eth0", "eth1"]));
        let namespace = pernet::begin(&net);
        Arc::new(Self { namespace, net })
    }

    /// A hand of its own.
    pub fn hand<T: 'static>(
        self: &Arc<Self>,
        action: impl FnOnce(&World) -> T + 'static,
    ) -> thread::JoinHandle<T> {
        let world = self.clone();
        thread::spawn(move || action(&world))
    }

    /// A rule comes.
    pub fn join(&self, vip: Ipv4Addr) -> Result<Rule> {
        self.join_of(vip, FEW)
    }

    /// As above, of a cluster of so many.
    pub fn join_of(&self, vip: Ipv4Addr, total: u32) -> Result<Rule> {
        let request = Request::new(vip, "eth0", total);
        Namespace::join(&self.namespace, &self.net, &request).map(Rule)
    }

    /// A rule goes.
    pub fn leave(&self, rule: Rule) {
        self.namespace.leave(&self.net, rule.0.address);
    }

    /// Devices get other names, one after the other.
    pub fn rename(&self, names: &[(Name, Name)]) {
        let _rtnl = self.net.rtnl.lock();
        for (from, to) in names {
            let dev = NetDeviceRef::by_name(&self.net, from).expect("a device of the name");
            let index = dev.ifindex();
            for dev in self.net.devices.lock().iter_mut() {
                if dev.index == index {
                    dev.name = to;
                }
            }
            DeviceEvents::event(&self.net, &dev, Event::Rename);
        }
    }

    /// The file is read; none if there is no file.
    pub fn read(&self, vip: Ipv4Addr) -> Option<Result<String>> {
        let read = |key| {
            let out = SeqFile::default();
            VipFiles::show(&self.net, key, &out).map(|()| out.text())
        };
        self.net.files.enter(&procfs::name(vip), read)
    }

    /// A line is written to the file, by somebody whose memory is brought by one who needs RTNL.
    pub fn write(&self, vip: Ipv4Addr, line: &str) -> Option<Result> {
        self.net.files.enter(&procfs::name(vip), |key| {
            drop(self.net.rtnl.lock());
            let line = UserSliceReader::of(line.as_bytes());
            proc_file::write::<VipFiles>(&self.net, key, line)
        })
    }

    /// As above, from memory that is there, to a file that stays.
    pub fn command(&self, line: &str) -> Result {
        let line = UserSliceReader::of(line.as_bytes());
        proc_file::write::<VipFiles>(&self.net, u32::from(VIP), line)
    }

    /// The nodes, as the file has them.
    pub fn nodes(&self) -> String {
        let out = SeqFile::default();
        VipFiles::show(&self.net, u32::from(VIP), &out).expect("a VIP");
        out.text().trim_end().to_owned()
    }

    /// Somebody polls the file until the set is not of this generation any more; none when there is no VIP.
    pub fn wait_for_change(&self, vip: Ipv4Addr, seen: u32) -> Option<u32> {
        let name = procfs::name(vip);
        let poll = Poll::new();
        let key = |key| proc_file::poll::<VipFiles>(&self.net, key, &poll);
        let mut now = self.net.files.enter(&name, key)?.ok()?;
        while now == seen {
            poll.sleep();
            let key = |key| VipFiles::generation(&self.net, key);
            now = self.net.files.enter(&name, key)?.ok()?;
        }
        Some(now)
    }

    /// How often the set was another one.
    pub fn generation(&self) -> u32 {
        VipFiles::generation(&self.net, u32::from(VIP)).expect("a VIP")
    }

    /// What the table of all VIPs shows, without the header: in each row the number, whether it is this node's, and the
    /// generation.
    pub fn stat(&self) -> Vec<(u32, bool, u32)> {
        let text = proc_table::read::<Stat>(&self.net).expect("a table");
        let rows = text.lines().skip(1);
        rows.map(|row| {
            let fields: Vec<&str> = row.split(' ').collect();
            let number = |at: usize| fields[at].parse().expect("a number");
            (number(1), number(2) == 1, number(6))
        })
        .collect()
    }

    /// What ARP does: looks at the VIP, without a lock.
    pub fn look(&self, vip: Ipv4Addr) {
        let guard = rcu::read_lock();
        if let Some(vip) = self.namespace.vips.find(vip, &guard) {
            let index = vip.ifindex();
            assert!(matches!(index, None | Some(1 | 2)), "{index:?}");
            assert!(vip.place(0).is_on(), "the first node");
            vip.count_arp();
        }
    }

    /// The namespace ends.
    pub fn end(&self) {
        pernet::end::<Namespace>(&self.net);
        assert!(!self.net.stat.get(), "the table is left");
    }

    /// The module ends.
    pub fn unload() {
        drop(Retired);
    }

    /// That all is as it has to be with so many rules of a VIP, while nobody is at work.
    pub fn expect(&self, vip: Ipv4Addr, rules: u32) {
        let there = self.namespace.vips.get(vip);
        assert_eq!(there.as_ref().map_or(0, |vip| vip.rules()), rules, "rules");
        let file = self.net.files.has(&procfs::name(vip));
        assert_eq!(file, rules > 0, "a VIP with rules has a file, and no other");
        let mac = crate::cluster::arp::Mac::new([1, 0, 0x5e, 0, 0, vip.octets()[3]]);
        for device in self.net.devices.lock().iter() {
            let joined = device.groups.iter().filter(|group| **group == mac.octets());
            let here = rules > 0 && device.name == "eth0";
            assert_eq!(
                joined.count(),
                usize::from(here),
                "memberships of {}",
                device.name
            );
            let bound = there.as_ref().and_then(|vip| vip.ifindex()) == Some(device.index);
            assert_eq!(bound, here, "the VIP is on the device of its name");
        }
    }

    /// That the hook is there, or not.
    pub fn expect_hook(&self, there: bool) {
        assert_eq!(
            self.net.hook.get(),
            there,
            "there is a hook while there are VIPs"
        );
    }

    /// The end of all, with nothing left.
    pub fn over(self: Arc<Self>) {
        for vip in [VIP, OTHER] {
            self.expect(vip, 0);
        }
        self.expect_hook(false);
        self.end();
        assert_eq!(Arc::strong_count(&self), 1, "a hand is left");
    }
}

/// A rule and what it keeps.
pub struct Rule(RcuArc<Vip>);

impl Rule {
    /// A packet of the first node meets it.
    pub fn packet(&self) {
        let _section = rcu::read_lock();
        assert!(self.0.place(0).meet(), "the first node");
    }

    /// Packets of these nodes, of a cluster of so many, meet it one after the other in one read-side section.
    pub fn packets<const MANY: usize>(&self, nodes: [u32; MANY], total: u32) -> [bool; MANY] {
        let _section = rcu::read_lock();
        nodes.map(|node| {
            // In the middle of what falls to it.
            let hash = (u64::from(node) * 2 - 1) << 31;
            let hash = u32::try_from(hash / u64::from(total)).expect("a hash");
            self.0.place(hash).meet()
        })
    }

    /// How often packets of a node were taken, and how often left.
    pub fn counted(&self, node: u32) -> (u64, u64) {
        let counted = self.0.counted().find(|one| one.node.get() == node);
        let one = counted.expect("a node of the cluster");
        (one.accepted, one.left)
    }
}
