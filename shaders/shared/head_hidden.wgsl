// What the last layer of a classifier reads: f(b1[o] + sum_{p,c} x1[n,p,c] * w1[o,c,p]), a row of it by the workgroup of that row.

@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, channels]
@group(0) @binding(13) var<storage, read> x1: array<f32>; // [rows, pixels1, channels1]
@group(0) @binding(14) var<storage, read> w1: array<f32>; // [channels, channels1, pixels1]
@group(0) @binding(15) var<storage, read> b1: array<f32>; // [channels], or anything

fn prepare(row: u32, lane: u32) {
    let inputs = params.pixels1 * params.channels1;
    for (var o = lane; o < params.channels; o += WORKGROUP) {
        var sum = 0.0;
        for (var c = 0u; c < params.channels1; c++) {
            for (var p = 0u; p < params.pixels1; p++) {
                sum += x1[row * inputs + p * params.channels1 + c] * w1[o * inputs + c * params.pixels1 + p];
            }
        }
        if params.bias1 == 1u {
            sum += b1[o];
        }
        x[row * params.channels + o] = activate(sum, params.slope);
    }
    // Every lane reads what all have stored.
    storageBarrier();
}
