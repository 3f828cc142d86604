// SPDX-License-Identifier: GPL-2.0-only

//! `status`: which file it reads, and what it says when there is nothing to be shown.

use command::node;
use command::vip;
use command::Proc;
use command::Said;
use serde_json::json;
use serde_json::Value;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

#[test]
fn without_the_module() {
    Proc::bare().fails(
        &["status"],
        3,
        "the module ipt_CLUSTERIP is not loaded; the first rule with \"-j CLUSTERIP\" brings it, \
         or modprobe ipt_CLUSTERIP",
    );
}

#[test]
fn with_an_older_module() {
    let proc = Proc::bare();
    fs::create_dir(proc.path.join("net/ipt_CLUSTERIP")).unwrap();
    let said = proc.run(&["status"]);
    assert_eq!(said.code, 3);
    assert!(
        said.err.contains("it is an older one that has no"),
        "{}",
        said.err
    );
}

const NO_VIP: &str = "there is no VIP here: no rule of this network namespace has \"-j CLUSTERIP\"";

#[test]
fn without_a_vip() {
    let proc = Proc::with(&[]);
    proc.fails(&["status"], 4, NO_VIP);
    proc.fails(&["status", "10.0.0.80"], 4, NO_VIP);
    let said = proc.run(&["status", "--json"]);
    let wanted = Said {
        code: 4,
        out: "{\n  \"format\": 1,\n  \"vips\": []\n}\n".to_owned(),
        err: format!("clusterip: {NO_VIP}\n"),
    };
    assert_eq!(said, wanted);
}

#[test]
fn another_vip_than_those_here() {
    let one = vip(2, "1", 1, 1);
    let mut other = vip(2, "2", 1, 1);
    other.address = Ipv4Addr::new(10, 0, 0, 9);
    let proc = Proc::with(&[&one, &other]);
    proc.fails(
        &["status", "10.0.0.81"],
        4,
        "there is no VIP 10.0.0.81 here; there is 10.0.0.9, 10.0.0.80",
    );
    let said = proc.run(&["status", "10.0.0.9", "--interval", "0"]);
    assert!(said.out.starts_with("10.0.0.9 on eth0\n"), "{}", said.out);
    assert!(!said.out.contains("10.0.0.80"));
    let said = proc.run(&["status", "--interval", "0"]);
    assert!(said.out.contains("\n\n10.0.0.80 on eth0\n"), "{}", said.out);
}

#[test]
fn a_file_that_is_not_what_it_should_be() {
    let proc = Proc::with(&[]);
    fs::write(proc.path.join("net/stat/ipt_CLUSTERIP"), "nonsense\n").unwrap();
    let said = proc.run(&["status"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(
        said.err
            .ends_with("its first line names no column \"vip\"\n"),
        "{}",
        said.err
    );
}

#[test]
fn for_programs_without_rates() {
    let mut vip = vip(2, "2", 1, 1);
    vip.ifindex = 0;
    let proc = Proc::with(&[&vip]);
    let said = proc.run(&["status", "--json", "--interval", "0"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let number = |number, mine, accepted, left| {
        json!({
            "number": number, "mine": mine, "accepted": accepted, "accepted_per_second": null,
            "left": left, "left_per_second": null,
        })
    };
    let wanted = json!({
        "format": 1,
        "vips": [{
            "vip": "10.0.0.80", "device": "eth0", "device_present": false, "ifindex": 0,
            "clustermac": "01:00:5E:00:00:50", "hashmode": "sourceip", "hash_init": 0, "total": 2, "mine": [2],
            "generation": 3, "interval": null,
            "accepted": 2, "accepted_per_second": null, "left": 1, "left_per_second": null,
            "arp": 12, "arp_per_second": null,
            "numbers": [number(1, false, 0, 1), number(2, true, 2, 0)],
        }],
    });
    assert_eq!(document, wanted);
}

#[test]
fn for_programs_with_rates() {
    let before = vip(2, "2", 1000, 1000);
    let mut now = before.clone();
    now.numbers.get_mut(&node(2)).unwrap().accepted += 100;
    let proc = Proc::with(&[&before]);
    let said = thread::scope(|scope| {
        let run = scope.spawn(|| proc.run(&["status", "--json", "--interval", "0.6"]));
        thread::sleep(Duration::from_millis(200));
        proc.stat(&[&now]);
        run.join().unwrap()
    });
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let vip = &document["vips"][0];
    let seconds = vip["interval"].as_f64().unwrap();
    assert!(seconds >= 0.6, "{seconds}");
    for rate in [
        &vip["accepted_per_second"],
        &vip["numbers"][1]["accepted_per_second"],
    ] {
        let came = rate.as_f64().unwrap() * seconds;
        assert!((came - 100.0).abs() < 1e-6, "{came}");
    }
    assert_eq!(vip["left_per_second"], 0.0);
    assert_eq!(vip["accepted"], 2100);
}
