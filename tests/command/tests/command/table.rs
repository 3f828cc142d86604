// SPDX-License-Identifier: GPL-2.0-only

//! What `status` shows to people.

use crate::config;
use crate::stat::some_vip;
use clusterip::stat::Vip;
use clusterip::status::Came;
use clusterip::status::Seen;
use clusterip::table::count;
use clusterip::table::rate;
use clusterip::table::rows::rows;
use clusterip::table::rows::MOST;
use clusterip::table::text;
use clusterip::table::Style;
use clusterip::table::WIDTH;
use command::node;
use command::vip;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

const BLOCKS: Style = Style {
    blocks: true,
    all: false,
};

/// Without rates.
fn totals(vip: Vip) -> Seen {
    Seen { vip, came: None }
}

#[test]
fn totals_of_three_numbers() {
    let mut vip = vip(3, "1,2", 1000, 1500);
    vip.numbers.get_mut(&node(2)).unwrap().left = 700;
    let wanted = "\
10.0.0.80 on eth0
  mac      01:00:5E:00:00:50
  hash     sourceip, seed 0
  mine     1,2 of 3
  changes  2
  packets  3000 accepted, 5200 left to others
  arp      12 with the cluster's MAC

       number  accepted      left  packets
  *         1      1000         0  ██████████
  *         2      2000       700  ████████████████████░░░░░░░
            3         0      4500  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
  * this node's   █ accepted   ░ left to others
";
    assert_eq!(text(&totals(vip.clone()), BLOCKS), wanted);
    let ascii = wanted.replace('█', "#").replace('░', ".");
    assert_eq!(text(&totals(vip), Style::default()), ascii);
}

#[test]
fn rates_of_three_numbers() {
    let before = vip(3, "1", 1_000_000, 2_000_000);
    let mut now = before.clone();
    now.arp += 1;
    for (number, came) in [(1, (600, 0)), (2, (0, 33)), (3, (0, 1))] {
        let number = now.numbers.get_mut(&node(number)).unwrap();
        number.accepted += came.0;
        number.left += came.1;
    }
    let came = Came::between(Some(&before), &now, 2.0);
    let seen = Seen {
        vip: now,
        came: Some(came),
    };
    let wanted = "\
10.0.0.80 on eth0
  mac      01:00:5E:00:00:50
  hash     sourceip, seed 0
  mine     1 of 3
  changes  2
  packets  1.00M (300/s) accepted, 10.0M (17.0/s) left to others
  arp      13 (0.5/s) with the cluster's MAC

       number  accepted      /s      left      /s  packets per second
  *         1     1.00M     300         0       0  █████████████████████████████
            2         0       0     4.00M    16.5  ░░
            3         0       0     6.00M     0.5  ░
  * this node's   █ accepted   ░ left to others
";
    assert_eq!(text(&seen, BLOCKS), wanted);
}

#[test]
fn a_device_that_is_missing_and_a_set_of_many_numbers() {
    let mut vip = vip(
        1024,
        "1-40,77,100-149,200-249,300-349,400-449,500-549,600-649,1000-1024",
        0,
        0,
    );
    vip.ifindex = 0;
    vip.hash_init = u32::MAX;
    vip.hashmode = "sourceip-sourceport-destport".to_owned();
    vip.numbers.get_mut(&node(30)).unwrap().accepted = 5;
    vip.numbers.get_mut(&node(31)).unwrap().accepted = u64::MAX;
    let wanted = "\
10.0.0.80 on eth0
  MISSING  there is no such device now: nothing comes in
  mac      01:00:5E:00:00:50
  hash     sourceip-sourceport-destport, seed 4294967295
  mine     1-40,77,100-149,200-249,300-349,400-449,500-549,600-649,
           1000-1024 of 1024
  changes  2
  packets  18.4E accepted, 0 left to others
  arp      12 with the cluster's MAC

       number  accepted      left  packets
  *      1-29         0         0
  *        30         5         0  █
  *        31     18.4E         0  █████████████████████████████████████████████
  *     32-40         0         0
        41-76         0         0
  *        77         0         0
        78-99         0         0
  *   100-149         0         0
      150-199         0         0
  *   200-249         0         0
      250-299         0         0
  *   300-349         0         0
      350-399         0         0
  *   400-449         0         0
      450-499         0         0
  *   500-549         0         0
      550-599         0         0
  *   600-649         0         0
      650-999         0         0
  * 1000-1024         0         0
  * this node's   █ accepted   ░ left to others
";
    assert_eq!(text(&totals(vip), BLOCKS), wanted);
}

#[test]
fn neighbours_are_summed_where_all_have_something() {
    let rows = rows(&totals(vip(1024, "1-512", 1, 1)), false);
    let labels: Vec<_> = rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels[0], "1-64");
    assert_eq!(labels[15], "961-1024");
    assert_eq!(rows.len(), 16);
    assert_eq!(rows[0].total.accepted, 64 * 65 / 2);
    assert!(rows[7].total.mine && !rows[8].total.mine);
}

#[test]
fn two_rows_where_mine_and_others_alternate() {
    let odd: Vec<_> = (1..=1024)
        .step_by(2)
        .map(|number| number.to_string())
        .collect();
    let rows = rows(&totals(vip(1024, &odd.join(","), 1, 1)), false);
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.label.as_str(), row.total.accepted, row.total.left))
        .collect();
    assert_eq!(seen, [("mine", 512 * 512, 0), ("others", 0, 512 * 513)]);
}

#[test]
fn no_number_is_mine() {
    let text = text(&totals(vip(2, "none", 1, 1)), BLOCKS);
    assert!(text.contains("\n  mine     none of 2\n"), "{text}");
}

#[test]
fn counts_are_short_and_never_too_high() {
    for (number, wanted) in [
        (0, "0"),
        (999_999, "999999"),
        (1_000_000, "1.00M"),
        (12_399_999, "12.3M"),
        (999_999_999, "999M"),
        (1_000_000_000, "1.00G"),
        (u64::MAX, "18.4E"),
    ] {
        assert_eq!(count(number), wanted);
    }
    for (number, wanted) in [
        (0.0, "0"),
        (0.01, "<0.1"),
        (0.05, "0.1"),
        (99.9, "99.9"),
        (99.96, "100"),
        (2_500_000.0, "2.50M"),
        (f64::MAX, "18.4E"),
        (f64::NAN, "0"),
    ] {
        assert_eq!(rate(number), wanted);
    }
}

/// A VIP that was taken away and made anew counts from 0 again.
#[test]
fn what_came_is_never_negative() {
    let before = vip(2, "1", 1000, 1000);
    let now = vip(2, "1", 7, 0);
    let came = Came::between(Some(&before), &now, 1.0);
    assert_eq!(came.vip.packets(), (7, 0));
    assert_eq!(Came::between(None, &now, 1.0).vip.packets(), (7, 0));
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn fits_a_terminal(now in some_vip(), before in some_vip(), seconds in any::<f64>(), rates: bool, all: bool) {
        let came = rates.then(|| Came::between(Some(&before), &now, seconds));
        let seen = Seen { vip: now, came };
        let text = text(&seen, Style { blocks: true, all });
        for line in text.lines() {
            prop_assert!(line.chars().count() <= WIDTH, "{}", line);
        }
        let rows = rows(&seen, all);
        prop_assert!(all || rows.len() <= MOST);
        // Nothing is left out, and nothing counted twice.
        let zero = 0u64;
        let sum = rows.iter().fold(zero, |sum, row| sum.saturating_add(row.total.accepted));
        prop_assert_eq!(sum, seen.vip.packets().0);
    }
}
