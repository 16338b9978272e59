// Where things lie in a texture that holds a copy of an operand (kernels::TEXTURE_WIDTH).

const TEXTURE_WIDTH: u32 = 256u;

// The place of four elements from 4 i on, or of a zero: the first row is zeros.
fn texel(i: u32, inside: bool) -> vec2<u32> {
    let at = select(0u, i + TEXTURE_WIDTH, inside);
    return vec2<u32>(at % TEXTURE_WIDTH, at / TEXTURE_WIDTH);
}
