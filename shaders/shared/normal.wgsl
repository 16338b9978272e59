// What a batch normalisation makes of an element, by the table of its channels.

@group(0) @binding(14) var<storage, read> table: array<f32>; // [4, channels]: pivot, offset, scale, bias

// Of an element of channel c of so many.
fn normal(x: f32, c: u32, channels: u32) -> f32 {
    return ((x - table[c]) - table[channels + c]) * table[2u * channels + c] + table[3u * channels + c];
}
