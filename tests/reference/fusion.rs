//! Fused graphs compute what the graphs before them did.

use wgrad::graph::{Graph, Pass, Storage, ValueId, differentiate, lifetimes};
use wgrad::ops::{Activation, Add, Conv2d, Flatten, Linear, MaxPool2d, Pool2d, SoftmaxCrossEntropy};
use wgrad::session::cpu::CpuSession;
use wgrad::tensor::{Spec, Tensor};

const POOL: Pool2d = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
const OVERLAPPING: Pool2d = Pool2d { kernel: [3, 3], stride: [1, 2], padding: [1; 4], ceil_mode: false };

fn numbers(shape: &[usize], seed: usize) -> Tensor<f64> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f64 / 504.5 - 1.0;
    Tensor::float(shape.to_vec(), (0..shape.iter().product()).map(value).collect())
}

/// conv → activation → max pool, with the gradients of weights, bias and perhaps the image in persistent values.
fn block(activation: Activation, pool: Pool2d, image: bool) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let operands = [[2, 9, 8, 3].to_vec(), [3, 3, 3, 4].to_vec(), [4].to_vec()];
    let named = operands.iter().enumerate().map(|(i, shape)| g.persistent(&format!("x{i}"), Spec::f32(shape.clone())));
    let operands: Vec<_> = named.collect();
    let sum = g.apply1("conv", Conv2d::default(), &operands).unwrap();
    let activated = g.apply1("act", activation, &[sum]).unwrap();
    let pooled = g.apply1("pool", MaxPool2d(pool), &[activated]).unwrap();
    let seed = g.persistent("seed", g.spec(pooled).clone());
    let wanted = &operands[usize::from(!image)..];
    let gradients = differentiate(g, pooled, seed, wanted).unwrap();
    keep(g, wanted.iter().filter_map(|&value| gradients.of(value)));
    graph
}

/// Keeps values in persistent ones, `d0` and so on.
pub(crate) fn keep(g: &mut Graph, values: impl IntoIterator<Item = ValueId>) {
    for (i, value) in values.into_iter().enumerate() {
        let kept = g.persistent(&format!("d{i}"), g.spec(value).clone());
        g.place(value, kept, 0).unwrap();
    }
}

/// How far the elements of tensors are from those of others at most.
pub(crate) fn farthest(got: &[Tensor<f64>], want: &[Tensor<f64>]) -> f64 {
    let pairs = got.iter().zip(want).flat_map(|(got, want)| got.floats().iter().zip(want.floats()));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// What a graph leaves in its persistent values, in float64.
pub(crate) fn results(graph: &Graph) -> Vec<Tensor<f64>> {
    let mut session = CpuSession::<f64>::new(vec![graph.clone()], true);
    let given: Vec<_> = graph.values().iter().filter(|value| value.storage == Storage::Persistent).cloned().collect();
    for (i, value) in given.iter().filter(|value| !value.name.starts_with('d')).enumerate() {
        session.write(&value.name, &numbers(&value.spec.shape, i)).unwrap();
    }
    session.run(0, 1, &[]).unwrap();
    let names = given.iter().filter(|value| value.name.starts_with('d'));
    names.map(|value| session.read(&value.name).unwrap().clone()).collect()
}

#[test]
fn fused_graphs_compute_the_same_in_float64() {
    for activation in Activation::all(0.1, 1.25) {
        for pool in [POOL, OVERLAPPING] {
            for image in [true, false] {
                let graph = block(activation, pool, image);
                let wanted = results(&graph);
                let each = Pass::ALL.map(|pass| vec![pass]);
                for without in [vec![]].into_iter().chain(each) {
                    let (fused, done) = graph.clone().fuse(&without).unwrap();
                    let which = format!("{activation:?} {pool:?} without {without:?}, gradient of the image: {image}");
                    for pass in Pass::ALL {
                        let count = done.iter().filter(|fusion| fusion.pass == pass).count();
                        let missing = |other| without.contains(&other);
                        let saves = activation.saves_output();
                        let expected = match pass {
                            _ if missing(pass) => 0,
                            // The derivative, and the sum that is the gradient of the bias.
                            Pass::PoolGradient => 2 * usize::from(saves),
                            // What the gradient of the activation reads stays.
                            Pass::Epilogue => usize::from(saves),
                            Pass::Pooling => {
                                usize::from(saves && !missing(Pass::PoolGradient) && !missing(Pass::Epilogue))
                            }
                            Pass::Loads => usize::from(!image && saves && !missing(Pass::PoolGradient)),
                            // Where the gradient of the bias is not summed elsewhere.
                            Pass::Bias => usize::from(!saves || missing(Pass::PoolGradient)),
                            Pass::Gradients => usize::from(image),
                            // There is no linear layer, no layer below another one, no normalisation, no loss and no step.
                            Pass::Flatten
                            | Pass::Derivative
                            | Pass::ResidualGradient
                            | Pass::Statistics
                            | Pass::Normalisation
                            | Pass::Settle
                            | Pass::PartialSums
                            | Pass::Loss
                            | Pass::Head
                            | Pass::HeadGradients
                            | Pass::Mlp
                            | Pass::Clipping => 0,
                        };
                        assert_eq!(count, expected, "{pass:?}: {which}: {done:?}");
                    }
                    assert!(farthest(&results(&fused), &wanted) < 1e-13, "{which}");
                }
            }
        }
    }
}

/// conv → activation → conv → activation → flatten → linear → activation → linear, with the gradients of all parameters.
fn layers(activation: Activation) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let shapes: [&[usize]; 6] = [&[2, 6, 5, 3], &[3, 3, 3, 4], &[2, 2, 4, 5], &[7, 30], &[7], &[3, 7]];
    let named = shapes.iter().enumerate().map(|(i, shape)| g.persistent(&format!("x{i}"), Spec::f32(shape.to_vec())));
    let operands: Vec<_> = named.collect();
    let mut x = operands[0];
    for (name, w) in [("conv1", operands[1]), ("conv2", operands[2])] {
        let sum = g.apply1(name, Conv2d::default(), &[x, w]).unwrap();
        x = g.apply1("act", activation, &[sum]).unwrap();
    }
    let flat = g.apply1("flatten", Flatten, &[x]).unwrap();
    let sum = g.apply1("dense1", Linear, &[flat, operands[3], operands[4]]).unwrap();
    let activated = g.apply1("act", activation, &[sum]).unwrap();
    let logits = g.apply1("dense2", Linear, &[activated, operands[5]]).unwrap();
    let seed = g.persistent("seed", g.spec(logits).clone());
    let gradients = differentiate(g, logits, seed, &operands[1..]).unwrap();
    keep(g, operands[1..].iter().filter_map(|&value| gradients.of(value)));
    graph
}

#[test]
fn layers_on_layers_compute_the_same_in_float64() {
    for activation in Activation::all(0.1, 1.25) {
        let graph = layers(activation);
        let wanted = results(&graph);
        for without in [vec![], vec![Pass::Flatten], vec![Pass::Derivative], vec![Pass::Epilogue]] {
            let (fused, done) = graph.clone().fuse(&without).unwrap();
            let count = |pass| done.iter().filter(|fusion| fusion.pass == pass).count();
            let missing = |pass| without.contains(&pass);
            // Forwards, and backwards.
            assert_eq!(count(Pass::Flatten), 2 * usize::from(!missing(Pass::Flatten)), "{done:?}");
            // Below dense2, below conv2, and below dense1 where nothing is between.
            let derivatives = if missing(Pass::Derivative) { 0 } else { 2 + usize::from(!missing(Pass::Flatten)) };
            assert_eq!(count(Pass::Derivative), derivatives, "{done:?}");
            // Of all layers but the first.
            assert_eq!(count(Pass::Gradients), 3, "{done:?}");
            assert!(farthest(&results(&fused), &wanted) < 1e-12, "{activation:?} without {without:?}");
        }
    }
}

/// linear → loss, with the gradients of the layer's weights and input; what `between` adds to the logits before that is kept.
fn head(bias: bool, between: impl Fn(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let shapes: [&[usize]; 3] = [&[6, 7], &[5, 7], &[5]];
    let named = shapes.iter().enumerate().map(|(i, shape)| g.persistent(&format!("x{i}"), Spec::f32(shape.to_vec())));
    let operands: Vec<_> = named.collect();
    let labels = g.table("labels", [6], vec![4, 0, 1, 1, 3, 2]);
    let sum = g.apply1("dense", Linear, &operands[..if bias { 3 } else { 2 }]).unwrap();
    let logits = between(g, sum);
    let losses = g.apply("loss", SoftmaxCrossEntropy { label_smoothing: 0.1 }, &[logits, labels]).unwrap();
    let seed = g.persistent("seed", Spec::f32([1]));
    let gradients = differentiate(g, losses[0], seed, &operands[..2]).unwrap();
    for (i, value) in
        [gradients.of(operands[0]).unwrap(), gradients.of(operands[1]).unwrap(), losses[0]].into_iter().enumerate()
    {
        let kept = g.persistent(&format!("d{i}"), g.spec(value).clone());
        g.place(value, kept, 0).unwrap();
    }
    graph
}

#[test]
fn a_last_layer_joins_its_loss_unless_somebody_stands_between() {
    let nothing = |_: &mut Graph, logits| logits;
    let activation = |g: &mut Graph, logits| g.apply1("act", Activation::Tanh, &[logits]).unwrap();
    let reader = |g: &mut Graph, logits| {
        let doubled = g.apply1("doubled", Add, &[logits, logits]).unwrap();
        let kept = g.persistent("doubled.kept", g.spec(doubled).clone());
        g.place(doubled, kept, 0).unwrap();
        logits
    };
    for bias in [true, false] {
        for (graph, expected) in [(head(bias, nothing), 1), (head(bias, activation), 0), (head(bias, reader), 0)] {
            let (fused, done) = graph.clone().fuse(&[]).unwrap();
            let joined: Vec<_> = done.iter().filter(|fusion| fusion.pass == Pass::Head).collect();
            assert_eq!(joined.len(), expected, "{done:?}");
            assert!(joined.iter().all(|fusion| fusion.before[0] == "dense (linear)" && fusion.after.len() == 1));
            let with_gradients = done.iter().filter(|fusion| fusion.pass == Pass::HeadGradients);
            assert_eq!(with_gradients.count(), expected, "{done:?}");
            for (got, want) in results(&fused).iter().zip(&results(&graph)) {
                assert_eq!(got, want);
            }
            // A layer that is not joined with its loss is a layer of its own.
            let (apart, done) = graph.fuse(&[Pass::Loss]).unwrap();
            assert!(done.iter().all(|fusion| fusion.pass != Pass::Head) && apart.nodes().len() > fused.nodes().len());
        }
    }
}

/// linear → activation → linear → loss, with the gradients of all weights and of the image.
fn classifier(activation: Activation) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let shapes: [&[usize]; 4] = [&[6, 2, 3, 2], &[7, 12], &[7], &[5, 7]];
    let named = shapes.iter().enumerate().map(|(i, shape)| g.persistent(&format!("x{i}"), Spec::f32(shape.to_vec())));
    let operands: Vec<_> = named.collect();
    let labels = g.table("labels", [6], vec![4, 0, 1, 1, 3, 2]);
    let flat = g.apply1("flatten", Flatten, &operands[..1]).unwrap();
    let sum = g.apply1("dense1", Linear, &[flat, operands[1], operands[2]]).unwrap();
    let hidden = g.apply1("act", activation, &[sum]).unwrap();
    let logits = g.apply1("dense2", Linear, &[hidden, operands[3]]).unwrap();
    let losses = g.apply("loss", SoftmaxCrossEntropy { label_smoothing: 0.1 }, &[logits, labels]).unwrap();
    let seed = g.persistent("seed", Spec::f32([1]));
    let gradients = differentiate(g, losses[0], seed, &operands).unwrap();
    let values = operands.iter().filter_map(|&value| gradients.of(value)).chain([losses[0]]).collect::<Vec<_>>();
    keep(g, values);
    graph
}

#[test]
fn the_last_two_layers_become_one_node_where_the_activation_between_saves_its_output() {
    for activation in Activation::all(0.1, 1.25) {
        let graph = classifier(activation);
        for without in [vec![], vec![Pass::HeadGradients], vec![Pass::Epilogue]] {
            let (fused, done) = graph.clone().fuse(&without).unwrap();
            let expected = usize::from(without.is_empty() && activation.saves_output());
            assert_eq!(done.iter().filter(|fusion| fusion.pass == Pass::Mlp).count(), expected, "{done:?}");
            assert!(farthest(&results(&fused), &results(&graph)) < 1e-13, "{activation:?} without {without:?}");
        }
    }
}

/// Two branches that are added: what arrives at one arrives at the other, whose shapes are others.
#[test]
fn gradients_of_two_layers_are_not_taken_for_those_of_one() {
    let mut graph = Graph::new();
    let g = &mut graph;
    let shapes: [&[usize]; 4] = [&[2, 6, 5, 3], &[3, 3, 3, 4], &[3, 3, 4, 5], &[3, 3, 3, 5]];
    let named = shapes.iter().enumerate().map(|(i, shape)| g.persistent(&format!("x{i}"), Spec::f32(shape.to_vec())));
    let operands: Vec<_> = named.collect();
    let padded = Conv2d { padding: [1; 4], ..Conv2d::default() };
    let first = g.apply1("conv1", padded, &[operands[0], operands[1]]).unwrap();
    let activated = g.apply1("act", Activation::Relu, &[first]).unwrap();
    let long = g.apply1("conv2", padded, &[activated, operands[2]]).unwrap();
    let short = g.apply1("shortcut", padded, &[operands[0], operands[3]]).unwrap();
    let sum = g.apply1("add", Add, &[long, short]).unwrap();
    let seed = g.persistent("seed", g.spec(sum).clone());
    let gradients = differentiate(g, sum, seed, &operands[1..]).unwrap();
    keep(g, operands[1..].iter().filter_map(|&value| gradients.of(value)));
    let wanted = results(&graph);
    let (fused, done) = graph.fuse(&[]).unwrap();
    let pairs: Vec<_> = done.iter().filter(|fusion| fusion.pass == Pass::Gradients).collect();
    assert!(pairs.len() == 1 && pairs[0].before.iter().all(|title| title.starts_with("conv2")), "{pairs:?}");
    assert!(farthest(&results(&fused), &wanted) < 1e-13);
}

#[test]
fn an_image_that_somebody_reads_flattened_is_flattened() {
    let mut graph = Graph::new();
    let [x, w] = [("x", vec![2, 3, 3, 4]), ("w", vec![5, 36])].map(|(n, shape)| graph.persistent(n, Spec::f32(shape)));
    let flat = graph.apply1("flatten", Flatten, &[x]).unwrap();
    graph.apply1("dense", Linear, &[flat, w]).unwrap();
    graph.apply1("twice", Add, &[flat, flat]).unwrap();
    let (fused, done) = graph.clone().fuse(&[]).unwrap();
    assert!(done.is_empty() && fused == graph, "{done:?}");
}

#[test]
fn what_fusion_removes_is_neither_read_nor_kept() {
    let (fused, _) = block(Activation::Relu, POOL, false).fuse(&[]).unwrap();
    let names: Vec<_> = fused.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["conv+act+pool", "conv.grad_weight"]);
    let lives = lifetimes(&fused);
    for gone in ["conv", "act"] {
        let value = fused.values().iter().position(|value| value.name == gone).unwrap();
        assert!(lives.iter().all(|life| life.value != ValueId(value)), "{gone}");
    }
}

#[test]
fn a_sum_that_somebody_else_reads_is_left_alone() {
    let mut graph = Graph::new();
    let x = graph.persistent("x", Spec::f32([3, 4]));
    let w = graph.persistent("w", Spec::f32([4, 4]));
    let sum = graph.apply1("dense", Linear, &[x, w]).unwrap();
    let activated = graph.apply1("relu", Activation::Relu, &[sum]).unwrap();
    graph.apply1("skip", Add, &[activated, sum]).unwrap();
    let (fused, done) = graph.clone().fuse(&[]).unwrap();
    assert!(done.is_empty());
    assert_eq!(fused, graph);
}

#[test]
fn a_value_that_is_kept_is_computed_as_before() {
    let mut graph = Graph::new();
    let [x, w] =
        [("x", vec![1, 6, 6, 2]), ("w", vec![3, 3, 2, 4])].map(|(n, shape)| graph.persistent(n, Spec::f32(shape)));
    let sum = graph.apply1("conv", Conv2d::default(), &[x, w]).unwrap();
    let kept = graph.persistent("kept", graph.spec(sum).clone());
    let sum = graph.place(sum, kept, 0).unwrap();
    graph.apply1("pool", MaxPool2d(POOL), &[sum]).unwrap();
    let (fused, done) = graph.clone().fuse(&[]).unwrap();
    assert!(done.is_empty() && fused == graph, "{done:?}");
}

#[test]
fn two_first_layers_are_both_fused() {
    let mut graph = Graph::new();
    let g = &mut graph;
    let x = g.persistent("x", Spec::f32([1, 8, 8, 2]));
    let w = ["w0", "w1"].map(|name| g.persistent(name, Spec::f32([3, 3, 2, 4])));
    let sums = w.map(|w| g.apply1("conv", Conv2d::default(), &[x, w]).unwrap());
    let activated = sums.map(|sum| g.apply1("relu", Activation::Relu, &[sum]).unwrap());
    let pooled = activated.map(|value| g.apply1("pool", MaxPool2d(POOL), &[value]).unwrap());
    let both = g.apply1("add", Add, &pooled).unwrap();
    let seed = g.persistent("seed", g.spec(both).clone());
    differentiate(g, both, seed, &w).unwrap();
    let (_, done) = graph.fuse(&[]).unwrap();
    assert_eq!(done.iter().filter(|fusion| fusion.pass == Pass::Loads).count(), 2, "{done:?}");
}

#[test]
fn a_pass_is_found_by_its_name() {
    for pass in Pass::ALL {
        assert_eq!(pass.name().parse::<Pass>().unwrap(), pass);
        assert_eq!(serde_json::to_value(pass).unwrap(), pass.name());
    }
    let error = "conv".parse::<Pass>().unwrap_err().to_string();
    assert!(error.contains("`conv`") && error.contains("epilogue"), "{error}");
}
