//! Functions of one element, and their derivatives.
//!
//! ```text
//! y[i]  = f(x[i])
//! dx[i] = f'(x[i]) · dy[i]
//! ```
//! The formulas of f and f' stand at the variants of [`Activation`]; σ(x) = 1 / (1 + e⁻ˣ). Where f' is a function of f
//! alone the gradient reads the saved output, so that the input's memory is free after the forward pass. A NaN stays
//! a NaN.

use super::{GradNode, Operator, Real, Source, expect_float, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, PI};

/// `x [..]` → `y [..]`, element by element. `f32` attributes keep the operator's bits the same on every device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// f = max(x, 0); f' = 1 for x > 0, else 0.
    Relu,
    /// f = x for x > 0, else slope·x; f' = 1 for x > 0, else slope.
    LeakyRelu {
        /// Slope of the negative side, at least 0.
        slope: f64,
    },
    /// f = x for x > 0, else alpha·(eˣ − 1); f' = 1 for x > 0, else f + alpha.
    Elu {
        /// Distance of the negative asymptote from 0, at least 0.
        alpha: f64,
    },
    /// f = σ(x); f' = f·(1 − f).
    Sigmoid,
    /// f = tanh(x); f' = 1 − f², computed as (1 − f)·(1 + f).
    Tanh,
    /// f = x·σ(x); f' = σ(x)·(1 + x·(1 − σ(x))).
    Silu,
    /// f = x·Φ(x) with Φ(x) = ½·(1 + erf(x/√2)); f' = Φ(x) + x·e^(−x²/2)/√(2π).
    Gelu,
    /// f = ½·x·(1 + t) with t = tanh(u), u = √(2/π)·(x + 0.044715·x³); f' = ½·(1 + t) + ½·x·(1 − t²)·u'.
    GeluTanh,
    /// f = ln(1 + eˣ), computed as max(x, 0) + ln(1 + e^(−|x|)); f' = σ(x). For x > 20, as in PyTorch, f = x and f' = 1.
    Softplus,
    /// f = x·min(max(x + 3, 0), 6)/6; f' = 0 for x ≤ −3, 1 for x ≥ 3, else x/3 + ½.
    HardSwish,
}

/// `saved [..]`, `dy [..]` → `dx [..]`, where `saved` is the forward output for those activations whose derivative is
/// a function of it (relu, leaky_relu, elu, sigmoid, tanh) and the forward input for the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationGrad(pub Activation);

impl Activation {
    /// Every activation, with these attributes.
    pub const fn all(slope: f64, alpha: f64) -> [Self; 10] {
        [
            Self::Relu,
            Self::LeakyRelu { slope },
            Self::Elu { alpha },
            Self::Sigmoid,
            Self::Tanh,
            Self::Silu,
            Self::Gelu,
            Self::GeluTanh,
            Self::Softplus,
            Self::HardSwish,
        ]
    }
}

/// Beyond this magnitude tanh(u) of gelu_tanh is ±1 in every float type, while x² may overflow.
const GELU_TANH_SATURATES: f64 = 16.0;
const GELU_TANH_CUBIC: f64 = 0.044715;
/// Beyond this softplus is its argument: PyTorch's threshold. In f32 it is anyway.
const SOFTPLUS_LINEAR: f64 = 20.0;

/// σ(x) without overflow on either side.
fn sigmoid<T: Real>(x: T) -> T {
    let one = T::one();
    if x >= T::zero() {
        return one / (one + (-x).exp());
    }
    let e = x.exp();
    e / (one + e)
}

/// Φ(x), the share of a normal distribution below x, as ½·erfc(−x/√2): 1 + erf would lose the tail's digits.
fn normal_below<T: Real>(x: T) -> T {
    T::of(0.5 * libm::erfc(-x.wide() * FRAC_1_SQRT_2))
}

/// 2u of gelu_tanh: ½·(1 + tanh(u)) = σ(2u), which keeps the tail's digits.
fn gelu_tanh_argument<T: Real>(x: T) -> T {
    T::of(2.0 * FRAC_2_PI.sqrt()) * (x + T::of(GELU_TANH_CUBIC) * x * x * x)
}

impl Activation {
    /// The activation's name as users, files and tests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Softplus => "softplus",
            Self::HardSwish => "hard_swish",
        }
    }

    /// Whether the gradient reads the forward output (else the forward input).
    pub fn saves_output(self) -> bool {
        match self {
            Self::Relu | Self::LeakyRelu { .. } | Self::Elu { .. } | Self::Sigmoid | Self::Tanh => true,
            Self::Silu | Self::Gelu | Self::GeluTanh | Self::Softplus | Self::HardSwish => false,
        }
    }

    /// The outputs between which the derivative is at least a hundredth of its largest value, where there are ends beyond which it
    /// is not: sigmoid, where f·(1 − f) is ¼ at most, and tanh, where 1 − f² is 1 at most.
    pub fn unsaturated(self) -> Option<[f64; 2]> {
        let root = 0.99f64.sqrt();
        match self {
            Self::Sigmoid => Some([0.5 * (1.0 - root), 0.5 * (1.0 + root)]),
            Self::Tanh => Some([-root, root]),
            _ => None,
        }
    }

    /// f(x).
    pub fn value<T: Real>(self, x: T) -> T {
        let (zero, three) = (T::zero(), T::of(3.0));
        match self {
            Self::Relu if x <= zero => zero,
            Self::Relu => x,
            Self::LeakyRelu { .. } | Self::Elu { .. } if x > zero => x,
            Self::LeakyRelu { slope } => T::of(slope) * x,
            Self::Elu { alpha } => T::of(alpha) * x.exp_m1(),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Silu => x * sigmoid(x),
            Self::Gelu => x * normal_below(x),
            Self::GeluTanh => x * sigmoid(gelu_tanh_argument(x)),
            Self::Softplus if x > T::of(SOFTPLUS_LINEAR) => x,
            Self::Softplus => x.max(zero) + (-x.abs()).exp().ln_1p(),
            Self::HardSwish if x <= -three => zero,
            Self::HardSwish if x >= three => x,
            Self::HardSwish => x * (x + three) / T::of(6.0),
        }
    }

    /// f', given f(x) where [`Activation::saves_output`], else x.
    pub fn derivative<T: Real>(self, saved: T) -> T {
        let (zero, one, three, half) = (T::zero(), T::one(), T::of(3.0), T::of(0.5));
        match self {
            Self::Relu if saved <= zero => zero,
            Self::Relu => one,
            Self::LeakyRelu { .. } | Self::Elu { .. } if saved > zero => one,
            Self::LeakyRelu { slope } => T::of(slope),
            Self::Elu { alpha } => saved + T::of(alpha),
            Self::Sigmoid => saved * (one - saved),
            Self::Tanh => (one - saved) * (one + saved),
            Self::Silu => {
                let s = sigmoid(saved);
                s * (one + saved * (one - s))
            }
            Self::Gelu => {
                let density = (-(saved * saved) * half).exp() / T::of((2.0 * PI).sqrt());
                normal_below(saved) + saved * density
            }
            Self::GeluTanh if saved.abs() > T::of(GELU_TANH_SATURATES) => (saved.signum() + one) * half,
            Self::GeluTanh => {
                let u = gelu_tanh_argument(saved);
                let slope = T::of(2.0 * FRAC_2_PI.sqrt()) * (one + three * T::of(GELU_TANH_CUBIC) * saved * saved);
                sigmoid(u) + saved * sigmoid(u) * sigmoid(-u) * slope
            }
            Self::Softplus if saved > T::of(SOFTPLUS_LINEAR) => one,
            Self::Softplus => sigmoid(saved),
            Self::HardSwish if saved <= -three => zero,
            Self::HardSwish if saved >= three => one,
            Self::HardSwish => saved / three + half,
        }
    }
}

impl Operator for Activation {
    fn name(&self) -> &'static str {
        Self::name(*self)
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let (what, value) = match *self {
            Self::LeakyRelu { slope } => ("slope", slope),
            Self::Elu { alpha } => ("alpha", alpha),
            _ => ("", 0.0),
        };
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::shape(Self::name(*self), format!("{what} must be a number of at least 0, got {value}")));
        }
        expect_float(Self::name(*self), "the input", &inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient(&self, _inputs: &[Spec]) -> Vec<GradNode> {
        let saved = if self.saves_output() { Source::Output(0) } else { Source::Input(0) };
        vec![GradNode { op: ActivationGrad(*self).into(), operands: vec![saved, Source::Upstream(0)], gives: vec![0] }]
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let x = inputs[0].floats();
        vec![fill_float(&outputs[0], |i| self.value(x[i]))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }
}

impl Operator for ActivationGrad {
    fn name(&self) -> &'static str {
        match self.0 {
            Activation::Relu => "relu_grad",
            Activation::LeakyRelu { .. } => "leaky_relu_grad",
            Activation::Elu { .. } => "elu_grad",
            Activation::Sigmoid => "sigmoid_grad",
            Activation::Tanh => "tanh_grad",
            Activation::Silu => "silu_grad",
            Activation::Gelu => "gelu_grad",
            Activation::GeluTanh => "gelu_tanh_grad",
            Activation::Softplus => "softplus_grad",
            Activation::HardSwish => "hard_swish_grad",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[1].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (saved, dy) = (inputs[0].floats(), inputs[1].floats());
        vec![fill_float(&outputs[0], |i| self.0.derivative(saved[i]) * dy[i])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        2 * inputs[0].len() as u64
    }
}
