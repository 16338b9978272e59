// Random numbers from integers alone. Twin of src/ops/random.rs; tests/ops/random.rs holds the two together.

// The PCG-RXS-M-XS permutation of 32 bits.
fn pcg(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// 32 random bits for element `index` of step `step` in the stream `seed`.
fn random(seed: u32, step: u32, index: u32) -> u32 {
    return pcg(index ^ pcg(step ^ pcg(seed)));
}

// Image number `position` of a random order of 0..len: a Feistel network, walked until it falls below len > 0.
fn permute(seed: u32, epoch: u32, position: u32, len: u32) -> u32 {
    let bits = 32u - countLeadingZeros(len - 1u);
    let half = (bits + 1u) / 2u;
    let mask = (1u << half) - 1u;
    let key = pcg(epoch ^ pcg(seed));
    var value = position;
    loop {
        var left = value >> half;
        var right = value & mask;
        for (var round = 0u; round < 6u; round++) {
            let next = left ^ (pcg(right ^ pcg(key ^ round)) & mask);
            left = right;
            right = next;
        }
        value = (left << half) | right;
        if value < len {
            break;
        }
    }
    return value;
}
