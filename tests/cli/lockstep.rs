//! Two devices in step, and runs that are checked on the way.

use std::path::Path;

use super::{adapter, done, json, objects, quick, refused, run, text, wgrad, workplace};

const LOCKSTEP: [&str; 9] = ["lockstep", "tiny.toml", "--data", "idx", "--batch", "16", "--steps", "5", "--other"];

#[test]
fn steps_are_compared_and_counted() {
    let dir = workplace();
    for device in [Some("cpu"), adapter()].into_iter().flatten() {
        let arguments = [&LOCKSTEP[..], &[device]].concat();
        let events = json(dir.path(), &arguments);
        let (last, steps) = events.split_last().unwrap();
        assert_eq!((&last["event"], &last["agrees"], &last["steps"]), (&"lockstep".into(), &true.into(), &5.into()));
        assert!(last["divergence"].is_null() && last["same_bits"] == true && last["worst"]["relative_l2"].is_f64());
        assert_eq!(steps.iter().filter(|step| step["event"] == "step" && step["agrees"] == true).count(), 5);
        let words = done(dir.path(), &arguments);
        for said in ["reference CPU, in float64", "error/allowed", "agrees    5 steps", "left the same bits behind"] {
            assert!(words.contains(said), "`{said}` is missing: {words}");
        }
    }
    assert!(done(dir.path(), &[&LOCKSTEP[..], &["cpu", "--free-run"]].concat()).contains("from its own state"));
    for (options, said) in [
        (&["--optimizer", "lion"][..], "there is no optimiser `lion`"),
        (&["--lr", "0"], "--lr 0 must be"),
        (&["--seed", "1", "--clip-norm", "-1"], "--clip-norm -1 must be"),
    ] {
        assert!(refused(dir.path(), &[&LOCKSTEP[..], &["cpu"], options].concat()).contains(said), "{options:?}");
    }
}

#[test]
fn a_run_goes_on_where_it_stands() {
    let dir = workplace();
    done(dir.path(), &quick(&["--epochs", "2", "--out", "run", "--optimizer", "momentum"]));
    let words = done(dir.path(), &["lockstep", "run", "--other", "cpu", "--steps", "2"]);
    assert!(words.contains("16 images a step · sgd with momentum") && words.contains("the run's weights"), "{words}");
    let fresh = done(dir.path(), &["lockstep", "run", "--other", "cpu", "--steps", "1", "--seed", "3"]);
    assert!(fresh.contains("seed 3") && !fresh.contains("the run's weights"), "{fresh}");
    assert!(refused(dir.path(), &["lockstep", "idx"]).contains("is no run"));
}

#[test]
fn a_checked_run_says_what_was_checked() {
    let dir = workplace();
    let device = adapter().unwrap_or("cpu");
    let arguments = quick(&["--epochs", "2", "--shadow-check", "3", "--out", "run"]);
    let arguments: Vec<&str> = arguments.into_iter().map(|word| if word == "cpu" { device } else { word }).collect();
    let words = done(dir.path(), &arguments);
    assert!(words.contains("checked   3 steps against the float64 reference"), "{words}");
    let end = json(dir.path(), &[&arguments[..], &["--overwrite"]].concat()).pop().unwrap();
    assert_eq!((&end["shadow"]["checked"], &end["shadow"]["every"]), (&3.into(), &3.into()));
    assert_eq!(run(dir.path(), &quick(&["--shadow-check", "0"])).status.code(), Some(2));
}

/// A folder of shaders in which `file` has `wrong` instead of `right`.
fn broken(dir: &Path, file: &str, right: &str, wrong: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(file);
    let source = std::fs::read_to_string(source).unwrap();
    assert!(source.contains(right), "{file} no longer holds `{right}`");
    std::fs::create_dir_all(dir.join("shaders/shared")).unwrap();
    std::fs::write(dir.join("shaders").join(file), source.replace(right, wrong)).unwrap();
}

#[test]
fn a_broken_kernel_is_named() {
    let Some(device) = adapter() else { return };
    for (file, right, wrong, network, node, operator, direction) in [
        ("shared/activate.wgsl", "select(x, 0.0, x <= 0.0)", "x", "reference", "relu1", "relu", "forward"),
        (
            "pool2d_windows.wgsl",
            "place == vec4<u32>(row * params.w_in + col)",
            "place == vec4<u32>(row * params.w_in)",
            "reference",
            "pool2",
            "max_pool2d_grad",
            "backward",
        ),
        (
            "optimizer.wgsl",
            "sqrt(v) / rate(2u)",
            "0.5 * sqrt(v) / rate(2u)",
            "residual_bn",
            "optimizer",
            "adam",
            "update",
        ),
        (
            "batch_norm2d.wgsl",
            "params.rows) + params.eps",
            "params.rows) + params.eps + 0.01",
            "residual_bn",
            "block1_bn1",
            "batch_norm2d",
            "forward",
        ),
    ] {
        let dir = workplace();
        broken(dir.path(), file, right, wrong);
        let arguments =
            ["lockstep", network, "--other", device, "--batch", "8", "--steps", "3", "--json", "--trust-all"];
        let output = wgrad(dir.path(), &arguments).env("WGRAD_SHADERS", "shaders").output().unwrap();
        let (words, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{file}: {words} {stderr}");
        let last = objects(&words).pop().unwrap();
        let found = &last["divergence"];
        assert!(found["node"].as_str().unwrap().starts_with(node), "{file}: {stderr}");
        assert_eq!((&found["operator"], &found["direction"]), (&operator.into(), &direction.into()), "{stderr}");
        assert_eq!((&found["cause"], &last["agrees"], &found["step"]), (&"kernel".into(), &false.into(), &1.into()));
        assert!(stderr.contains("expected is what the float64 reference answers"), "{stderr}");
        assert!(stderr.contains(&format!("error: {}", last["other"].as_str().unwrap())), "{stderr}");
    }
}

#[test]
fn a_checked_run_stops_where_a_kernel_is_wrong_and_keeps_its_weights() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let dir = dir.path();
    broken(dir, "shared/derivative.wgsl", "select(1.0, 0.0, saved <= 0.0)", "1.0");
    let arguments = quick(&["--shadow-check", "2", "--trust-all", "--out", "run", "--json"]);
    let arguments: Vec<&str> = arguments.into_iter().map(|word| if word == "cpu" { device } else { word }).collect();
    let output = wgrad(dir, &arguments).env("WGRAD_SHADERS", "shaders").output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: training stopped at step 1: ")
            && stderr.contains("relu.grad (linear_grad_input_activation_grad)"),
        "{stderr}"
    );
    assert!(stderr.contains("the last good state, after 0 steps, is in run"), "{stderr}");
    let last = objects(&text(&output.stdout)).pop().unwrap();
    assert_eq!(
        (&last["ending"], &last["steps"], &last["shadow"]["checked"]),
        (&"disagreed".into(), &0.into(), &1.into())
    );
    assert!(done(dir, &["evaluate", "run", "--device", "cpu"]).contains("stopped where the device was wrong"));
    // From these weights, without the broken kernel, nothing is wrong.
    done(dir, &["lockstep", "run", "--other", device, "--steps", "2"]);
}
