// SPDX-License-Identifier: GPL-2.0-only

//! A made-up `/proc`, and the command run on it.

#![forbid(unsafe_code)]

use clusterip::cluster::node::NodeId;
use clusterip::cluster::node::NodeSet;
use clusterip::run;
use clusterip::stat::Number;
use clusterip::stat::Vip;
use clusterip::Terminal;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

pub const HEAD: &str =
    "vip number mine accepted left arp generation total hashmode hash_init clustermac device ifindex\n";

pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);

/// The set of these numbers.
pub fn set(text: &str) -> NodeSet {
    NodeSet::parse(text.as_bytes()).unwrap()
}

/// The node of this number.
pub fn node(number: u32) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A VIP of so many numbers, of which these are mine. Number `n` got `n` packets for each one of these counts.
pub fn vip(total: u32, mine: &str, accepted: u64, left: u64) -> Vip {
    let mine = set(mine);
    let numbers = (1..=total).map(|number| {
        let is_mine = mine.contains(node(number));
        let number_of = Number {
            mine: is_mine,
            accepted: u64::from(is_mine) * accepted * u64::from(number),
            left: u64::from(!is_mine) * left * u64::from(number),
        };
        (node(number), number_of)
    });
    Vip {
        address: VIP,
        arp: 12,
        generation: 3,
        total,
        hashmode: "sourceip".to_owned(),
        hash_init: 0,
        clustermac: "01:00:5E:00:00:50".to_owned(),
        device: "eth0".to_owned(),
        ifindex: 2,
        numbers: numbers.collect(),
    }
}

/// Its rows, as the kernel writes them.
pub fn rows(vip: &Vip) -> String {
    let rows = vip.numbers.iter().map(|(node, number)| {
        format!(
            "{} {node} {} {} {} {} {} {} {} {} {} {} {}\n",
            vip.address,
            u8::from(number.mine),
            number.accepted,
            number.left,
            vip.arp,
            vip.generation,
            vip.total,
            vip.hashmode,
            vip.hash_init,
            vip.clustermac,
            vip.device,
            vip.ifindex,
        )
    });
    rows.collect()
}

/// What the command said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// A directory like `/proc`, which goes with it.
pub struct Proc {
    pub path: PathBuf,
}

impl Proc {
    /// Of a kernel without the module.
    pub fn bare() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("clusterip-{}-{count}", process::id()));
        fs::create_dir_all(path.join("net/stat")).unwrap();
        Self { path }
    }

    /// With these VIPs.
    pub fn with(vips: &[&Vip]) -> Self {
        let proc = Self::bare();
        proc.stat(vips);
        for vip in vips {
            proc.vip(vip.address, &format!("{}\n", vip.mine()));
        }
        proc
    }

    /// Writes the file of all VIPs, at once as a reader sees it.
    pub fn stat(&self, vips: &[&Vip]) {
        let rows: String = vips.iter().map(|vip| rows(vip)).collect();
        let new = self.path.join("new");
        fs::write(&new, format!("{HEAD}{rows}")).unwrap();
        fs::rename(new, self.path.join("net/stat/ipt_CLUSTERIP")).unwrap();
    }

    /// Writes a VIP's file.
    pub fn vip(&self, vip: Ipv4Addr, text: &str) {
        let vips = self.path.join("net/ipt_CLUSTERIP");
        fs::create_dir_all(&vips).unwrap();
        fs::write(vips.join(vip.to_string()), text).unwrap();
    }

    /// The command line with these words.
    pub fn words(&self, words: &[&str]) -> Vec<OsString> {
        let mut all = vec![
            "clusterip".into(),
            "--proc".into(),
            self.path.clone().into(),
        ];
        all.extend(words.iter().map(OsString::from));
        all
    }

    /// Runs it.
    pub fn run(&self, words: &[&str]) -> Said {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Terminal {
            out: &mut out,
            err: &mut err,
            blocks: true,
        };
        let code = run(self.words(words), &mut to);
        Said {
            code,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }

    /// Runs it; it has to fail with this code and say nothing but this.
    pub fn fails(&self, words: &[&str], code: u8, sentence: &str) {
        let said = self.run(words);
        let wanted = Said {
            code,
            out: String::new(),
            err: format!("clusterip: {sentence}\n"),
        };
        assert_eq!(said, wanted, "{words:?}");
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // What stays is in a directory for such things.
        let _ = fs::remove_dir_all(&self.path);
    }
}
