//! What can be told of a tensor while a network trains: its norm, its largest and its mean magnitude, how many of its elements
//! are zero, subnormal, not finite or saturated, and how the magnitudes of a sixteenth of them are spread over the powers of two.
//!
//! ```text
//! statistics        part[r,l] = the record of the quads l, l + 64, … of row r of the table: of four elements each
//! merge_statistics  record[s] = the records of all lanes of the rows first .. first + rows of row s of the table, as one
//!                   seen[s,l] = what counts 5 is of the records of lane l of these rows, as one
//! ```
//!
//! A record is two floats and six counts; records of the parts of a tensor merge into the record of the whole.
//!
//! | counts | |
//! |---|---|
//! | 0 | the bits of the largest magnitude M among the normal elements; 0 where there is none |
//! | 1 | zeros of either sign |
//! | 2 | subnormals |
//! | 3 | NaN and infinities |
//! | 4 | finite elements outside of the bounds of [`Statistics::bounds`] |
//! | 5 | bit k: whether the k-th element of a quad was not zero, in any of the quads |
//!
//! | figures | |
//! |---|---|
//! | 0 | Σ (x/u)² over the normal elements |
//! | 1 | Σ \|x\|/u over the normal elements |
//!
//! The unit u is half the power of two that M lies above (`unit`): squares neither overflow nor underflow, whatever the scale
//! of the tensor is, and dividing by u rounds nothing. A subnormal counts as zero in the sums, since devices may flush it.
//!
//! Bin b of [`BINS`] counts magnitudes from 2^(2b − 112) up to 2^(2b − 110); the first takes all smaller ones too (but no zero),
//! the last all larger ones. Counted is one quad in [`SAMPLE`]: quad min(16·j + d, quads − 1) of each row of the table, where d is
//! the hexadecimal digit j mod 8 of pcg(j / 8), counted from the lowest: the same on every device.
//!
//! Units that lie side by side, as channels do, repeat every so many elements. Where that number divides [`REPEATS`] and rows begin
//! with the first unit, counts 5 of all lanes tells which units were not zero: see [`unit_seen`].

use std::ops::Range;

use super::random::pcg;
use super::{BlockSum, Operator, Real, expect_float, expect_operands, expect_spec, fill};
use crate::error::{Error, Result};
use crate::tensor::{DType, Spec, Tensor};

/// Lanes that share the elements of a row of the table.
pub const LANES: usize = 64;
/// Bins of the histogram of magnitudes.
pub const BINS: usize = LANES;
/// Elements that lie side by side and that a lane looks at together.
pub const QUAD: usize = 4;
/// Elements after which it is the first lane's turn again.
pub const REPEATS: usize = QUAD * LANES;
/// One quad in so many is counted in bins.
pub const SAMPLE: usize = 16;
/// Samples that one random number places.
pub const DRAWN: usize = 8;
/// Counts of a record.
pub const COUNTS: usize = 6;
/// Floats of a record.
pub const FIGURES: usize = 2;

/// `x [..]`, `table [r, 2]` (u32: first element and number of elements of each row), and perhaps `before`, as x → `figures
/// [r, 64, 2]`, `counts [r, 64, 6]` (u32), `bins [r, 64]` (u32; zeros without [`Statistics::histogram`]): the records of x, or
/// of x − before. Every row must lie inside of x and have an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Whether magnitudes are counted in bins.
    pub histogram: bool,
    /// Elements below the first or above the second count as saturated.
    pub bounds: [f32; 2],
    /// The most elements of a row of the table.
    pub longest: usize,
    /// Whether all rows of the table begin and end at multiples of four: a device may load a quad at once then.
    pub whole: bool,
}

impl Statistics {
    /// Bounds outside of which nothing finite lies.
    pub const UNBOUNDED: [f32; 2] = [f32::MIN, f32::MAX];
}

/// `figures [p, 64, 2]`, `counts [p, 64, 6]`, `bins [p, 64]`, `table [s, 2]` (u32: first row and number of rows of each
/// tensor) → `figures [s, 2]`, `counts [s, 6]`, `bins [s, 64]`, `seen [s, 64]`. Every row named must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MergeStatistics {
    /// The most rows of a tensor.
    pub most: usize,
}

/// How the elements of a tensor are cut into rows of a table: rows of 16,384 elements as long as there are no more than 64 of
/// them, longer ones beyond that, and so many that an invocation never loops more than 60,000 times.
pub fn pieces(elements: Range<usize>) -> Vec<Range<usize>> {
    const EACH: usize = 16_384;
    const MANY: usize = 64;
    const LONGEST: usize = 1 << 19;
    let rows = elements.len().div_ceil(EACH).clamp(1, MANY).max(elements.len().div_ceil(LONGEST));
    let each = elements.len().div_ceil(rows).next_multiple_of(REPEATS).max(1);
    elements.clone().step_by(each).map(|start| start..elements.end.min(start + each)).collect()
}

/// The exponent field of a float's bits, at least that of the smallest normal number.
fn exponent(bits: u32) -> i32 {
    ((bits >> 23) & 0xff).max(1) as i32
}

/// The unit of the sums of a record whose largest magnitude has these bits: 2^(exponent − 1).
pub fn unit(largest: u32) -> f64 {
    2f64.powi(exponent(largest) - 128)
}

/// The lower end of a bin of the histogram, as a power of two.
pub fn bin_exponent(bin: usize) -> i32 {
    2 * bin as i32 - 112
}

/// The bits of a magnitude as a device has them.
fn magnitude<T: Real>(x: T) -> u32 {
    (x.wide() as f32).abs().to_bits()
}

/// Which of [`SAMPLE`] elements is the sample of number j.
fn drawn(j: usize) -> usize {
    let digit = 4 * (j % DRAWN);
    (pcg((j / DRAWN) as u32) >> digit) as usize % SAMPLE
}

/// Whether a unit, of so many that lie side by side, was not zero in any row, by the `seen` of a tensor. Their number must divide
/// [`REPEATS`].
pub fn unit_seen(seen: &[u32], units: usize, unit: usize) -> bool {
    (unit..REPEATS).step_by(units).any(|place| seen[place / QUAD] >> (place % QUAD) & 1 == 1)
}

/// What a magnitude is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zero,
    Subnormal,
    Normal,
    NotFinite,
}

fn kind(bits: u32) -> Kind {
    match bits {
        0 => Kind::Zero,
        _ if bits < 0x0080_0000 => Kind::Subnormal,
        _ if bits < 0x7f80_0000 => Kind::Normal,
        _ => Kind::NotFinite,
    }
}

/// The bin of a magnitude; none of a zero and of what is not finite.
fn bin(bits: u32) -> Option<usize> {
    match kind(bits) {
        Kind::Zero | Kind::NotFinite => None,
        _ => Some(((exponent(bits).max(15) - 15) as usize / 2).min(BINS - 1)),
    }
}

/// Two floats and six counts; see the head of this file.
#[derive(Debug, Clone, Copy, Default)]
struct Record<T> {
    figures: [T; FIGURES],
    counts: [u32; COUNTS],
}

/// The record of some elements, each with its place in a quad.
fn record<T: Real>(elements: impl Iterator<Item = (usize, T)> + Clone, [low, high]: [f32; 2]) -> Record<T> {
    let mut counts = [0; COUNTS];
    let (low, high) = (T::of(low.into()), T::of(high.into()));
    for (place, x) in elements.clone() {
        let bits = magnitude(x);
        counts[5] |= u32::from(bits != 0) << place;
        match kind(bits) {
            Kind::Zero => counts[1] += 1,
            Kind::Subnormal => counts[2] += 1,
            Kind::Normal => counts[0] = bits.max(counts[0]),
            Kind::NotFinite => counts[3] += 1,
        }
        counts[4] += u32::from(kind(bits) != Kind::NotFinite && (x < low || x > high));
    }
    let unit = T::of(unit(counts[0]));
    let normal = elements.filter(|&(_, x)| kind(magnitude(x)) == Kind::Normal).map(|(_, x)| x.abs() / unit);
    let squares: BlockSum<T> = normal.clone().map(|x| x * x).collect();
    let sum: BlockSum<T> = normal.collect();
    Record { figures: [squares.value(), sum.value()], counts }
}

/// Several records as one.
fn merged<T: Real>(records: impl Iterator<Item = Record<T>> + Clone) -> Record<T> {
    let mut counts = [0; COUNTS];
    for record in records.clone() {
        counts[0] = record.counts[0].max(counts[0]);
        (1..5).for_each(|i| counts[i] += record.counts[i]);
        counts[5] |= record.counts[5];
    }
    let mut sums = [BlockSum::new(), BlockSum::new()];
    for Record { figures: [squares, sum], counts: own } in records {
        let ratio = T::of(unit(own[0]) / unit(counts[0]));
        sums[0].add(squares * ratio * ratio);
        sums[1].add(sum * ratio);
    }
    Record { figures: sums.map(|sum| sum.value()), counts }
}

/// Refuses what is no table; answers its rows.
fn expect_table(op: &str, spec: &Spec) -> Result<usize> {
    match spec.shape.as_slice() {
        &[rows, 2] if rows > 0 && spec.dtype == DType::U32 => Ok(rows),
        shape => {
            Err(Error::shape(op, format!("needs a table [rows, 2] of integers, got {:?} of {shape:?}", spec.dtype)))
        }
    }
}

/// The tensors of records.
fn tensors<T: Real>(records: &[Record<T>], shape: &[usize]) -> [Tensor<T>; 2] {
    let with = |last: usize| shape.iter().copied().chain([last]).collect::<Vec<_>>();
    let figures = records.iter().flat_map(|record| record.figures).collect();
    let counts = records.iter().flat_map(|record| record.counts).collect();
    [Tensor::float(with(FIGURES), figures), Tensor::u32(with(COUNTS), counts)]
}

impl Operator for Statistics {
    fn name(&self) -> &'static str {
        "statistics"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("statistics", inputs, 2..=3)?;
        expect_float("statistics", "the input", &inputs[0])?;
        let rows = expect_table("statistics", &inputs[1])?;
        if let Some(before) = inputs.get(2) {
            expect_spec("statistics", "what is subtracted", before, &inputs[0])?;
        }
        let [figures, counts] = [FIGURES, COUNTS].map(|last| [rows, LANES, last]);
        Ok(vec![Spec::f32(figures), Spec::u32(counts), Spec::u32([rows, BINS])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, rows) = (inputs[0].floats(), outputs[2].shape[0]);
        let row = |r: usize| {
            let [start, len] = [0, 1].map(|column| inputs[1].u32s()[2 * r + column] as usize);
            start..start + len
        };
        // A difference is rounded to what a device has, since it is counted by its bits.
        let element = |i: usize| match inputs.get(2) {
            None => x[i],
            Some(before) => T::of(((x[i] - before.floats()[i]).wide() as f32).into()),
        };
        let quad = |row: &Range<usize>, quad: usize| {
            let start = row.start + QUAD * quad;
            (start..row.end.min(start + QUAD)).map(element).enumerate()
        };
        let records = fill(rows * LANES, |i| {
            let row = row(i / LANES);
            let quads = (i % LANES..row.len().div_ceil(QUAD)).step_by(LANES);
            record(quads.flat_map(|q| quad(&row, q)), self.bounds)
        });
        let bins = fill(rows * BINS, |i| {
            let row = row(i / BINS);
            let quads = row.len().div_ceil(QUAD);
            let samples = if self.histogram { quads.div_ceil(SAMPLE) } else { 0 };
            let sampled = (0..samples).flat_map(|j| quad(&row, (SAMPLE * j + drawn(j)).min(quads - 1)));
            sampled.filter(|&(_, x)| bin(magnitude(x)) == Some(i % BINS)).count() as u32
        });
        let [figures, counts] = tensors(&records, &[rows, LANES]);
        vec![figures, counts, Tensor::u32([rows, BINS], bins)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        4 * inputs[0].len() as u64
    }
}

impl Operator for MergeStatistics {
    fn name(&self) -> &'static str {
        "merge_statistics"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("merge_statistics", inputs, 4..=4)?;
        let parts = inputs[2].shape.first().copied().unwrap_or(0).max(1);
        expect_spec("merge_statistics", "the figures", &inputs[0], &Spec::f32([parts, LANES, FIGURES]))?;
        expect_spec("merge_statistics", "the counts", &inputs[1], &Spec::u32([parts, LANES, COUNTS]))?;
        expect_spec("merge_statistics", "the bins", &inputs[2], &Spec::u32([parts, BINS]))?;
        let tensors = expect_table("merge_statistics", &inputs[3])?;
        let [figures, counts] = [FIGURES, COUNTS].map(|last| [tensors, last]);
        Ok(vec![Spec::f32(figures), Spec::u32(counts), Spec::u32([tensors, BINS]), Spec::u32([tensors, LANES])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (figures, counts, bins) = (inputs[0].floats(), inputs[1].u32s(), inputs[2].u32s());
        let rows = |s: usize| {
            let [first, rows] = [0, 1].map(|column| inputs[3].u32s()[2 * s + column] as usize);
            first..first + rows
        };
        let at = |i: usize| Record {
            figures: [0, 1].map(|f| figures[FIGURES * i + f]),
            counts: std::array::from_fn(|c| counts[COUNTS * i + c]),
        };
        let tensors_of = outputs[0].shape[0];
        let lanes = fill(tensors_of * LANES, |i| merged(rows(i / LANES).map(|row| at(row * LANES + i % LANES))));
        let records: Vec<_> = lanes.chunks(LANES).map(|lanes| merged(lanes.iter().copied())).collect();
        let bins = fill(tensors_of * BINS, |i| rows(i / BINS).map(|row| bins[row * BINS + i % BINS]).sum());
        let seen = lanes.iter().map(|lane| lane.counts[5]).collect();
        let [figures, counts] = tensors(&records, &[tensors_of]);
        vec![figures, counts, Tensor::u32([tensors_of, BINS], bins), Tensor::u32([tensors_of, LANES], seen)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        3 * inputs[0].len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    fn whole(x: &[f32], histogram: bool) -> Vec<Tensor<f64>> {
        let wide = Tensor::float([x.len()], x.iter().map(|&x| f64::from(x)).collect());
        let op = Statistics { histogram, bounds: [-2.0, 2.0], longest: x.len(), whole: false };
        let half = x.len() as u32 / 2;
        let table = Tensor::u32([2, 2], vec![0, half, half, x.len() as u32 - half]);
        let parts = Op::from(op).evaluate(&[&wide, &table]).unwrap();
        let all = Tensor::u32([1, 2], vec![0, 2]);
        Op::from(MergeStatistics { most: 2 }).evaluate(&[&parts[0], &parts[1], &parts[2], &all]).unwrap()
    }

    #[test]
    fn the_norm_of_a_tensor_of_any_scale_keeps_its_digits() {
        for scale in [1.0, 1e-30, 1.3e-38, 1e38] {
            let x: Vec<f32> = (0..5000).map(|i| scale * (1.0 + (i % 7) as f32 / 4.0)).collect();
            let record = whole(&x, false);
            let unit = unit(record[1].u32s()[0]);
            let norm = record[0].floats()[0].sqrt() * unit;
            let want = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            assert!((norm / want - 1.0).abs() < 1e-12, "{scale}: {norm} where {want} is right");
            let mean = record[0].floats()[1] * unit / 5000.0;
            let want = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 5000.0;
            assert!((mean / want - 1.0).abs() < 1e-12, "{scale}: {mean} where {want} is right");
        }
    }

    #[test]
    fn what_is_no_ordinary_number_is_counted_apart() {
        let mut x = vec![1.0f32; 1000];
        (x[3], x[4], x[5], x[700], x[701]) = (0.0, -0.0, 1e-40, f32::NAN, f32::NEG_INFINITY);
        (x[800], x[900]) = (-3.0, 2.0);
        let record = whole(&x, false);
        assert_eq!(record[1].u32s(), [3f32.to_bits(), 2, 1, 2, 1, 0b1111]);
        // In units of one.
        assert_eq!(record[0].floats(), [993.0 + 9.0 + 4.0, 993.0 + 3.0 + 2.0]);
    }

    #[test]
    fn a_sixteenth_of_the_magnitudes_is_sorted_into_bins_of_two_octaves() {
        let x: Vec<f32> = (0..3200).map(|i| if i % 2 == 0 { 0.3 } else { 5e-39 }).collect();
        let bins = whole(&x, true)[2].u32s().to_vec();
        // 0.3 lies between 2^-2 and 2^0; half of a sixteenth, as drawn.
        assert_eq!(bin_exponent(55), -2);
        assert_eq!((bins.iter().sum::<u32>(), bins[0] + bins[55]), (200, 200));
        assert!((80..120).contains(&bins[55]), "{bins:?}");
    }

    #[test]
    fn the_lanes_of_a_tensor_tell_which_of_its_units_were_seen() {
        let (units, rows) = (8, 1000);
        let mut x = vec![0.0f32; units * rows];
        (x[3], x[units * 499 + 5], x[units * 999 + 7]) = (1.0, 1e-40, f32::NAN);
        let seen = whole(&x, false)[3].u32s().to_vec();
        let found: Vec<bool> = (0..units).map(|unit| unit_seen(&seen, units, unit)).collect();
        assert_eq!(found, [false, false, false, true, false, true, false, true]);
    }
}
