//! Operators that one kernel computes together. `graph::fuse` puts them in the place of the nodes that they stand for, once the
//! gradients are there, so they need no gradient rule. Each keeps its parts, which are its definition and its reference:
//!
//! ```text
//! conv2d_activation: y = f(conv2d(x, w, b))
//! linear_activation: y = f(linear(x, w, b))
//! add_activation: y = f(a + b)
//! batch_norm2d_activation: y = f(batch_norm2d(x, w, b)), and what else that answers
//! conv2d_max_pool2d: y, argmax = max_pool2d(f(conv2d(x, w, b)))
//!   grad_weight:     dw = conv2d_grad_weight(x, max_pool2d_grad(g, argmax)), db = sum_rows(g)  with g = f'(y) · dy
//! conv2d_grad_input_activation_grad: dx = f'(saved) · conv2d_grad_input(dy, w)
//! linear_grad_input_activation_grad: dx = f'(saved) · linear_grad_input(dy, w)
//! conv2d_bias_grad_weight: dw = conv2d_grad_weight(x, dy), db = sum_rows(dy)
//! linear_bias_grad_weight: dw = linear_grad_weight(x, dy), db = sum_rows(dy)
//! ```
//! and those of all gradients of a layer ([`LayerGrad`]), of a batch normalisation in pieces ([`Conv2dStatistics`]), of the last layer with its loss ([`LinearCrossEntropyAndGrad`]), of the loss and of the end of a step ([`step`], [`ClippedOptimizer`]).

mod activated;
mod activated_layer;
mod bias;
mod clipped;
mod head;
mod head_grad;
mod layer;
mod mlp;
mod normalised;
mod parts;
pub mod step;

pub use activated::{Activatable, Activated, AddActivation, BatchNorm2dActivation};
pub use activated_layer::{Conv2dActivation, LinearActivation};
pub use bias::{Conv2dGradWeightBias, GradWeight, GradWeightBias, LinearGradWeightBias};
pub use clipped::ClippedOptimizer;
pub use head::LinearCrossEntropyAndGrad;
pub use head_grad::LinearCrossEntropyGrad;
pub use layer::{Conv2dGrad, LayerGrad, LinearGrad};
pub use mlp::MlpCrossEntropyGrad;
pub use normalised::{BatchNorm2dApply, Conv2dStatistics};
pub use step::{Settle, SoftmaxCrossEntropyAndGrad};

use super::{
    Activation, ActivationGrad, Conv2d, Conv2dGradInput, Conv2dGradWeight, LinearGradInput, MaxPool2d, MaxPool2dGrad,
    Operator, Pool2d, Real, SumRows, conv2d, expect_image, expect_operands, expect_spec, fill_float, linear, pool2d,
};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `x`, `w` and perhaps `b` as of [`Conv2d`] → `y` and `argmax` as of [`MaxPool2d`]: the convolution's output through the
/// activation, if there is one, and then the pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dMaxPool2d {
    /// The convolution.
    pub conv: Conv2d,
    /// What its output goes through before the pool.
    pub activation: Option<Activation>,
    /// The window of the pool.
    pub pool: Pool2d,
    /// Whether only those rows and columns of the convolution's output exist that a window covers: none of the rest is computed,
    /// and `argmax` counts in rows that are as much shorter. For windows that neither overlap nor hang over.
    pub crop: bool,
}

/// `x [n,h,w,c_in]`, `dy [n,h_out,w_out,c_out]`, `argmax` and, where there is an activation, `y`, all as of
/// [`Conv2dMaxPool2d`] → `dw [k_h,k_w,c_in/groups,c_out]` and, where there is a bias, `db [c_out]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dMaxPool2dGradWeight {
    /// The forward operator; its activation is one whose derivative is a function of its output.
    pub forward: Conv2dMaxPool2d,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Whether the gradient of a bias is wanted.
    pub bias: bool,
    /// The results are sums over so many images each, of which there is one behind the other, where this is given.
    pub images: Option<usize>,
}

/// The gradient of a layer's input, `dy`, `w` → `dx`.
pub trait GradInput: Operator {
    /// What it is called with the gradient of an activation behind it.
    const SCALED: &'static str;

    /// Element `index` of the output.
    fn element<T: Real>(&self, dy: &Tensor<T>, w: &Tensor<T>, index: usize) -> T;
}

impl GradInput for Conv2dGradInput {
    const SCALED: &'static str = "conv2d_grad_input_activation_grad";

    fn element<T: Real>(&self, dy: &Tensor<T>, w: &Tensor<T>, index: usize) -> T {
        conv2d::grad_input_element(self, dy, w, index)
    }
}

impl GradInput for LinearGradInput {
    const SCALED: &'static str = "linear_grad_input_activation_grad";

    fn element<T: Real>(&self, dy: &Tensor<T>, w: &Tensor<T>, index: usize) -> T {
        linear::grad_input_element(*self, dy, w, index)
    }
}

/// `dy`, `w` as of the sum and `saved` as of [`ActivationGrad`], of the shape of the output → `dx`, the gradient of an activation
/// whose output the layer reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradInputActivationGrad<S> {
    /// The gradient of the layer's input.
    pub sum: S,
    /// Whose derivative it is multiplied with.
    pub activation: Activation,
}

/// Of a convolution.
pub type Conv2dGradInputActivationGrad = GradInputActivationGrad<Conv2dGradInput>;
/// Of a linear layer.
pub type LinearGradInputActivationGrad = GradInputActivationGrad<LinearGradInput>;

impl<S: GradInput> GradInputActivationGrad<S> {
    /// Element `index` of the output.
    pub(super) fn element<T: Real>(&self, inputs: &[&Tensor<T>], index: usize) -> T {
        self.activation.derivative(inputs[2].floats()[index]) * self.sum.element(inputs[0], inputs[1], index)
    }
}

impl<S: GradInput + Sync> Operator for GradInputActivationGrad<S> {
    fn name(&self) -> &'static str {
        S::SCALED
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands(self.name(), inputs, 3..=3)?;
        let outputs = self.sum.infer(&inputs[..2])?;
        expect_spec(self.name(), "what is saved of the activation", &inputs[2], &outputs[0])?;
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![fill_float(&outputs[0], |i| self.element(inputs, i))]
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        self.sum.flops(&inputs[..2], outputs) + ActivationGrad(self.activation).flops(outputs, outputs)
    }
}

impl Conv2dMaxPool2d {
    /// Height and width of what the pool reads of the convolution's output.
    pub fn between(&self, input: [usize; 2], kernel: [usize; 2]) -> Result<[usize; 2]> {
        let size = self.conv.output_size(input, kernel)?;
        let k = self.pool.kernel;
        if !self.crop {
            return Ok(size);
        }
        if k != self.pool.stride
            || self.pool.padding != [0; 4]
            || (0..2).any(|axis| k[axis] == 0 || size[axis] < k[axis])
        {
            let problem = format!("only windows that tile what they read can crop it, not {:?}", self.pool);
            return Err(Error::shape("conv2d_max_pool2d", problem));
        }
        Ok([0, 1].map(|axis| size[axis] / k[axis] * k[axis]))
    }

    /// What the pool reads.
    fn before_pool(&self, inputs: &[Spec]) -> Result<Spec> {
        let mut between = self.conv.infer(inputs)?;
        if let Some(activation) = self.activation {
            between = activation.infer(&between)?;
        }
        let mut between = between.remove(0);
        let [x, w] = [&inputs[0].shape, &inputs[1].shape];
        let size = self.between([x[1], x[2]], [w[0], w[1]])?;
        between.shape[1..3].copy_from_slice(&size);
        Ok(between)
    }

    /// What the pool reads, computed from the operands; nothing where they do not fit.
    pub fn unpooled<T: Real>(&self, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
        let specs: Vec<Spec> = inputs.iter().map(|tensor| tensor.spec()).collect();
        let between = [self.before_pool(&specs).ok()?];
        let computed = match self.activation {
            None => self.conv.reference(inputs, &between),
            Some(activation) => Conv2dActivation { conv: self.conv, activation }.reference(inputs, &between),
        };
        computed.into_iter().next()
    }

    /// Element `index` of the pooled output.
    pub(super) fn element<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec], index: usize) -> Option<T> {
        let specs: Vec<Spec> = inputs.iter().map(|tensor| tensor.spec()).collect();
        let between = self.before_pool(&specs).ok()?.shape;
        let (x, w, b) = (inputs[0], inputs[1], inputs.get(2).copied());
        let value = |i| {
            let sum = conv2d::forward_element(&self.conv, x, w, b, [between[1], between[2]], i);
            self.activation.map_or(sum, |activation| activation.value(sum))
        };
        Some(pool2d::max_of(&self.pool, value, &between, &outputs[0].shape, index).0)
    }
}

impl Conv2dMaxPool2dGradWeight {
    /// Element `at` of what arrives at the pool's output, after the activation's derivative.
    fn arriving<T: Real>(&self, inputs: &[&Tensor<T>], at: usize) -> T {
        let upstream = inputs[1].floats()[at];
        self.forward.activation.map_or(upstream, |f| f.derivative(inputs[3].floats()[at]) * upstream)
    }

    /// The gradient of the max pool that stands behind the convolution.
    fn spread<T: Real>(&self, x: &Tensor<T>) -> Result<MaxPool2dGrad> {
        let input = self.forward.between([x.shape[1], x.shape[2]], self.kernel)?;
        Ok(MaxPool2dGrad { pool: self.forward.pool, input })
    }

    /// Element `index` of the gradient of the weights.
    pub(super) fn element<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec], index: usize) -> Option<T> {
        let batch = inputs[0].shape[0];
        let len = outputs[0].len() / parts::count(batch, self.images);
        let (images, index) = parts::place(batch, self.images, len, index);
        let spread = self.spread(inputs[0]).ok()?;
        let [n, h_out, w_out, c_out] = [0, 1, 2, 3].map(|axis| inputs[1].shape[axis]);
        let arriving = |at| self.arriving(inputs, at);
        let shape = [n, spread.input[0], spread.input[1], c_out];
        let image = shape[1] * shape[2] * c_out;
        let dy = |i| match images.contains(&(i / image)) {
            true => pool2d::max_grad_of(&spread, arriving, inputs[2].u32s(), [h_out, w_out, c_out], i),
            false => T::zero(),
        };
        Some(conv2d::grad_weight_of(&self.grad_weight(), inputs[0], dy, shape, index))
    }

    /// The gradient of the weights over all images, from those and what arrives at the pool.
    pub fn weights(&self, x: &Spec, dy: &Spec) -> Spec {
        let [k_h, k_w] = self.kernel;
        Spec::f32([k_h, k_w, x.shape[3] / self.forward.conv.groups.max(1), dy.shape[3]])
    }

    fn grad_weight(&self) -> Conv2dGradWeight {
        Conv2dGradWeight { conv: self.forward.conv, kernel: self.kernel }
    }
}

impl Operator for Conv2dMaxPool2d {
    fn name(&self) -> &'static str {
        "conv2d_max_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        MaxPool2d(self.pool).infer(&[self.before_pool(inputs)?])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        // What infer answered, it answers again.
        let Some(between) = self.unpooled(inputs) else { return Vec::new() };
        MaxPool2d(self.pool).reference(&[&between], outputs)
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let Ok(between) = self.before_pool(inputs) else { return 0 };
        let between = [between];
        let activation = self.activation.map_or(0, |activation| activation.flops(&between, &between));
        self.conv.flops(inputs, &between) + activation + MaxPool2d(self.pool).flops(&between, outputs)
    }
}

impl Operator for Conv2dMaxPool2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_max_pool2d_grad_weight"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let name = self.name();
        let operands = if self.forward.activation.is_some() { 4 } else { 3 };
        expect_operands(name, inputs, operands..=operands)?;
        let (x, dy) = (expect_image(name, &inputs[0])?, expect_image(name, &inputs[1])?);
        let weights = self.weights(&inputs[0], &inputs[1]);
        let outputs = self.forward.infer(&[inputs[0].clone(), weights.clone()])?;
        expect_spec(name, "the upstream gradient", &inputs[1], &outputs[0])?;
        expect_spec(name, "argmax", &inputs[2], &outputs[1])?;
        if let Some(y) = inputs.get(3) {
            expect_spec(name, "the forward output", y, &outputs[0])?;
        }
        let bias = self.bias.then(|| Spec::f32([dy[3]]));
        Ok(parts::specs([weights].into_iter().chain(bias).collect(), x[0], self.images))
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        parts::sums(inputs, self.images, |inputs| {
            let arriving = fill_float(&inputs[1].spec(), |at| self.arriving(inputs, at));
            // What infer answered, it answers again.
            let Ok(spread) = self.spread(inputs[0]) else { return Vec::new() };
            let shape = [arriving.shape[0], spread.input[0], spread.input[1], arriving.shape[3]];
            let dy = spread.reference(&[&arriving, inputs[2]], &[Spec::f32(shape)]);
            let weights = self.weights(&inputs[0].spec(), &arriving.spec());
            let mut results = self.grad_weight().reference(&[inputs[0], &dy[0]], &[weights]);
            if self.bias {
                results.extend(SumRows.reference(&[&arriving], &[Spec::f32([arriving.shape[3]])]));
            }
            results
        })
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let windows: usize = inputs[1].shape[..3].iter().product();
        let activation = if self.forward.activation.is_some() { 2 * inputs[1].len() } else { 0 };
        let bias = if self.bias { inputs[1].len() } else { 0 };
        let weights = outputs[0].len() / parts::count(inputs[0].shape[0], self.images);
        (2 * windows * weights + activation + bias) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Linear, Op};

    fn numbers(shape: &[usize], seed: usize) -> Tensor<f64> {
        let value = |i: usize| ((i * 37 + seed * 11) % 29) as f64 / 7.0 - 2.0;
        Tensor::float(shape.to_vec(), (0..shape.iter().product()).map(value).collect())
    }

    /// What a fused operator answers is what its parts answer one after the other.
    #[test]
    fn fused_operators_are_their_parts_one_after_the_other() {
        let conv = Conv2d { padding: [1, 0, 0, 1], stride: [2, 1], ..Conv2d::default() };
        for activation in Activation::all(0.1, 1.25) {
            let image = [numbers(&[2, 5, 4, 3], 1), numbers(&[3, 2, 3, 4], 2), numbers(&[4], 3)];
            let rows = [numbers(&[3, 5], 4), numbers(&[2, 5], 5), numbers(&[2], 6)];
            let pairs: [(Op, Op, &[Tensor<f64>]); 2] = [
                (Conv2dActivation { conv, activation }.into(), conv.into(), &image),
                (LinearActivation { activation }.into(), Linear.into(), &rows),
            ];
            for (fused, first, inputs) in pairs {
                for operands in [2, 3] {
                    let inputs: Vec<_> = inputs[..operands].iter().collect();
                    let between = first.evaluate(&inputs).unwrap();
                    let apart = Op::from(activation).evaluate(&[&between[0]]).unwrap();
                    assert_eq!(fused.evaluate(&inputs).unwrap(), apart, "{fused:?}");
                }
            }
        }
    }
}
