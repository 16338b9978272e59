// How conv2d_broadcast.wgsl multiplies with weights that come four output channels at a time: a lane of a subgroup loads those of one
// of the four channels of a chunk.

// Where load `lane`, counted over all loads of a subgroup, begins: at output channels that exist.
fn first_weight(first: u32, lane: u32) -> u32 {
    return lane / FOURS * params.w_c + min(first / 4u + lane % FOURS, params.c_dst / 4u - 1u);
}

// acc[o, v] += the sum over the four channels e of a chunk of w[e, o] * value[v][e], in order
fn multiply(acc: ptr<function, array<f32, CHANNELS * PIXELS>>, weight: ptr<function, array<Chunk, LOADS>>, value: ptr<function, array<Chunk, PIXELS>>) {
    //#unroll
    for (var f = 0u; f < FOURS; f++) {
        var a: array<Chunk, 4>;
        //#unroll
        for (var e = 0u; e < 4u; e++) {
            a[e] = subgroupBroadcast((*weight)[(e * FOURS + f) / SUBGROUP], (e * FOURS + f) % SUBGROUP);
        }
        // All of a chunk for one sum after the other: there are more sums than registers.
        //#unroll
        for (var o = 0u; o < 4u; o++) {
            let along = vec4<f32>(a[0][o], a[1][o], a[2][o], a[3][o]);
            //#unroll
            for (var v = 0u; v < PIXELS; v++) {
                (*acc)[(4u * f + o) * PIXELS + v] = mul_add((*acc)[(4u * f + o) * PIXELS + v], along, (*value)[v]);
            }
        }
    }
}
