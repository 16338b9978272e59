//! Operators that combine tensors place by place, or only move elements.
//!
//! ```text
//! add:     y = a + b             da = dy            db = dy
//! mul:     y = a · b             da = dy · b        db = dy · a
//! copy:    y = x                 dx = dy
//! concat:  y = [a | b | ..]      each operand's gradient is its slice of dy
//! flatten: y[n, (c·h + i)·w + j] = x[n,i,j,c]       dx[n,i,j,c] = dy[n, (c·h + i)·w + j]
//! ```
//! [`Slice`] and [`FlattenGrad`] appear in gradients only, and have none themselves.

use super::fill_float;
use super::{GradNode, Operator, Real, Source, around_axis, expect_float, expect_image, expect_operands, expect_spec};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `a [..]`, `b [..]` of one shape → `a + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Add;

/// `a [..]`, `b [..]` of one shape → `a · b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mul;

/// `x [..]` → the same elements in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Copy;

/// Any number of tensors that differ along `axis` only → one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
}

/// `x [..]` → elements `start..start + len` along `axis`: the gradient of [`Concat`] for one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    /// The axis, counted in this crate's layout.
    pub axis: usize,
    /// First index.
    pub start: usize,
    /// Number of indices.
    pub len: usize,
}

/// `x [n,h,w,c]` → `y [n, c·h·w]` in C, H, W order, as PyTorch flattens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flatten;

/// `dy [n, c·h·w]` → `dx [n,h,w,c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlattenGrad {
    /// Height, width and channels of the forward input.
    pub image: [usize; 3],
}

fn infer_pair(op: &str, inputs: &[Spec]) -> Result<Vec<Spec>> {
    expect_operands(op, inputs, 2..=2)?;
    expect_float(op, "the first operand", &inputs[0])?;
    expect_spec(op, "the second operand", &inputs[1], &inputs[0])?;
    Ok(vec![inputs[0].clone()])
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        infer_pair("add", inputs)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        let copy = |input| GradNode { op: Copy.into(), operands: vec![Source::Upstream(0)], gives: vec![input] };
        vec![copy(0), copy(1)]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (a, b) = (inputs[0].floats(), inputs[1].floats());
        vec![fill_float(&outputs[0], |i| a[i] + b[i])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}

impl Operator for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        infer_pair("mul", inputs)
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        let times = |other, input| GradNode {
            op: Self.into(),
            operands: vec![Source::Upstream(0), Source::Input(other)],
            gives: vec![input],
        };
        vec![times(1, 0), times(0, 1)]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (a, b) = (inputs[0].floats(), inputs[1].floats());
        vec![fill_float(&outputs[0], |i| a[i] * b[i])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}

impl Operator for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        vec![GradNode { op: Self.into(), operands: vec![Source::Upstream(0)], gives: vec![0] }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        vec![inputs[0].clone()]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let fail = |problem: String| Err(Error::shape("concat", problem));
        let Some(first) = inputs.first() else {
            return fail("needs at least one operand".to_owned());
        };
        let mut out = first.clone();
        if self.axis >= out.shape.len() {
            return fail(format!("axis {} does not exist in a tensor of shape {:?}", self.axis, out.shape));
        }
        for x in inputs {
            expect_float("concat", "each operand", x)?;
            let fits = x.shape.len() == first.shape.len()
                && (0..x.shape.len()).all(|axis| axis == self.axis || x.shape[axis] == first.shape[axis]);
            if !fits {
                return fail(format!(
                    "{:?} and {:?} differ along another axis than {}",
                    first.shape, x.shape, self.axis
                ));
            }
        }
        out.shape[self.axis] = inputs.iter().map(|x| x.shape[self.axis]).sum();
        Ok(vec![out])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let mut start = 0;
        let mut nodes = Vec::new();
        for (input, spec) in inputs.iter().enumerate() {
            let slice = Slice { axis: self.axis, start, len: spec.shape[self.axis] };
            nodes.push(GradNode { op: slice.into(), operands: vec![Source::Upstream(0)], gives: vec![input] });
            start += slice.len;
        }
        nodes
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let [_, len, inner] = around_axis(&outputs[0].shape, self.axis);
        let element = |i: usize| {
            let (outer, mut along) = (i / (len * inner), i / inner % len);
            for x in inputs {
                let extent = x.shape[self.axis];
                if along < extent {
                    return x.floats()[(outer * extent + along) * inner + i % inner];
                }
                along -= extent;
            }
            T::nan()
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let mut out = inputs[0].clone();
        if out.shape.get(self.axis).is_none_or(|&extent| self.start + self.len > extent) {
            return Err(Error::shape(
                "slice",
                format!(
                    "{}..{} does not exist along axis {} of {:?}",
                    self.start,
                    self.start + self.len,
                    self.axis,
                    out.shape
                ),
            ));
        }
        expect_float("slice", "the input", &out)?;
        out.shape[self.axis] = self.len;
        Ok(vec![out])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let [_, extent, inner] = around_axis(&inputs[0].shape, self.axis);
        let x = inputs[0].floats();
        let element = |i: usize| {
            let (outer, along) = (i / (self.len * inner), i / inner % self.len);
            x[(outer * extent + self.start + along) * inner + i % inner]
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }
}

impl Operator for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [n, h, w, c] = expect_image("flatten", &inputs[0])?;
        Ok(vec![Spec::f32([n, c * h * w])])
    }

    fn gradient(&self, inputs: &[Spec]) -> Vec<GradNode> {
        let x = &inputs[0].shape;
        vec![GradNode {
            op: FlattenGrad { image: [x[1], x[2], x[3]] }.into(),
            operands: vec![Source::Upstream(0)],
            gives: vec![0],
        }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (pixels, c) = (inputs[0].shape[1] * inputs[0].shape[2], inputs[0].shape[3]);
        let x = inputs[0].floats();
        let element = |i: usize| {
            let (n, channel, pixel) = (i / (pixels * c), i / pixels % c, i % pixels);
            x[(n * pixels + pixel) * c + channel]
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }
}

impl Operator for FlattenGrad {
    fn name(&self) -> &'static str {
        "flatten_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [h, w, c] = self.image;
        expect_spec("flatten_grad", "the rows", &inputs[0], &Spec::f32([inputs[0].shape[0], h * w * c]))?;
        Ok(vec![Spec::f32([inputs[0].shape[0], h, w, c])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let [h, w, c] = self.image;
        let pixels = h * w;
        let dy = inputs[0].floats();
        let element = |i: usize| {
            let (n, pixel, channel) = (i / (pixels * c), i / c % pixels, i % c);
            dy[(n * c + channel) * pixels + pixel]
        };
        vec![fill_float(&outputs[0], element)]
    }

    fn flops(&self, _inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        0
    }
}
