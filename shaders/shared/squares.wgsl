// The first stage of a norm. The importing file imports shared/elements1.wgsl, or what is linked in its place, and declares `BLOCK`,
// `params.len` and `params.splits`.

#import gradient_whole

// The sum of g^2 over the elements split, split + splits, split + 2 splits ... of the range, and how many of them are not finite.
fn squares(split: u32) -> vec2<f32> {
    var total = Elements(0.0);
    var broken = Elements(0.0);
    for (var start = split; start < params.len; start += BLOCK * params.splits) {
        var sum = Elements(0.0);
        let stop = min(start + BLOCK * params.splits, params.len);
        for (var i = start; i < stop; i += params.splits) {
            let g = gradient(i);
            sum += g * g;
            broken += select(Elements(1.0), Elements(0.0), finite(g));
        }
        total += sum;
    }
    return vec2<f32>(sum_of(total), sum_of(broken));
}
