use wgrad::ops::SumRows;

use crate::runner::{case, check, floats, noise};

#[test]
fn sums_over_rows_in_one_and_in_two_stages() {
    let shapes: [&[usize]; 10] = [
        &[1, 1],
        &[1],
        &[5, 3],
        &[2, 7, 9, 5],
        &[256, 64],
        &[257, 31],
        &[3, 17, 19, 33],
        &[1000, 65],
        &[70_000, 3],
        &[300_001, 1],
    ];
    let mut cases: Vec<_> =
        shapes.iter().map(|&shape| case(format!("{shape:?}"), SumRows, vec![noise(1, shape)])).collect();
    cases.push(case("far from zero", SumRows, vec![floats(2, [66_000, 5], 999.0, 1001.0)]));
    check(cases);
}
