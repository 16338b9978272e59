//! Maps over a picture, and what is made of them on the host: class activation maps, resizing, rank correlation.

use crate::tensor::Tensor;

/// Numbers over the places of a picture or of a layer's output.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Height and width.
    pub size: [usize; 2],
    /// A row after the other, from the top.
    pub values: Vec<f64>,
}

impl Map {
    /// A map of `size` whose value at place `i` is `value(i)`.
    pub fn new(size: [usize; 2], value: impl Fn(usize) -> f64) -> Self {
        Self { size, values: (0..size[0] * size[1]).map(value).collect() }
    }

    /// The largest magnitude.
    pub fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |most, value| value.abs().max(most))
    }

    /// The magnitude that this share of all places does not exceed: what a scale ends at, so that a single place does not leave all
    /// others dark. The largest one where that would be 0.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted: Vec<f64> = self.values.iter().map(|value| value.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(at.max(1) - 1).copied().filter(|value| *value > 0.0).unwrap_or_else(|| self.largest())
    }

    /// The map at another size, bilinearly. Pixels are areas: the middle of the first one stays half a pixel from the edge, and
    /// beyond the middle of the outermost ones nothing changes.
    pub fn resized(&self, size: [usize; 2]) -> Self {
        // Two neighbours along an axis, and the share of the second.
        let between = |at: usize, axis: usize| {
            let last = self.size[axis] - 1;
            let place = (at as f64 + 0.5) * self.size[axis] as f64 / size[axis] as f64 - 0.5;
            let place = place.clamp(0.0, last as f64);
            let first = place.floor() as usize;
            (first, (first + 1).min(last), place - first as f64)
        };
        let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
        Self::new(size, |index| {
            let (top, bottom, down) = between(index / size[1], 0);
            let (left, right, across) = between(index % size[1], 1);
            let value = |row: usize, column: usize| self.values[row * self.size[1] + column];
            let upper = mix(value(top, left), value(top, right), across);
            mix(upper, mix(value(bottom, left), value(bottom, right), across), down)
        })
    }

    /// Spearman's rank correlation of two maps of one size, signs counted, equal numbers sharing their mean rank: 1 where both order
    /// the places alike, about 0 where they have nothing to do with each other. `None` where a map is the same everywhere.
    pub fn rank_correlation(&self, other: &Self) -> Option<f64> {
        let (a, b) = (ranks(&self.values), ranks(&other.values));
        let mean = (a.len() as f64 - 1.0) / 2.0;
        let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
        let spread = (product(&a, &a) * product(&b, &b)).sqrt();
        (a.len() == b.len() && spread > 0.0).then(|| product(&a, &b) / spread)
    }
}

/// The rank of each number from 0; equal ones share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut before) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        before += equal.len();
    }
    ranks
}

/// Grad-CAM (Selvaraju and others 2017): ReLU(Σ_k α_k·A_k) with α_k = 1/(h·w) · Σ_ij ∂score/∂A_ijk, for a layer's output `a` and its
/// gradient `da`, both `[1, h, w, k]`.
pub(super) fn grad_cam(a: &Tensor, da: &Tensor) -> Map {
    let (size, channels) = ([a.shape[1], a.shape[2]], a.shape[3]);
    let places = size[0] * size[1];
    let mut weights = vec![0.0; channels];
    for pixel in da.floats().chunks_exact(channels) {
        weights.iter_mut().zip(pixel).for_each(|(weight, &value)| *weight += f64::from(value) / places as f64);
    }
    let pixels: Vec<&[f32]> = a.floats().chunks_exact(channels).collect();
    Map::new(size, |place| {
        weights.iter().zip(pixels[place]).map(|(weight, &value)| weight * f64::from(value)).sum::<f64>().max(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_flat_maps_and_interpolates_between_the_middles_of_pixels() {
        let map = Map { size: [1, 2], values: vec![0.0, 1.0] };
        assert_eq!(map.resized([2, 4]).values, [0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]);
        assert_eq!(Map { size: [1, 1], values: vec![3.0] }.resized([3, 2]).values, [3.0; 6]);
        assert_eq!(map.resized([1, 2]), map);
    }

    #[test]
    fn rank_correlation_sees_order_alone_and_shares_equal_ranks() {
        let map = |values: &[f64]| Map { size: [1, values.len()], values: values.to_vec() };
        let close = |a: &[f64], b: &[f64], wanted: f64| {
            let found = map(a).rank_correlation(&map(b)).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{found}");
        };
        close(&[1.0, 2.0, 3.0], &[-40.0, 1.0, 1e9], 1.0);
        close(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], -1.0);
        // Ranks 0, 1.5, 1.5, 3 and 0, 1, 2, 3: 4.5 / √(4.5 · 5).
        close(&[0.0, 2.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0], 4.5 / 22.5f64.sqrt());
        assert_eq!(map(&[1.0, 1.0]).rank_correlation(&map(&[1.0, 2.0])), None);
    }

    #[test]
    fn the_scale_of_a_map_is_not_decided_by_one_place() {
        let mut values = vec![1.0; 199];
        values.push(-50.0);
        let map = Map { size: [10, 20], values };
        assert_eq!((map.quantile(0.99), map.largest()), (1.0, 50.0));
        let mut sparse = Map::new([10, 20], |_| 0.0);
        assert_eq!(sparse.quantile(0.99), 0.0);
        sparse.values[7] = 2.0;
        assert_eq!(sparse.quantile(0.99), 2.0);
    }

    #[test]
    fn a_class_activation_map_weighs_channels_by_their_mean_gradient() {
        let a = Tensor::float([1, 1, 2, 2], vec![1.0, 10.0, 2.0, 0.5]);
        let da = Tensor::float([1, 1, 2, 2], vec![3.0, -2.0, 1.0, 0.0]);
        // Weights 2 and −1: 2·1 − 10 is below 0.
        assert_eq!(grad_cam(&a, &da), Map { size: [1, 2], values: vec![0.0, 3.5] });
    }
}
