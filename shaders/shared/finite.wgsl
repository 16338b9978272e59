// Tests on bits: a shader compiler may assume that NaN and infinity do not occur and fold comparisons away.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// x, and a NaN for an infinity.
fn finite_or_nan(x: f32) -> f32 {
    return select(bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u), x, is_finite(x));
}
