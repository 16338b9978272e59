// Clipping by the norm.

#import finite

// What a gradient of this norm is multiplied with, so that its norm is at most max_norm; a NaN where the norm is one.
fn norm_scale(norm: f32, max_norm: f32) -> f32 {
    return select(min(1.0, max_norm / (norm + 1e-6)), norm, is_nan(norm));
}
