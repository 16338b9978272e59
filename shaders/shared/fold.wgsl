// Sums over the invocations of a workgroup. The importing file declares WORKGROUP, how many they are, a power of two.

var<workgroup> lanes: array<vec2<f32>, WORKGROUP>;

// The sum of what all invocations of a workgroup have, in pairs.
fn fold(lane: u32, mine: vec2<f32>) -> vec2<f32> {
    lanes[lane] = mine;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half >>= 1u) {
        if lane < half {
            lanes[lane] += lanes[lane + half];
        }
        workgroupBarrier();
    }
    let sum = lanes[0];
    // Before anybody has the next sum.
    workgroupBarrier();
    return sum;
}
