//! A case: an operator with operands, said in data. The numbers are drawn when it runs, so thousands of cases cost nothing.

use crate::error::{Error, Result};
use crate::gpu::Caps;
use crate::kernels::{Lowered, Problem, known, lower, variants};
use crate::ops::random::random;
use crate::ops::{Op, Operator, control, fill};
use crate::tensor::{DType, Spec, Tensor};

/// When a case is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Before a variant is used on an adapter for the first time: a few small cases.
    Quick,
    /// `wgrad verify`: every edge of every variant.
    Standard,
    /// `wgrad verify --full`: edges against each other, and large tensors.
    Full,
}

/// A question with one right answer.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is special about it, in snake case.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<Operand>,
    /// The least depth at which it is asked.
    pub depth: Depth,
    /// The variant whose edges it was made from; `None` where every variant is asked.
    pub variant: Option<&'static str>,
    /// Where the plan is made as for a device of small bindings and few workgroups, so that it is cut like that of a large case: the
    /// most of them in one dimension.
    pub squeezed: Option<u32>,
    /// Whether its operands hold NaN or infinities, which WGSL does not promise to keep.
    pub special: bool,
    /// Whether the reference computes in float32, since what is asked is where that overflows.
    pub overflows: bool,
}

/// The direction of an operator whose name ends in one of these.
const DIRECTIONS: [&str; 3] = ["grad_input", "grad_weight", "grad"];

impl Case {
    /// A case that every variant is asked at [`Depth::Standard`].
    pub fn new(name: impl Into<String>, op: impl Into<Op>, operands: impl Into<Vec<Operand>>) -> Self {
        let (name, op, operands) = (name.into(), op.into(), operands.into());
        Self {
            name,
            op,
            operands,
            depth: Depth::Standard,
            variant: None,
            squeezed: None,
            special: false,
            overflows: false,
        }
    }

    /// The same at another depth.
    pub fn at(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// The same for one variant alone.
    pub fn only(self, variant: &'static str) -> Self {
        Self { variant: Some(variant), ..self }
    }

    /// The same, cut like a large case.
    pub fn squeezed(self) -> Self {
        self.squeezed_to(5)
    }

    /// The same to so many workgroups.
    pub fn squeezed_to(self, workgroups: u32) -> Self {
        Self { name: format!("{}_squeezed", self.name), squeezed: Some(workgroups), ..self }
    }

    /// Declares that its operands hold NaN or infinities.
    pub fn special(self) -> Self {
        Self { special: true, ..self }
    }

    /// Declares that float32 overflows in it, and that this is what is asked.
    pub fn overflowing(self) -> Self {
        Self { overflows: true, ..self.special() }
    }

    /// What the reference answers to these operands.
    pub fn answer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor<f64>>> {
        if self.overflows {
            let narrow = self.op.evaluate(&inputs.iter().collect::<Vec<_>>())?;
            return Ok(narrow.iter().map(Tensor::widen).collect());
        }
        let wide: Vec<Tensor<f64>> = inputs.iter().map(Tensor::widen).collect();
        self.op.evaluate(&wide.iter().collect::<Vec<_>>())
    }

    /// The operator's name without its direction: `conv2d`.
    pub fn operator(&self) -> &'static str {
        split(self.op.name()).0
    }

    /// `forward`, `grad`, `grad_input` or `grad_weight`.
    pub fn direction(&self) -> &'static str {
        split(self.op.name()).1
    }

    /// The device for which the plan is made, on a device of these capabilities.
    pub fn caps(&self, caps: &Caps) -> Caps {
        match self.squeezed {
            None => *caps,
            Some(max_workgroups) => Caps { max_binding_bytes: 4096, max_workgroups, ..*caps },
        }
    }

    /// What it runs in a variant, on a device of these capabilities; nothing where the variant does not serve it.
    pub fn lowered(&self, variant: &str, caps: &Caps) -> Result<Option<Lowered>> {
        let inputs: Vec<Spec> = self.operands.iter().map(|operand| operand.spec.clone()).collect();
        let (outputs, caps) = (self.op.infer(&inputs)?, self.caps(caps));
        let problem = Problem { inputs: &inputs, outputs: &outputs, caps: &caps };
        let served = variants(&self.op, &problem).into_iter().find(|name| *name == variant);
        served.map(|variant| lower(&self.op, &problem, variant)).transpose()
    }

    /// Whether a variant is asked: one that lets NaN and infinities spread promises nothing where there are some.
    pub fn asks(&self, variant: &str) -> bool {
        let spreads = || known(&self.op).iter().any(|known| known.name == variant && known.spreads);
        self.variant.is_none_or(|only| only == variant) && !(self.special && spreads())
    }

    /// Draws the operands. Another seed gives other random numbers, and the same everything else.
    pub fn inputs(&self, seed: u32) -> Result<Vec<Tensor>> {
        self.operands.iter().map(|operand| operand.draw(seed)).collect()
    }
}

/// Splits an operator's name into operator and direction.
pub fn split(name: &'static str) -> (&'static str, &'static str) {
    let found = DIRECTIONS.iter().find_map(|direction| {
        let operator = name.strip_suffix(direction)?.strip_suffix('_')?;
        (operator != "clip").then_some((operator, *direction))
    });
    found.unwrap_or((name, "forward"))
}

/// The operator's name from which [`split`] took these.
pub fn join(operator: &str, direction: &str) -> String {
    if direction == "forward" { operator.to_owned() } else { format!("{operator}_{direction}") }
}

/// An operand: its spec, and how its elements are drawn.
#[derive(Debug, Clone)]
pub struct Operand {
    /// Shape and element type.
    pub spec: Spec,
    /// Its elements.
    pub values: Values,
}

/// How elements are drawn. Equal values with equal seeds give equal elements.
#[derive(Debug, Clone)]
pub enum Values {
    /// Floats, evenly between two bounds.
    Uniform(u32, f32, f32),
    /// Floats of either sign whose magnitudes are spread evenly over the powers of ten between two bounds.
    Spread(u32, f32, f32),
    /// Integers or bytes below a bound.
    Below(u32, u32),
    /// These floats, again and again.
    Floats(Vec<f32>),
    /// These integers, again and again.
    Integers(Vec<u32>),
    /// Output `.1` of the reference of operator `.0` on operands `.2`: what a forward operator saves for its backward one.
    Saved(Box<Op>, usize, Vec<Operand>),
    /// Another operand, in which each `.1`-th element from `.2` on is `.3`.
    Strewn(Box<Operand>, usize, usize, f32),
    /// Another operand plus a number.
    Moved(Box<Operand>, f32),
}

impl Operand {
    fn new(spec: Spec, values: Values) -> Self {
        Self { spec, values }
    }

    /// Replaces each `every`-th element from `from` on by `value`.
    pub fn strewn(self, every: usize, from: usize, value: f32) -> Self {
        Self::new(self.spec.clone(), Values::Strewn(Box::new(self), every, from, value))
    }

    /// Adds a number to every element.
    pub fn moved(self, by: f32) -> Self {
        Self::new(self.spec.clone(), Values::Moved(Box::new(self), by))
    }

    /// Draws the elements.
    pub fn draw(&self, seed: u32) -> Result<Tensor> {
        let len = self.spec.len();
        let shape = self.spec.shape.clone();
        let draw = |own: u32, i: usize| random(own ^ seed.wrapping_mul(0x9e37_79b9), 0, i as u32);
        let unit = |own: u32, i: usize| f64::from(draw(own, i)) / f64::from(u32::MAX);
        let between = |low: f32, high: f32, at: f64| (f64::from(low) + at * (f64::from(high) - f64::from(low))) as f32;
        Ok(match &self.values {
            Values::Uniform(own, low, high) => Tensor::float(shape, fill(len, |i| between(*low, *high, unit(*own, i)))),
            Values::Spread(own, low, high) => {
                let sign = |i: usize| if draw(own ^ 0x5163, i) & 1 == 0 { 1.0 } else { -1.0 };
                let (low, high) = (low.log10(), high.log10());
                Tensor::float(shape, fill(len, |i| sign(i) * 10f32.powf(between(low, high, unit(*own, i)))))
            }
            Values::Below(own, below) => match self.spec.dtype {
                DType::U8 => Tensor::u8(shape, fill(len, |i| (draw(*own, i) % below) as u8)),
                _ => Tensor::u32(shape, fill(len, |i| draw(*own, i) % below)),
            },
            Values::Floats(values) => Tensor::float(shape, fill(len, |i| values[i % values.len()])),
            Values::Integers(values) => Tensor::u32(shape, fill(len, |i| values[i % values.len()])),
            Values::Saved(op, output, operands) => saved(op, *output, operands, seed)?,
            Values::Strewn(operand, every, from, value) => {
                let mut data = operand.draw(seed)?.floats().to_vec();
                data.iter_mut().skip(*from).step_by(*every).for_each(|element| *element = *value);
                Tensor::float(shape, data)
            }
            Values::Moved(operand, by) => {
                Tensor::float(shape, operand.draw(seed)?.floats().iter().map(|x| x + by).collect())
            }
        })
    }
}

fn saved(op: &Op, output: usize, operands: &[Operand], seed: u32) -> Result<Tensor> {
    let inputs: Vec<Tensor<f64>> =
        operands.iter().map(|operand| Ok(operand.draw(seed)?.widen())).collect::<Result<_>>()?;
    let mut outputs = op.evaluate(&inputs.iter().collect::<Vec<_>>())?;
    if output >= outputs.len() {
        return Err(Error::Invalid(format!("{} has no output {output}", op.name())));
    }
    Ok(outputs.swap_remove(output).narrow())
}

/// Floats evenly between two bounds.
pub fn floats(seed: u32, shape: impl Into<Vec<usize>>, low: f32, high: f32) -> Operand {
    Operand::new(Spec::f32(shape), Values::Uniform(seed, low, high))
}

/// Floats evenly between −1 and 1.
pub fn noise(seed: u32, shape: impl Into<Vec<usize>>) -> Operand {
    floats(seed, shape, -1.0, 1.0)
}

/// Floats of either sign with magnitudes of all powers of ten between two bounds.
pub fn spread(seed: u32, shape: impl Into<Vec<usize>>, low: f32, high: f32) -> Operand {
    Operand::new(Spec::f32(shape), Values::Spread(seed, low, high))
}

/// These floats, repeated as often as the shape wants.
pub fn values(shape: impl Into<Vec<usize>>, values: &[f32]) -> Operand {
    Operand::new(Spec::f32(shape), Values::Floats(values.to_vec()))
}

/// Integers below a bound.
pub fn integers(seed: u32, shape: impl Into<Vec<usize>>, below: u32) -> Operand {
    Operand::new(Spec::u32(shape), Values::Below(seed, below))
}

/// These integers, repeated as often as the shape wants.
pub fn words(shape: impl Into<Vec<usize>>, words: &[u32]) -> Operand {
    Operand::new(Spec::u32(shape), Values::Integers(words.to_vec()))
}

/// Random bytes.
pub fn bytes(seed: u32, shape: impl Into<Vec<usize>>) -> Operand {
    Operand::new(Spec::u8(shape), Values::Below(seed, 256))
}

/// A control value: step counter and flag. The words that nobody reads hold numbers too.
pub fn control(step: u32, flag: u32) -> Operand {
    let mut all = vec![0x5eed; control::LEN];
    all[control::STEP] = step;
    all[control::FLAG] = flag;
    words([control::LEN], &all)
}

/// Every output of an operator's reference, as the operands of its backward operator. Panics where the operator refuses the
/// operands: that is a mistake in a sweep.
pub fn outputs_of(op: impl Into<Op>, operands: &[Operand]) -> Vec<Operand> {
    let op = op.into();
    let specs: Vec<Spec> = operands.iter().map(|operand| operand.spec.clone()).collect();
    let outputs = op.infer(&specs).unwrap_or_else(|error| panic!("{error}"));
    let output = |(i, spec)| Operand::new(spec, Values::Saved(Box::new(op.clone()), i, operands.to_vec()));
    outputs.into_iter().enumerate().map(output).collect()
}
