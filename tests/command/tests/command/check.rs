// SPDX-License-Identifier: GPL-2.0-only

//! `check`, with a script in ssh's place.

use clusterip::stat::Vip;
use command::rows;
use command::vip;
use command::Proc;
use command::Said;
use command::HEAD;
use std::fs;
use std::time::Duration;
use std::time::Instant;

/// What stands for ssh: a peer's file is where it finds it by the peer's name, and some names are special.
const SSH: &str = "\
# SPDX-License-Identifier: GPL-2.0-only
dir=$1 peer=$2
[ \"$3 $4 $#\" = 'cat /proc/net/stat/ipt_CLUSTERIP 4' ] || exit 9
case $peer in
down) echo \"ssh: connect to host down port 22: No route to host\" >&2; exit 255 ;;
bare) echo \"cat: $4: No such file or directory\" >&2; exit 1 ;;
mute*) exec sleep 60 ;;
kept) sleep 60 >/dev/null & peer=two ;;
*) ;;
esac
cat \"$dir/$peer\"
";

struct Cluster {
    proc: Proc,
}

impl Cluster {
    fn new(here: &Vip, peers: &[(&str, &Vip)]) -> Self {
        let proc = Proc::with(&[here]);
        fs::write(proc.path.join("ssh"), SSH).unwrap();
        for (name, vip) in peers {
            fs::write(proc.path.join(name), format!("{HEAD}{}", rows(vip))).unwrap();
        }
        Self { proc }
    }

    fn check(&self, words: &[&str]) -> Said {
        let dir = self.proc.path.display();
        let ssh = format!("sh {dir}/ssh {dir}");
        let mut all = vec!["check", "10.0.0.80", "--ssh", &ssh];
        all.extend(words);
        self.proc.run(&all)
    }
}

fn said(code: u8, out: &str) -> Said {
    Said {
        code,
        out: out.to_owned(),
        err: String::new(),
    }
}

const HEADLINE: &str = "10.0.0.80: 4 numbers, sourceip, seed 0, 01:00:5E:00:00:50\n";

#[test]
fn a_whole_cluster() {
    let cluster = Cluster::new(
        &vip(4, "1", 0, 0),
        &[("two", &vip(4, "2,4", 0, 0)), ("three", &vip(4, "3", 0, 0))],
    );
    let wanted =
        "  here   1\n  two    2,4\n  three  3\nwhole: each number is served, by one node\n";
    let seen = cluster.check(&["two", "three"]);
    assert_eq!(seen, said(0, &format!("{HEADLINE}{wanted}")));
}

#[test]
fn holes_and_doubles() {
    let cluster = Cluster::new(
        &vip(4, "1,2", 0, 0),
        &[("two", &vip(4, "1,2", 0, 0)), ("three", &vip(4, "2", 0, 0))],
    );
    let wanted = "  here   1,2\n  two    1,2\n  three  2\nnobody serves 3,4\n\
                  here and two serve 1 all at once\nhere and two and three serve 2 all at once\n";
    let seen = cluster.check(&["two", "three"]);
    assert_eq!(seen, said(1, &format!("{HEADLINE}{wanted}")));
    let wanted = "  two    1,2\n  three  2\nnobody serves 3,4\ntwo and three serve 2 all at once\n";
    let seen = cluster.check(&["two", "three", "--peers-only"]);
    assert_eq!(seen, said(1, &format!("{HEADLINE}{wanted}")));
}

#[test]
fn what_differs() {
    let mut two = vip(5, "2-5", 0, 0);
    two.hashmode = "destip".to_owned();
    two.hash_init = 7;
    two.clustermac = "01:00:5e:00:00:51".to_owned();
    two.ifindex = 0;
    let cluster = Cluster::new(&vip(4, "1", 0, 0), &[("two", &two)]);
    let wanted = "  here  1\n  two   2-5\ntwo has no device eth0 now\n\
                  two has the total 5, here has 4\ntwo has the hash mode destip, here has sourceip\n\
                  two has the seed 7, here has 0\n\
                  two has the MAC 01:00:5e:00:00:51, here has 01:00:5E:00:00:50\n";
    assert_eq!(
        cluster.check(&["two"]),
        said(1, &format!("{HEADLINE}{wanted}"))
    );
    two = vip(4, "2-4", 0, 0);
    two.clustermac.make_ascii_lowercase();
    let cluster = Cluster::new(&vip(4, "1", 0, 0), &[("two", &two)]);
    assert_eq!(cluster.check(&["two"]).code, 0);
}

#[test]
fn who_serves_nothing() {
    let mut other = vip(4, "2-4", 0, 0);
    other.address = [10, 0, 0, 81].into();
    let cluster = Cluster::new(&vip(4, "1-4", 0, 0), &[("other", &other)]);
    let wanted = "  here   1-4\n  bare   has not loaded the module\n  other  has no such VIP\n\
                  bare has not loaded the module\nother has no such VIP\n";
    let seen = cluster.check(&["bare", "other"]);
    assert_eq!(seen, said(1, &format!("{HEADLINE}{wanted}")));
}

#[test]
fn who_can_not_be_asked() {
    let cluster = Cluster::new(&vip(4, "1-3", 0, 0), &[]);
    fs::write(cluster.proc.path.join("odd"), "Last login: never\n").unwrap();
    let wanted = "  here  1-3\n\
                  \x20 down  could not be asked: ssh: connect to host down port 22: No route to host\n\
                  \x20 odd   could not be asked: what it sent is not the file: its first line names no column \"vip\"\n\
                  nobody serves 4 (perhaps down or odd)\n";
    assert_eq!(
        cluster.check(&["down", "odd"]),
        said(2, &format!("{HEADLINE}{wanted}"))
    );
    // ssh itself may be missing.
    let seen = cluster
        .proc
        .run(&["check", "10.0.0.80", "--ssh", "/nowhere/ssh", "two"]);
    assert_eq!(seen.code, 2);
    assert!(
        seen.out.contains("\"/nowhere/ssh\" can't be run: "),
        "{}",
        seen.out
    );
}

/// All have the same time, and who keeps a pipe open keeps nobody.
#[test]
fn nobody_is_waited_for_longer_than_said() {
    let cluster = Cluster::new(&vip(4, "1", 0, 0), &[("two", &vip(4, "2-4", 0, 0))]);
    let begun = Instant::now();
    let seen = cluster.check(&["mute1", "two", "mute2", "kept", "--timeout", "2"]);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    let wanted = "  here   1\n  mute1  could not be asked: no answer in 2 s\n  two    2-4\n  \
                  mute2  could not be asked: no answer in 2 s\n  kept   2-4\n\
                  two and kept serve 2-4 all at once\n";
    assert_eq!(seen, said(2, &format!("{HEADLINE}{wanted}")));
}

#[test]
fn a_large_answer_does_not_block() {
    let (here, two) = (
        vip(1024, "1-512", 0, 0),
        vip(1024, "513-1024", u64::MAX >> 10, 1),
    );
    let mut many = rows(&two);
    for last in 1..=70 {
        let mut other = two.clone();
        other.address = [10, 1, 0, last].into();
        many += &rows(&other);
    }
    let cluster = Cluster::new(&here, &[]);
    fs::write(cluster.proc.path.join("two"), format!("{HEAD}{many}")).unwrap();
    let seen = cluster.check(&["two"]);
    assert_eq!(seen.code, 0, "{}", seen.out);
}

#[test]
fn without_a_vip_here() {
    Proc::bare().fails(
        &["check", "10.0.0.80", "two"],
        3,
        clusterip::files::NOT_LOADED,
    );
}
