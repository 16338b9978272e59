// As shared/fold.wgsl, with subgroups of whatever sizes: each adds up what its invocations have, and all add up these sums.

// An invocation's place in its workgroup, as an entry point is told it.
struct Place {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) in_subgroup: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
}

// A subgroup may be of one invocation.
var<workgroup> subgroup_sums: array<vec2<f32>, WORKGROUP>;

// The sum of what all invocations of a workgroup have, in pairs. All of them come here.
fn fold(place: Place, mine: vec2<f32>) -> vec2<f32> {
    // Lanes that left a loop sooner than others may still be by themselves.
    workgroupBarrier();
    let of_subgroup = subgroupAdd(mine);
    if place.in_subgroup == 0u {
        subgroup_sums[place.subgroup] = of_subgroup;
    }
    workgroupBarrier();
    var sum = subgroup_sums[0];
    for (var s = 1u; s < place.subgroups; s++) {
        sum += subgroup_sums[s];
    }
    // Before anybody has the next sum.
    workgroupBarrier();
    return sum;
}
