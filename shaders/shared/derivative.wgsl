// Derivatives of functions of one element.

#import activate

// f' of what is saved of the forward pass: f(x) for KIND up to TANH, x for the rest.
fn derivative(saved: f32, slope: f32) -> f32 {
    if KIND == NONE {
        return 1.0;
    } else if KIND == RELU {
        return select(1.0, 0.0, saved <= 0.0);
    } else if KIND == LEAKY_RELU {
        return select(slope, 1.0, saved > 0.0);
    } else if KIND == ELU {
        return select(saved + slope, 1.0, saved > 0.0);
    } else if KIND == SIGMOID {
        return saved * (1.0 - saved);
    } else if KIND == TANH {
        return (1.0 - saved) * (1.0 + saved);
    } else if KIND == SILU {
        return sigmoid(saved) * (1.0 + saved * sigmoid(-saved));
    } else if KIND == GELU {
        let z = clamp(saved, -20.0, 20.0);
        return normal_below(z) + z * exp(-0.5 * z * z) * 0.3989422804;
    } else if KIND == GELU_TANH {
        let z = clamp(saved, -16.0, 16.0);
        let u = gelu_argument(z);
        let steepness = 1.5957691216 * (1.0 + 0.134145 * z * z);
        return sigmoid(u) * (1.0 + z * sigmoid(-u) * steepness);
    } else if KIND == SOFTPLUS {
        return sigmoid(saved);
    } else {
        return select(select(saved / 3.0 + 0.5, 0.0, saved <= -3.0), 1.0, saved >= 3.0);
    }
}
