// Sums for a gradient of weights of four source channels each, where weights are no neighbours.

@group(0) @binding(6) var<storage, read_write> part: array<f32>; // [splits, as the weights]

// Where the sums of a split begin, whose first chunk is `start`, and those of an output channel in them.
fn part_at(start: u32, o: u32) -> u32 {
    return start * 4u + row_at(o);
}

fn row_at(o: u32) -> u32 {
    return o * params.w_o;
}

// Stores, or adds, the first `room` of four output channels, of which there is at least one.
fn store_part(at: u32, room: u32, rows: array<Chunk, 4>, fresh: bool) {
    //#unroll
    for (var o = 0u; o < 4u; o++) {
        if o < room {
            //#unroll
            for (var e = 0u; e < 4u; e++) {
                let to = at + row_at(o) + e * params.w_c;
                if fresh {
                    part[to] = rows[o][e];
                } else {
                    part[to] += rows[o][e];
                }
            }
        }
    }
}
