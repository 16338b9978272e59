use std::collections::BTreeSet;

use wgrad::kernels::{Problem, variants};
use wgrad::ops::{Op, Operator};
use wgrad::session::gpu::run_node;
use wgrad::tensor::Tensor;
use wgrad::verify::compare::FLOAT32;
use wgrad::verify::oracle::{OracleCase, cases_in, run_case};

/// The variant number `choice` of an operator, or the last one where it has fewer.
fn variant(gpu: &wgrad::gpu::Gpu, op: &Op, operands: &[&Tensor], choice: usize) -> &'static str {
    let inputs: Vec<_> = operands.iter().map(|tensor| tensor.spec()).collect();
    let outputs = op.infer(&inputs).unwrap();
    let known = variants(op, &Problem { inputs: &inputs, outputs: &outputs, caps: gpu.caps() });
    known[choice.min(known.len() - 1)]
}

fn check(gpu: &wgrad::gpu::Gpu, case: &OracleCase, choice: usize, used: &mut BTreeSet<String>) -> Vec<String> {
    let got = run_case::<f32>(case, &mut |op, operands| {
        let variant = variant(gpu, op, operands, choice);
        used.insert(format!("{} {variant}", op.name()));
        let inputs: Vec<Tensor> = operands.iter().map(|tensor| (*tensor).clone()).collect();
        run_node(gpu, op, &inputs, variant)
    });
    let got = got.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let differences = case.check(&got, FLOAT32).into_iter().filter(|(_, difference)| !difference.passes());
    differences.map(|(name, difference)| format!("{} {name}, variant {choice}: {difference}", case.name)).collect()
}

#[test]
fn every_operator_case_passes_on_the_gpu_in_every_variant() {
    let Some(gpu) = super::adapter() else { return };
    let (mut failures, mut used, mut cases) = (Vec::new(), BTreeSet::new(), 0);
    for case in cases_in(&super::fixtures("operators")).unwrap() {
        if case.op == "lr_schedule" {
            continue;
        }
        cases += 1;
        let choices = if matches!(case.op.as_str(), "conv2d" | "linear") { 3 } else { 1 };
        for choice in 0..choices {
            failures.extend(check(&gpu, &case, choice, &mut used));
        }
    }
    assert_eq!(cases, 67);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(used.contains("conv2d baseline") && used.contains("linear_grad_weight baseline"), "{used:?}");
}
