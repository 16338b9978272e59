use wgrad::ops::Dropout;

use crate::runner::{case, check, control, noise};

#[test]
fn elements_are_dropped_by_seed_step_and_index() {
    let cases = [(0.0, 1, 0), (0.5, 7, 3), (0.1, 0xffff_ffff, 70_000), (0.999, 3, 1)];
    let cases = cases.map(|(rate, seed, step)| {
        case(format!("rate {rate}"), Dropout { rate, seed }, vec![noise(1, [3, 7, 5, 33]), control(step, 0)])
    });
    check(cases.into());
}
