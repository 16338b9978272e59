// The operands of statistics.wgsl where rows begin and end at multiples of four.

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [len / 4]
@group(0) @binding(2) var<storage, read> before: array<vec4<f32>>; // [len / 4]

// Elements i, i + 1, ...
fn quad(i: u32, end: u32) -> vec4<f32> {
    if params.subtract != 0u {
        return x[i / 4u] - before[i / 4u];
    }
    return x[i / 4u];
}

// Which of these lie before `end`: all.
fn within(i: u32, end: u32) -> vec4<bool> {
    return vec4<bool>(true);
}
