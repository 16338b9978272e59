// Four elements at a time.

alias Elements = vec4<f32>;
alias Mask = vec4<bool>;

// By their bits, as shared/finite.wgsl does it.
fn finite(v: Elements) -> Mask {
    return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) != vec4<u32>(0x7f800000u);
}

fn is_no_number(v: Elements) -> Mask {
    return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

// The sum of the four, in order.
fn sum_of(v: Elements) -> f32 {
    return v.x + v.y + v.z + v.w;
}
