// Sums for a gradient of weights of four source channels each, stored four output channels at a time.

@group(0) @binding(6) var<storage, read_write> part: array<vec4<f32>>; // [splits, as the weights]

// Where the sums of a split begin, whose first chunk is `start`, and those of an output channel, a multiple of four, in them.
fn part_at(start: u32, o: u32) -> u32 {
    return start + row_at(o);
}

fn row_at(o: u32) -> u32 {
    return o / 4u;
}

// Stores, or adds, four output channels; there is always room for all of them.
fn store_part(at: u32, room: u32, rows: array<Chunk, 4>, fresh: bool) {
    //#unroll
    for (var e = 0u; e < 4u; e++) {
        let to = at + e * params.w_c;
        let value = vec4<f32>(rows[0][e], rows[1][e], rows[2][e], rows[3][e]);
        if fresh {
            part[to] = value;
        } else {
            part[to] += value;
        }
    }
}
