// Operands one channel at a time: for channel counts that four does not divide.

alias Chunk = f32;
const CHUNK: u32 = 1u;

fn zero_chunk() -> Chunk {
    return 0.0;
}

// acc + a . x
fn mul_add(acc: f32, a: Chunk, x: Chunk) -> f32 {
    return acc + a * x;
}
