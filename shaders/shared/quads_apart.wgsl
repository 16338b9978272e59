// The operands of statistics.wgsl, element by element.

@group(0) @binding(1) var<storage, read> x: array<f32>; // [len]
@group(0) @binding(2) var<storage, read> before: array<f32>; // [len]

// Elements i, i + 1, ... of which those from `end` on repeat the one before.
fn quad(i: u32, end: u32) -> vec4<f32> {
    let at = min(vec4<u32>(i, i + 1u, i + 2u, i + 3u), vec4<u32>(end - 1u));
    let value = vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]);
    if params.subtract != 0u {
        return value - vec4<f32>(before[at.x], before[at.y], before[at.z], before[at.w]);
    }
    return value;
}

// Which of elements i, i + 1, ... lie before `end`.
fn within(i: u32, end: u32) -> vec4<bool> {
    return vec4<u32>(i, i + 1u, i + 2u, i + 3u) < vec4<u32>(end);
}
