// Functions of one element: what an activation computes, and what other kernels do with a result before they write it.

#import finite
#import exponential
#import erf

const RELU: u32 = 0u;
const LEAKY_RELU: u32 = 1u;
const ELU: u32 = 2u;
const SIGMOID: u32 = 3u;
const TANH: u32 = 4u;
const SILU: u32 = 5u;
const GELU: u32 = 6u;
const GELU_TANH: u32 = 7u;
const SOFTPLUS: u32 = 8u;
const HARD_SWISH: u32 = 9u;
// The element as it is.
const NONE: u32 = 32u;
// Which of them this is; the host sets it, and the chain of comparisons folds away.
const KIND: u32 = NONE;

// 2u with u = sqrt(2/pi) * (x + 0.044715 x^3): gelu_tanh(x) = x * (1 + tanh(u)) / 2 = x * sigmoid(2u).
fn gelu_argument(x: f32) -> f32 {
    return 1.5957691216 * (x + 0.044715 * x * x * x);
}

// f(x); slope is leaky_relu's slope or elu's alpha.
fn activate(x: f32, slope: f32) -> f32 {
    // Clamps and some drivers' exponentials would turn a NaN into a number.
    if KIND == NONE || is_nan(x) {
        return x;
    } else if KIND == RELU {
        return select(x, 0.0, x <= 0.0);
    } else if KIND == LEAKY_RELU {
        return select(slope * x, x, x > 0.0);
    } else if KIND == ELU {
        return select(slope * expm1(min(x, 0.0)), x, x > 0.0);
    } else if KIND == SIGMOID {
        return sigmoid(x);
    } else if KIND == TANH {
        return tangent(x);
    } else if KIND == SILU {
        return x * sigmoid(x);
    } else if KIND == GELU {
        return x * normal_below(x);
    } else if KIND == GELU_TANH {
        return x * sigmoid(gelu_argument(clamp(x, -16.0, 16.0)));
    } else if KIND == SOFTPLUS {
        return max(x, 0.0) + log1p(exp(-abs(x)));
    } else {
        return select(x * (clamp(x + 3.0, 0.0, 6.0) / 6.0), 0.0, x <= -3.0);
    }
}
