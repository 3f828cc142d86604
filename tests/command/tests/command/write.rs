// SPDX-License-Identifier: GPL-2.0-only

//! `add`, `del` and `set`, and what is said of each error.
//!
//! A file of ours takes any line, so the kernel's answers are made up too: by a kernel that keeps a set.

use clusterip::args::Change;
use clusterip::cluster::node::NodeSet;
use clusterip::failure::Failure;
use clusterip::files::Files;
use clusterip::write::change_by;
use clusterip::write::explain;
use clusterip::write::explain::Known;
use clusterip::write::explain::Step;
use clusterip::write::way;
use clusterip::write::Wish;
use clusterip::Terminal;
use command::node;
use command::set;
use command::vip;
use command::Proc;
use command::VIP;
use nix::errno::Errno;
use std::cell::Cell;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

/// A kernel with one VIP of so many numbers.
struct Kernel {
    proc: Proc,
    total: u32,
    mine: Cell<NodeSet>,
    replaces: bool,
    lines: RefCell<Vec<String>>,
}

impl Kernel {
    fn new(total: u32, mine: &str) -> Self {
        Self {
            proc: Proc::with(&[&vip(total, mine, 0, 0)]),
            total,
            mine: Cell::new(set(mine)),
            replaces: true,
            lines: RefCell::default(),
        }
    }

    /// As it was before revision 1: no file of all VIPs, no line for a whole set.
    fn old(total: u32, mine: &str) -> Self {
        let mut kernel = Self::new(total, mine);
        kernel.replaces = false;
        fs::remove_file(kernel.proc.path.join("net/stat/ipt_CLUSTERIP")).unwrap();
        kernel
    }

    fn take(&self, step: Step) -> io::Result<()> {
        self.lines.borrow_mut().push(step.to_string());
        let mine = self.mine.get();
        let new = match step {
            Step::Add(node) if node.get() > self.total || mine.contains(node) => Err(Errno::ENOMEM),
            Step::Add(node) => Ok(mine.with(node)),
            Step::Remove(node) if !mine.contains(node) => Err(Errno::ENOENT),
            Step::Remove(node) => Ok(mine.without(node)),
            Step::Replace(_) if !self.replaces => Err(Errno::EIO),
            Step::Replace(set) => Ok(set),
        };
        self.mine.set(new?);
        self.proc.vip(VIP, &format!("{}\n", self.mine.get()));
        Ok(())
    }

    /// What was said, and the lines that were written.
    fn change(
        &self,
        wish: Wish,
        numbers: &str,
    ) -> (Result<(), Failure>, String, String, Vec<String>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Terminal {
            out: &mut out,
            err: &mut err,
            blocks: false,
        };
        let args = Change {
            vip: VIP,
            numbers: set(numbers),
        };
        let files = Files::new(&self.proc.path);
        let result = change_by(&|step| self.take(step), &files, wish, &args, &mut to);
        let (out, err) = (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        );
        (result, out, err, self.lines.take())
    }
}

#[test]
fn numbers_go_one_by_one_and_a_set_at_once() {
    let kernel = Kernel::new(8, "1");
    for (wish, numbers, lines, said) in [
        (
            Wish::Add,
            "3-5",
            &["+3", "+4", "+5"][..],
            "10.0.0.80: 1 -> 1,3-5\n",
        ),
        (Wish::Del, "1,4", &["-1", "-4"], "10.0.0.80: 1,3-5 -> 3,5\n"),
        (Wish::Set, "1,5-8", &["=1,5-8"], "10.0.0.80: 3,5 -> 1,5-8\n"),
        (Wish::Set, "none", &["=none"], "10.0.0.80: 1,5-8 -> none\n"),
    ] {
        let (result, out, err, written) = kernel.change(wish, numbers);
        assert_eq!((result, err.as_str()), (Ok(()), ""));
        assert_eq!(out, said);
        assert_eq!(written, lines);
    }
}

#[test]
fn nothing_is_begun_that_can_not_be_ended() {
    for (wish, numbers, said) in [
        (
            Wish::Add,
            "1,3",
            "10.0.0.80: 1 is this node's already; nothing was changed",
        ),
        (
            Wish::Add,
            "3,5,7",
            "10.0.0.80: the cluster has no 5,7, only 1 to 4; nothing was changed",
        ),
        (
            Wish::Del,
            "1,3,4",
            "10.0.0.80: 3,4 is not this node's; nothing was changed",
        ),
        (
            Wish::Del,
            "5",
            "10.0.0.80: the cluster has no 5, only 1 to 4; nothing was changed",
        ),
        (
            Wish::Set,
            "1-9",
            "10.0.0.80: the cluster has no 5-9, only 1 to 4; nothing was changed",
        ),
    ] {
        let kernel = Kernel::new(4, "1,2");
        let (result, out, _, lines) = kernel.change(wish, numbers);
        assert_eq!(result, Err(Failure::new(1, said)));
        assert_eq!((out.as_str(), lines.len()), ("", 0));
    }
}

#[test]
fn an_older_module_gives_up_first_and_takes_over_then() {
    let kernel = Kernel::old(8, "1-3");
    let (result, out, err, lines) = kernel.change(Wish::Set, "3-5");
    assert_eq!(result, Ok(()));
    assert_eq!(out, "10.0.0.80: 1-3 -> 3-5\n");
    assert_eq!(
        err,
        "clusterip: this module can't replace a set at once; giving numbers up one by one, then taking over\n"
    );
    assert_eq!(lines, ["=3-5", "-1", "-2", "+4", "+5"]);
}

/// It does not tell its total, so this is found out on the way.
#[test]
fn says_how_far_it_came() {
    let kernel = Kernel::old(4, "1");
    let (result, _, _, lines) = kernel.change(Wish::Add, "3-6");
    let said = "10.0.0.80: the cluster has no 5; \
                done: +3 +4; not done: +5 +6";
    assert_eq!(result, Err(Failure::new(1, said)));
    assert_eq!(lines, ["+3", "+4", "+5"]);
    let (result, _, _, _) = kernel.change(Wish::Add, "6,7");
    let said = "10.0.0.80: the cluster has no 6; \
                done: nothing; not done: +6 +7";
    assert_eq!(result, Err(Failure::new(1, said)));
}

#[test]
fn the_way_from_one_set_to_another() {
    let words = |from, to| -> Vec<_> {
        way(set(from), set(to))
            .iter()
            .map(Step::to_string)
            .collect()
    };
    assert_eq!(words("1-3", "2,4"), ["-1", "-3", "+4"]);
    assert_eq!(words("1,2", "1,2"), [""; 0]);
    assert_eq!(words("none", "1"), ["+1"]);
    assert_eq!(words("7", "none"), ["-7"]);
}

#[test]
fn every_error_in_words() {
    let known = |mine, total| Known {
        mine: set(mine),
        total,
    };
    let (held, free) = (known("1-3", Some(4)), known("1", Some(4)));
    let untold = known("none", None);
    let (plus, minus) = (Step::Add(node(3)), Step::Remove(node(3)));
    let replace = Step::Replace(set("3,9"));
    for (errno, step, known, code, text) in [
        (Errno::ENOMEM, plus, held, 1, "3 is this node's already"),
        (Errno::ENOMEM, Step::Add(node(9)), held, 1, "the cluster has no 9, only 1 to 4"),
        (Errno::ENOMEM, plus, untold, 1, "the cluster has no 3"),
        // Somebody gave it up between the two looks.
        (Errno::ENOMEM, plus, free, 1, "3 is this node's already, or the cluster has no such number"),
        (Errno::ENOENT, minus, free, 1, "3 is not this node's"),
        (Errno::ENOENT, minus, held, 1, "3 is not this node's, or the cluster has no such number"),
        (Errno::ENOENT, Step::Remove(node(9)), held, 1, "the cluster has no 9, only 1 to 4"),
        (Errno::ENOENT, plus, free, 4, "there is no such VIP any more"),
        (Errno::ERANGE, replace, free, 1, "the cluster has no 9, only 1 to 4"),
        (Errno::ERANGE, replace, untold, 1, "the cluster does not have all of these numbers"),
        (Errno::EIO, plus, free, 4, "the VIP went meanwhile"),
        (Errno::EIO, replace, free, 4, "the VIP went meanwhile"),
        (Errno::EINVAL, replace, free, 1, "the module does not understand =3,9"),
        (Errno::EACCES, plus, free, 5, "only root may, of the container if it is one's own (Permission denied (os error 13)); run it as root"),
        (Errno::EPERM, plus, free, 5, "only root may, of the container if it is one's own (Operation not permitted (os error 1)); run it as root"),
        (Errno::ENOSPC, minus, free, 1, "-3 was not taken: No space left on device (os error 28)"),
    ] {
        let failure = explain::write(VIP, step, &errno.into(), &known);
        let wanted = Failure::new(code, format!("10.0.0.80: {text}"));
        assert_eq!(failure, wanted, "{errno} of {step}");
    }
    for (errno, code, text) in [
        (Errno::EACCES, 5, "F: only root may, of the container if it is one's own (Permission denied (os error 13)); run it as root"),
        (Errno::EIO, 4, "F: the VIP went meanwhile"),
        (Errno::EISDIR, 1, "F: Is a directory (os error 21)"),
    ] {
        let failure = explain::open(Path::new("F"), &errno.into());
        assert_eq!(failure, Failure::new(code, text));
    }
}

#[test]
fn a_vip_that_is_not_here() {
    let proc = Proc::with(&[&vip(2, "1", 0, 0)]);
    let text = "there is no VIP 10.0.0.81 here; there is 10.0.0.80";
    proc.fails(&["add", "10.0.0.81", "1"], 4, text);
    fs::remove_file(proc.path.join("net/stat/ipt_CLUSTERIP")).unwrap();
    proc.fails(&["set", "10.0.0.81", "none"], 4, text);
    let said = Proc::bare().run(&["del", "10.0.0.81", "1"]);
    assert_eq!(said.code, 3);
}

/// As the kernel sees it: the file of the VIP gets one line in one write.
#[test]
fn writes_lines() {
    for (words, line) in [
        (["add", "10.0.0.80", "2"], "+2\n"),
        (["del", "10.0.0.80", "1"], "-1\n"),
        (["set", "10.0.0.80", "2"], "=2\n"),
        (["set", "10.0.0.80", "none"], "=none\n"),
    ] {
        let proc = Proc::with(&[&vip(2, "1", 0, 0)]);
        let file = proc.path.join("net/ipt_CLUSTERIP/10.0.0.80");
        proc.run(&words);
        let text = fs::read_to_string(file).unwrap();
        // A file keeps what a shorter line does not reach.
        assert!(text.starts_with(line), "{words:?}: {text:?}");
    }
}
