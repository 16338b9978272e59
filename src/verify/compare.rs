//! When two tensors count as equal, and what is said when they do not.
//!
//! Two measures, both relative to the wanted tensor as a whole: the L2 norm of the difference over that of the wanted
//! tensor, and the largest difference over the largest wanted magnitude. Where the wanted tensor is zero they are
//! absolute. A NaN or an infinity never passes, except in [`compare_outputs`] where the reference has the same.

use crate::ops::Real;
use crate::tensor::{Elements, Tensor};
use std::fmt;

/// How far a tensor may be off and still count as equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Largest ‖got − want‖ / ‖want‖.
    pub relative_l2: f64,
    /// Largest |got − want| over the largest |want|.
    pub max_error: f64,
}

/// What the reference keeps in float64.
pub const REFERENCE: Tolerance = Tolerance { relative_l2: 1e-12, max_error: 1e-12 };
/// What a float32 kernel, or the reference in float32, keeps.
pub const FLOAT32: Tolerance = Tolerance { relative_l2: 1e-5, max_error: 1e-4 };

impl Tolerance {
    /// Where it comes from, for those who read reports.
    pub fn origin(self) -> &'static str {
        match self {
            _ if self == REFERENCE => "float64 references against PyTorch's float64 answers",
            _ if self == FLOAT32 => ORIGIN,
            _ => "float64 gradient rules against central differences, which tell no more than about 1e-9",
        }
    }
}

/// Where the tolerance of float32 comes from.
pub const ORIGIN: &str = "float32 kernels against float64 references: ‖got − want‖ / ‖want‖ of a tensor, and its largest \
     error over its largest element; the same tolerance as for answers of PyTorch";

/// Outputs whose largest element is below this are rounding errors of the float64 reference; they are held against this.
const ROUNDING: f64 = 1e-12;

/// An element that is further off than the tolerance allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Its place, an index for each axis.
    pub index: Vec<usize>,
    /// The computed value.
    pub got: f64,
    /// The wanted value.
    pub want: f64,
}

/// How far a tensor is off.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// ‖got − want‖ / ‖want‖; infinite where an element is not finite or the shapes differ.
    pub relative_l2: f64,
    /// The largest |got − want| over the largest |want|.
    pub max_error: f64,
    /// The largest |got − want|.
    pub max_absolute: f64,
    /// Why the tensors cannot even be compared, if so.
    pub problem: Option<String>,
    /// The first few elements beyond the tolerance of a single element.
    pub first: Vec<Mismatch>,
    /// How many there are.
    pub count: usize,
    /// The tolerance that was asked for.
    pub tolerance: Tolerance,
    /// What the axes of a tensor of rank 4 are called.
    pub axes: &'static str,
}

impl Difference {
    /// Whether both measures keep the tolerance.
    pub fn passes(&self) -> bool {
        self.problem.is_none()
            && self.relative_l2 <= self.tolerance.relative_l2
            && self.max_error <= self.tolerance.max_error
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(problem) = &self.problem {
            return f.write_str(problem);
        }
        let Tolerance { relative_l2, max_error } = self.tolerance;
        write!(f, "relative L2 error {:.2e} (allowed {relative_l2:.0e}), ", self.relative_l2)?;
        write!(f, "largest error {:.2e} (allowed {max_error:.0e})", self.max_error)?;
        for Mismatch { index, got, want } in &self.first {
            let place = index.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let axes = if index.len() == 4 { format!("{} = ", self.axes) } else { String::new() };
            write!(f, "\n  at {axes}({place}): got {got:e}, expected {want:e}")?;
        }
        if self.count > self.first.len() {
            write!(f, "\n  and {} more", self.count - self.first.len())?;
        }
        Ok(())
    }
}

/// The index of each axis of the element at `place`.
pub fn unravel(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = place % shape[axis];
        place /= shape[axis];
    }
    index
}

/// Elements that a story shows.
const SHOWN: usize = 5;

/// Compares `got` with `want`, both of shape `shape`.
pub fn compare<T: Real>(got: &[T], want: &[f64], shape: &[usize], tolerance: Tolerance) -> Difference {
    measure(got, want, shape, tolerance, false)
}

/// Compares an output of a kernel with the reference's: integers must be equal, floats within the tolerance, and where the
/// reference is NaN or infinite the kernel must be the same.
pub fn compare_outputs(got: &Tensor, want: &Tensor<f64>, tolerance: Tolerance) -> Difference {
    let exact = Tolerance { relative_l2: 0.0, max_error: 0.0 };
    let mut answer = match (&got.elements, &want.elements) {
        (Elements::Float(got), Elements::Float(want_values)) => measure(got, want_values, &want.shape, tolerance, true),
        (Elements::U32(got), Elements::U32(want_values)) => {
            measure(&widened(got), &widened(want_values), &want.shape, exact, false)
        }
        _ => {
            let mut answer = measure::<f64>(&[], &[], &[0], tolerance, false);
            answer.problem = Some(format!("{:?} where {:?} is wanted", got.spec().dtype, want.spec().dtype));
            return answer;
        }
    };
    if got.shape != want.shape {
        answer.problem = Some(format!("shape {:?} where {:?} is wanted", got.shape, want.shape));
    }
    answer
}

fn widened(integers: &[u32]) -> Vec<f64> {
    integers.iter().map(|&value| value.into()).collect()
}

/// `special`: a NaN or an infinity is right where the wanted tensor has it, and counts for nothing else.
fn measure<T: Real>(got: &[T], want: &[f64], shape: &[usize], tolerance: Tolerance, special: bool) -> Difference {
    let infinite = f64::INFINITY;
    let mut answer = Difference {
        relative_l2: infinite,
        max_error: infinite,
        max_absolute: infinite,
        problem: None,
        first: vec![],
        count: 0,
        tolerance,
        axes: "(n, h, w, c)",
    };
    if got.len() != want.len() {
        answer.problem = Some(format!("{} elements where {} are wanted", got.len(), want.len()));
        return answer;
    }
    let counts = |want: f64| !special || want.is_finite();
    let largest = want.iter().filter(|w| counts(**w)).fold(0.0, |max: f64, w| max.max(w.abs()));
    let scale = match special {
        true => largest.max(ROUNDING),
        false if largest == 0.0 => 1.0,
        false => largest,
    };
    let (mut error, mut total, mut max, mut right) = (0.0, 0.0, 0.0_f64, true);
    for (place, (got, &want)) in got.iter().zip(want).enumerate() {
        let got = got.wide();
        let mut off = (got - want).abs() / scale;
        if !counts(want) {
            off = if got == want || (got.is_nan() && want.is_nan()) { 0.0 } else { f64::NAN };
        } else {
            total += (want / scale) * (want / scale);
        }
        right &= off.is_finite();
        max = max.max(off);
        error += off * off;
        if off.is_nan() || off > tolerance.max_error {
            answer.count += 1;
            if answer.first.len() < SHOWN {
                answer.first.push(Mismatch { index: unravel(place, shape), got, want });
            }
        }
    }
    if right {
        answer.relative_l2 = error.sqrt() / if largest < scale { 1.0 } else { total.sqrt() };
        answer.max_error = max;
        answer.max_absolute = max * scale;
    }
    if answer.first.is_empty() && answer.relative_l2 > tolerance.relative_l2 {
        answer.first = furthest(got, want, shape);
    }
    answer
}

/// The elements that are furthest off, where none is by itself beyond the tolerance.
fn furthest<T: Real>(got: &[T], want: &[f64], shape: &[usize]) -> Vec<Mismatch> {
    let off = |&place: &usize| (got[place].wide() - want[place]).abs();
    let mut places: Vec<usize> = (0..want.len()).filter(|place| off(place).is_finite()).collect();
    places.sort_by(|a, b| off(b).total_cmp(&off(a)));
    let mismatch =
        |&place: &usize| Mismatch { index: unravel(place, shape), got: got[place].wide(), want: want[place] };
    places.iter().take(SHOWN).map(mismatch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_or_a_missing_element_never_passes() {
        assert!(!compare(&[1.0, f64::NAN], &[1.0, 2.0], &[2], FLOAT32).passes());
        assert!(!compare(&[f64::NAN], &[f64::NAN], &[1], FLOAT32).passes());
        assert!(!compare(&[1.0], &[1.0, 0.0], &[2], FLOAT32).passes());
    }

    #[test]
    fn zeros_are_compared_absolutely() {
        assert!(compare(&[0.0, 1e-13], &[0.0, 0.0], &[2], REFERENCE).passes());
        assert!(!compare(&[0.0, 1e-11], &[0.0, 0.0], &[2], REFERENCE).passes());
    }

    #[test]
    fn a_failure_names_the_place_and_both_values() {
        let story = compare(&[1.0_f32, 2.0, 3.0, 5.0], &[1.0, 2.0, 3.0, 4.0], &[2, 2], FLOAT32).to_string();
        assert!(story.contains("at (1, 1): got 5e0, expected 4e0"), "{story}");
    }
}
