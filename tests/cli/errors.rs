//! Each mistake gets one sentence that names it.

use super::{TINY, done, quick, refused, run, workplace};

#[test]
fn impossible_options_are_refused_before_any_work() {
    let dir = workplace();
    for (options, said) in [
        (&["--batch", "0"][..], "--batch must be at least 1"),
        (&["--batch", "71"], "--batch 71 is larger than the 70 training images"),
        (&["--batch", "60", "--validation", "0.5"], "larger than the 35 training images left"),
        (&["--epochs", "0"], "--epochs must be at least 1"),
        (&["--lr", "-1"], "--lr -1 must be a number above 0"),
        (&["--lr", "nan"], "--lr NaN must be"),
        (&["--validation", "1"], "--validation 1 must be"),
        (&["--label-smoothing", "1.5"], "--label-smoothing 1.5 must be"),
        (&["--clip-norm", "0"], "--clip-norm 0 must be"),
        (&["--weight-decay", "-1"], "--weight-decay -1 must be"),
        (&["--schedule", "up"], "`up` is no learning-rate schedule"),
        (&["--optimizer", "lion"], "there is no optimiser `lion`"),
        (&["--data", "cifar"], "unknown data set `cifar`"),
        (&["--data", "tiny.toml"], "is a file, and a data set is a directory"),
        (&["--image", "8x8"], "--image 8×8 is for folders of pictures"),
        (&["--data", "builtin:x"], "has no seed"),
        (&["--data", "."], "holds one class folder alone, `idx`"),
        (&["--classes", "4"], "out of range: there are 4 classes"),
        (
            &["--network", "lenet"],
            "there is no network `lenet`; did you mean `lenet5`? choose reference, lenet5, deep_plain",
        ),
        (&["--network", "none.toml"], "none.toml: cannot be read"),
        (&["--out", "tiny.toml/run"], "cannot be made"),
        (&["--out", "tiny.toml"], "is no directory"),
    ] {
        let mut arguments = quick(&[]);
        arguments.retain(|word| *word != options[0]);
        // The value of an option that is given twice goes too.
        if arguments.len() < quick(&[]).len() {
            let at = quick(&[]).iter().position(|word| *word == options[0]).unwrap();
            arguments.remove(at);
        }
        let error = refused(dir.path(), &[&arguments[..], options].concat());
        assert!(error.contains(said), "{options:?}: {error}");
        assert!(!dir.path().join("runs").exists(), "{options:?} left a directory behind");
    }
}

#[test]
fn unknown_devices_are_refused() {
    let dir = workplace();
    for command in [&["train"][..], &["summary"]] {
        for device in ["4711", "no such adapter", "all"] {
            let error = refused(dir.path(), &[command, &["--device", device]].concat());
            assert!(error.contains(device) || error.contains("no GPU adapter"), "{error}");
        }
    }
    if !cfg!(feature = "gl") {
        assert!(refused(dir.path(), &["devices", "--backend", "gl"]).contains("built without OpenGL"));
    }
    assert_eq!(run(dir.path(), &["devices", "--backend", "cuda"]).status.code(), Some(2));
}

#[test]
fn a_mistake_in_a_network_file_has_a_line_and_a_column() {
    let dir = workplace();
    let file = dir.path().join("wrong.toml");
    for (text, said) in [
        (TINY.replace("units = 10", "units = "), "wrong.toml: line 27, column 9: "),
        (
            TINY.replace("units", "unit"),
            "wrong.toml: line 27, column 1: layer head (linear) has no key `unit`; did you mean `units`?",
        ),
        (TINY.replace("kernel = [3, 3]", "kernel = [9, 9]"), "wrong.toml: line 5, column 1: layer conv"),
        (TINY.replace("units = 10", "units = 9"), "9"),
        (TINY.replace("[8, 8, 1]", "[9, 8, 1]"), "[9, 8, 1]"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut arguments = quick(&[]);
        arguments[2] = "wrong.toml";
        let error = refused(dir.path(), &arguments);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = workplace();
    for (path, said) in [("nowhere", "there is no such run"), ("idx", "is no run"), ("tiny.toml", "is a file")] {
        for command in [&["evaluate", path][..], &["predict", path, "x.png"]] {
            let error = refused(dir.path(), command);
            assert!(error.contains(said) && error.contains(path), "{error}");
        }
    }
    assert!(refused(dir.path(), &["summary", "idx"]).contains("is no run"));
}

#[test]
fn damaged_runs_are_refused() {
    let dir = workplace();
    let dir = dir.path();
    done(dir, &quick(&["--epochs", "1", "--out", "run"]));
    let evaluate = ["evaluate", "run", "--device", "cpu"];
    let (model, record) = (dir.join("run/model.safetensors"), dir.join("run/run.json"));
    let (weights, description) = (std::fs::read(&model).unwrap(), std::fs::read_to_string(&record).unwrap());
    assert!(refused(dir, &["predict", "run", "tiny.toml"]).contains("neither a PNG nor a JPEG"));
    assert!(refused(dir, &["evaluate", "run", "--data", "builtin", "--device", "cpu"]).contains("28, 28, 1"));

    let mut nan = weights.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&model, nan).unwrap();
    assert!(refused(dir, &evaluate).contains("holds NaN"), "{}", refused(dir, &evaluate));
    assert!(refused(dir, &["predict", "run", "x.png"]).contains("holds NaN"));
    std::fs::write(&model, &weights[..weights.len() / 2]).unwrap();
    assert!(refused(dir, &evaluate).contains("model.safetensors: "));
    std::fs::write(&model, &weights).unwrap();

    std::fs::write(&record, description.replace("\"channels\": 4", "\"channels\": 5")).unwrap();
    let error = refused(dir, &evaluate);
    assert!(error.contains("has the shape") && error.contains("but the network wants"), "{error}");
    std::fs::write(&record, &description[..40]).unwrap();
    assert!(refused(dir, &evaluate).contains("run.json: is damaged"));
    std::fs::write(&record, &description).unwrap();
    std::fs::remove_file(&model).unwrap();
    assert!(refused(dir, &evaluate).contains("did not come to an end"));
}

#[test]
fn mirrors_that_do_not_answer_are_named() {
    let dir = workplace();
    for (data, file) in [
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("fashion-mnist", "train-images-idx3-ubyte.gz"),
        ("cifar10", "cifar-10-binary.tar.gz"),
    ] {
        let mirror = "http://127.0.0.1:9/x";
        let error = refused(dir.path(), &["train", "--data", data, "--mirror", mirror, "--device", "cpu"]);
        assert!(error.contains(&format!("{mirror}/{file}")), "{error}");
        let variable = format!("WGRAD_{}_MIRROR", data.to_uppercase().replace('-', "_"));
        assert!(error.contains(&variable), "{error}");
    }
}
