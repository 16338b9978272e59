// A flat gradient parts of which lie in partial sums, element by element: the gradients of weights over some images each. Whoever asks
// for an element writes its sum to its place. The importing file declares `params.first`, the element with which the range begins, and
// `BLOCK`.

@group(0) @binding(1) var<storage, read_write> grad: array<f32>; // [len]
@group(0) @binding(14) var<storage, read> sums: array<f32>;
// For each 64 elements: where the first of their partial sums lies, how far the next one is from it, how many there are, and how many
// of the elements have them.
@group(0) @binding(15) var<storage, read> places: array<vec4<u32>>;

// Terms of a turn.
const TOGETHER: u32 = 16u;

fn gradient(i: u32) -> f32 {
    let at = params.first + i;
    let place = places[at / 64u];
    let within = at % 64u;
    if within >= place.w {
        return grad[i];
    }
    var total = 0.0;
    for (var start = 0u; start < place.z; start += BLOCK) {
        let stop = min(start + BLOCK, place.z);
        var sum = 0.0;
        // As many loads under way as there are terms in a turn.
        for (var s = start; s < stop; s += TOGETHER) {
            //#unroll
            for (var t = 0u; t < TOGETHER; t++) {
                let term = sums[place.x + min(s + t, stop - 1u) * place.y + within];
                sum += select(0.0, term, s + t < stop);
            }
        }
        total += sum;
    }
    grad[i] = total;
    return total;
}
