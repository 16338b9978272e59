//! PyTorch's float64 answers against the references, in float64 and in the float32 of the CPU session.

use std::path::{Path, PathBuf};
use wgrad::ops::{Op, Real};
use wgrad::tensor::{Elements, Tensor};
use wgrad::verify::compare::{FLOAT32, REFERENCE, Tolerance};
use wgrad::verify::oracle::{OracleCase, cases_in, run_case};

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle").join(folder)
}

/// Every operator case; schedules are no operators.
fn operator_cases() -> Vec<OracleCase> {
    let mut cases = cases_in(&fixtures("operators")).unwrap();
    cases.retain(|case| case.op != "lr_schedule");
    assert_eq!(cases.len(), 67);
    cases
}

/// Runs every case and collects what is off, so that one run shows all of it.
fn failures<T: Real>(tolerance: Tolerance) -> Vec<String> {
    let mut failures = Vec::new();
    for case in operator_cases() {
        let got = run_case::<T>(&case, &mut |op: &Op, operands: &[&Tensor<T>]| op.evaluate(operands)).unwrap();
        assert!(!case.wants.is_empty(), "{} wants nothing", case.name);
        for (name, difference) in case.check(&got, tolerance) {
            if !difference.passes() {
                failures.push(format!("{} {name}: {difference}", case.name));
            }
        }
    }
    failures
}

#[test]
fn every_operator_case_passes_in_float64() {
    let failures = failures::<f64>(REFERENCE);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_operator_case_passes_in_float32() {
    let failures = failures::<f32>(FLOAT32);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_wrong_gradient_is_noticed() {
    for case in operator_cases().into_iter().filter(|case| case.inputs.contains_key("grad_y")) {
        let mut calls = 0;
        let got = run_case::<f64>(&case, &mut |op: &Op, operands: &[&Tensor<f64>]| {
            calls += 1;
            let mut outputs = op.evaluate(operands)?;
            if calls == 2
                && let Elements::Float(values) = &mut outputs[0].elements
            {
                values[0] += 1e-3;
            }
            Ok(outputs)
        });
        let differences = case.check(&got.unwrap(), REFERENCE);
        assert!(differences.iter().any(|(_, difference)| !difference.passes()), "{}", case.name);
    }
}

#[test]
fn an_unknown_operator_and_a_missing_input_are_errors() {
    let mut execute = |op: &Op, operands: &[&Tensor<f64>]| op.evaluate(operands);
    let mut case = OracleCase::load(&fixtures("operators/relu_a.safetensors")).unwrap();
    case.op = "frobnicate".to_owned();
    let error = run_case(&case, &mut execute).unwrap_err().to_string();
    assert!(error.contains("frobnicate"), "{error}");
    case.op = "relu".to_owned();
    case.inputs.remove("x");
    assert!(run_case(&case, &mut execute).is_err());
}

/// What is said of a case that was changed.
fn refusal(name: &str, change: impl FnOnce(&mut OracleCase)) -> String {
    let mut case = OracleCase::load(&fixtures(&format!("operators/{name}.safetensors"))).unwrap();
    change(&mut case);
    let mut execute =
        |_: &Op, _: &[&Tensor<f64>]| -> wgrad::error::Result<Vec<Tensor<f64>>> { panic!("it was computed") };
    run_case::<f64>(&case, &mut execute).unwrap_err().to_string()
}

#[test]
fn a_case_that_leaves_out_what_it_must_hold_is_refused_before_anything_is_computed() {
    let without = |name: &str, want: &'static str| {
        let said = refusal(name, |case| drop(case.wants.remove(want).unwrap()));
        assert!(said.contains(&format!("has no `want.{want}`")), "{said}");
    };
    without("relu_a", "y");
    without("relu_a", "grad_x");
    without("mse_loss_shared", "grad_x");
    without("batch_norm2d_train", "running_var");
    without("adam_shared", "params");
    without("clip_grad_norm_clips_shared", "norm");
    without("clip_grad_value_shared", "grad_a");
    let said = refusal("adam_shared", |case| case.inputs.get_mut("grads").unwrap().shape.insert(0, 1));
    assert!(said.contains("`grads` must hold steps of the parameter's shape"), "{said}");
    let said = refusal("clip_grad_value_shared", |case| case.inputs.clear());
    assert!(said.contains("has no input whose name begins with `grad_`"), "{said}");
    let said = refusal("relu_a", |case| drop(case.inputs.remove("grad_y").unwrap()));
    assert!(said.contains("has no `grad_y`, the gradient that arrives at y"), "{said}");
}

#[test]
fn an_answer_of_another_shape_is_refused_before_anything_is_computed() {
    let said = refusal("conv2d_pad1", |case| {
        case.attrs.insert("padding".into(), vec![1_000_000; 4].into());
    });
    assert!(said.contains("`grad_y` has shape [") && said.contains("gives y the shape ["), "{said}");
    let said = refusal("add_shared", |case| case.inputs.get_mut("b").unwrap().shape.swap(0, 1));
    assert!(said.contains("add does not broadcast"), "{said}");
}

/// Two axes under one weight are one axis of as many elements.
#[test]
fn a_layer_is_normalised_over_all_axes_of_its_weight() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = |len: usize, seed: usize| (0..len).map(|i| ((i * 37 + seed) % 19) as f64 / 7.0 - 1.0).collect();
    let tensor = |shape: &[usize], seed| Tensor::<f64>::float(shape, numbers(shape.iter().product(), seed));
    let load = |leading: &[usize], normalised: &[usize]| {
        let whole = [leading, normalised].concat();
        let named = [("x", tensor(&whole, 1)), ("grad_y", tensor(&whole, 2)), ("weight", tensor(normalised, 3))];
        let wants = ["want.y", "want.grad_x"].map(|name| (name, tensor(&whole, 5)));
        let rest = ["bias", "want.grad_weight", "want.grad_bias"].map(|name| (name, tensor(normalised, 4)));
        let all: Vec<(&str, Tensor<f64>)> = named.into_iter().chain(wants).chain(rest).collect();
        let bytes: Vec<Vec<u8>> =
            all.iter().map(|(_, tensor)| tensor.floats().iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let views = all.iter().zip(&bytes).map(|((name, tensor), bytes)| {
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F64, tensor.shape.clone(), bytes);
            (*name, view.unwrap())
        });
        let metadata =
            [("op", "layer_norm"), ("attrs", "{\"eps\": 0.01}")].map(|(key, text)| (key.into(), text.into()));
        let file = folder.path().join("case.safetensors");
        std::fs::write(&file, safetensors::serialize(views, Some(metadata.into())).unwrap()).unwrap();
        let case = OracleCase::load(&file).unwrap();
        let got = run_case::<f64>(&case, &mut |op: &Op, operands: &[&Tensor<f64>]| op.evaluate(operands)).unwrap();
        assert!(case.check(&got, REFERENCE).iter().all(|(_, difference)| difference.problem.is_none()));
        got.into_iter().map(|(_, tensor)| tensor.floats().to_vec()).collect::<Vec<_>>()
    };
    let flat = load(&[2], &[60]);
    assert_eq!(load(&[2], &[3, 4, 5]), flat);
    assert_eq!(load(&[2], &[12, 5]), flat);
    assert_eq!(load(&[1, 2], &[15, 4]), flat);
}

#[test]
fn a_wanted_tensor_that_was_not_computed_fails() {
    let case = OracleCase::load(&fixtures("operators/relu_a.safetensors")).unwrap();
    let differences = case.check::<f64>(&[], REFERENCE);
    assert_eq!(differences.len(), 2);
    assert!(differences.iter().all(|(_, difference)| !difference.passes()));
}

#[test]
fn training_cases_can_be_read() {
    for case in cases_in(&fixtures("training")).unwrap() {
        assert_eq!(case.op, "training");
        assert_eq!(case.input("x_u8").unwrap().u8s().len() / (28 * 28), case.input("labels").unwrap().u32s().len());
    }
}
