// A flat gradient that is there. shared/gradient_parts.wgsl stands in for this where some of it lies in partial sums.

@group(0) @binding(1) var<storage, read> grad: array<Elements>; // [len]

fn gradient(i: u32) -> Elements {
    return grad[i];
}
