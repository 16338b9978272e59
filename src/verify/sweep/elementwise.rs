//! Sums, products, copies, places and permutations.

use super::{hard, mark, specials};
use crate::gpu::Caps;
use crate::ops::{Activation, Add, AddActivation, Concat, Copy, Flatten, FlattenGrad, Mul, Slice};
use crate::verify::case::{Case, Depth, integers, noise};

const QUICK: [&[usize]; 2] = [&[2, 3, 5, 31], &[65, 33]];
const SHAPES: [&[usize]; 6] = [&[1], &[63], &[64], &[1, 7, 7, 64], &[3, 41], &[65_535 * 64 + 77]];

fn pairs(name: &str, shape: &[usize]) -> [Case; 3] {
    let (a, b) = (noise(1, shape), noise(2, shape));
    [Case::new(name, Add, [a.clone(), b.clone()]), Case::new(name, Mul, [a.clone(), b]), Case::new(name, Copy, [a])]
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for (shapes, depth) in [(&QUICK[..], Depth::Quick), (&SHAPES[..], Depth::Standard)] {
        for &shape in shapes {
            let name = shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            cases.extend(pairs(&name, shape).map(|case| case.at(depth)));
        }
    }
    let relu = AddActivation { op: Add, activation: Activation::Relu };
    cases.push(Case::new("relu", relu, [noise(1, [2, 3, 5, 31]), noise(2, [2, 3, 5, 31])]).at(Depth::Quick));
    cases.extend(pairs("folded", &[9, 77]).map(Case::squeezed));
    cases.push(Case::new("integers_that_are_no_floats", Copy, [integers(3, [100], u32::MAX)]));
    for (name, a, special) in hard(&[4, 33], 4) {
        // An infinity and its opposite, or a zero, give a NaN: in the reference too.
        cases.push(mark(Case::new(name, Add, [a.clone(), noise(5, [4, 33])]), special));
        let relu = AddActivation { op: Add, activation: Activation::Relu };
        cases.push(mark(Case::new(name, relu, [a.clone(), noise(5, [4, 33])]), special));
        cases.push(mark(Case::new(name, Mul, [a.clone(), noise(5, [4, 33])]), special));
        cases.push(mark(Case::new(name, Copy, [a]), special));
    }
    for axis in 0..4 {
        let part = |seed: u32, len: usize| {
            let mut shape = vec![2, 3, 5, 7];
            shape[axis] = len;
            noise(seed, shape)
        };
        let depth = if axis == 3 { Depth::Quick } else { Depth::Standard };
        let op = Concat { axis };
        let parts = [part(1, 3), part(2, 1), part(3, 32)];
        cases.push(Case::new(format!("axis_{axis}"), op, parts.clone()).at(depth));
        cases.push(Case::new(format!("axis_{axis}"), op, parts).squeezed());
        let op = Slice { axis, start: 3, len: 1 };
        cases.push(Case::new(format!("axis_{axis}"), op, [part(4, 33)]).at(depth));
        cases.push(
            Case::new(format!("axis_{axis}_middle"), Slice { axis, start: 2, len: 29 }, [part(5, 33)]).squeezed(),
        );
        cases.push(Case::new(format!("axis_{axis}_from_the_start"), Slice { axis, start: 0, len: 31 }, [part(5, 33)]));
    }
    cases.push(Case::new("one_operand", Concat { axis: 0 }, [noise(1, [5])]));
    for (number, image) in
        [[5, 7, 3], [1, 1, 1], [1, 1, 65], [4, 4, 32], [6, 1, 33], [2, 41, 5]].into_iter().enumerate()
    {
        let ([h, w, c], depth) = (image, if number == 0 { Depth::Quick } else { Depth::Standard });
        let name = format!("{h}x{w}x{c}");
        cases.push(Case::new(&name, Flatten, [noise(1, [3, h, w, c])]).at(depth));
        cases.push(Case::new(&name, FlattenGrad { image }, [noise(2, [3, h * w * c])]).at(depth));
    }
    for (name, x) in specials(&[2, 3, 5, 7], 6) {
        let op = Slice { axis: 1, start: 1, len: 2 };
        cases.push(Case::new(name, Concat { axis: 1 }, [x.clone(), noise(7, [2, 2, 5, 7])]).special());
        cases.push(Case::new(name, op, [x.clone()]).special());
        cases.push(Case::new(name, Flatten, [x]).special());
    }
    for (name, dy) in specials(&[2, 105], 6) {
        cases.push(Case::new(name, FlattenGrad { image: [3, 5, 7] }, [dy]).special());
    }
    cases.push(Case::new("folded", Flatten, [noise(1, [3, 5, 6, 7])]).squeezed());
    cases.push(Case::new("folded", FlattenGrad { image: [5, 6, 7] }, [noise(2, [3, 210])]).squeezed());
    cases
}
