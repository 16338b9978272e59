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
