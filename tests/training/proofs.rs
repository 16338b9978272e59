//! Which kernels are asked before a plan runs.

use wgrad::gpu::{Gpu, Proof};
use wgrad::graph::Graph;
use wgrad::kernels::{BASELINE, Problem, variants};
use wgrad::ops::{Conv2d, Op, Operator};
use wgrad::session::gpu::kernel_name;
use wgrad::session::{Device, Options};
use wgrad::tensor::Spec;
use wgrad::verify::trust::{certify, certify_kernel};

/// A device that nobody else asks.
fn fresh() -> Option<Gpu> {
    crate::adapter::adapter().map(|gpu| gpu.another().unwrap())
}

/// A convolution, and the graph that computes it.
fn convolution() -> (Op, [Spec; 2], Graph) {
    let (op, mut graph) = (Op::from(Conv2d::default()), Graph::new());
    let inputs = [Spec::f32([2, 8, 8, 8]), Spec::f32([3, 3, 8, 8])];
    let operands = inputs.clone().map(|spec| graph.persistent(&format!("{:?}", spec.shape), spec));
    graph.apply("conv", op.clone(), &operands).unwrap();
    (op, inputs, graph)
}

#[test]
fn what_stands_behind_a_kernel_that_is_right_is_not_asked() {
    let (op, inputs, graph) = convolution();
    let outputs = op.infer(&inputs).unwrap();
    for wrong in 0..2 {
        let Some(gpu) = fresh() else { return };
        let mut fast = variants(&op, &Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() });
        fast.truncate(fast.iter().position(|variant| *variant == BASELINE).unwrap());
        if fast.len() <= wrong {
            return println!("skipped: this adapter has too few fast kernels");
        }
        let proof = |variant: &str| gpu.proof(&kernel_name(op.name(), variant));
        for variant in &fast[..wrong] {
            gpu.note(&kernel_name(op.name(), variant), Proof { right: false, unchecked: false, checks_alone: false });
        }
        certify(&Device::Gpu(gpu.clone()), std::slice::from_ref(&graph), Options::default()).unwrap();
        assert!([fast[wrong], BASELINE].into_iter().all(|variant| proof(variant).is_some_and(|proof| proof.right)));
        assert!(fast[wrong + 1..].iter().all(|variant| proof(variant).is_none()), "{fast:?}");
        let Some(&behind) = fast.get(wrong + 1) else { continue };
        certify_kernel(&gpu, &op, behind).unwrap();
        assert!(proof(behind).is_some());
    }
}

#[test]
fn where_baselines_are_wanted_no_other_is_asked() {
    let (op, _, graph) = convolution();
    let Some(gpu) = fresh() else { return };
    let options = Options { baseline: true, ..Options::default() };
    certify(&Device::Gpu(gpu.clone()), std::slice::from_ref(&graph), options).unwrap();
    let asked: Vec<_> =
        wgrad::kernels::names().into_iter().filter(|name| gpu.proof(&kernel_name(op.name(), name)).is_some()).collect();
    assert_eq!(asked, [BASELINE]);
}
