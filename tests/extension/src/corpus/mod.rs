// SPDX-License-Identifier: GPL-2.0-only

//! The corpus: what the option grammar makes ([`grammar`]), payloads that iptables cannot type
//! ([`payloads`]), and what is typed by hand (`corpus/`, read by [`typed`]). The same in every run.

mod grammar;
mod payloads;
mod typed;

use crate::case::Case;
use crate::case::Place;
use crate::case::Step;
use std::collections::HashSet;

/// Of two that do the same, as the grammar now and then makes them, the first alone.
pub fn all() -> Vec<Case> {
    let mut bodies = HashSet::new();
    [grammar::cases(), payloads::cases(), typed::cases()]
        .into_iter()
        .flatten()
        .filter(|case| bodies.insert(body(case)))
        .collect()
}

/// A case without its name.
fn body(case: &Case) -> (Place, Vec<Vec<u8>>, Vec<Step>) {
    let put = case.put.iter().map(|payload| payload.bytes());
    let told = case.told.iter().map(|payload| payload.to_vec());
    (case.place, put.chain(told).collect(), case.steps.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(!case.steps.is_empty(), "{} does nothing", case.name);
            assert!(
                names.insert(case.name.clone()),
                "{} is there twice",
                case.name
            );
        }
        assert!(names.len() >= 500, "there are {} cases", names.len());
    }

    #[test]
    fn it_is_the_same_every_time() {
        let print = || all().iter().map(Case::to_string).collect::<String>();
        assert_eq!(print(), print());
    }
}
