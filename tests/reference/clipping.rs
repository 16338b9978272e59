//! Clipping, which the optimiser takes over.

use wgrad::graph::{Graph, Pass};
use wgrad::ops::{ClipGradNorm, ClipValue, GradNorm, Op, Optimizer, control};
use wgrad::session::cpu::CpuSession;
use wgrad::tensor::{Spec, Tensor};

const LEN: usize = 37;
const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };

/// What is clipped: the gradient by value, by its norm, and the parameters.
#[derive(Debug, Clone, Copy)]
struct Clips {
    value: bool,
    norm: bool,
    parameters: bool,
}

/// The end of a step; `watched` keeps what clipping left of the gradient.
fn ending(clips: Clips, watched: bool) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let [parameters, mut gradient, m, v] =
        ["parameters", "gradient", "m", "v"].map(|name| g.persistent(name, Spec::f32([LEN])));
    let rates = g.persistent("rates", Spec::f32([1, 4]));
    let state = g.persistent("control", Spec::u32([control::LEN]));
    if clips.value {
        gradient = g.apply1("clip_value", ClipValue { limit: 0.4 }, &[gradient, state]).unwrap();
    }
    if clips.norm {
        let norm = g.apply1("norm", GradNorm, &[gradient]).unwrap();
        gradient = g.apply1("clip_norm", ClipGradNorm { max_norm: 1.0 }, &[gradient, norm]).unwrap();
    }
    if watched {
        let kept = g.persistent("kept", Spec::f32([LEN]));
        let copy = g.apply1("watch", wgrad::ops::Copy, &[gradient]).unwrap();
        g.place(copy, kept, 0).unwrap();
    }
    let updated = g.apply1("optimizer", ADAM, &[parameters, gradient, rates, state, m, v]).unwrap();
    if clips.parameters {
        g.apply1("clip_parameters", ClipValue { limit: 0.5 }, &[updated, state]).unwrap();
    }
    graph
}

/// Parameters and moments after a step.
fn results(graph: &Graph) -> Vec<Tensor<f64>> {
    let mut session = CpuSession::<f64>::new(vec![graph.clone()], true);
    let wave = |scale: f64| Tensor::float([LEN], (0..LEN).map(|i| (scale * i as f64).sin()).collect());
    for (name, scale) in [("parameters", 0.7), ("gradient", 1.3), ("m", 0.3)] {
        session.write(name, &wave(scale)).unwrap();
    }
    session.write("v", &Tensor::float([LEN], vec![0.25; LEN])).unwrap();
    session.write("rates", &Tensor::float([1, 4], vec![0.1, 0.9, 0.8, 0.0])).unwrap();
    session.run(0, 1, &[]).unwrap();
    ["parameters", "m", "v"].map(|name| session.read(name).unwrap().clone()).to_vec()
}

#[test]
fn the_optimizer_clips_what_it_reads_and_writes() {
    for bits in 0..8 {
        let [value, norm, parameters] = [1, 2, 4].map(|bit| bits & bit != 0);
        let clips = Clips { value, norm, parameters };
        let graph = ending(clips, false);
        let (fused, done) = graph.clone().fuse(&[]).unwrap();
        let count = done.iter().filter(|fusion| fusion.pass == Pass::Clipping).count();
        assert_eq!(count, usize::from(bits > 0), "{clips:?}: {done:?}");
        // The norm is that of a gradient that was clipped by value.
        let stays = |node: &wgrad::graph::Node| matches!(node.op, Op::ClipGradNorm(_) | Op::ClipValue(_));
        assert_eq!(fused.nodes().iter().filter(|node| stays(node)).count(), usize::from(value && norm), "{clips:?}");
        assert_eq!(results(&fused), results(&graph), "{clips:?}");
        let (unfused, done) = graph.clone().fuse(&[Pass::Clipping]).unwrap();
        assert!(done.is_empty() && unfused.nodes().len() == graph.nodes().len(), "{clips:?}");
    }
}

#[test]
fn what_clipping_leaves_of_the_gradient_is_there_for_others_who_read_it() {
    let graph = ending(Clips { value: false, norm: true, parameters: true }, true);
    let (fused, _) = graph.clone().fuse(&[]).unwrap();
    assert!(fused.nodes().iter().any(|node| matches!(node.op, Op::ClipGradNorm(_))));
    assert!(!fused.nodes().iter().any(|node| matches!(node.op, Op::ClipValue(_))));
    assert_eq!(results(&fused), results(&graph));
}
