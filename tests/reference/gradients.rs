//! Central differences in float64 against the gradient rules, each operator in the middle of a graph: its inputs are
//! random multiples of the variables, its output is multiplied by random numbers before it is summed to a loss.

use wgrad::ops::*;
use wgrad::tensor::{Spec, Tensor};

/// Numbers from a seed and an index, evenly spread over −1..1.
pub fn uniform(seed: u32, index: usize) -> f64 {
    f64::from(random::random(seed, 0, index as u32)) / 2f64.powi(31) - 1.0
}

/// A tensor of such numbers.
pub fn noise(seed: u32, shape: &[usize]) -> Tensor<f64> {
    let len: usize = shape.iter().product();
    Tensor::float(shape, (0..len).map(|i| uniform(seed, i)).collect())
}

/// Random distinct values at least 2/len apart, none of them 0: no ties and no kink within a step's reach.
fn distinct(seed: u32, shape: &[usize]) -> Tensor<f64> {
    let len: usize = shape.iter().product();
    let place = |i: usize| f64::from(random::permute(seed, 0, i as u32, len as u32));
    Tensor::float(shape, (0..len).map(|i| (2.0 * place(i) + 1.0) / len as f64 - 1.0 + 0.3 / len as f64).collect())
}

/// Positive numbers between ½ and 3/2.
fn positive(seed: u32, shape: &[usize]) -> Tensor<f64> {
    map(&noise(seed, shape), |v| 1.0 + v / 2.0)
}

fn map(tensor: &Tensor<f64>, f: impl Fn(f64) -> f64) -> Tensor<f64> {
    Tensor::float(tensor.shape.clone(), tensor.floats().iter().map(|&v| f(v)).collect())
}

fn times(a: &Tensor<f64>, b: &Tensor<f64>) -> Tensor<f64> {
    Tensor::float(a.shape.clone(), a.floats().iter().zip(b.floats()).map(|(a, b)| a * b).collect())
}

/// The operator in the middle: loss = Σ after · op(before · variables).
struct Graph {
    op: Op,
    /// A factor for each element of a differentiable operand; `None` for labels and control values.
    before: Vec<Option<Tensor<f64>>>,
    after: Tensor<f64>,
}

impl Graph {
    fn operands(&self, variables: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        let scaled = |(v, b): (&Tensor<f64>, &Option<Tensor<f64>>)| b.as_ref().map_or(v.clone(), |b| times(v, b));
        variables.iter().zip(&self.before).map(scaled).collect()
    }

    fn forward(&self, variables: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        let operands = self.operands(variables);
        self.op.evaluate(&operands.iter().collect::<Vec<_>>()).unwrap()
    }

    fn loss(&self, variables: &[Tensor<f64>]) -> f64 {
        times(&self.forward(variables)[0], &self.after).floats().iter().sum()
    }

    /// The gradient of the loss by each variable, through the gradient rule.
    fn gradient(&self, variables: &[Tensor<f64>]) -> Vec<Option<Tensor<f64>>> {
        let (operands, outputs) = (self.operands(variables), self.forward(variables));
        let specs: Vec<Spec> = operands.iter().map(Tensor::spec).collect();
        let mut gradients = vec![None; variables.len()];
        for node in self.op.gradient(&specs) {
            let pick = |source: &Source| match *source {
                Source::Input(i) => &operands[i],
                Source::Output(i) => &outputs[i],
                Source::Upstream(i) => {
                    assert_eq!(i, 0, "only the first output has a gradient");
                    &self.after
                }
            };
            let picked: Vec<&Tensor<f64>> = node.operands.iter().map(pick).collect();
            for (gradient, &input) in node.op.evaluate(&picked).unwrap().iter().zip(&node.gives) {
                let before = self.before[input].as_ref().expect("a constant got a gradient");
                assert!(gradients[input].is_none(), "two nodes give the gradient of input {input}");
                gradients[input] = Some(times(gradient, before));
            }
        }
        gradients
    }
}

/// Checks up to 60 elements of every gradient of `op` at these operands and returns the complaints.
fn complaints(name: &str, op: Op, variables: &[Tensor<f64>], constants: &[usize]) -> Vec<String> {
    const STEP: f64 = 1e-5;
    let mut before = Vec::new();
    for (i, variable) in variables.iter().enumerate() {
        let fixed = constants.contains(&i);
        before.push((!fixed).then(|| positive(90 + i as u32, &variable.shape)));
    }
    // Variables such that the operands are the given values: what was sampled away from kinks stays there.
    let undo = |(v, b): (&Tensor<f64>, &Option<Tensor<f64>>)| {
        b.as_ref().map_or(v.clone(), |b| times(v, &map(b, |factor| 1.0 / factor)))
    };
    let variables: Vec<Tensor<f64>> = variables.iter().zip(&before).map(undo).collect();
    let mut graph = Graph { op, before, after: Tensor::float([0], vec![]) };
    graph.after = noise(77, &graph.forward(&variables)[0].shape);
    let gradients = graph.gradient(&variables);
    let mut complaints = Vec::new();
    for (input, gradient) in gradients.iter().enumerate() {
        let Some(gradient) = gradient else {
            if !constants.contains(&input) {
                complaints.push(format!("{name}: no rule gives the gradient of input {input}"));
            }
            continue;
        };
        let largest = gradient.floats().iter().fold(1e-3, |max: f64, g| max.max(g.abs()));
        for place in (0..gradient.len()).step_by(gradient.len().div_ceil(60)) {
            let moved = |by: f64| {
                let mut moved = variables.to_vec();
                let mut values = moved[input].floats().to_vec();
                values[place] += by;
                moved[input] = Tensor::float(moved[input].shape.clone(), values);
                graph.loss(&moved)
            };
            let (got, want) = (gradient.floats()[place], (moved(STEP) - moved(-STEP)) / (2.0 * STEP));
            if got.is_nan() || (got - want).abs() / largest > 2e-7 {
                complaints.push(format!("{name}: input {input}, element {place}: rule {got:e}, differences {want:e}"));
            }
        }
    }
    complaints
}

fn expect_right(name: &str, op: impl Into<Op>, variables: &[Tensor<f64>], constants: &[usize]) {
    let complaints = complaints(name, op.into(), variables, constants);
    assert!(complaints.is_empty(), "{} elements off\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn conv2d_agrees_with_finite_differences() {
    let (x, b) = (noise(1, &[2, 6, 5, 4]), noise(3, &[6]));
    let plain = Conv2d { padding: [1, 0, 2, 1], ..Conv2d::default() };
    expect_right("plain", plain, &[x.clone(), noise(2, &[3, 2, 4, 6]), b.clone()], &[]);
    let strided = Conv2d { stride: [2, 1], dilation: [1, 2], groups: 2, ..plain };
    expect_right("strided", strided, &[x.clone(), noise(2, &[3, 2, 2, 6]), b], &[]);
    expect_right("no bias", Conv2d { groups: 4, ..plain }, &[x, noise(2, &[2, 3, 1, 4])], &[]);
}

#[test]
fn linear_agrees_with_finite_differences() {
    expect_right("linear", Linear, &[noise(1, &[3, 5]), noise(2, &[4, 5]), noise(3, &[4])], &[]);
    expect_right("no bias", Linear, &[noise(1, &[1, 5]), noise(2, &[4, 5])], &[]);
}

#[test]
fn pooling_agrees_with_finite_differences() {
    let x = distinct(1, &[2, 7, 6, 3]);
    for ceil_mode in [false, true] {
        for (kernel, stride, padding) in [
            ([2, 2], [2, 2], [0; 4]),
            ([3, 2], [2, 1], [1, 0, 1, 1]),
            ([3, 3], [1, 3], [1; 4]),
            ([2, 3], [3, 2], [1, 1, 0, 0]),
        ] {
            let pool = Pool2d { kernel, stride, padding, ceil_mode };
            expect_right("max", MaxPool2d(pool), std::slice::from_ref(&x), &[]);
            for count_include_pad in [false, true] {
                expect_right("avg", AvgPool2d { pool, count_include_pad }, std::slice::from_ref(&x), &[]);
            }
        }
    }
    expect_right("global", GlobalAvgPool2d, &[x], &[]);
}

#[test]
fn activations_agree_with_finite_differences() {
    let all = [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::LeakyRelu { slope: 0.0 },
        Activation::Elu { alpha: 1.3 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Softplus,
        Activation::HardSwish,
    ];
    for activation in all {
        for scale in [0.9, 5.03] {
            expect_right(activation.name(), activation, &[map(&distinct(4, &[5, 11]), |v| v * scale)], &[]);
        }
    }
}

#[test]
fn softmax_agrees_with_finite_differences_along_every_axis() {
    for axis in 0..3 {
        let x = map(&noise(1, &[3, 4, 5]), |v| 3.0 * v);
        expect_right("softmax", Softmax { axis }, std::slice::from_ref(&x), &[]);
        expect_right("log_softmax", LogSoftmax { axis }, &[x], &[]);
    }
}

#[test]
fn normalisations_agree_with_finite_differences() {
    let (x, weight, bias) = (map(&noise(1, &[3, 4, 2, 6]), |v| 2.0 * v + 0.7), noise(2, &[6]), noise(3, &[6]));
    let operands = [x.clone(), weight.clone(), bias.clone()];
    expect_right("batch_norm2d", BatchNorm2d { eps: 1e-3 }, &operands, &[]);
    let running = [x, weight, bias, noise(4, &[6]), positive(5, &[6])];
    expect_right("batch_norm2d_eval", BatchNorm2dEval { eps: 1e-3 }, &running, &[3, 4]);
    for groups in [1, 2, 3, 6] {
        expect_right("group_norm", GroupNorm { groups, eps: 1e-3 }, &operands, &[]);
    }
    expect_right("layer_norm", LayerNorm { eps: 1e-3 }, &operands, &[]);
}

#[test]
fn dropout_agrees_with_finite_differences() {
    let control = Tensor::u32([4], vec![9, 0, 0, 0]);
    expect_right("dropout", Dropout { rate: 0.4, seed: 3 }, &[noise(1, &[4, 30]), control], &[1]);
}

#[test]
fn elementwise_operators_agree_with_finite_differences() {
    let (a, b) = (noise(1, &[2, 3, 4, 5]), noise(2, &[2, 3, 4, 5]));
    expect_right("add", Add, &[a.clone(), b.clone()], &[]);
    expect_right("mul", Mul, &[a.clone(), b], &[]);
    expect_right("copy", Copy, std::slice::from_ref(&a), &[]);
    expect_right("flatten", Flatten, std::slice::from_ref(&a), &[]);
    for axis in 0..4 {
        let (mut second, mut third) = (a.shape.clone(), a.shape.clone());
        (second[axis], third[axis]) = (2, 1);
        expect_right("concat", Concat { axis }, &[a.clone(), noise(3, &second), noise(4, &third)], &[]);
    }
}

#[test]
fn losses_agree_with_finite_differences_under_any_upstream_gradient() {
    let logits = map(&noise(1, &[6, 5]), |v| 4.0 * v);
    let labels = Tensor::u32([6], vec![0, 4, 2, 2, 1, 3]);
    for label_smoothing in [0.0, 0.1] {
        let loss = SoftmaxCrossEntropy { label_smoothing };
        expect_right("cross entropy", loss, &[logits.clone(), labels.clone()], &[1]);
    }
    expect_right("mse", MseLoss, &[noise(1, &[4, 7]), noise(2, &[4, 7])], &[]);
}
