//! All gradients of a layer: both of the weights' and of the input's read what arrives at its output.

use crate::error::Result;
use crate::ops::{
    Activation, ActivationGrad, Add, Conv2dGradInput, Conv2dGradWeight, LinearGradInput, LinearGradWeight,
};
use crate::ops::{MaxPool2dGrad, Operator, Real, SumRows, conv2d, expect_operands, expect_spec, linear, pool2d};
use crate::tensor::{Spec, Tensor};

use super::normalised::expect_table;
use super::{BatchNorm2dApply, GradInput, GradWeight, parts};

/// `x`, `dy`, `w`, then `argmax` where there is a pool and `saved` where there is an activation → `dw`, `db` where a bias's is
/// wanted, and `dx`:
///
/// ```text
/// g = max_pool2d_grad(dy, argmax), or dy
/// dw = grad_weight(x, g), db = sum_rows(dy), dx = f'(saved) · grad_input(g, w)
/// ```
///
/// With another gradient of the layer's input as last operand, dx = f'(saved) · (grad_input(g, w) + other).
///
/// Where `x` is read normalised ([`BatchNorm2dApply`]), another operand is the table of the normalisation, and what is read is also what is `saved`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerGrad<W, I> {
    /// The gradient of the layer's weights.
    pub weight: W,
    /// The gradient of its input.
    pub input: I,
    /// Whether the gradient of a bias is wanted.
    pub bias: bool,
    /// The activation whose output the layer reads, and with whose derivative the gradient of the input is multiplied.
    pub activation: Option<Activation>,
    /// The gradient of the max pool behind the layer, at whose output `dy` arrives.
    pub pool: Option<MaxPool2dGrad>,
    /// `dw` and `db` are sums over so many images each, of which there is one behind the other, where this is given.
    pub images: Option<usize>,
    /// Whether `x` is read normalised, and through the activation.
    pub normalised: bool,
    /// Whether another gradient of the layer's input, the last operand, is added to this one.
    pub plus: bool,
}

/// Of a convolution.
pub type Conv2dGrad = LayerGrad<Conv2dGradWeight, Conv2dGradInput>;
/// Of a linear layer, behind which there is no pool.
pub type LinearGrad = LayerGrad<LinearGradWeight, LinearGradInput>;

/// A layer whose gradients can be one node.
pub trait Layer: Operator {
    /// What they are called.
    const GRAD: &'static str;
}

impl Layer for Conv2dGradWeight {
    const GRAD: &'static str = "conv2d_grad";
}

impl Layer for LinearGradWeight {
    const GRAD: &'static str = "linear_grad";
}

impl<W, I> LayerGrad<W, I> {
    /// The number of the operand behind those that every layer has.
    fn last(&self) -> usize {
        3 + usize::from(self.pool.is_some())
    }

    /// The number of the operand that is saved of the activation, if there is one that `x` does not say.
    pub fn saved(&self) -> Option<usize> {
        self.activation.filter(|_| !self.normalised).map(|_| self.last())
    }

    /// The number of the operand that is the table of the normalisation, if `x` is read normalised.
    pub fn table(&self) -> Option<usize> {
        self.normalised.then(|| self.last())
    }

    /// The number of the operand that is added to the gradient of the input, if there is one.
    pub fn other(&self) -> Option<usize> {
        self.plus.then(|| self.last() + usize::from(self.normalised || self.activation.is_some()))
    }

    /// The number of the result that is the gradient of the input.
    pub fn dx(&self) -> usize {
        1 + usize::from(self.bias)
    }

    /// An element of the gradient of the input, of which this is the sum.
    fn scaled<T: Real>(&self, inputs: &[&Tensor<T>], index: usize, sum: T) -> T {
        let sum = self.other().map_or(sum, |other| sum + inputs[other].floats()[index]);
        match (self.activation, self.saved()) {
            (Some(activation), Some(saved)) => activation.derivative(inputs[saved].floats()[index]) * sum,
            _ => sum,
        }
    }
}

impl<W: Copy, I: Copy> LayerGrad<W, I> {
    /// See [`Op::with_image_read`](crate::ops::Op::with_image_read).
    pub(in crate::ops) fn with_image_read<T: Real>(&self, inputs: &[&Tensor<T>]) -> Option<(Self, Vec<Tensor<T>>)> {
        let table = self.table()?;
        let image = BatchNorm2dApply { activation: self.activation }.image(inputs[0], inputs[table]);
        let saved = self.activation.map(|_| image.clone());
        let others = inputs[1..table].iter().map(|&operand| operand.clone());
        let other = self.other().map(|other| inputs[other].clone());
        let inputs = [image].into_iter().chain(others).chain(saved).chain(other).collect();
        Some((Self { normalised: false, ..*self }, inputs))
    }
}

impl Conv2dGrad {
    /// Element `index` of result `output`, for the gradients of the weights and of the input.
    pub(in crate::ops) fn element<T: Real>(
        &self,
        inputs: &[&Tensor<T>],
        outputs: &[Spec],
        (output, index): (usize, usize),
    ) -> Option<T> {
        let (dy, dys) = (inputs[1], inputs[1].floats());
        let [h, w] = self.pool.map_or([dy.shape[1], dy.shape[2]], |pool| pool.input);
        let shape = [dy.shape[0], h, w, dy.shape[3]];
        let windows = [dy.shape[1], dy.shape[2], dy.shape[3]];
        let arriving = |at: usize| match &self.pool {
            None => dys[at],
            Some(pool) => pool2d::max_grad_of(pool, |at| dys[at], inputs[3].u32s(), windows, at),
        };
        match output {
            0 => {
                let len = outputs[0].len() / parts::count(shape[0], self.images);
                let (images, index) = parts::place(shape[0], self.images, len, index);
                let image = h * w * shape[3];
                let part = |at| if images.contains(&(at / image)) { arriving(at) } else { T::zero() };
                Some(conv2d::grad_weight_of(&self.weight, inputs[0], part, shape, index))
            }
            output if output == self.dx() => {
                let sum = conv2d::grad_input_of(&self.input, arriving, shape, inputs[2], index);
                Some(self.scaled(inputs, index, sum))
            }
            _ => None,
        }
    }
}

impl LinearGrad {
    /// Element `index` of result `output`, for the gradients of the weights and of the input.
    pub(in crate::ops) fn element<T: Real>(&self, inputs: &[&Tensor<T>], (output, index): (usize, usize)) -> Option<T> {
        match output {
            0 => {
                let (rows, index) = parts::place(inputs[0].shape[0], self.images, inputs[2].len(), index);
                let [x, dy] = [0, 1].map(|operand| parts::images(inputs[operand], rows.clone()));
                Some(linear::grad_weight_element(&x, &dy, index))
            }
            output if output == self.dx() => {
                let sum = linear::grad_input_element(self.input, inputs[1], inputs[2], index);
                Some(self.scaled(inputs, index, sum))
            }
            _ => None,
        }
    }
}

impl<W: GradWeight + Layer, I: GradInput> LayerGrad<W, I> {
    /// What arrives at the layer's output.
    pub fn arriving(&self, inputs: &[Spec]) -> Result<Spec> {
        match self.pool {
            None => Ok(inputs[1].clone()),
            Some(pool) => Ok(pool.infer(&[inputs[1].clone(), inputs[3].clone()])?.remove(0)),
        }
    }
}

impl<W: GradWeight + Layer + Copy, I: GradInput + Copy> Operator for LayerGrad<W, I> {
    fn name(&self) -> &'static str {
        W::GRAD
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let operands = self.last() + usize::from(self.normalised || self.activation.is_some()) + usize::from(self.plus);
        expect_operands(self.name(), inputs, operands..=operands)?;
        let arriving = self.arriving(inputs)?;
        let channels = inputs[1].shape.last().copied().unwrap_or(0);
        let dx = self.input.infer(&[arriving.clone(), inputs[2].clone()])?;
        let mut outputs = self.weight.infer(&[inputs[0].clone(), arriving])?;
        expect_spec(self.name(), "the weights", &inputs[2], &outputs[0])?;
        expect_spec(self.name(), "the layer's input", &inputs[0], &dx[0])?;
        if let Some(saved) = self.saved() {
            expect_spec(self.name(), "what is saved of the activation", &inputs[saved], &dx[0])?;
        }
        if let Some(other) = self.other() {
            expect_spec(self.name(), "the other gradient of the layer's input", &inputs[other], &dx[0])?;
        }
        if let Some(table) = self.table() {
            expect_table(self.name(), &inputs[0], &inputs[table])?;
        }
        outputs.extend(self.bias.then(|| Spec::f32([channels])));
        let mut outputs = parts::specs(outputs, inputs[0].shape[0], self.images);
        outputs.extend(dx);
        Ok(outputs)
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if let Some((op, inputs)) = self.with_image_read(inputs) {
            return op.reference(&inputs.iter().collect::<Vec<_>>(), outputs);
        }
        let specs: Vec<Spec> = inputs.iter().map(|tensor| tensor.spec()).collect();
        // What infer answered, it answers again.
        let Ok(arriving) = self.arriving(&specs) else { return Vec::new() };
        let spread = self.pool.map(|pool| pool.reference(&[inputs[1], inputs[3]], &[arriving]));
        let dy = spread.as_ref().map_or(inputs[1], |spread| &spread[0]);
        let channels = inputs[1].shape.last().copied().unwrap_or(0);
        let mut results = parts::sums(&[inputs[0], dy, inputs[1]], self.images, |inputs| {
            let mut sums = self.weight.reference(&inputs[..2], &[specs[2].clone()]);
            if self.bias {
                sums.extend(SumRows.reference(&inputs[2..], &[Spec::f32([channels])]));
            }
            sums
        });
        let mut dx = self.input.reference(&[dy, inputs[2]], &outputs[self.dx()..]);
        if let Some(other) = self.other() {
            dx = Add.reference(&[&dx[0], inputs[other]], &outputs[self.dx()..]);
        }
        if let (Some(activation), Some(saved)) = (self.activation, self.saved()) {
            dx = ActivationGrad(activation).reference(&[inputs[saved], &dx[0]], &outputs[self.dx()..]);
        }
        results.extend(dx);
        results
    }

    fn flops(&self, inputs: &[Spec], outputs: &[Spec]) -> u64 {
        let Ok(arriving) = self.arriving(inputs) else { return 0 };
        let (dx, bias) = (&outputs[self.dx()..], if self.bias { inputs[1].len() as u64 } else { 0 });
        let weight = self.weight.flops(&[inputs[0].clone(), arriving.clone()], &inputs[2..3]);
        let input = self.input.flops(&[arriving, inputs[2].clone()], dx);
        let read = match self.normalised {
            true => BatchNorm2dApply { activation: self.activation }.flops(&inputs[..1], &inputs[..1]),
            false => 0,
        };
        let other = if self.plus { dx[0].len() as u64 } else { 0 };
        read + other + weight + bias + input + self.activation.map_or(0, |f| ActivationGrad(f).flops(dx, dx))
    }
}
