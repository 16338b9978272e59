//! Partial sums of the gradients of weights: over some images each, with the addition left to the end of the step.

use std::ops::Range;

use crate::ops::Real;
use crate::tensor::{Elements, Spec, Tensor};

/// These images of a batch.
pub(super) fn images<T: Clone>(tensor: &Tensor<T>, rows: Range<usize>) -> Tensor<T> {
    let each: usize = tensor.shape[1..].iter().product();
    let elements = rows.start * each..rows.end * each;
    let elements = match &tensor.elements {
        Elements::Float(all) => Elements::Float(all[elements].to_vec()),
        Elements::U32(all) => Elements::U32(all[elements].to_vec()),
        Elements::U8(all) => Elements::U8(all[elements].to_vec()),
    };
    let shape = std::iter::once(rows.len()).chain(tensor.shape[1..].iter().copied()).collect();
    Tensor::new(shape, elements)
}

/// Into how many parts a batch falls.
pub(super) fn count(batch: usize, images: Option<usize>) -> usize {
    batch.div_ceil(images.unwrap_or(batch).max(1))
}

/// The specs of sums over so many images each: an axis of the parts comes before theirs.
pub(super) fn specs(sums: Vec<Spec>, batch: usize, images: Option<usize>) -> Vec<Spec> {
    let Some(each) = images else { return sums };
    let stacked = |sum: Spec| Spec::f32([&[batch.div_ceil(each.max(1))], &sum.shape[..]].concat());
    sums.into_iter().map(stacked).collect()
}

/// What `sum` answers to all images of the operands, or to so many at a time, one answer behind the other.
pub(super) fn sums<T: Real>(
    inputs: &[&Tensor<T>],
    each: Option<usize>,
    sum: impl Fn(&[&Tensor<T>]) -> Vec<Tensor<T>>,
) -> Vec<Tensor<T>> {
    let Some(each) = each else { return sum(inputs) };
    let batch = inputs[0].shape[0];
    let mut all: Vec<Tensor<T>> = Vec::new();
    for first in (0..batch).step_by(each.max(1)) {
        let rows = first..(first + each).min(batch);
        let part: Vec<_> = inputs.iter().map(|tensor| images(tensor, rows.clone())).collect();
        for (number, found) in sum(&part.iter().collect::<Vec<_>>()).into_iter().enumerate() {
            let before = all.get(number).map_or(0, |stacked| stacked.shape[0]);
            let data = [all.get(number).map_or(&[][..], |stacked| stacked.floats()), found.floats()].concat();
            let stacked = Tensor::float([&[before + 1], &found.shape[..]].concat(), data);
            match all.get_mut(number) {
                Some(known) => *known = stacked,
                None => all.push(stacked),
            }
        }
    }
    all
}

/// The images of the part in which element `index` lies, and that element's place in it, where a part has `len` elements.
pub(super) fn place(batch: usize, each: Option<usize>, len: usize, index: usize) -> (Range<usize>, usize) {
    let each = each.unwrap_or(batch);
    let part = index / len;
    (part * each..((part + 1) * each).min(batch), index % len)
}
