//! Batch normalisation in pieces that stand beside a convolution's kernels: its statistics are taken of what a convolution writes,
//! and what they say of each channel is applied where the image is read.
//!
//! ```text
//! table[0,c] = pivot, table[1,c] = offset             the mean, as batch_norm2d answers it
//! table[2,c] = rstd · weight, table[3,c] = bias
//! y = f(((x − table[0,c]) − table[1,c]) · table[2,c] + table[3,c])
//! ```

use crate::error::Result;
use crate::ops::batch_norm2d::batch_statistics;
use crate::ops::{
    Activation, BatchNorm2d, Conv2d, Operator, Real, conv2d, expect_image, expect_operands, expect_spec, fill_float,
};
use crate::tensor::{Spec, Tensor};

/// A convolution, and what the batch normalisation behind it needs to know of its output: `x`, `w` and perhaps `b` as of [`Conv2d`],
/// `weight [c]` and `bias [c]` of the normalisation, and a `table [4, channels of x]` where `x` is read normalised → `y`, its
/// `mean [2,c]`, `rstd [c]` and `var_unbiased [c]` as of [`BatchNorm2d`], and its `table [4,c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dStatistics {
    /// The convolution.
    pub conv: Conv2d,
    /// Whether it has a bias.
    pub bias: bool,
    /// Added to the variance inside the square root.
    pub eps: f64,
    /// How it reads its image, where that is not as it is.
    pub before: Option<BatchNorm2dApply>,
}

/// The rest of a batch normalisation: `x [n,h,w,c]`, `table [4,c]` and perhaps a `residual` like `x` → `y`, what the table makes of `x`,
/// plus the residual, through an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm2dApply {
    /// The activation.
    pub activation: Option<Activation>,
}

/// Refuses a table that is not for images like `x`.
pub(super) fn expect_table(op: &str, x: &Spec, table: &Spec) -> Result<()> {
    expect_spec(op, "the table of the normalisation", table, &Spec::f32([4, x.shape.last().copied().unwrap_or(0)]))
}

impl BatchNorm2dApply {
    /// Element `index` of what it makes of an image.
    fn element<T: Real>(&self, x: &[T], table: &[T], residual: Option<&[T]>, index: usize) -> T {
        let channels = table.len() / 4;
        let c = index % channels;
        let normal = ((x[index] - table[c]) - table[channels + c]) * table[2 * channels + c] + table[3 * channels + c];
        let sum = residual.map_or(normal, |residual| normal + residual[index]);
        self.activation.map_or(sum, |activation| activation.value(sum))
    }

    /// What it makes of an image, without a residual.
    pub fn image<T: Real>(&self, x: &Tensor<T>, table: &Tensor<T>) -> Tensor<T> {
        fill_float(&x.spec(), |i| self.element(x.floats(), table.floats(), None, i))
    }
}

impl Conv2dStatistics {
    /// The operands of the convolution, before those of the normalisation.
    pub fn layer(&self) -> usize {
        2 + usize::from(self.bias)
    }

    /// The number of the operand that is the table of the image it reads, if it has one.
    pub fn table(&self) -> Option<usize> {
        self.before.map(|_| self.layer() + 2)
    }

    /// Element `index` of the first result; the image is read as it is.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec], index: usize) -> T {
        let out = [outputs[0].shape[1], outputs[0].shape[2]];
        let bias = self.bias.then(|| inputs[2]);
        conv2d::forward_element(&self.conv, inputs[0], inputs[1], bias, out, index)
    }

    /// See [`Op::with_image_read`](crate::ops::Op::with_image_read).
    pub(in crate::ops) fn with_image_read<T: Real>(&self, inputs: &[&Tensor<T>]) -> Option<(Self, Vec<Tensor<T>>)> {
        let (before, table) = self.before.zip(self.table())?;
        let operands = inputs[1..table].iter().map(|&operand| operand.clone());
        let inputs = [before.image(inputs[0], inputs[table])].into_iter().chain(operands).collect();
        Some((Self { before: None, ..*self }, inputs))
    }

    /// What follows from its first result.
    pub fn statistics<T: Real>(&self, y: &Tensor<T>, weight: &Tensor<T>, bias: &Tensor<T>) -> [Tensor<T>; 4] {
        let channels = weight.len();
        let [mean, rstd, unbiased] = batch_statistics(y.floats(), channels, self.eps);
        let table = fill_float(&Spec::f32([4, channels]), |i| match i / channels {
            0 | 1 => mean.floats()[i],
            2 => rstd.floats()[i % channels] * weight.floats()[i % channels],
            _ => bias.floats()[i % channels],
        });
        [mean, rstd, unbiased, table]
    }
}

impl Operator for Conv2dStatistics {
    fn name(&self) -> &'static str {
        "conv2d_statistics"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let operands = self.layer() + 2 + usize::from(self.before.is_some());
        expect_operands(self.name(), inputs, operands..=operands)?;
        let y = self.conv.infer(&inputs[..self.layer()])?.remove(0);
        let [weight, bias] = [&inputs[self.layer()], &inputs[self.layer() + 1]];
        if let Some(table) = self.table() {
            expect_table(self.name(), &inputs[0], &inputs[table])?;
        }
        let mut outputs = BatchNorm2d { eps: self.eps }.infer(&[y, weight.clone(), bias.clone()])?;
        outputs.push(Spec::f32([4, weight.len()]));
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if let Some((op, inputs)) = self.with_image_read(inputs) {
            return op.reference(&inputs.iter().collect::<Vec<_>>(), outputs);
        }
        let mut results = self.conv.reference(&inputs[..self.layer()], &outputs[..1]);
        let statistics = self.statistics(&results[0], inputs[self.layer()], inputs[self.layer() + 1]);
        results.extend(statistics);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let before = self.before.map_or(0, |before| before.flops(&inputs[..1], &inputs[..1]));
        self.conv.flops(&inputs[..self.layer()], &outputs[..1]) + before + 6 * outputs[0].len() as u64
    }
}

impl Operator for BatchNorm2dApply {
    fn name(&self) -> &'static str {
        "batch_norm2d_apply"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands(self.name(), inputs, 2..=3)?;
        expect_image(self.name(), &inputs[0])?;
        expect_table(self.name(), &inputs[0], &inputs[1])?;
        if let Some(residual) = inputs.get(2) {
            expect_spec(self.name(), "the residual", residual, &inputs[0])?;
        }
        Ok(inputs[..1].to_vec())
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (x, table) = (inputs[0].floats(), inputs[1].floats());
        let residual = inputs.get(2).map(|residual| residual.floats());
        vec![fill_float(&outputs[0], |i| self.element(x, table, residual, i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let each = 4 + u64::from(inputs.len() > 2);
        let activation = self.activation.map_or(0, |activation| activation.flops(outputs, outputs));
        each * outputs[0].len() as u64 + activation
    }
}
