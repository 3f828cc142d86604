// SPDX-License-Identifier: GPL-2.0-only

//! Where everything generated comes from: a string of bytes, which decides each choice that is made.
//! The same bytes make the same choices, so that what was found can be changed a little and tried again.

/// Choices made by bytes. After the last one all choices are the first of their kind.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn long(&mut self) -> u32 {
        u32::from(self.word()) | (u32::from(self.word()) << 16)
    }

    pub fn quad(&mut self) -> u64 {
        u64::from(self.long()) | (u64::from(self.long()) << 32)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end <= 256 {
            usize::from(self.byte()) % end
        } else {
            self.long() as usize % end
        }
    }

    /// True for one byte value in so many.
    pub fn one_in(&mut self, many: u8) -> bool {
        self.byte() % many == many - 1
    }

    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// Numbers at which lengths and offsets go wrong, and any.
    pub fn odd_number(&mut self) -> u32 {
        match self.byte() % 8 {
            0 => self.pick(&[0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65]),
            1 => self.pick(&[112, 144, 176, 208, 152, 96, 56, 60, 48]),
            2 => self.pick(&[u32::MAX, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_fff8]),
            3 => self.pick(&[0xff, 0x100, 0xffff, 0x1_0000, 0xfff0, 0xfff8, 0x1000]),
            4 | 5 => u32::from(self.byte()),
            6 => u32::from(self.word()),
            _ => self.long(),
        }
    }
}

/// Numbers from a seed (splitmix64): the same in every run, on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, round: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ round);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A new input.
    pub fn input(&mut self) -> Vec<u8> {
        let length = 24 << self.below(5);
        let mut bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        // Long rows of first choices: little is said, and what is said is plain.
        if self.below(3) == 0 {
            let from = self.below(length);
            bytes[from..].fill(0);
        }
        bytes
    }

    /// A kept input with some changes; `other` is one to take a tail of.
    pub fn mutate(&mut self, kept: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = kept.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                bytes.push(0);
            }
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 => bytes.insert(at, self.next() as u8),
                4 => {
                    bytes.remove(at);
                }
                5 => bytes[at] = bytes[at].wrapping_add(1),
                _ if at < other.len() => {
                    bytes.truncate(at);
                    bytes.extend(&other[at..]);
                }
                _ => {}
            }
        }
        bytes.truncate(1024);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_input() {
        let inputs = |seed, round| {
            let mut random = Random::new(seed, round);
            (0..9).map(|_| random.input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1, 7), inputs(1, 7));
        assert_ne!(inputs(1, 7), inputs(1, 8));
        assert_ne!(inputs(1, 7), inputs(2, 7));
    }

    #[test]
    fn an_input_that_is_used_up_goes_on() {
        let mut input = Input::new(&[5, 1]);
        assert_eq!((input.byte(), input.word(), input.long()), (5, 1, 0));
        assert_eq!(input.pick(&["first", "second"]), "first");
        assert!(!input.one_in(2));
    }
}
