// The second stage of a split reduction. The importing file declares `part: array<Term>` [splits, len].

// What is summed: one element, or the host makes it four neighbours.
alias Term = f32;

// Terms that one accumulator may take over batch and space.
const BLOCK: u32 = 256u;

// sum_s part[s, index], in order, in blocks of BLOCK.
fn split_sum(index: u32, len: u32, splits: u32) -> Term {
    var total = Term(0.0);
    for (var start = 0u; start < splits; start += BLOCK) {
        let stop = min(start + BLOCK, splits);
        var sum = Term(0.0);
        for (var s = start; s < stop; s++) {
            sum += part[s * len + index];
        }
        total += sum;
    }
    return total;
}
