// SPDX-License-Identifier: GPL-2.0-only

//! Rules that come and go, devices, files, ARP and the namespace's end.

use super::check;
use super::world::World;
use super::world::OTHER;
use super::world::VIP;
use kernel::prelude::EIO;

/// Two hands, in nearly all orders; and more of them, in those with few switches.
const TWO: Option<usize> = Some(6);
const MORE: Option<usize> = Some(3);
/// And where each has many steps.
const FEW: Option<usize> = Some(2);

#[test]
fn two_first_rules() {
    check(TWO, || {
        let world = World::new();
        let hands = [1, 2].map(|_| world.hand(|world| world.join(VIP).expect("a rule")));
        let [one, other] = hands.map(|hand| hand.join().unwrap());
        world.expect(VIP, 2);
        world.expect_hook(true);
        world.leave(one);
        world.expect(VIP, 1);
        other.packet();
        world.leave(other);
        world.over();
    });
}

/// D7: one goes as the other comes.
#[test]
fn the_last_rule_and_a_first_one() {
    check(TWO, || {
        let world = World::new();
        let last = world.join(VIP).expect("a rule");
        let leaves = world.hand(move |world| world.leave(last));
        let comes = world.hand(|world| world.join(VIP).expect("a rule"));
        leaves.join().unwrap();
        let first = comes.join().unwrap();
        world.expect(VIP, 1);
        world.expect_hook(true);
        first.packet();
        world.leave(first);
        world.over();
    });
}

#[test]
fn two_last_rules() {
    check(TWO, || {
        let world = World::new();
        let rules = [1, 2].map(|_| world.join(VIP).expect("a rule"));
        for hand in rules.map(|rule| world.hand(move |world| world.leave(rule))) {
            hand.join().unwrap();
        }
        world.over();
    });
}

/// D8: the hook is for all VIPs.
#[test]
fn two_vips_and_one_hook() {
    check(TWO, || {
        let world = World::new();
        let one = world.join(VIP).expect("a rule");
        let other = world.hand(|world| world.join(OTHER).expect("a rule"));
        let leaves = world.hand(move |world| world.leave(one));
        leaves.join().unwrap();
        let other = other.join().unwrap();
        world.expect(VIP, 0);
        world.expect(OTHER, 1);
        world.expect_hook(true);
        world.leave(other);
        world.over();
    });
}

/// D17: the device gets another name while the VIP is put on it.
#[test]
fn a_first_rule_and_a_rename() {
    check(TWO, || {
        let world = World::new();
        let renames = world.hand(|world| world.rename(&[("eth0", "away")]));
        let comes = world.hand(|world| world.join(VIP));
        renames.join().unwrap();
        match comes.join().unwrap() {
            // Its device is away, and has nothing of it.
            Ok(rule) => {
                world.expect(VIP, 1);
                world.rename(&[("away", "eth0")]);
                world.expect(VIP, 1);
                world.leave(rule);
            }
            Err(_) => world.rename(&[("away", "eth0")]),
        }
        world.over();
    });
}

/// The last rule goes while another device takes the name of the VIP's.
#[test]
fn a_last_rule_and_devices_that_change_places() {
    check(TWO, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let renames = world.hand(|world| world.rename(&[("eth0", "away"), ("eth1", "eth0")]));
        let leaves = world.hand(move |world| world.leave(rule));
        leaves.join().unwrap();
        renames.join().unwrap();
        world.over();
    });
}

#[test]
fn a_vip_follows_the_name() {
    check(TWO, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let renames = world.hand(|world| world.rename(&[("eth0", "away"), ("eth1", "eth0")]));
        let comes = world.hand(|world| world.join(VIP).expect("a rule"));
        renames.join().unwrap();
        let second = comes.join().unwrap();
        world.expect(VIP, 2);
        world.leave(rule);
        world.leave(second);
        world.over();
    });
}

/// Whoever removes a file waits for those who write to it, and they may wait for RTNL: nobody who has
/// RTNL may wait for whoever removes it.
#[test]
fn a_writer_a_last_rule_and_a_rename() {
    check(FEW, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let writes = world.hand(|world| world.write(VIP, "+2\n"));
        let renames = world.hand(|world| world.rename(&[("eth0", "away")]));
        let leaves = world.hand(move |world| world.leave(rule));
        leaves.join().unwrap();
        let written = writes.join().unwrap();
        // The VIP may have gone meanwhile: as for a file that has.
        assert!(
            matches!(written, None | Some(Ok(()) | Err(EIO))),
            "{written:?}"
        );
        renames.join().unwrap();
        world.over();
    });
}

#[test]
fn a_reader_and_a_writer() {
    check(MORE, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let reads = world.hand(|world| world.read(VIP).expect("a file"));
        let writes = world.hand(|world| world.write(VIP, "+3"));
        assert_eq!(writes.join().unwrap(), Some(Ok(())));
        let text = reads.join().unwrap().expect("a text");
        assert!(text == "1\n" || text == "1,3\n", "{text:?}");
        world.leave(rule);
        world.over();
    });
}

/// D18: what ARP has found stays until it has looked.
#[test]
fn arp_and_a_last_rule() {
    check(TWO, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let looks = world.hand(|world| world.look(VIP));
        let leaves = world.hand(move |world| world.leave(rule));
        leaves.join().unwrap();
        looks.join().unwrap();
        world.over();
    });
}

/// Rules may outlive their namespace.
#[test]
fn a_namespace_ends_with_a_rule_a_writer_and_arp() {
    check(MORE, || {
        let world = World::new();
        let rule = world.join(VIP).expect("a rule");
        let uses = world.hand(|world| {
            world.look(VIP);
            let written = world.write(VIP, "+2");
            assert!(matches!(written, None | Some(Ok(()) | Err(EIO))));
        });
        let renames = world.hand(|world| world.rename(&[("eth0", "away")]));
        let ends = world.hand(|world| world.end());
        ends.join().unwrap();
        rule.packet();
        uses.join().unwrap();
        renames.join().unwrap();
        world.expect(VIP, 0);
        world.expect_hook(false);
        world.leave(rule);
    });
}

/// All at once, with one switch less.
#[test]
fn rules_of_two_tables_a_rename_and_arp() {
    check(Some(2), || {
        let world = World::new();
        let first = world.hand(|world| {
            if let Ok(rule) = world.join(VIP) {
                world.leave(rule);
            }
        });
        let second = world.hand(|world| {
            world.look(VIP);
            if let Ok(rule) = world.join(VIP) {
                rule.packet();
                world.leave(rule);
            }
        });
        let renames = world.hand(|world| world.rename(&[("eth0", "away"), ("away", "eth0")]));
        for hand in [first, second, renames] {
            hand.join().unwrap();
        }
        world.over();
    });
}
