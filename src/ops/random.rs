//! Random numbers from integers alone, so that CPU and GPU draw the same ones: a value is a function of
//! (seed, step, index), never of a state that threads would have to share.
//!
//! `shaders/shared/random.wgsl` is the twin of this room; `tests/ops/random.rs` holds the two together.

/// The PCG-RXS-M-XS permutation of 32 bits (O'Neill 2014; recommended as a hash by Jarzynski and Olano 2020).
#[inline]
pub fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// 32 random bits for element `index` of step `step` in the stream `seed`.
#[inline]
pub fn random(seed: u32, step: u32, index: u32) -> u32 {
    pcg(index ^ pcg(step ^ pcg(seed)))
}

/// Image number `position` of a random order of `0..len`, without a table: a Feistel network over the next even
/// number of bits, walked until it falls below `len` (Black and Rogaway 2002, cycle walking).
///
/// For a fixed (`seed`, `epoch`) it is a permutation: every image comes once an epoch.
pub fn permute(seed: u32, epoch: u32, position: u32, len: u32) -> u32 {
    let bits = 32 - len.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2);
    let mask = (1u32 << half) - 1;
    let key = pcg(epoch ^ pcg(seed));
    let mut value = position;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..6 {
            (left, right) = (right, left ^ (pcg(right ^ pcg(key ^ round)) & mask));
        }
        value = (left << half) | right;
        if value < len {
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permute_visits_every_index_once_and_differs_by_epoch() {
        for len in [1u32, 2, 3, 5, 64, 100, 1000, 8000] {
            let order = |epoch| (0..len).map(|i| permute(7, epoch, i, len)).collect::<Vec<_>>();
            let mut sorted = order(0);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..len).collect::<Vec<_>>());
            if len > 50 {
                assert_ne!(order(0), order(1));
            }
        }
    }
}
