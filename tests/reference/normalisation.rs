//! Residual blocks: batch normalisation in pieces, which fusion lays where images are written and read, and shortcuts.

use wgrad::graph::{Graph, Pass, ValueId, differentiate};
use wgrad::ops::{Activation, Add, BatchNorm2d, Conv2d, MaxPool2d, Pool2d};
use wgrad::tensor::Spec;

use crate::fusion::{farthest, keep, results};

/// A residual block: conv → bn → activation → conv → bn, plus the image or a shortcut with a bn of its own, → activation, with the
/// gradients of all parameters and of the image, and the statistics kept.
fn residual(activation: Activation, shortcut: bool) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let padded = Conv2d { padding: [1; 4], ..Conv2d::default() };
    let x = g.persistent("x", Spec::f32([2, 5, 4, 3]));
    let mut operands = vec![x];
    let mut norm = |g: &mut Graph, name: &str, conv: Conv2d, size: usize, x: ValueId| {
        let c = g.spec(x).shape[3];
        let w = g.persistent(&format!("{name}.w"), Spec::f32([size, size, c, 3]));
        let scale = ["a", "b"].map(|of| g.persistent(&format!("{name}.{of}"), Spec::f32([3])));
        operands.extend([w, scale[0], scale[1]]);
        let sum = g.apply1(name, conv, &[x, w]).unwrap();
        let all = g.apply(&format!("{name}_bn"), BatchNorm2d { eps: 1e-5 }, &[sum, scale[0], scale[1]]).unwrap();
        for (i, &value) in all[1..].iter().enumerate() {
            let kept = g.persistent(&format!("d.{name}.{i}"), g.spec(value).clone());
            g.place(value, kept, 0).unwrap();
        }
        all[0]
    };
    let first = norm(g, "conv1", padded, 3, x);
    let activated = g.apply1("act1", activation, &[first]).unwrap();
    let second = norm(g, "conv2", padded, 3, activated);
    let other = if shortcut { norm(g, "shortcut", Conv2d::default(), 1, x) } else { x };
    let sum = g.apply1("add", Add, &[second, other]).unwrap();
    let y = g.apply1("act2", activation, &[sum]).unwrap();
    let seed = g.persistent("seed", g.spec(y).clone());
    let gradients = differentiate(g, y, seed, &operands).unwrap();
    let wanted: Vec<_> = operands.iter().filter_map(|&value| gradients.of(value)).chain([y]).collect();
    keep(g, wanted);
    graph
}

#[test]
fn a_batch_normalisation_is_applied_where_its_result_is_read() {
    for activation in Activation::all(0.1, 1.25) {
        for shortcut in [false, true] {
            let graph = residual(activation, shortcut);
            let wanted = results(&graph);
            for without in [vec![], vec![Pass::Normalisation], vec![Pass::Epilogue], vec![Pass::Gradients]] {
                let (fused, done) = graph.clone().fuse(&without).unwrap();
                let which = format!("{activation:?} without {without:?}, shortcut: {shortcut}");
                let count = |pass| done.iter().filter(|fusion| fusion.pass == pass).count();
                assert_eq!(count(Pass::Statistics), 2 + usize::from(shortcut), "{which}: {done:?}");
                // The sum; and conv2 with its gradients, if the activation before it is part of what is applied, and cheap.
                let missing = |pass| without.contains(&pass);
                let cheap = matches!(activation, Activation::Relu | Activation::LeakyRelu { .. });
                let reads = cheap && !missing(Pass::Epilogue) && !missing(Pass::Gradients);
                let expected = if missing(Pass::Normalisation) { 0 } else { 1 + usize::from(reads) };
                assert_eq!(count(Pass::Normalisation), expected, "{which}: {done:?}");
                assert!(farthest(&results(&fused), &wanted) < 1e-11, "{which}");
            }
        }
    }
}

/// conv → activation, and a convolution of that with a shortcut beside it, with the gradients of all weights and of the image.
#[test]
fn a_shortcuts_gradient_is_added_by_the_gradient_beside_it() {
    for activation in Activation::all(0.1, 1.25) {
        let mut graph = Graph::new();
        let g = &mut graph;
        let shapes = [[2, 5, 4, 3], [3, 3, 3, 3], [3, 3, 3, 3]];
        let operands: Vec<ValueId> =
            (0..3).map(|i| g.persistent(&format!("x{i}"), Spec::f32(shapes[i].to_vec()))).collect();
        let padded = Conv2d { padding: [1; 4], ..Conv2d::default() };
        let first = g.apply1("conv0", padded, &operands[..2]).unwrap();
        let activated = g.apply1("act", activation, &[first]).unwrap();
        let second = g.apply1("conv1", padded, &[activated, operands[2]]).unwrap();
        let sum = g.apply1("add", Add, &[second, activated]).unwrap();
        let seed = g.persistent("seed", g.spec(sum).clone());
        let gradients = differentiate(g, sum, seed, &operands).unwrap();
        let wanted: Vec<_> = operands.iter().filter_map(|&value| gradients.of(value)).collect();
        keep(g, wanted);
        for (without, expected) in
            [(vec![], 1), (vec![Pass::Gradients], 0), (vec![Pass::ResidualGradient], 0), (vec![Pass::Epilogue], 1)]
        {
            let (fused, done) = graph.clone().fuse(&without).unwrap();
            let count = done.iter().filter(|fusion| fusion.pass == Pass::ResidualGradient).count();
            assert_eq!(count, expected, "{activation:?} without {without:?}: {done:?}");
            assert!(farthest(&results(&fused), &results(&graph)) < 1e-12, "{activation:?} without {without:?}");
        }
    }
}

/// conv → bn → relu, of which `readers` make what the graph keeps.
fn normalised(conv: Conv2d, kept: bool, readers: impl Fn(&mut Graph, ValueId) -> Vec<ValueId>) -> Graph {
    let mut graph = Graph::new();
    let g = &mut graph;
    let x = g.persistent("x", Spec::f32([2, 6, 4, 4]));
    let w = g.persistent("w", Spec::f32([3, 3, 4 / conv.groups, 4]));
    let scale = ["a", "b"].map(|name| g.persistent(name, Spec::f32([4])));
    let sum = g.apply1("conv", conv, &[x, w]).unwrap();
    let all = g.apply("bn", BatchNorm2d { eps: 1e-5 }, &[sum, scale[0], scale[1]]).unwrap();
    let image = g.apply1("relu", Activation::Relu, &all[..1]).unwrap();
    let mut wanted = readers(g, image);
    wanted.extend(kept.then_some(image));
    keep(g, wanted);
    graph
}

#[test]
fn an_image_that_others_want_is_written() {
    let padded = Conv2d { padding: [1; 4], ..Conv2d::default() };
    let another = |g: &mut Graph, name: &str, image: ValueId| {
        let w = g.persistent(&format!("{name}.w"), Spec::f32([3, 3, 4, 4]));
        let scale = ["a", "b"].map(|of| g.persistent(&format!("{name}.{of}"), Spec::f32([4])));
        let sum = g.apply1(name, padded, &[image, w]).unwrap();
        g.apply(&format!("{name}_bn"), BatchNorm2d { eps: 1e-5 }, &[sum, scale[0], scale[1]]).unwrap()[0]
    };
    let pooled = |g: &mut Graph, image: ValueId| {
        let pool = Pool2d { kernel: [2, 2], stride: [2, 2], padding: [0; 4], ceil_mode: false };
        g.apply1("pool", MaxPool2d(pool), &[image]).unwrap()
    };
    let grouped = Conv2d { groups: 2, ..padded };
    // How many normalisations are taken apart, and how many images are read normalised.
    let graphs = [
        ("two convolutions", normalised(padded, false, |g, x| vec![another(g, "c1", x), another(g, "c2", x)]), [3, 1]),
        ("a max pool too", normalised(padded, false, |g, x| vec![another(g, "c1", x), pooled(g, x)]), [2, 0]),
        ("it is kept", normalised(padded, true, |g, x| vec![another(g, "c1", x)]), [2, 0]),
        ("in groups", normalised(grouped, false, |g, x| vec![another(g, "c1", x)]), [1, 0]),
    ];
    for (which, graph, expected) in graphs {
        let (fused, done) = graph.clone().fuse(&[]).unwrap();
        let count = |pass| done.iter().filter(|fusion| fusion.pass == pass).count();
        assert_eq!([count(Pass::Statistics), count(Pass::Normalisation)], expected, "{which}: {done:?}");
        assert!(farthest(&results(&fused), &results(&graph)) < 1e-11, "{which}");
    }
}
