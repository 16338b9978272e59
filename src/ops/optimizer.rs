//! What happens to gradients and parameters at the end of a step, over the flat buffers of a whole network.
//!
//! ```text
//! sgd:      g += wd·w; v ← μ·v + g; w ← w − lr·(nesterov ? g + μ·v : v)             without μ: w ← w − lr·g
//! adam:     g += wd·w (adamw: w ← w·(1 − lr·wd) instead)
//!           m ← m + (1 − β₁)·(g − m); v ← β₂·v + (1 − β₂)·g²
//!           w ← w − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
//! rmsprop:  g += wd·w; v ← α·v + (1 − α)·g²; u = g/(√v + eps); w ← w − lr·u          with μ: b ← μ·b + u; w ← w − lr·b
//! accumulate:     y ← y + x
//! grad_norm:      norm = √Σ g²
//! clip_grad_norm: g ← g · min(1, max_norm/(norm + 1e-6))
//! clip_value:     x ← min(max(x, −limit), limit)
//! ```
//! Moments begin as zeros, so v = g in SGD's first step needs no case of its own. The differences 1 − β are taken in
//! float64 from the decimal that was written (`real::decimal`) and rounded afterwards: 1 − 0.999 taken in
//! f32 is 1.3e-5 off.

use super::{BlockSum, Operator, Real, control, expect_operands, expect_spec, fill, fill_float};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// `param [p]`, `grad [p]`, `rates [steps, 4]`, `control`, then the optimiser's moments `[p]` (see
/// [`Optimizer::moments`]) → `param` and the moments, updated in place unless the control flag is set.
///
/// An element whose new weight or moments would not be finite keeps the old ones, so that a run that diverges can always save
/// weights that are.
///
/// Row `control.step % steps` of `rates` holds the learning rate, Adam's 1 − β₁ᵗ, Adam's √(1 − β₂ᵗ), and 0, computed on the
/// host in float64.
///
/// Moments are, in order: sgd's v (with momentum only); Adam's m, v; RMSprop's v, then b (with momentum only).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// g ← g + weight_decay·w; v ← momentum·v + g (v = g in the first step); w ← w − lr·(nesterov ? g + momentum·v : v).
    Sgd {
        /// μ; 0 keeps no moment at all.
        momentum: f64,
        /// Whether the step looks ahead along v; needs momentum.
        nesterov: bool,
        /// Weight of w in the gradient.
        weight_decay: f64,
    },
    /// Kingma and Ba 2015; weight decay is added to the gradient.
    Adam {
        /// Share of the old first moment.
        beta1: f64,
        /// Share of the old second moment.
        beta2: f64,
        /// Added to the square root.
        eps: f64,
        /// Weight of w in the gradient.
        weight_decay: f64,
    },
    /// Loshchilov and Hutter 2019; weight decay shrinks the weight directly.
    AdamW {
        /// Share of the old first moment.
        beta1: f64,
        /// Share of the old second moment.
        beta2: f64,
        /// Added to the square root.
        eps: f64,
        /// Share of w, times the learning rate, that each step takes away.
        weight_decay: f64,
    },
    /// Tieleman and Hinton 2012, as in PyTorch (not centred).
    RmsProp {
        /// Share of the old mean square.
        alpha: f64,
        /// Added to the square root.
        eps: f64,
        /// μ; 0 keeps no second moment buffer.
        momentum: f64,
        /// Weight of w in the gradient.
        weight_decay: f64,
    },
}

/// `y [p]`, `x [p]` → `y` in place, y + x: the gradient of a micro-batch joins those of the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accumulate;

/// `grad [p]` → `norm [2]`: the L2 norm over all elements, and 1 where any of them is NaN or infinite, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GradNorm;

/// `grad [p]`, `norm [2]` → `grad` in place, times min(1, max_norm / (norm + 1e-6)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipGradNorm {
    /// The largest norm that passes unchanged.
    pub max_norm: f64,
}

/// `x [p]`, `control` → `x` in place, each element into [−limit, limit] (unless the control flag is set): gradients before
/// the optimiser or weights after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipValue {
    /// The largest magnitude that passes unchanged.
    pub limit: f64,
}

/// Elements of a row of the `rates` table.
pub const RATES: usize = 4;

impl Optimizer {
    /// How many moments of the parameters' size it keeps.
    pub fn moments(&self) -> usize {
        match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Self::Adam { .. } | Self::AdamW { .. } => 2,
            Self::RmsProp { momentum, .. } => 1 + usize::from(momentum > 0.0),
        }
    }

    /// The row of the `rates` table for step `t`, counted from 1, in float64: the learning rate, 1 − β₁ᵗ, √(1 − β₂ᵗ), 0.
    pub fn rates(&self, lr: f64, t: u64) -> [f64; RATES] {
        match *self {
            Self::Adam { beta1, beta2, .. } | Self::AdamW { beta1, beta2, .. } => {
                // 1 − βᵗ without cancellation while βᵗ is close to 1.
                let correction = |beta: f64| -((t as f64) * beta.ln()).exp_m1();
                [lr, correction(beta1), correction(beta2).sqrt(), 0.0]
            }
            Self::Sgd { .. } | Self::RmsProp { .. } => [lr, 1.0, 1.0, 0.0],
        }
    }

    /// [`Optimizer::rates`] as a device takes it.
    pub fn rates_row(&self, lr: f64, t: u64) -> [f32; RATES] {
        self.rates(lr, t).map(|value| value as f32)
    }

    /// The numbers with their names, the range that each must lie in, and whether its end belongs to it.
    fn check(&self) -> Result<()> {
        let share = |name, value: f64| (name, value, (0.0..1.0).contains(&value), "at least 0 and below 1");
        let amount = |name, value: f64| (name, value, value.is_finite() && value >= 0.0, "a number of at least 0");
        let checks = match *self {
            Self::Sgd { momentum, weight_decay, .. } => {
                vec![share("momentum", momentum), amount("weight_decay", weight_decay)]
            }
            Self::Adam { beta1, beta2, eps, weight_decay } | Self::AdamW { beta1, beta2, eps, weight_decay } => {
                vec![
                    share("beta1", beta1),
                    share("beta2", beta2),
                    amount("eps", eps),
                    amount("weight_decay", weight_decay),
                ]
            }
            Self::RmsProp { alpha, eps, momentum, weight_decay } => vec![
                share("alpha", alpha),
                share("momentum", momentum),
                amount("eps", eps),
                amount("weight_decay", weight_decay),
            ],
        };
        if let Some((name, value, _, range)) = checks.into_iter().find(|check| !check.2) {
            return Err(Error::shape(self.name(), format!("{name} must be {range}, got {value}")));
        }
        if matches!(*self, Self::Sgd { nesterov: true, momentum, .. } if momentum == 0.0) {
            return Err(Error::shape(self.name(), "nesterov needs a momentum above 0"));
        }
        Ok(())
    }

    /// The new parameter and moments of one element; moments that are not kept come in and go out as 0.
    fn update<T: Real>(&self, w: T, grad: T, moments: [T; 2], rates: [T; 3]) -> [T; 3] {
        let [lr, correction1, root2] = rates;
        let rest = |share: f64| T::of(1.0 - share);
        let decayed = |weight_decay: f64| grad + T::of(weight_decay) * w;
        let adam = |w: T, g: T, beta1: f64, beta2: f64, eps: f64| {
            let m = moments[0] + rest(beta1) * (g - moments[0]);
            let v = T::of(beta2) * moments[1] + rest(beta2) * g * g;
            [w - lr / correction1 * m / (v.sqrt() / root2 + T::of(eps)), m, v]
        };
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => {
                let (g, mu) = (decayed(weight_decay), T::of(momentum));
                let v = mu * moments[0] + g;
                [w - lr * if nesterov { g + mu * v } else { v }, v, T::zero()]
            }
            Self::Adam { beta1, beta2, eps, weight_decay } => adam(w, decayed(weight_decay), beta1, beta2, eps),
            Self::AdamW { beta1, beta2, eps, weight_decay } => {
                adam(w * (T::one() - lr * T::of(weight_decay)), grad, beta1, beta2, eps)
            }
            Self::RmsProp { alpha, eps, momentum, weight_decay } => {
                let g = decayed(weight_decay);
                let v = T::of(alpha) * moments[0] + rest(alpha) * g * g;
                let b = T::of(momentum) * moments[1] + g / (v.sqrt() + T::of(eps));
                [w - lr * b, v, b]
            }
        }
    }
}

impl Operator for Optimizer {
    fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
            Self::RmsProp { .. } => "rmsprop",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let operands = 4 + self.moments();
        expect_operands(self.name(), inputs, operands..=operands)?;
        self.check()?;
        let flat = Spec::f32([inputs[0].len()]);
        expect_spec(self.name(), "the parameters", &inputs[0], &flat)?;
        expect_spec(self.name(), "the gradient", &inputs[1], &flat)?;
        let steps = inputs[2].shape.first().copied().unwrap_or(0).max(1);
        expect_spec(self.name(), "the table of rates", &inputs[2], &Spec::f32([steps, RATES]))?;
        control::expect(self.name(), &inputs[3])?;
        for moment in &inputs[4..] {
            expect_spec(self.name(), "each moment", moment, &flat)?;
        }
        Ok(vec![flat; 1 + self.moments()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if control::stopped(inputs[3]) {
            return std::iter::once(inputs[0]).chain(inputs[4..].iter().copied()).cloned().collect();
        }
        let (param, grad, table) = (inputs[0].floats(), inputs[1].floats(), inputs[2].floats());
        let row = inputs[3].u32s()[control::STEP] as usize % inputs[2].shape[0];
        let rates = [table[row * RATES], table[row * RATES + 1], table[row * RATES + 2]];
        let moment = |number: usize, i: usize| inputs.get(4 + number).map_or(T::zero(), |moment| moment.floats()[i]);
        let updated = fill(param.len(), |i| {
            let old = [moment(0, i), moment(1, i)];
            let new = self.update(param[i], grad[i], old, rates);
            if new.iter().all(|x| x.is_finite()) { new } else { [param[i], old[0], old[1]] }
        });
        let output = |(number, spec)| fill_float(spec, |i| updated[i][number]);
        outputs.iter().enumerate().map(output).collect()
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        let each = match self {
            Self::Sgd { .. } => 6,
            Self::Adam { .. } | Self::AdamW { .. } => 15,
            Self::RmsProp { .. } => 11,
        };
        each * inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        std::iter::once((0, 0)).chain((0..self.moments()).map(|number| (1 + number, 4 + number))).collect()
    }
}

impl Operator for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("accumulate", inputs, 2..=2)?;
        let flat = Spec::f32([inputs[0].len()]);
        expect_spec("accumulate", "the sum", &inputs[0], &flat)?;
        expect_spec("accumulate", "what is added", &inputs[1], &flat)?;
        Ok(vec![flat])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (y, x) = (inputs[0].floats(), inputs[1].floats());
        vec![fill_float(&outputs[0], |i| y[i] + x[i])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}

impl Operator for GradNorm {
    fn name(&self) -> &'static str {
        "grad_norm"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_spec("grad_norm", "the gradient", &inputs[0], &Spec::f32([inputs[0].len()]))?;
        Ok(vec![Spec::f32([2])])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], _outputs: &[Spec]) -> Vec<Tensor<T>> {
        let grad = inputs[0].floats();
        let squares: BlockSum<T> = grad.iter().map(|&g| g * g).collect();
        let broken = grad.iter().any(|g| !g.is_finite());
        vec![Tensor::float([2], vec![squares.value().sqrt(), if broken { T::one() } else { T::zero() }])]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        2 * inputs[0].len() as u64
    }
}

impl Operator for ClipGradNorm {
    fn name(&self) -> &'static str {
        "clip_grad_norm"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("clip_grad_norm", inputs, 2..=2)?;
        if !(self.max_norm.is_finite() && self.max_norm > 0.0) {
            return Err(Error::shape("clip_grad_norm", format!("max_norm must be above 0, got {}", self.max_norm)));
        }
        expect_spec("clip_grad_norm", "the gradient", &inputs[0], &Spec::f32([inputs[0].len()]))?;
        expect_spec("clip_grad_norm", "the norm", &inputs[1], &Spec::f32([2]))?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        let (grad, norm) = (inputs[0].floats(), inputs[1].floats()[0]);
        let scale = T::of(self.max_norm) / (norm + T::of(1e-6));
        // Not `min`, which would make 1 of a NaN.
        let scale = if scale > T::one() { T::one() } else { scale };
        vec![fill_float(&outputs[0], |i| grad[i] * scale)]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}

impl Operator for ClipValue {
    fn name(&self) -> &'static str {
        "clip_value"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        expect_operands("clip_value", inputs, 2..=2)?;
        if !(self.limit.is_finite() && self.limit > 0.0) {
            return Err(Error::shape("clip_value", format!("the limit must be above 0, got {}", self.limit)));
        }
        expect_spec("clip_value", "the values", &inputs[0], &Spec::f32([inputs[0].len()]))?;
        control::expect("clip_value", &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Tensor<T>], outputs: &[Spec]) -> Vec<Tensor<T>> {
        if control::stopped(inputs[1]) {
            return vec![inputs[0].clone()];
        }
        let (x, limit) = (inputs[0].floats(), T::of(self.limit));
        let clipped = |v: T| {
            if v > limit {
                limit
            } else if v < -limit {
                -limit
            } else {
                v
            }
        };
        vec![fill_float(&outputs[0], |i| clipped(x[i]))]
    }

    fn flops(&self, inputs: &[Spec], _outputs: &[Spec]) -> u64 {
        2 * inputs[0].len() as u64
    }

    fn in_place(&self) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
