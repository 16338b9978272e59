// How conv2d_broadcast.wgsl multiplies with weights that come a chunk of source channels at a time: a lane of a subgroup loads those
// of one output channel.

// Where load `lane`, counted over all loads of a subgroup, begins: at an output channel that exists.
fn first_weight(first: u32, lane: u32) -> u32 {
    return min(first + lane, params.c_dst - 1u) * params.w_o;
}

// acc[o, v] += the sum over the channels e of a chunk of w[e, o] * value[v][e], in order
fn multiply(acc: ptr<function, array<f32, CHANNELS * PIXELS>>, weight: ptr<function, array<Chunk, LOADS>>, value: ptr<function, array<Chunk, PIXELS>>) {
    //#unroll
    for (var o = 0u; o < CHANNELS; o++) {
        let a = subgroupBroadcast((*weight)[o / SUBGROUP], o % SUBGROUP);
        //#unroll
        for (var v = 0u; v < PIXELS; v++) {
            (*acc)[o * PIXELS + v] = mul_add((*acc)[o * PIXELS + v], a, (*value)[v]);
        }
    }
}
