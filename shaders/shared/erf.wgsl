// The normal distribution through the error function.

// 1 - erf(z) for z >= 0, up to where it vanishes.
fn erfc(z: f32) -> f32 {
    // Chebyshev fit (Numerical Recipes 6.2, erfcc), relative error 1.2e-7.
    let a = min(z, 14.0);
    let t = 1.0 / (1.0 + 0.5 * a);
    let fit = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    return t * exp(fit - a * a);
}

// Phi(x): the share of a standard normal distribution below x.
fn normal_below(x: f32) -> f32 {
    let tail = 0.5 * erfc(abs(x) * 0.70710678);
    return select(1.0 - tail, tail, x < 0.0);
}
