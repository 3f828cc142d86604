// SPDX-License-Identifier: GPL-2.0-only

//! The last line of the demo, and whether it is true.

use crate::flow;
use crate::flow::Answers;
use crate::report;
use crate::report::doubles;
use crate::report::share;

/// The node that loses its cable, and the one that takes its share over.
const LOST: u32 = 2;
const HEIR: u32 = 1;

/// Three hash modes, then the outage of the third, the takeover, and the node's return.
pub fn command(files: [&str; 6]) -> Result<bool, String> {
    let mut phases = Vec::new();
    for file in files {
        phases.push(flow::load(file)?);
    }
    let phases = <[Answers; 6]>::try_from(phases).map_err(|_| "six files make a demo")?;
    let (line, faults) = judge(&phases);
    for fault in &faults {
        println!("NOT AS PROMISED: {fault}");
    }
    println!("{line}");
    Ok(faults.is_empty())
}

fn judge(phases: &[Answers; 6]) -> (String, Vec<String>) {
    let [sip, spt, before, outage, takeover, back] = phases;
    let asked: usize = phases.iter().map(Answers::len).sum();
    let nobody = |answers| share(answers, None);
    let answered = asked - phases.iter().map(|p| nobody(p).len()).sum::<usize>();
    let doubled: usize = phases.iter().map(doubles).sum();
    let lost = share(before, Some(LOST));
    let silent = nobody(outage);

    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds && !faults.iter().any(|fault| fault == what) {
            faults.push(what.to_string());
        }
    };
    must(
        phases.iter().all(|p| p.len() == 100),
        "a hundred requests in each phase",
    );
    must(doubled == 0, "no request is answered by two nodes");
    for (name, answers) in [("first", sip), ("second", spt), ("third", before)] {
        must(
            nobody(answers).is_empty(),
            &format!("every request is answered in the {name} mode"),
        );
        for node in 1..=report::NODES {
            let some = !share(answers, Some(node)).is_empty();
            must(some, &format!("node {node} has a share in the {name} mode"));
        }
    }
    let (one, all) = report::by_address(sip);
    must(one == all, "sourceip: a client meets one node only");
    let (one, all) = report::by_address_and_port(spt);
    must(
        one == all,
        "sourceip-sourceport: a client's port meets one node only",
    );
    must(
        !lost.is_empty() && silent == lost,
        "exactly node 2's share is silent in the outage",
    );
    must(
        nobody(takeover).is_empty(),
        "every request is answered after the takeover",
    );
    for (flow, was) in before {
        let is = |answers: &Answers| answers.get(flow).and_then(|answer| answer.node);
        let others = was.node != Some(LOST);
        must(
            !others || is(outage) == was.node,
            "other shares stay where they are in the outage",
        );
        let heir = if others { was.node } else { Some(HEIR) };
        must(
            is(takeover) == heir,
            "node 1 has node 2's share and its own, node 3 its own",
        );
        must(
            is(back) == was.node,
            "after node 2's return everything is as it was",
        );
    }
    let line = format!(
        "answered {answered} of {asked}; doubles {doubled}; unanswered in the outage {} = node 2's \
         share of {}, otherwise {}",
        silent.len(),
        lost.len(),
        asked - answered - silent.len(),
    );
    let line = if silent == lost {
        line
    } else {
        line.replace(" = ", " but not ")
    };
    (line, faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Answer;
    use std::net::Ipv4Addr;

    const VIP_CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

    fn phase(owner: impl Fn(usize) -> Option<u32>) -> Answers {
        let flows = flow::all(VIP_CLIENTS).into_iter().enumerate();
        let answer = |i| Answer {
            node: owner(i),
            macs: owner(i).map(|n| n.to_string()).into_iter().collect(),
        };
        flows.map(|(i, flow)| (flow, answer(i))).collect()
    }

    fn perfect() -> [Answers; 6] {
        let third = |i| Some(i as u32 % 3 + 1);
        [
            phase(|i| Some(i as u32 / 4 % 3 + 1)),
            phase(|i| Some(i as u32 / 2 % 3 + 1)),
            phase(third),
            phase(|i| third(i).filter(|n| *n != 2)),
            phase(|i| third(i).map(|n| if n == 2 { 1 } else { n })),
            phase(third),
        ]
    }

    #[test]
    fn perfect_is_perfect() {
        let (line, faults) = judge(&perfect());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(
            line,
            "answered 567 of 600; doubles 0; unanswered in the outage 33 = node 2's share of 33, \
             otherwise 0"
        );
    }

    /// One wrong answer, in any phase, for any flow, is a fault.
    #[test]
    fn anything_less_is_not() {
        let flows = flow::all(VIP_CLIENTS);
        for number in 0..6 {
            for flow in &flows {
                for wrong in [None, Some(1), Some(2), Some(3)] {
                    let mut phases = perfect();
                    let answer = phases[number].get_mut(flow).unwrap();
                    // In the first two modes another split may be as good.
                    if answer.node == wrong || number < 2 && wrong.is_some() {
                        continue;
                    }
                    answer.node = wrong;
                    assert_ne!(
                        judge(&phases).1.len(),
                        0,
                        "phase {number}, {flow:?}, {wrong:?}"
                    );
                }
                let mut phases = perfect();
                phases[number].get_mut(flow).unwrap().macs = ["a", "b"].map(String::from).into();
                assert_eq!(judge(&phases).1.len(), 1);
            }
        }
    }
}
