// What a batch normalisation makes of an element, by the table of its channels.

@group(0) @binding(14) var<storage, read> table: array<f32>; // [4, channels]: pivot, offset, scale, bias

// What the table says of a channel: as good for many elements as for one.
struct Reading {
    pivot: f32,
    offset: f32,
    scale: f32,
    bias: f32,
}

// Of channel c of so many.
fn reading_of(c: u32, channels: u32) -> Reading {
    return Reading(table[c], table[channels + c], table[2u * channels + c], table[3u * channels + c]);
}

fn normal(x: f32, channel: Reading) -> f32 {
    return ((x - channel.pivot) - channel.offset) * channel.scale + channel.bias;
}
