// Exponentials and logarithms where the built-in ones lose digits: near 0, and in tails.

// e^x - 1, also for small x.
fn expm1(x: f32) -> f32 {
    if abs(x) > 0.5 {
        return exp(x) - 1.0;
    }
    // Taylor; the first term left out is below 1e-8 of the sum.
    return x * (1.0 + x * (1.0 / 2.0 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0
        + x * (1.0 / 720.0 + x * (1.0 / 5040.0 + x * (1.0 / 40320.0))))))));
}

// 2 atanh(s) for |s| <= 1/3, the series that ln((1 + s) / (1 - s)) is; exact to 1e-9 of itself.
fn two_atanh(s: f32) -> f32 {
    let q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0
        + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0))))))));
}

// ln(1 + x) for x >= 0, also for small x.
fn log1p(x: f32) -> f32 {
    if x > 1.0 {
        // 1 + x = m * 2^e with 1 <= m < 2; ln m = 2 atanh((m - 1) / (m + 1)).
        let bits = bitcast<u32>(1.0 + x);
        let e = f32(bits >> 23u) - 127.0;
        let m = bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u);
        return e * 0.69314718 + two_atanh((m - 1.0) / (m + 1.0));
    }
    return two_atanh(x / (2.0 + x));
}

// 1 / (1 + e^-x), without overflow on either side and with full digits in the tail towards 0.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// The hyperbolic tangent: e^x overflows beyond 88, and beyond 10 this is 1 anyway.
fn tangent(x: f32) -> f32 {
    let e = expm1(-2.0 * min(abs(x), 15.0));
    let t = -e / (2.0 + e);
    return select(t, -t, x < 0.0);
}
