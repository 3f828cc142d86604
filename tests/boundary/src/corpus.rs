// SPDX-License-Identifier: GPL-2.0-only

//! Inputs that reached code which none before them had reached.

use crate::input::Random;
use anyhow::Context;
use anyhow::Result;
use std::collections::HashSet;

#[derive(Default)]
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    places: HashSet<u64>,
}

impl Corpus {
    /// The next input: something new, or one that was kept with some changes.
    pub fn next(&self, random: &mut Random) -> Vec<u8> {
        if self.inputs.is_empty() || random.below(2) == 0 {
            return random.input();
        }
        let kept = &self.inputs[random.below(self.inputs.len())];
        let other = &self.inputs[random.below(self.inputs.len())];
        random.mutate(kept, other)
    }

    pub fn knows(&self, place: u64) -> bool {
        self.places.contains(&place)
    }

    /// Keeps an input, given in hexadecimal digits.
    pub fn keep(&mut self, digits: &str) -> Result<()> {
        let bytes = (0..digits.len())
            .step_by(2)
            .map(|at| {
                digits
                    .get(at..at + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .with_context(|| format!("no bytes: {digits:?}"))?;
        self.inputs.push(bytes);
        Ok(())
    }

    pub fn reach(&mut self, place: u64) {
        self.places.insert(place);
    }

    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    pub fn places(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_again_with_changes() -> Result<()> {
        let mut corpus = Corpus::default();
        assert!(corpus.keep("0q").is_err() && corpus.keep("012").is_err());
        corpus.keep("0102030405060708090a0b0c0d0e0f10")?;
        let mut random = Random::new(1, 1);
        let is_near =
            |input: &Vec<u8>| input.starts_with(&[1, 2, 3, 4]) || input.ends_with(&[14, 15, 16]);
        let near = (0..200)
            .filter(|_| is_near(&corpus.next(&mut random)))
            .count();
        assert!((40..160).contains(&near), "{near} of 200");
        Ok(())
    }
}
