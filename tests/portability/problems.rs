//! Small problems that together reach every entry point and every specialisation of every shader.

use wgrad::Tensor;
use wgrad::ops::*;

/// An operator with operands, named by what is special about it.
pub struct Problem {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<Tensor>,
}

/// Uniform random floats in `low..high`, the same on every run.
fn floats(seed: u32, shape: impl Into<Vec<usize>>, low: f32, high: f32) -> Tensor {
    let shape = shape.into();
    let unit = |i: usize| f64::from(random::random(seed, 0, i as u32)) / f64::from(u32::MAX);
    let value = |i: usize| (f64::from(low) + unit(i) * f64::from(high - low)) as f32;
    Tensor::float(shape.clone(), (0..shape.iter().product()).map(value).collect())
}

fn noise(seed: u32, shape: impl Into<Vec<usize>>) -> Tensor {
    floats(seed, shape, -1.0, 1.0)
}

fn integers(seed: u32, shape: impl Into<Vec<usize>>, below: u32) -> Tensor {
    let shape = shape.into();
    let data = (0..shape.iter().product::<usize>()).map(|i| random::random(seed, 0, i as u32) % below);
    Tensor::u32(shape.clone(), data.collect())
}

fn control(step: u32, flag: u32) -> Tensor {
    Tensor::u32([4], vec![step, flag, 0, 0])
}

fn outputs_of(op: impl Into<Op>, inputs: &[Tensor]) -> Vec<Tensor> {
    op.into().evaluate(&inputs.iter().collect::<Vec<_>>()).unwrap()
}

/// A table in the making.
#[derive(Default)]
struct Table(Vec<Problem>);

impl Table {
    fn add(&mut self, name: &str, op: impl Into<Op>, inputs: Vec<Tensor>) {
        self.0.push(Problem { name: name.to_owned(), op: op.into(), inputs });
    }
}

/// All of them.
pub fn problems() -> Vec<Problem> {
    let mut table = Table::default();
    convolutions(&mut table);
    linear(&mut table);
    pools(&mut table);
    elements(&mut table);
    rows(&mut table);
    normalisations(&mut table);
    ends_of_steps(&mut table);
    table.0
}

fn convolutions(table: &mut Table) {
    let plain = Conv2d::default();
    let padded = Conv2d { padding: [1; 4], ..plain };
    let strided = Conv2d { stride: [2, 3], padding: [1, 0, 2, 1], dilation: [2, 1], ..plain };
    for (name, conv, x, w) in [
        ("odd channels", padded, [2, 7, 9, 3], [3, 3, 3, 5]),
        ("channels by four", plain, [2, 9, 8, 8], [3, 3, 8, 36]),
        ("strided, dilated, one-sided border", strided, [2, 11, 10, 4], [3, 2, 4, 7]),
        ("more pixels than a block", padded, [3, 19, 17, 1], [3, 3, 1, 4]),
        ("grouped", Conv2d { groups: 2, ..padded }, [1, 6, 5, 4], [3, 3, 2, 6]),
    ] {
        let (x, w) = (noise(1, x), noise(2, w));
        let b = noise(3, [w.shape[3]]);
        let y = outputs_of(conv, &[x.clone(), w.clone()]).remove(0);
        let dy = noise(4, y.shape);
        let (input, kernel) = ([x.shape[1], x.shape[2]], [w.shape[0], w.shape[1]]);
        table.add(name, conv, vec![x.clone(), w.clone()]);
        table.add(&format!("{name}, bias"), conv, vec![x.clone(), w.clone(), b]);
        table.add(name, Conv2dGradInput { conv, input }, vec![dy.clone(), w]);
        table.add(name, Conv2dGradWeight { conv, kernel }, vec![x, dy]);
    }
}

fn linear(table: &mut Table) {
    for [n, inputs, outputs] in [[5, 7, 3], [33, 64, 10], [300, 4, 5]] {
        let name = format!("{n}×{inputs} → {outputs}");
        let (x, w, b, dy) =
            (noise(1, [n, inputs]), noise(2, [outputs, inputs]), noise(3, [outputs]), noise(4, [n, outputs]));
        table.add(&name, Linear, vec![x.clone(), w.clone()]);
        table.add(&format!("{name}, bias"), Linear, vec![x.clone(), w.clone(), b]);
        table.add(&name, LinearGradInput, vec![dy.clone(), w]);
        table.add(&name, LinearGradWeight, vec![x, dy]);
    }
}

fn pools(table: &mut Table) {
    let pool = |kernel, stride, padding, ceil_mode| Pool2d { kernel, stride, padding, ceil_mode };
    for (name, pool, shape) in [
        ("2×2 on an odd image", pool([2, 2], [2, 2], [0; 4], false), [3, 9, 7, 5]),
        ("3×3 overlapping, padded, ceil", pool([3, 3], [2, 2], [1; 4], true), [2, 8, 10, 3]),
        ("gaps between windows", pool([2, 2], [3, 4], [0; 4], false), [1, 11, 13, 5]),
    ] {
        let (x, input) = (noise(1, shape), [shape[1], shape[2]]);
        let argmax = outputs_of(MaxPool2d(pool), std::slice::from_ref(&x)).remove(1);
        let dy = noise(2, argmax.shape.clone());
        table.add(name, MaxPool2d(pool), vec![x.clone()]);
        table.add(name, MaxPool2dGrad { pool, input }, vec![dy.clone(), argmax]);
        for count_include_pad in [true, false] {
            let forward = AvgPool2d { pool, count_include_pad };
            let name = format!("{name}, border counts: {count_include_pad}");
            table.add(&name, forward, vec![x.clone()]);
            table.add(&name, AvgPool2dGrad { forward, input }, vec![dy.clone()]);
        }
    }
    for [n, h, w, c] in [[2, 5, 7, 3], [1, 31, 33, 2]] {
        table.add(&format!("{h}×{w}"), GlobalAvgPool2d, vec![noise(1, [n, h, w, c])]);
        table.add(&format!("{h}×{w}"), GlobalAvgPool2dGrad { input: [h, w] }, vec![noise(2, [n, c])]);
    }
}

fn elements(table: &mut Table) {
    let x = floats(1, [3, 5, 7], -4.0, 4.0);
    for op in [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Elu { alpha: 1.3 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Softplus,
        Activation::HardSwish,
    ] {
        let saved = if op.saves_output() { outputs_of(op, std::slice::from_ref(&x)).remove(0) } else { x.clone() };
        table.add(&format!("{op:?}"), op, vec![x.clone()]);
        table.add(&format!("{op:?}"), ActivationGrad(op), vec![saved, noise(9, x.shape.clone())]);
    }
    let wide = noise(2, [65_535 * 64 + 77]);
    table.add("two dimensions of workgroups", Activation::Relu, vec![wide]);
    let (a, b) = (noise(1, [2, 3, 5, 7]), noise(2, [2, 3, 5, 7]));
    table.add("an odd tensor", Add, vec![a.clone(), b.clone()]);
    table.add("an odd tensor", Mul, vec![a.clone(), b.clone()]);
    table.add("an odd tensor", Copy, vec![a.clone()]);
    table.add("the third axis", Concat { axis: 2 }, vec![a.clone(), b, noise(3, [2, 3, 1, 7])]);
    table.add("the third axis", Slice { axis: 2, start: 1, len: 3 }, vec![a.clone()]);
    table.add("channels first", Flatten, vec![a]);
    table.add("channels last", FlattenGrad { image: [4, 5, 3] }, vec![noise(2, [3, 60])]);
    table.add("half of it", Dropout { rate: 0.5, seed: 7 }, vec![noise(1, [3, 77]), control(3, 0)]);
}

fn rows(table: &mut Table) {
    for (name, shape, axis) in [("rows", vec![5, 33], 1), ("a middle axis, two blocks", vec![2, 300, 3], 1)] {
        let (x, dy) = (noise(1, shape.clone()), noise(2, shape));
        let y = outputs_of(Softmax { axis }, std::slice::from_ref(&x)).remove(0);
        let log = outputs_of(LogSoftmax { axis }, std::slice::from_ref(&x)).remove(0);
        table.add(name, Softmax { axis }, vec![x.clone()]);
        table.add(name, SoftmaxGrad { axis }, vec![y, dy.clone()]);
        table.add(name, LogSoftmax { axis }, vec![x]);
        table.add(name, LogSoftmaxGrad { axis }, vec![log, dy]);
    }
    for (name, n, k) in [("ten classes", 33, 10), ("two stages", 1500, 3)] {
        for label_smoothing in [0.0, 0.1] {
            let (logits, labels) = (noise(1, [n, k]), integers(2, [n], k as u32));
            let upstream = Tensor::float([1], vec![0.37]);
            table.add(name, SoftmaxCrossEntropy { label_smoothing }, vec![logits.clone(), labels.clone()]);
            table.add(name, SoftmaxCrossEntropyGrad { label_smoothing }, vec![logits, labels, upstream]);
        }
    }
    for shape in [vec![5, 3], vec![300, 301]] {
        let (x, target) = (noise(1, shape.clone()), noise(2, shape.clone()));
        table.add(&format!("{shape:?}"), MseLoss, vec![x.clone(), target.clone()]);
        table.add(&format!("{shape:?}"), MseLossGrad, vec![x, target, Tensor::float([1], vec![-1.7])]);
    }
    for shape in [vec![5, 3], vec![1000, 7]] {
        table.add(&format!("{shape:?}"), SumRows, vec![noise(1, shape)]);
    }
}

fn normalisations(table: &mut Table) {
    let scale = |c: usize| [floats(20, [c], 0.5, 1.5), noise(21, [c])];
    let eps = 1e-5;
    for (name, shape) in [("an odd image", [2, 5, 7, 3]), ("two stages", [3, 17, 16, 6])] {
        let (x, dy, c) = (floats(1, shape, 9.0, 11.0), noise(2, shape), shape[3]);
        let [weight, bias] = scale(c);
        let given = vec![x.clone(), weight.clone(), bias.clone()];
        let saved = outputs_of(BatchNorm2d { eps }, &given);
        let back = vec![x.clone(), weight.clone(), saved[1].clone(), saved[2].clone(), dy.clone()];
        table.add(name, BatchNorm2d { eps }, given.clone());
        table.add(name, BatchNorm2dGrad, back);
        let (mean, var) = (floats(3, [c], 9.0, 11.0), floats(4, [c], 0.1, 2.0));
        let running = vec![x.clone(), weight.clone(), bias, mean.clone(), var.clone()];
        table.add(name, BatchNorm2dEval { eps }, running);
        table.add(name, BatchNorm2dEvalGrad { eps }, vec![x.clone(), weight.clone(), mean, var, dy.clone()]);
        let groups = 3;
        let saved = outputs_of(GroupNorm { groups, eps }, &given);
        let back = vec![x, weight, saved[1].clone(), saved[2].clone(), dy];
        table.add(name, GroupNorm { groups, eps }, given);
        table.add(name, GroupNormGrad { groups }, back);
    }
    for (name, shape) in [("rows", vec![2, 5, 33]), ("more than a block", vec![3, 700])] {
        let (x, dy) = (noise(1, shape.clone()), noise(2, shape.clone()));
        let [weight, bias] = scale(shape[shape.len() - 1]);
        let given = vec![x.clone(), weight.clone(), bias];
        let saved = outputs_of(LayerNorm { eps }, &given);
        table.add(name, LayerNorm { eps }, given);
        table.add(name, LayerNormGrad, vec![x, weight, saved[1].clone(), saved[2].clone(), dy]);
    }
    for flag in [0, 1] {
        let statistics = [noise(1, [5]), floats(2, [5], 0.5, 2.0), noise(3, [2, 5]), floats(4, [5], 0.5, 2.0)];
        let inputs = statistics.into_iter().chain([control(3, flag)]).collect();
        table.add(&format!("flag {flag}"), RunningStats { momentum: 0.1 }, inputs);
    }
}

fn ends_of_steps(table: &mut Table) {
    let [momentum, weight_decay, beta1, beta2, eps, alpha] = [0.9, 0.01, 0.9, 0.999, 1e-8, 0.99];
    for op in [
        Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay },
        Optimizer::Sgd { momentum, nesterov: false, weight_decay: 0.0 },
        Optimizer::Sgd { momentum, nesterov: true, weight_decay },
        Optimizer::Adam { beta1, beta2, eps, weight_decay },
        Optimizer::AdamW { beta1, beta2, eps, weight_decay },
        Optimizer::RmsProp { alpha, eps, momentum: 0.0, weight_decay },
        Optimizer::RmsProp { alpha, eps, momentum, weight_decay },
    ] {
        let rates: Vec<f32> = (1..=3).flat_map(|t| op.rates_row(0.1 / t as f64, t)).collect();
        let mut inputs = vec![noise(1, [77]), noise(2, [77]), Tensor::float([3, 4], rates), control(1, 0)];
        inputs.extend((0..op.moments()).map(|number| floats(3 + number as u32, [77], 0.0, 1.0)));
        table.add(&format!("{op:?}"), op, inputs);
    }
    for len in [5, 1000, 70_001] {
        table.add(&format!("{len} elements"), GradNorm, vec![noise(1, [len])]);
    }
    let norm = Tensor::float([2], vec![3.0, 0.0]);
    table.add("a norm of 3", ClipGradNorm { max_norm: 1.0 }, vec![noise(1, [77]), norm]);
    table.add("a third", ClipValue { limit: 0.3 }, vec![noise(1, [77]), control(3, 0)]);
    let gather = |shuffle, c: usize| GatherBatch {
        batch: 5,
        len: 23,
        shuffle,
        scale: [0.5, 1.0 / 255.0, 2.0, 0.1][..c].to_vec(),
        offset: [-0.5, 0.25, 1.0, -3.0][..c].to_vec(),
    };
    let shard = |seed: u32, shape: [usize; 4]| {
        let bytes = integers(seed, shape, 256).u32s().iter().map(|&b| b as u8).collect();
        Tensor::u8(shape, bytes)
    };
    let shards = [shard(2, [11, 3, 5, 3]), shard(3, [12, 3, 5, 3])];
    for shuffle in [None, Some(7)] {
        let inputs = [control(7, 0), integers(1, [23], 1000)].into_iter().chain(shards.clone()).collect();
        table.add(&format!("shuffle {shuffle:?}"), gather(shuffle, 3), inputs);
    }
    let scalar = |x: f32| Tensor::float([1], vec![x]);
    let pair = |x: f32, bad: f32| Tensor::float([2], vec![x, bad]);
    table.add("a finite loss", Guard, vec![control(3, 0), scalar(0.5), pair(1.0, 0.0)]);
    table.add("a step", Advance, vec![control(3, 0)]);
    let step = [control(3, 0), scalar(0.75), pair(1.5, 0.0), noise(1, [33, 10]), integers(2, [33], 10)];
    let records = [noise(3, [7]), noise(4, [7]), integers(5, [7], 100)];
    table.add("33 rows", RecordStep, step.into_iter().chain(records).collect());
    let evaluation = vec![control(1, 0), noise(1, [8, 10]), noise(2, [8]), noise(3, [30]), integers(4, [30], 9)];
    table.add("8 rows", RecordEvaluation, evaluation);
}
