//! How fast is it? One function a room, workloads with the shapes of the shipped networks at batch 64, every variant.
//!
//! Each workload is a forward operator with its operands; its backward operators follow from its gradient rule. Every
//! kernel is held against the float64 reference before it is timed, and a wrong one is not timed at all. The time is that
//! of a session that replays the operator's dispatches, so recording and submitting are in it. Throughput is in
//! floating-point operations (shown as elements), or in bytes where an operator has none.
//!
//! ```text
//! cargo bench --bench ops -- --quick            everything, roughly
//! cargo bench --bench ops -- conv2d/conv2       one layer, all of its operators and variants
//! ```
#![allow(missing_docs, reason = "criterion_group! makes a function without a doc comment")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::bench::operator::Question;
use wgrad::bench::workload::{Task, Workload};
use wgrad::gpu::Gpu;
use wgrad::kernels::{Problem, variants};
use wgrad::nn::shipped;
use wgrad::ops::*;
use wgrad::session::gpu::GpuSession;
use wgrad::verify::case::{
    Operand, bytes, control as control_value, floats, integers, noise, outputs_of, values, words,
};

const BATCH: usize = 64;

/// Steps of one submission: long ones are reset by some drivers.
const TOGETHER: u64 = 16;

/// A forward operator with its operands, under the name of the layer whose shapes it has.
fn workload(name: &'static str, op: impl Into<Op>, operands: Vec<Operand>) -> Workload {
    Workload::new(name, op, operands)
}

fn positive(seed: u32, shape: impl Into<Vec<usize>>) -> Operand {
    floats(seed, shape, 0.5, 1.5)
}

/// The control value of the first step.
fn first_step() -> Operand {
    control_value(0, 0)
}

/// Times all operators of a room's workloads in all variants.
fn room(criterion: &mut Criterion, room: &str, workloads: Vec<Workload>) {
    let gpu = match Gpu::shared() {
        Ok(gpu) => gpu,
        Err(error) => return eprintln!("{room}: nothing is timed ({error})"),
    };
    for workload in workloads {
        let group = format!("{room}/{}", workload.name);
        let tasks = workload.tasks().unwrap_or_else(|error| panic!("{group}: {error}"));
        tasks.iter().for_each(|task| time(criterion, &gpu, &group, task));
    }
}

fn time(criterion: &mut Criterion, gpu: &Gpu, group: &str, task: &Task) {
    let [inputs, outputs] = task.specs().unwrap_or_else(|error| panic!("{group}: {error}"));
    let throughput = match task.op.flops(&inputs, &outputs) {
        0 => Throughput::Bytes(task.op.bytes(&inputs, &outputs)),
        flops => Throughput::Elements(flops),
    };
    let mut group = criterion.benchmark_group(group);
    group.throughput(throughput);
    for variant in variants(&task.op, &Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() }) {
        // Only what the command line asks for is built, and only once.
        let mut session = None;
        group.bench_function(format!("{}/{variant}", task.op.name()), |bencher| {
            let session = session.get_or_insert_with(|| checked(gpu, task, variant));
            bencher.iter_custom(|steps| timed(gpu, session, steps));
        });
    }
    group.finish();
}

/// A session of one operator whose answer was found to be right.
fn checked(gpu: &Gpu, task: &Task, variant: &'static str) -> GpuSession {
    let title = format!("{} ({variant})", task.op.name());
    let answer = Question::new(task).and_then(|question| question.right(gpu, variant));
    let answer = answer.unwrap_or_else(|error| panic!("{title}: {error}"));
    answer.unwrap_or_else(|story| panic!("{title} is wrong and is not timed: {story}")).0
}

fn timed(gpu: &Gpu, session: &mut GpuSession, steps: u64) -> Duration {
    let start = Instant::now();
    for done in (0..steps).step_by(TOGETHER as usize) {
        session.run(0, TOGETHER.min(steps - done) as usize, &[]).unwrap_or_else(|error| panic!("{error}"));
    }
    gpu.wait().unwrap_or_else(|error| panic!("{error}"));
    start.elapsed()
}

fn conv2d(criterion: &mut Criterion) {
    let layer = |name, x: [usize; 3], w: [usize; 4]| {
        let inputs = vec![noise(1, [BATCH, x[0], x[1], x[2]]), noise(2, w), noise(3, [w[3]])];
        workload(name, Conv2d::default(), inputs)
    };
    let reference = [
        layer("conv1", [28, 28, 1], [3, 3, 1, 32]),
        layer("conv2", [13, 13, 32], [3, 3, 32, 64]),
        layer("conv3", [5, 5, 64], [3, 3, 64, 64]),
    ];
    let padded = Conv2d { padding: [1; 4], ..Conv2d::default() };
    let block = vec![noise(1, [BATCH, 14, 14, 16]), noise(2, [3, 3, 16, 16])];
    room(criterion, "conv2d", reference.into_iter().chain([workload("block", padded, block)]).collect());
}

fn linear(criterion: &mut Criterion) {
    let layer = |name, from: usize, to: usize| {
        workload(name, Linear, vec![noise(1, [BATCH, from]), noise(2, [to, from]), noise(3, [to])])
    };
    room(criterion, "linear", vec![layer("dense1", 576, 64), layer("dense2", 64, 10)]);
}

fn pool2d(criterion: &mut Criterion) {
    let pool = Pool2d { kernel: [2; 2], stride: [2; 2], padding: [0; 4], ceil_mode: false };
    let workloads = vec![
        workload("pool1_max", MaxPool2d(pool), vec![noise(1, [BATCH, 26, 26, 32])]),
        workload("pool2_max", MaxPool2d(pool), vec![noise(1, [BATCH, 11, 11, 64])]),
        workload("pool1_avg", AvgPool2d { pool, count_include_pad: true }, vec![noise(1, [BATCH, 26, 26, 32])]),
        workload("global_avg", GlobalAvgPool2d, vec![noise(1, [BATCH, 14, 14, 16])]),
    ];
    room(criterion, "pool2d", workloads);
}

fn activation(criterion: &mut Criterion) {
    let layer = |name, op: Activation| workload(name, op, vec![noise(1, [BATCH, 26, 26, 32])]);
    room(criterion, "activation", vec![layer("relu1", Activation::Relu), layer("gelu", Activation::Gelu)]);
}

fn softmax(criterion: &mut Criterion) {
    let logits = || vec![noise(1, [BATCH, 10])];
    let workloads =
        vec![workload("head", Softmax { axis: 1 }, logits()), workload("head_log", LogSoftmax { axis: 1 }, logits())];
    room(criterion, "softmax", workloads);
}

fn batch_norm2d(criterion: &mut Criterion) {
    let operands = || vec![noise(1, [BATCH, 14, 14, 16]), noise(2, [16]), noise(3, [16])];
    let running = [operands(), vec![noise(4, [16]), positive(5, [16])]].concat();
    let mut batch = vec![noise(1, [16]), positive(2, [16]), noise(3, [2, 16]), positive(4, [16])];
    batch.push(first_step());
    let workloads = vec![
        workload("block_bn", BatchNorm2d { eps: 1e-5 }, operands()),
        workload("block_bn_eval", BatchNorm2dEval { eps: 1e-5 }, running),
        workload("block_bn_running", RunningStats { momentum: 0.1 }, batch),
    ];
    room(criterion, "batch_norm2d", workloads);
}

fn group_norm(criterion: &mut Criterion) {
    let image = || vec![noise(1, [BATCH, 14, 14, 16]), noise(2, [16]), noise(3, [16])];
    let rows = vec![noise(1, [BATCH, 576]), noise(2, [576]), noise(3, [576])];
    let workloads = vec![
        workload("block", GroupNorm { groups: 4, eps: 1e-5 }, image()),
        workload("features", LayerNorm { eps: 1e-5 }, rows),
    ];
    room(criterion, "group_norm", workloads);
}

fn dropout(criterion: &mut Criterion) {
    let op = Dropout { rate: 0.5, seed: 1, first: 0 };
    room(criterion, "dropout", vec![workload("conv1", op, vec![noise(1, [BATCH, 26, 26, 32]), first_step()])]);
}

fn elementwise(criterion: &mut Criterion) {
    let image = |seed| noise(seed, [BATCH, 14, 14, 16]);
    let workloads = vec![
        workload("block_add", Add, vec![image(1), image(2)]),
        workload("block_mul", Mul, vec![image(1), image(2)]),
        workload("block_concat", Concat { axis: 3 }, vec![image(1), image(2)]),
        workload("flatten", Flatten, vec![noise(1, [BATCH, 3, 3, 64])]),
    ];
    room(criterion, "elementwise", workloads);
}

fn loss(criterion: &mut Criterion) {
    let (logits, labels) = (noise(1, [BATCH, 10]), integers(2, [BATCH], 10));
    let cross_entropy = SoftmaxCrossEntropy { label_smoothing: 0.0 };
    let workloads = vec![
        workload("cross_entropy", cross_entropy, vec![logits.clone(), labels]),
        workload("mse", MseLoss, vec![logits, noise(3, [BATCH, 10])]),
    ];
    room(criterion, "loss", workloads);
}

fn reduce(criterion: &mut Criterion) {
    room(criterion, "reduce", vec![workload("conv1_bias", SumRows, vec![noise(1, [BATCH * 26 * 26, 32])])]);
}

fn optimizer(criterion: &mut Criterion) {
    let network = shipped::reference([28, 28, 1], 10).and_then(|network| network.layout());
    let len = network.unwrap_or_else(|error| panic!("{error}")).len;
    let update = |name, op: Optimizer| {
        let rates = values([1, wgrad::ops::optimizer::RATES], &op.rates_row(1e-3, 1));
        let mut inputs = vec![noise(1, [len]), noise(2, [len]), rates, first_step()];
        inputs.extend((0..op.moments()).map(|i| positive(3 + i as u32, [len])));
        workload(name, op, inputs)
    };
    let norm = values([2], &[2.0, 0.0]);
    let workloads = vec![
        update("sgd", Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
        update("adam", Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }),
        workload("norm", GradNorm, vec![noise(1, [len])]),
        workload("clip", ClipGradNorm { max_norm: 1.0 }, vec![noise(1, [len]), norm]),
    ];
    room(criterion, "optimizer", workloads);
}

fn batch(criterion: &mut Criterion) {
    const IMAGES: usize = 60_000;
    let op = GatherBatch {
        batch: BATCH,
        rows: 0..BATCH,
        len: IMAGES,
        shuffle: Some(1),
        scale: vec![1.0 / 255.0],
        offset: vec![0.0],
    };
    let inputs = vec![first_step(), integers(1, [IMAGES], 10), bytes(2, [IMAGES, 28, 28, 1])];
    room(criterion, "batch", vec![workload("mnist", op, inputs)]);
}

fn augment(criterion: &mut Criterion) {
    let (image, quarter) = ([BATCH, 32, 32, 3], std::f32::consts::FRAC_PI_4);
    let draw = AugmentDraw {
        batch: BATCH,
        image: [32, 32],
        seed: 1,
        first: 0,
        flip: true,
        crop: 4,
        scale: 0.1,
        contrast: 0.2,
        brightness: 0.2,
    };
    let turns = values([1, 2], &[quarter.cos(), quarter.sin()]);
    let table = outputs_of(draw, &[first_step(), turns.clone()]).swap_remove(0);
    let mixed = vec![floats(2, image, 0.0, 1.0), integers(3, [BATCH], 10), first_step(), values([1], &[0.3])];
    let workloads = vec![
        workload("cifar10_draw", draw, vec![first_step(), turns]),
        workload("cifar10", Augment { cutout: 8, fill: 0.0 }, vec![floats(1, image, 0.0, 1.0), table]),
        workload("cifar10_mixup", Mixup { seed: 1, first: 0 }, mixed),
    ];
    room(criterion, "augment", workloads);
}

fn control(criterion: &mut Criterion) {
    let (loss, norm) = (values([1], &[0.5]), values([2], &[1.0, 0.0]));
    let (logits, labels) = (noise(1, [BATCH, 10]), integers(2, [BATCH], 10));
    let lists = [values([937], &[0.0]), values([937], &[0.0])];
    let mut record = vec![first_step(), loss.clone(), norm.clone(), logits, labels];
    record.extend(lists);
    record.push(integers(3, [937], 1));
    let workloads = vec![
        workload("guard", Guard, vec![first_step(), loss, norm]),
        workload("record", RecordStep { adds: false }, record),
    ];
    room(criterion, "control", workloads);
}

fn statistics(criterion: &mut Criterion) {
    let (shape, len) = ([BATCH, 13, 13, 32], BATCH * 13 * 13 * 32);
    let pieces = wgrad::ops::statistics::pieces(0..len);
    let rows: Vec<u32> = pieces.iter().flat_map(|piece| [piece.start as u32, piece.len() as u32]).collect();
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0);
    let op = |histogram| Statistics { histogram, bounds: Statistics::UNBOUNDED, longest, whole: true };
    let inputs = |seed| vec![noise(seed, shape), words([pieces.len(), 2], &rows)];
    let workloads = vec![workload("pool1", op(false), inputs(1)), workload("pool1_gradient", op(true), inputs(2))];
    room(criterion, "statistics", workloads);
}

fn alive(criterion: &mut Criterion) {
    let workloads = vec![workload("pool1", Alive, vec![noise(1, [BATCH, 13, 13, 32])])];
    room(criterion, "alive", workloads);
}

fn short() -> Criterion {
    let criterion = Criterion::default().sample_size(10);
    criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = short();
    targets = conv2d, linear, pool2d, activation, softmax, batch_norm2d, group_norm, dropout, elementwise, loss, reduce,
        optimizer, batch, augment, control, statistics, alive
}
criterion_main!(benches);
