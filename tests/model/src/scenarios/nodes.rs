// SPDX-License-Identifier: GPL-2.0-only

//! The nodes of a VIP, under several who write to its file, those who read it, and packets, in all orders.

use super::check;
use super::world::Rule;
use super::world::World;
use super::world::FEW;
use super::world::VIP;
use loom::thread::JoinHandle;
use std::sync::Arc;

/// What waits for a lock is in more orders than can be gone through in full: of two hands, and of three.
const TWO: Option<usize> = Some(3);
const THREE: Option<usize> = Some(1);
/// Nobody waits for packets but whoever writes a second set.
const PACKETS: Option<usize> = Some(6);
/// More flags than have room in the VIP.
const MANY: u32 = 5;

fn world(total: u32) -> (Arc<World>, Rule) {
    let world = World::new();
    let rule = world.join_of(VIP, total).expect("a rule");
    (world, rule)
}

fn over(world: Arc<World>, rule: Rule) {
    world.leave(rule);
    world.over();
}

/// Somebody writes a line; whether that changed something.
fn writes(world: &Arc<World>, line: &'static str) -> JoinHandle<bool> {
    world.hand(move |world| world.command(line).is_ok())
}

/// Lines that are written at the same time, in a VIP of node 1: what became of them, and of the nodes.
fn written(world: &Arc<World>, lines: [&'static str; 3]) -> ([bool; 3], String) {
    let [first, second, third] = lines;
    let hands = [first, second].map(|line| writes(world, line));
    let last = world.command(third).is_ok();
    let [first, second] = hands.map(|hand| hand.join().unwrap());
    ([first, second, last], world.nodes())
}

#[test]
fn changes_of_different_nodes_are_all_kept() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let (done, nodes) = written(&world, ["+2", "-1", "+3"]);
        assert_eq!((done, nodes.as_str()), ([true; 3], "2,3"));
        assert_eq!(world.generation(), 4);
        over(world, rule);
    });
}

#[test]
fn one_of_two_adds_the_node() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let (done, nodes) = written(&world, ["+2", "+2", "-1"]);
        assert!(done == [true, false, true] || done == [false, true, true]);
        assert_eq!(nodes, "2");
        assert_eq!(world.generation(), 3);
        over(world, rule);
    });
}

#[test]
fn one_who_adds_and_one_who_removes() {
    check(TWO, || {
        let (world, rule) = world(FEW);
        let (adds, removes) = (writes(&world, "+2"), writes(&world, "-2"));
        assert!(adds.join().unwrap());
        let left = if removes.join().unwrap() { "1" } else { "1,2" };
        assert_eq!(world.nodes(), left);
        over(world, rule);
    });
}

/// A set is written and a number is added: it is one after the other.
#[test]
fn a_set_and_numbers_in_some_order() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let (done, nodes) = written(&world, ["=2,4", "+3", "-4"]);
        let ends = [
            // The set first, or after the number that is added; the other is there from then on.
            ([true, true, true], "2,3"),
            ([true, true, true], "2"),
            // There was no 4 yet.
            ([true, true, false], "2,3,4"),
            ([true, true, false], "2,4"),
        ];
        assert!(ends.contains(&(done, nodes.as_str())), "{done:?} {nodes}");
        let changes = 2 + u32::from(done[2]);
        assert_eq!(world.generation(), 1 + changes);
        over(world, rule);
    });
}

#[test]
fn two_sets_are_one_of_them() {
    check(TWO, || {
        let (world, rule) = world(FEW);
        let hands = ["=1,2", "=3,4"].map(|line| writes(&world, line));
        for hand in hands {
            assert!(hand.join().unwrap());
        }
        let nodes = world.nodes();
        assert!(nodes == "1,2" || nodes == "3,4", "{nodes}");
        over(world, rule);
    });
}

/// Whoever reads sees a set that there was, of the generation that it says.
#[test]
fn a_reader_sees_no_set_that_never_was() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let adds = world.hand(|world| {
            world.command("+2").expect("a node");
            world.command("-1").expect("a node");
        });
        let reads = world.hand(|world| [world.nodes(), world.nodes()]);
        let rows = world.stat();
        adds.join().unwrap();
        let seen = reads.join().unwrap();
        let order = ["1", "1,2", "2"];
        let at = |text: &String| order.iter().position(|set| set == text).expect("a set");
        let [first, second] = [at(&seen[0]), at(&seen[1])];
        assert!(first <= second, "the sets come in their order");
        let mine = rows.iter().filter(|(_, mine, _)| *mine);
        let mine: Vec<_> = mine.map(|(number, ..)| number.to_string()).collect();
        let generation = at(&mine.join(",")) + 1;
        let said = |row: &(u32, bool, u32)| row.2 as usize == generation;
        assert!(rows.len() == 4 && rows.iter().all(said), "{rows:?}");
        over(world, rule);
    });
}

/// Nobody looks at a set between two, nor at one that is not in force yet.
fn packets_meet_two_sets(total: u32) {
    check(PACKETS, move || {
        let (world, rule) = world(total);
        let writes = world.hand(|world| {
            world.command("=2,4").expect("a set");
            world.command("=3").expect("a set");
        });
        let [one, two, three, again] = rule.packets([1, 2, 3, 3], total);
        assert!(one || two || three, "after the first set comes the second");
        assert!(!one || !three || again, "what was seen stays in force");
        assert!(!three || again, "the third set is the last");
        writes.join().unwrap();
        assert_eq!(
            rule.packets([1, 2, 3, 4], total),
            [false, false, true, false]
        );
        for node in 1..=4 {
            let (taken, left) = rule.counted(node);
            assert_eq!(
                taken + left,
                if node == 3 {
                    3
                } else {
                    2 - u64::from(node == 4)
                }
            );
        }
        over(world, rule);
    });
}

#[test]
fn packets_and_two_sets() {
    packets_meet_two_sets(FEW);
}

#[test]
fn packets_and_two_sets_in_memory_of_their_own() {
    packets_meet_two_sets(MANY);
}

/// A set comes into force at once: who sees that a node has gone sees the one that has come.
#[test]
fn packets_and_a_set() {
    check(PACKETS, || {
        let (world, rule) = world(FEW);
        let writes = writes(&world, "=2");
        let [one, two] = rule.packets([1, 2], FEW);
        assert!(one || two, "a packet is nobody's");
        assert!(writes.join().unwrap());
        let [two, one] = rule.packets([2, 1], FEW);
        assert!(two && !one);
        over(world, rule);
    });
}

/// Who sees the one that has come sees that the other has gone.
#[test]
fn packets_and_a_set_the_other_way_round() {
    check(PACKETS, || {
        let (world, rule) = world(FEW);
        let writes = writes(&world, "=2");
        let [two, one] = rule.packets([2, 1], FEW);
        assert!(!two || !one, "a packet is of two");
        assert!(writes.join().unwrap());
        over(world, rule);
    });
}

/// Whoever polls is on the queue before he looks, or looks after the change.
#[test]
fn a_watcher_hears_of_each_change() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let seen = world.generation();
        let watches = world.hand(move |world| world.wait_for_change(VIP, seen));
        let adds = writes(&world, "+2");
        assert!(world.command("=1,2,3").is_ok());
        assert!(watches.join().unwrap().is_some_and(|now| now > seen));
        adds.join().unwrap();
        over(world, rule);
    });
}

#[test]
fn two_watchers_hear_of_a_set() {
    check(THREE, || {
        let (world, rule) = world(FEW);
        let seen = world.generation();
        let watch = [1, 2].map(|_| world.hand(move |world| world.wait_for_change(VIP, seen)));
        assert!(world.command("=none").is_ok());
        for hand in watch {
            assert_eq!(hand.join().unwrap(), Some(seen + 1));
        }
        over(world, rule);
    });
}

#[test]
fn a_watcher_hears_that_the_vip_has_gone() {
    check(TWO, || {
        let (world, rule) = world(FEW);
        let watches = world.hand(|world| world.wait_for_change(VIP, 1));
        world.leave(rule);
        assert_eq!(watches.join().unwrap(), None);
        world.over();
    });
}

/// Somebody is on the queue when its namespace ends, and goes when he likes.
#[test]
fn a_watcher_outlives_the_namespace() {
    check(TWO, || {
        let (world, rule) = world(FEW);
        let watches = world.hand(|world| world.wait_for_change(VIP, 1));
        world.end();
        world.leave(rule);
        assert_eq!(watches.join().unwrap(), None);
        drop(world);
        World::unload();
    });
}
