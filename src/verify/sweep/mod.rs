//! The sweep: every operator in every direction at every edge that a variant declares, and the values at which kernels
//! break. One generator for the command, for the tests, for other stacks and for the verdict before a variant is used.
//!
//! A room for each room of operators; what the rooms share is here.

mod activation;
mod alive;
mod augment;
mod batch;
mod batch_norm2d;
mod batch_norm2d_apply;
mod control;
mod conv2d;
mod conv2d_bias;
mod conv2d_grad;
mod conv2d_max_pool2d;
mod conv2d_planned;
mod conv2d_tiled;
mod conv2d_winograd;
mod dropout;
mod elementwise;
mod group_norm;
mod linear;
mod loss;
mod optimizer;
mod pool2d;
mod reduce;
mod softmax;
mod statistics;

use super::case::{Case, Depth, Operand, noise, spread, values};
use crate::gpu::Caps;
use crate::kernels::{Edges, known};
use crate::ops::Op;

type Room = fn(&Caps) -> Vec<Case>;

/// Every room of operators with its cases.
const ROOMS: [(&str, Room); 17] = [
    ("conv2d", conv2d::cases),
    ("linear", linear::cases),
    ("pool2d", pool2d::cases),
    ("activation", activation::cases),
    ("softmax", softmax::cases),
    ("batch_norm2d", batch_norm2d::cases),
    ("group_norm", group_norm::cases),
    ("dropout", dropout::cases),
    ("elementwise", elementwise::cases),
    ("reduce", reduce::cases),
    ("loss", loss::cases),
    ("optimizer", optimizer::cases),
    ("batch", batch::cases),
    ("augment", augment::cases),
    ("control", control::cases),
    ("statistics", statistics::cases),
    ("alive", alive::cases),
];

/// The rooms of the sweep, by the names of the operators' files.
pub fn rooms() -> impl Iterator<Item = &'static str> {
    ROOMS.iter().map(|(name, _)| *name)
}

/// The cases of one room, or none where there is no such room.
pub fn room(name: &str, depth: Depth, caps: &Caps) -> Vec<Case> {
    let found = ROOMS.iter().filter(|(room, _)| *room == name);
    found.flat_map(|(_, cases)| cases(caps)).filter(|case| case.depth <= depth).collect()
}

/// Every case up to a depth. `caps` is the device: the edges of some variants depend on it.
pub fn cases(depth: Depth, caps: &Caps) -> Vec<Case> {
    rooms().flat_map(|name| room(name, depth, caps)).collect()
}

/// The sizes round edges: 1, and one below, at and one above each.
fn around(edges: &[usize]) -> Vec<usize> {
    let mut sizes = vec![1];
    // On a device of one lane an edge below a subgroup's is 0.
    for &edge in edges.iter().filter(|edge| **edge > 0) {
        sizes.extend([edge - 1, edge, edge + 1]);
    }
    sizes.retain(|&size| size > 0);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// `[rows, columns, depth]` round the edges of a variant: each size at least once in the standard sweep, all against all in
/// the full one.
fn combinations(edges: &Edges) -> Vec<([usize; 3], Depth)> {
    let [rows, columns, depth] = [&edges.rows, &edges.columns, &edges.depth].map(|edges| around(edges));
    let most = rows.len().max(columns.len()).max(depth.len());
    let at = |sizes: &[usize], i: usize| sizes[i % sizes.len()];
    // Rotated against each other, so that no size is met in the company of the same others alone.
    let mut found: Vec<_> = (0..2 * most)
        .map(|i| ([at(&rows, i), at(&columns, i + 1 + i / most), at(&depth, i + 2 * (i / most))], Depth::Standard))
        .collect();
    for &row in &rows {
        for &column in &columns {
            for &depth in &depth {
                if !found.iter().any(|(sizes, _)| *sizes == [row, column, depth]) {
                    found.push(([row, column, depth], Depth::Full));
                }
            }
        }
    }
    found.sort_by_key(|(_, depth)| *depth);
    found.dedup();
    found
}

/// The sizes round the edges of every variant of an operator on this device, with the variant's name.
fn edges(op: impl Into<Op>, caps: &Caps) -> Vec<(&'static str, [usize; 3], Depth)> {
    let op = op.into();
    let of = |variant: &crate::kernels::Variant| {
        let name = variant.name;
        combinations(&(variant.edges)(&op, caps)).into_iter().map(move |(sizes, depth)| (name, sizes, depth))
    };
    known(&op).iter().flat_map(of).collect()
}

/// An image as square as `pixels` allow: [n, h, w], batch and height taken from the divisors.
fn image_of(pixels: usize) -> [usize; 3] {
    let divisor = |of: usize| (1..=of.isqrt()).rev().find(|d| of.is_multiple_of(*d)).unwrap_or(1);
    let h = divisor(pixels);
    let n = if pixels > 32 { divisor(h) } else { 1 };
    [n, h / n, pixels / h]
}

/// Operands of the same shape with other values: what rounding, overflow, signs and zeros do. NaN and infinities last.
fn hard(shape: &[usize], seed: u32) -> Vec<(&'static str, Operand, bool)> {
    let plain = || noise(seed, shape);
    vec![
        ("spread", spread(seed, shape, 1e-6, 1e2), false),
        ("large", spread(seed, shape, 1e14, 1e15), false),
        ("tiny", spread(seed, shape, 1e-10, 1e-9), false),
        ("zeros", values(shape, &[0.0, -0.0]), false),
        ("one_sided", plain().moved(3.0), false),
        ("nan", plain().strewn(13, 2, f32::NAN), true),
        ("infinite", plain().strewn(17, 1, f32::INFINITY), true),
        ("minus_infinite", plain().strewn(17, 3, f32::NEG_INFINITY), true),
    ]
}

/// Of [`hard`] operands NaN, and infinities of both signs.
fn specials(shape: &[usize], seed: u32) -> Vec<(&'static str, Operand)> {
    let special = hard(shape, seed).into_iter().filter(|(.., special)| *special);
    special.map(|(name, operand, _)| (name, operand)).collect()
}

/// Two floats that drift when they are added up: 1,024 of the first, 2,048 of the second in one accumulator are 1.5e-5 and more
/// off, all in one direction, while blocks of 256 are right. Random terms hide this: their rounding errors cancel.
const DRIFTING: [f32; 2] = [1.922_546_4, 1.787_475_2];

/// A case with a name made of several words.
fn named(words: &[&str], op: impl Into<Op>, operands: impl Into<Vec<Operand>>) -> Case {
    Case::new(words.join("_"), op, operands)
}

/// Marks a case special if `special`.
fn mark(case: Case, special: bool) -> Case {
    if special { case.special() } else { case }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Operator;
    use crate::tensor::DType;
    use std::collections::HashSet;

    #[test]
    fn no_two_cases_of_an_operator_and_variant_have_the_same_name() {
        for caps in [Caps::DEFAULT, Caps { cpu: true, subgroups: true, subgroup: Some(8), ..Caps::DEFAULT }] {
            let mut seen = HashSet::new();
            for case in cases(Depth::Full, &caps) {
                let key = (case.op.name(), case.variant, case.name.clone());
                assert!(seen.insert(key.clone()), "{key:?} occurs twice");
                assert!(case.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", case.name);
            }
        }
    }

    #[test]
    fn every_case_is_accepted_by_its_operator() {
        for case in cases(Depth::Full, &Caps::DEFAULT) {
            let specs: Vec<_> = case.operands.iter().map(|operand| operand.spec.clone()).collect();
            case.op.infer(&specs).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }

    /// Operators without a case of NaN and infinity, and why.
    const NO_SPECIALS: [(&str, &str); 6] = [
        ("gather_batch", "takes bytes and integers"),
        ("augment_draw", "takes integers, and a table that the host makes of finite numbers"),
        ("advance", "takes integers"),
        ("guard", "is asked about NaN and infinity in ordinary cases: its answer is a flag, whatever an adapter keeps"),
        ("record_step", "records nothing once the guard has seen what is not finite"),
        ("record_evaluation", "copies losses; which logit is the largest beside a NaN is nobody's question"),
    ];

    #[test]
    fn every_operator_is_asked_about_nan_and_infinities() {
        let mut met: std::collections::BTreeMap<&str, [bool; 2]> = std::collections::BTreeMap::new();
        for case in cases(Depth::Standard, &Caps::DEFAULT) {
            let [nan, infinite] = met.entry(case.op.name()).or_default();
            if !case.special || (*nan && *infinite) {
                continue;
            }
            for operand in case.inputs(0).unwrap().iter().filter(|operand| operand.spec().dtype == DType::F32) {
                *nan |= operand.floats().iter().any(|x| x.is_nan());
                *infinite |= operand.floats().iter().any(|x| x.is_infinite());
            }
        }
        for (name, _) in NO_SPECIALS {
            assert!(met.remove(name).is_some_and(|met| met != [true; 2]), "{name} needs no exception");
        }
        met.retain(|_, met| *met != [true; 2]);
        assert!(met.is_empty(), "[NaN, infinity] are not among the operands of {met:?}");
    }

    #[test]
    fn every_size_round_an_edge_is_met_in_the_standard_sweep() {
        let edges = Edges { rows: vec![32], columns: vec![16], depth: vec![4, 256] };
        let standard: Vec<_> =
            combinations(&edges).into_iter().filter(|(_, depth)| *depth == Depth::Standard).collect();
        for (axis, sizes) in [around(&edges.rows), around(&edges.columns), around(&edges.depth)].iter().enumerate() {
            for size in sizes {
                assert!(standard.iter().any(|(met, _)| met[axis] == *size), "{size} on axis {axis}");
            }
        }
    }
}
