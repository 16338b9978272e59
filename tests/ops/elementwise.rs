use wgrad::ops::{Add, Concat, Copy, Flatten, FlattenGrad, Mul, Slice};

use crate::runner::{Case, case, check, integers, noise};

const SHAPES: [&[usize]; 5] = [&[1], &[2, 3, 5, 31], &[1, 7, 7, 64], &[65, 33], &[4_200_000]];

#[test]
fn sums_products_and_copies() {
    let cases = |&shape: &&[usize]| -> [Case; 3] {
        let (a, b) = (noise(1, shape), noise(2, shape));
        let name = format!("{shape:?}");
        [case(&name, Add, vec![a.clone(), b.clone()]), case(&name, Mul, vec![a.clone(), b]), case(&name, Copy, vec![a])]
    };
    let mut cases: Vec<Case> = SHAPES.iter().flat_map(cases).collect();
    cases.push(case("integers that are no floats", Copy, vec![integers(3, [100], u32::MAX)]));
    cases.push(case("a value and itself", Mul, vec![noise(1, [65]), noise(1, [65])]));
    check(cases);
}

#[test]
fn concat_and_slice_along_every_axis() {
    let mut cases = Vec::new();
    for axis in 0..4 {
        let part = |seed: u32, len: usize| {
            let mut shape = vec![2, 3, 5, 7];
            shape[axis] = len;
            noise(seed, shape)
        };
        let parts = vec![part(1, 3), part(2, 1), part(3, 32)];
        cases.push(case(format!("axis {axis}"), Concat { axis }, parts));
        cases.push(case(format!("axis {axis}"), Slice { axis, start: 3, len: 1 }, vec![part(4, 33)]));
        cases.push(case(format!("axis {axis} from the start"), Slice { axis, start: 0, len: 31 }, vec![part(5, 33)]));
    }
    cases.push(case("one operand", Concat { axis: 0 }, vec![noise(1, [5])]));
    check(cases);
}

#[test]
fn flatten_runs_over_channels_first() {
    let mut cases = Vec::new();
    for image in [[1, 1, 1], [5, 7, 3], [1, 1, 65], [4, 4, 32], [6, 1, 33]] {
        let [h, w, c] = image;
        cases.push(case(format!("{image:?}"), Flatten, vec![noise(1, [3, h, w, c])]));
        cases.push(case(format!("{image:?}"), FlattenGrad { image }, vec![noise(2, [3, h * w * c])]));
    }
    check(cases);
}
