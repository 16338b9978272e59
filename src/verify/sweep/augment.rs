//! Augmentation: what is drawn, how pixels are sampled, where images end and squares lie, and mixtures of images.

use super::{hard, mark};
use crate::gpu::Caps;
use crate::ops::{Augment, AugmentDraw, Mixup};
use crate::verify::case::{Case, Depth, Operand, control, floats, integers, outputs_of, values};

const NOTHING: AugmentDraw = AugmentDraw {
    batch: 4,
    image: [7, 5],
    seed: 3,
    first: 0,
    flip: false,
    crop: 0,
    scale: 0.0,
    contrast: 0.0,
    brightness: 0.0,
};
const EVERYTHING: AugmentDraw =
    AugmentDraw { flip: true, crop: 2, scale: 0.3, contrast: 0.5, brightness: 0.4, ..NOTHING };
const MOVES: AugmentDraw = AugmentDraw { flip: true, crop: 2, ..NOTHING };

/// Everything that an image of one row can bear.
const UNMOVED: AugmentDraw = AugmentDraw { crop: 0, ..EVERYTHING };

/// Cosines and sines of angles of either sign, one of them large.
const TURNS: [f32; 10] = [1.0, 0.0, 0.96, 0.28, 0.8, -0.6, -0.6, 0.8, 0.28, -0.96];

fn turned() -> Operand {
    values([5, 2], &TURNS)
}

fn straight() -> Operand {
    values([1, 2], &TURNS[..2])
}

/// The table that is drawn in a step.
fn drawn(op: AugmentDraw, turns: Operand, step: u32) -> Operand {
    outputs_of(op, &[control(step, 0), turns]).swap_remove(0)
}

fn draws() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, op: AugmentDraw, turns: Operand, step: u32, depth: Depth| {
        cases.push(Case::new(name, op, [control(step, 1), turns]).at(depth));
    };
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    add("everything", AugmentDraw { batch: 20, ..EVERYTHING }, turned(), 7, quick);
    add("nothing", NOTHING, straight(), 0, standard);
    for batch in [1, 63, 64, 65] {
        add(&format!("{batch}_images"), AugmentDraw { batch, seed: 0, ..EVERYTHING }, turned(), 1, standard);
    }
    add("flips", AugmentDraw { batch: 30, flip: true, ..NOTHING }, straight(), 2, standard);
    add("moves", AugmentDraw { batch: 30, image: [40, 33], crop: 32, ..NOTHING }, straight(), 3, standard);
    add("colours", AugmentDraw { batch: 30, contrast: 1.0, brightness: 1.0, ..NOTHING }, straight(), 4, standard);
    add("a_late_step", AugmentDraw { seed: u32::MAX, image: [1, 900], ..NOTHING }, turned(), 0xffff_0000, standard);
    add("a_later_part", AugmentDraw { first: 1000, ..EVERYTHING }, turned(), 2, standard);
    cases.push(Case::new("folded", AugmentDraw { batch: 390, ..EVERYTHING }, [control(5, 0), turned()]).squeezed());
    cases
}

/// Images of numbers below 0 and above 1, since contrast and brightness make such.
fn images(seed: u32, shape: [usize; 4]) -> Operand {
    floats(seed, shape, -0.5, 1.5)
}

fn views() -> Vec<Case> {
    let mut cases = Vec::new();
    let plain = Augment { cutout: 0, fill: 0.0 };
    let mut add = |name: &str, op: Augment, shape: [usize; 4], draw: AugmentDraw, turns: Operand, depth: Depth| {
        let draw = AugmentDraw { batch: shape[0], image: [shape[1], shape[2]], ..draw };
        cases.push(Case::new(name, op, [images(1, shape), drawn(draw, turns, 2)]).at(depth));
    };
    let (quick, standard) = (Depth::Quick, Depth::Standard);
    let cut = |cutout| Augment { cutout, fill: 0.25 };
    add("everything", cut(3), [6, 9, 7, 3], EVERYTHING, turned(), quick);
    add("nothing", plain, [3, 8, 6, 1], NOTHING, straight(), standard);
    add("flips_and_moves", plain, [9, 6, 8, 2], MOVES, straight(), standard);
    add("flips_of_an_odd_width", Augment { cutout: 0, fill: 1.0 }, [8, 5, 7, 1], MOVES, straight(), standard);
    add("turns", Augment { cutout: 0, fill: 0.5 }, [9, 8, 9, 1], NOTHING, turned(), standard);
    add("quarter_turns", plain, [3, 6, 6, 3], NOTHING, values([2, 2], &[0.0, 1.0, 0.0, -1.0]), standard);
    let scaled = AugmentDraw { scale: 0.9, ..NOTHING };
    add("scales", Augment { cutout: 0, fill: 0.5 }, [9, 11, 8, 1], scaled, straight(), standard);
    let coloured = AugmentDraw { contrast: 1.0, brightness: 0.5, ..NOTHING };
    add("colours", plain, [9, 5, 6, 3], coloured, straight(), standard);
    for cutout in [1, 2, 3, 6] {
        add(&format!("a_square_of_{cutout}"), cut(cutout), [8, 6, 9, 2], NOTHING, straight(), standard);
    }
    add("one_pixel", cut(1), [2, 1, 1, 1], UNMOVED, turned(), standard);
    add("a_row", cut(2), [5, 1, 13, 1], UNMOVED, turned(), standard);
    add("a_workgroup_of_pixels", plain, [1, 8, 8, 4], EVERYTHING, turned(), standard);
    add("above_a_workgroup_of_pixels", plain, [1, 5, 13, 4], EVERYTHING, turned(), standard);
    let folded = AugmentDraw { batch: 5, image: [9, 9], ..EVERYTHING };
    cases.push(Case::new("folded", plain, [images(2, [5, 9, 9, 2]), drawn(folded, turned(), 1)]).squeezed());
    for (name, x, special) in hard(&[4, 7, 5, 2], 4) {
        cases.push(mark(Case::new(name, cut(2), [x, drawn(MOVES, straight(), 4)]), special));
    }
    cases
}

fn mixtures() -> Vec<Case> {
    let mut cases = Vec::new();
    let op = |seed| Mixup { seed, first: 0 };
    let operands = |x: Operand, step: u32, shares: &[f32]| {
        let n = x.spec.shape[0];
        [x, integers(2, [n], 1000), control(step, 1), values([shares.len()], shares)]
    };
    let shares = [0.1, 0.0, 0.5, 0.3, 0.025];
    let mut add = |name: &str, seed: u32, shape: [usize; 4], step: u32, depth: Depth| {
        cases.push(Case::new(name, op(seed), operands(images(1, shape), step, &shares)).at(depth));
    };
    add("colours", 7, [6, 5, 3, 3], 3, Depth::Quick);
    add("grey", 0, [9, 3, 7, 1], 70_000, Depth::Standard);
    add("one_image", 5, [1, 4, 4, 2], 1, Depth::Standard);
    add("two_images", 5, [2, 1, 1, 1], 2, Depth::Standard);
    add("a_workgroup", 5, [4, 4, 4, 1], 2, Depth::Standard);
    add("above_a_workgroup", 5, [65, 1, 1, 1], 2, Depth::Standard);
    let later = Mixup { first: 1000, ..op(7) };
    cases.push(Case::new("a_later_part", later, operands(images(1, [6, 5, 3, 3]), 3, &shares)));
    cases.push(Case::new("one_share", op(1), operands(images(3, [5, 2, 3, 1]), 4, &[0.2])));
    cases.push(Case::new("folded", op(9), operands(images(4, [25, 4, 4, 1]), 0, &shares)).squeezed());
    for (name, x, special) in hard(&[5, 3, 4, 2], 5) {
        cases.push(mark(Case::new(name, op(2), operands(x, 6, &shares)), special));
    }
    cases
}

pub(super) fn cases(_caps: &Caps) -> Vec<Case> {
    [draws(), views(), mixtures()].concat()
}
