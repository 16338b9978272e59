// Which logit is the largest. The importing file declares `logits: array<f32>` [rows, k] and `params.k`.

// The class of the largest logit of a row, the first of equals.
fn largest(row: u32) -> u32 {
    var best = logits[row * params.k];
    var place = 0u;
    for (var j = 1u; j < params.k; j++) {
        let z = logits[row * params.k + j];
        if z > best {
            best = z;
            place = j;
        }
    }
    return place;
}
