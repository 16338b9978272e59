// Operands four channels at a time.

alias Chunk = vec4<f32>;
const CHUNK: u32 = 4u;

fn zero_chunk() -> Chunk {
    return vec4<f32>(0.0);
}

// acc + a . x, in a fixed order
fn mul_add(acc: f32, a: Chunk, x: Chunk) -> f32 {
    return acc + a.x * x.x + a.y * x.y + a.z * x.z + a.w * x.w;
}
