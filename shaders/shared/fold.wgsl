// Sums over the invocations of a workgroup, for devices without subgroups; shared/fold_subgroups.wgsl stands in elsewhere. The importing
// file declares WORKGROUP, how many they are, a power of two.

// An invocation's place in its workgroup, as an entry point is told it.
struct Place {
    @builtin(local_invocation_index) lane: u32,
}

var<workgroup> lanes: array<vec2<f32>, WORKGROUP>;

// The sum of what all invocations of a workgroup have, in pairs. All of them come here.
fn fold(place: Place, mine: vec2<f32>) -> vec2<f32> {
    lanes[place.lane] = mine;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half >>= 1u) {
        if place.lane < half {
            lanes[place.lane] += lanes[place.lane + half];
        }
        workgroupBarrier();
    }
    let sum = lanes[0];
    // Before anybody has the next sum.
    workgroupBarrier();
    return sum;
}
