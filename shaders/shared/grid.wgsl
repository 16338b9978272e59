// Linear indices in dispatches whose workgroups were folded into two dimensions (at most 65,535 fit into one).

// Index of the workgroup `group` of `groups`.
fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// Index of invocation `lane` of a workgroup of `size` invocations. May overshoot the work: guard it.
fn linear_index(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32) -> u32 {
    return linear_group(group, groups) * size + lane;
}

// Elements of an invocation in kernels that read and write each element once, so that as many loads are under way.
const EACH: u32 = 4u;

// Number e of these: neighbours take neighbours, so that all of them read side by side. May overshoot likewise.
fn spread_index(group: vec3<u32>, groups: vec3<u32>, lane: u32, size: u32, e: u32) -> u32 {
    return (linear_group(group, groups) * EACH + e) * size + lane;
}
