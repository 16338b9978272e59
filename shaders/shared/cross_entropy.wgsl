// The loss of a row of logits and its gradient; see loss.wgsl for the formulas. The importing file has finite.wgsl, exponential.wgsl,
// BLOCK, the uniforms k, rows, smoothing, rest and even, the buffers labels, dloss and dlogits, and says what `logit(row, j)` is, the
// logit of class j in a row, and what the other label of a row and its share are.

// A loss times its share; nothing of no share, though the loss may be infinite.
fn weighted(share: f32, loss: f32) -> f32 {
    return select(0.0, share * loss, share > 0.0);
}

// A row's normaliser: m (a NaN for an infinity), its place, and sum_{j != place} e^(z_j - m).
struct Normaliser {
    m: f32,
    place: u32,
    others: f32,
}

fn normaliser(row: u32) -> Normaliser {
    var m = logit(row, 0u);
    var place = 0u;
    for (var j = 1u; j < params.k; j++) {
        let z = logit(row, j);
        if z > m || is_nan(z) {
            m = z;
            place = j;
        }
    }
    m = finite_or_nan(m);
    var others = 0.0;
    for (var start = 0u; start < params.k; start += BLOCK) {
        var sum = 0.0;
        let stop = min(start + BLOCK, params.k);
        for (var j = start; j < stop; j++) {
            sum += select(exp(logit(row, j) - m), 0.0, j == place);
        }
        others += sum;
    }
    return Normaliser(m, place, others);
}

// The loss of a row.
fn loss_of(row: u32, norm: Normaliser) -> f32 {
    let log_sum = log1p(norm.others);
    let share = other_share(row);
    var of_labels = weighted(1.0 - share, log_sum + (norm.m - logit(row, labels[row])));
    of_labels += weighted(share, log_sum + (norm.m - logit(row, other_label(row))));
    var value = params.rest * of_labels;
    if params.smoothing > 0.0 {
        var total = 0.0;
        for (var start = 0u; start < params.k; start += BLOCK) {
            var sum = 0.0;
            let stop = min(start + BLOCK, params.k);
            for (var j = start; j < stop; j++) {
                sum += log_sum + (norm.m - logit(row, j));
            }
            total += sum;
        }
        value += params.even * total;
    }
    return value;
}

// Stores the gradient of a row for the classes from, from + step, ...
fn store_gradient(row: u32, norm: Normaliser, from_class: u32, step: u32) {
    let sum = 1.0 + norm.others;
    let factor = dloss[0] / f32(params.rows);
    let other = other_share(row);
    for (var j = from_class; j < params.k; j += step) {
        let p = exp(logit(row, j) - norm.m) / sum;
        let hit = j == labels[row];
        let second = j == other_label(row);
        var share = select(select(0.0, other, second), select(1.0 - other, 1.0, second), hit);
        var slope = p - params.rest * share - params.even;
        if share > 0.0 && j == norm.place {
            // p - 1 = -others / sum, without the difference of two almost equal numbers.
            slope = (1.0 - share) * params.rest + (params.smoothing - params.even) - norm.others / sum;
        }
        dlogits[row * params.k + j] = select(factor * slope, norm.m, is_nan(norm.m));
    }
}
