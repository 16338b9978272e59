// What the last layer of a classifier reads: f(b1[o] + sum_{p,c} x1[n,p,c] * w1[o,c,p]), a row of it by the workgroup of that row.

@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, channels]
@group(0) @binding(13) var<storage, read> x1: array<f32>; // [rows, pixels1, channels1]
@group(0) @binding(14) var<storage, read> w1: array<f32>; // [channels, channels1, pixels1]
@group(0) @binding(15) var<storage, read> b1: array<f32>; // [channels], or anything

// `share1` lanes sum the products of one of its channels, as many at once as that leaves.
fn prepare(row: u32, lane: u32) {
    let inputs = params.pixels1 * params.channels1;
    let member = lane % params.share1;
    for (var first = 0u; first < params.channels; first += LANES / params.share1) {
        let o = first + lane / params.share1;
        var sum = 0.0;
        if o < params.channels {
            // Four channels at a time, so that as many loads are under way.
            for (var first_c = member; first_c < params.channels1; first_c += 4u * params.share1) {
                for (var p = 0u; p < params.pixels1; p++) {
                    //#unroll
                    for (var e = 0u; e < 4u; e++) {
                        let c = min(first_c + e * params.share1, params.channels1 - 1u);
                        let term = x1[row * inputs + p * params.channels1 + c] * w1[o * inputs + c * params.pixels1 + p];
                        sum += select(0.0, term, first_c + e * params.share1 < params.channels1);
                    }
                }
            }
        }
        parts[lane] = sum;
        workgroupBarrier();
        if (member == 0u) & (o < params.channels) {
            for (var s = 1u; s < params.share1; s++) {
                sum += parts[lane + s];
            }
            if params.bias1 == 1u {
                sum += b1[o];
            }
            x[row * params.channels + o] = activate(sum, params.slope);
        }
        workgroupBarrier();
    }
    // Every lane reads what all have stored.
    storageBarrier();
}
