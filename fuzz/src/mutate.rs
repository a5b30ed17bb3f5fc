//! A seeded mutator for runs without libFuzzer: equal seeds give equal inputs.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        match bound {
            0 => 0,
            _ => (self.roll() % bound as u64) as usize,
        }
    }
}

/// Numbers at which lengths, counts and offsets go wrong.
const EDGES: &[i64] = &[
    0,
    1,
    -1,
    2,
    -2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    i32::MIN as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
];

/// The most bytes an input grows to.
const MAX_LEN: usize = 16 * 1024;

/// One to eight changes to one of `seeds`, now and then with a piece of another. `seeds` is not empty.
pub fn mutate(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(8) {
        change(dice, &mut input, seeds);
    }
    input.truncate(MAX_LEN);
    input
}

fn change(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = dice.below(input.len() + 1);
    match dice.below(9) {
        0 | 1 if at < input.len() => input[at] ^= 1 << dice.below(8),
        2 if at < input.len() => input[at] = dice.roll() as u8,
        3 => overwrite(dice, input, at),
        4 => input.truncate(at),
        5 => {
            let bytes = dice.roll().to_le_bytes();
            input.splice(at..at, bytes[..dice.below(9)].iter().copied());
        }
        6 => drop(input.drain(at..(at + dice.below(17)).min(input.len()))),
        7 => {
            let piece = input[at..(at + dice.below(65)).min(input.len())].to_vec();
            let to = dice.below(input.len() + 1);
            input.splice(to..to, piece);
        }
        8 => {
            let other = &seeds[dice.below(seeds.len())];
            let from = dice.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {}
    }
}

/// Writes an edge as a big-endian number of 1, 2, 4 or 8 bytes.
fn overwrite(dice: &mut Dice, input: &mut [u8], at: usize) {
    let number = EDGES[dice.below(EDGES.len())].to_be_bytes();
    let width = 1 << dice.below(4);
    if let Some(place) = input.get_mut(at..at + width) {
        place.copy_from_slice(&number[8 - width..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_inputs_and_others_differ() {
        let seeds = [vec![7; 40], b"chronik".to_vec()];
        let inputs = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| mutate(&mut dice, &seeds)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().any(|input| !seeds.contains(input)));
    }
}
