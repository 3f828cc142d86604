// SPDX-License-Identifier: GPL-2.0-only

//! `watch`. A made-up file can't be waited on, so that here it goes by the clock; the rest is shown in the guest.

use clusterip::run;
use clusterip::stat::Vip;
use clusterip::stat::Vips;
use clusterip::watch::changes;
use clusterip::Terminal;
use command::vip;
use command::Proc;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

fn vips(vips: &[&Vip]) -> Vips {
    vips.iter()
        .map(|vip| (vip.address, (*vip).clone()))
        .collect()
}

#[test]
fn what_changes_is_told() {
    let old = vip(4, "1", 0, 0);
    let mut new = vip(4, "1,3,4", 0, 0);
    new.generation = 5;
    let (one, other) = (vips(&[&old]), vips(&[&new]));
    assert_eq!(
        changes(&one, &other),
        ["10.0.0.80 1 -> 1,3,4, generation 5"]
    );
    assert_eq!(changes(&one, &one), [""; 0]);
    assert_eq!(changes(&one, &Vips::new()), ["10.0.0.80 is gone"]);
    let here = ["10.0.0.80 is here: 1,3,4 of 4, generation 5"];
    assert_eq!(changes(&Vips::new(), &other), here);
    // Made anew while nobody looked: with another total, or from generation 1 again.
    let anew = [
        "10.0.0.80 is gone",
        "10.0.0.80 is here: 1 of 4, generation 3",
    ];
    assert_eq!(changes(&other, &one), anew);
    let mut same = vip(4, "2", 0, 0);
    same.generation = old.generation;
    let anew = [
        "10.0.0.80 is gone",
        "10.0.0.80 is here: 2 of 4, generation 3",
    ];
    assert_eq!(changes(&one, &vips(&[&same])), anew);
    same = vip(9, "1", 0, 0);
    same.generation = 4;
    let anew = [
        "10.0.0.80 is gone",
        "10.0.0.80 is here: 1 of 9, generation 4",
    ];
    assert_eq!(changes(&one, &vips(&[&same])), anew);
    // There and back again is two changes, too.
    let mut back = old.clone();
    back.generation = 5;
    let twice = ["10.0.0.80 1 -> 1, generation 5"];
    assert_eq!(changes(&one, &vips(&[&back])), twice);
}

/// Lines go to whom they are for; when that one is gone, it is a broken pipe.
struct Lines {
    to: Sender<String>,
    line: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend(bytes);
        if bytes.ends_with(b"\n") {
            let text = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
            let sent = self.to.send(text);
            sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines() -> (Lines, Receiver<String>) {
    let (to, lines) = mpsc::channel();
    let line = Vec::new();
    (Lines { to, line }, lines)
}

/// The next line, after its time.
fn next(lines: &Receiver<String>) -> String {
    let line = lines.recv_timeout(Duration::from_secs(30)).unwrap();
    let (time, rest) = line.split_at("2026-11-21T22:13:34.123Z ".len());
    assert!(time.ends_with("Z ") && time.contains('T'), "{line}");
    rest.to_owned()
}

#[test]
fn goes_by_the_clock_where_it_has_to() {
    let mut one = vip(4, "1", 0, 0);
    let mut other = vip(2, "none", 0, 0);
    other.address = [10, 0, 0, 81].into();
    let proc = Proc::with(&[&one]);
    let (mut out, said) = lines();
    let (mut err, complaints) = lines();
    let words = proc.words(&["watch", "10.0.0.80", "10.0.0.81"]);
    let watching = thread::spawn(move || {
        let mut to = Terminal {
            out: &mut out,
            err: &mut err,
            blocks: false,
        };
        run(words, &mut to)
    });
    assert_eq!(next(&said), "10.0.0.80 is here: 1 of 4, generation 3\n");
    assert_eq!(next(&said), "10.0.0.81 is not here yet\n");
    assert_eq!(
        complaints.recv_timeout(Duration::from_secs(30)).unwrap(),
        "clusterip: the VIPs' files can't be waited on (they wake without a change); looking once a second\n"
    );
    proc.stat(&[&one, &other]);
    assert_eq!(next(&said), "10.0.0.81 is here: none of 2, generation 3\n");
    one = vip(4, "1,2", 0, 0);
    one.generation = 4;
    proc.stat(&[&one]);
    assert_eq!(next(&said), "10.0.0.81 is gone\n");
    assert_eq!(next(&said), "10.0.0.80 1 -> 1,2, generation 4\n");
    // The module goes, and comes again.
    fs::remove_file(proc.path.join("net/stat/ipt_CLUSTERIP")).unwrap();
    assert_eq!(next(&said), "10.0.0.80 is gone\n");
    proc.stat(&[&one]);
    assert_eq!(next(&said), "10.0.0.80 is here: 1,2 of 4, generation 4\n");
    // Nobody reads any more: that ends it, and is no failure.
    drop(said);
    proc.stat(&[]);
    assert_eq!(watching.join().unwrap(), 0);
    assert_eq!(complaints.try_iter().count(), 0);
}

#[test]
fn without_the_module() {
    Proc::bare().fails(&["watch"], 3, clusterip::files::NOT_LOADED);
}
