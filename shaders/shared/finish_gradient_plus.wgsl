// What a kernel does with a sum before it writes it, where that is one of two gradients of what an activation computed: it adds the
// other, and multiplies with the derivative.

#import derivative

@group(0) @binding(12) var<storage, read> saved: array<f32>; // as the result: f(x) for KIND up to TANH, x for the rest
@group(0) @binding(15) var<storage, read> other: array<f32>; // as the result

// The element of the result at `at`; slope is the activation's.
fn finish(sum: f32, at: u32, slope: f32) -> f32 {
    let v = saved[at];
    if KIND > TANH && is_nan(v) {
        return v;
    }
    return derivative(v, slope) * (sum + other[at]);
}
