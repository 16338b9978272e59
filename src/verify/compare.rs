//! When two tensors count as equal, and what is said when they do not.
//!
//! Two measures, both relative to the wanted tensor as a whole: the L2 norm of the difference over that of the wanted
//! tensor, and the largest difference over the largest wanted magnitude. Where the wanted tensor is zero they are
//! absolute. A NaN or an infinity never passes.

use crate::ops::Real;
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
    /// Why the tensors cannot even be compared, if so.
    pub problem: Option<String>,
    /// The first few elements beyond the tolerance of a single element.
    pub first: Vec<Mismatch>,
    /// How many there are.
    pub count: usize,
    /// The tolerance that was asked for.
    pub tolerance: Tolerance,
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
            write!(f, "\n  at {index:?}: got {got:e}, expected {want:e}")?;
        }
        if self.count > self.first.len() {
            write!(f, "\n  and {} more", self.count - self.first.len())?;
        }
        Ok(())
    }
}

/// The index of each axis of the element at `place`.
fn unravel(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = place % shape[axis];
        place /= shape[axis];
    }
    index
}

/// Compares `got` with `want`, both of shape `shape`.
pub fn compare<T: Real>(got: &[T], want: &[f64], shape: &[usize], tolerance: Tolerance) -> Difference {
    const SHOWN: usize = 5;
    let mut answer = Difference {
        relative_l2: f64::INFINITY,
        max_error: f64::INFINITY,
        problem: None,
        first: vec![],
        count: 0,
        tolerance,
    };
    if got.len() != want.len() {
        answer.problem = Some(format!("{} elements where {} are wanted", got.len(), want.len()));
        return answer;
    }
    let largest = want.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let (mut error, mut total, mut max, mut finite) = (0.0, 0.0, 0.0_f64, true);
    for (place, (got, &want)) in got.iter().zip(want).enumerate() {
        let got = got.wide();
        let off = (got - want).abs() / scale;
        finite &= got.is_finite() && want.is_finite();
        max = max.max(off);
        error += off * off;
        total += (want / scale) * (want / scale);
        if off.is_nan() || off > tolerance.max_error {
            answer.count += 1;
            if answer.first.len() < SHOWN {
                answer.first.push(Mismatch { index: unravel(place, shape), got, want });
            }
        }
    }
    if finite {
        answer.relative_l2 = error.sqrt() / if largest > 0.0 { total.sqrt() } else { 1.0 };
        answer.max_error = max;
    }
    answer
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
        assert!(story.contains("[1, 1]: got 5e0, expected 4e0"), "{story}");
    }
}
