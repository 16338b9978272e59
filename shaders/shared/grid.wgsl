// Linear indices in dispatches whose workgroups were folded into two dimensions (at most 65,535 fit into one).

// Index of the workgroup `group` of `groups`.
fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// Of the elements of an invocation that takes `each`, number e: neighbours take neighbours, so that all of them read side by side.
fn spread_index(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32, each: u32, e: u32) -> u32 {
    return (linear_group(group, groups) * each + e) * size + lane;
}

// Index of invocation `lane` of a workgroup of `size` invocations. May overshoot the work: guard it.
fn linear_index(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32) -> u32 {
    return linear_group(group, groups) * size + lane;
}
