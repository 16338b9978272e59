use wgrad::ops::{Linear, LinearGradInput, LinearGradWeight};

use crate::runner::{case, check, noise};

/// Rows, inputs, outputs.
const SIZES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [1, 5, 3],
    [64, 10, 31],
    [33, 65, 10],
    [3, 32, 64],
    [31, 33, 1],
    [65, 64, 65],
    [7, 1600, 32],
    [1000, 3, 5],
];

#[test]
fn forward_and_both_gradients() {
    let mut cases = Vec::new();
    for [n, inputs, outputs] in SIZES {
        let name = format!("{n}×{inputs} → {outputs}");
        let (x, w, b, dy) =
            (noise(1, [n, inputs]), noise(2, [outputs, inputs]), noise(3, [outputs]), noise(4, [n, outputs]));
        cases.push(case(&name, Linear, vec![x.clone(), w.clone()]));
        cases.push(case(format!("{name}, bias"), Linear, vec![x.clone(), w.clone(), b]));
        cases.push(case(&name, LinearGradInput, vec![dy.clone(), w]));
        cases.push(case(&name, LinearGradWeight, vec![x, dy]));
    }
    check(cases);
}
