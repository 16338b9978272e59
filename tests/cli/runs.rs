//! Training, and what is done with the run that it leaves.

use std::path::Path;

use serde_json::Value;

use super::{adapter, done, json, objects, picture, quick, refused, run, text, workplace};

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn trains_evaluates_and_predicts(device: &str) {
    let (dir, at) = (workplace(), str::to_owned);
    let dir = dir.path();
    let arguments = quick(&["--epochs", "12", "--lr", "0.05", "--out", "run", "--log-every", "3", "--seed", "4"]);
    let arguments: Vec<&str> = arguments.into_iter().map(|word| if word == "cpu" { device } else { word }).collect();
    let events = json(dir, &arguments);
    let (start, end) = (&events[0], events.last().unwrap());
    assert_eq!((&start["event"], &end["event"]), (&at("start").into(), &at("end").into()));
    assert_eq!((&start["dropped_images"], &start["steps_per_epoch"]), (&6.into(), &4.into()));
    for key in ["test_accuracy", "test_loss", "images_per_second", "seconds", "first_step_seconds"] {
        assert!(end[key].is_f64(), "{key}: {end}");
    }
    assert_eq!(
        (&end["steps"], &end["ending"], &end["run"], &end["seed"]),
        (&48.into(), &at("finished").into(), &at("run").into(), &4.into())
    );
    assert!(end["test_accuracy"].as_f64().unwrap() > 0.9, "nothing was learnt: {end}");
    let step_events = events.iter().filter(|event| event["event"] == "step").count();
    assert!(step_events >= 12 && events.iter().filter(|event| event["event"] == "epoch").count() == 12);

    let metrics = objects(&std::fs::read_to_string(dir.join("run/metrics.jsonl")).unwrap());
    let steps: Vec<u64> =
        metrics.iter().filter(|line| line["event"] == "step").map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=16).map(|index| 3 * index).collect::<Vec<_>>());
    assert_eq!(metrics.iter().filter(|line| line["event"] == "epoch").count(), 12);

    let record = read(&dir.join("run/run.json"));
    assert_eq!((&record["ending"], &record["steps"], &record["seed"]), (&at("finished").into(), &48.into(), &4.into()));
    assert_eq!((&record["device"]["name"], &record["device"]["backend"]), (&end["device"], &end["backend"]));
    assert_eq!(record["figures"]["test_loss"], end["test_loss"]);
    assert!(record["variants"].as_array().unwrap().iter().any(|row| row["node"] == "conv.grad_weight"));
    assert_eq!(record["data"]["fingerprint"].as_str().unwrap().len(), 64);

    let scored = json(dir, &["evaluate", "run", "--device", device]).pop().unwrap();
    assert_eq!((&scored["test_accuracy"], &scored["test_loss"]), (&end["test_accuracy"], &end["test_loss"]));
    assert_eq!((&scored["steps"], &scored["run"]), (&48.into(), &at("run").into()));
    let images: u64 = scored["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(images, 30);

    picture(dir, 3, "row.png");
    let predicted = json(dir, &["predict", "run", "row.png", "row.png", "--top", "2", "--device", device]);
    assert_eq!(predicted.len(), 2);
    assert_eq!(predicted[0]["best"][0]["class"], "3");
    assert!(predicted[1]["best"].as_array().unwrap().len() == 2);
    let inverted = json(dir, &["predict", "run", "row.png", "--invert", "--top", "100", "--device", device]).remove(0);
    let best = inverted["best"].as_array().unwrap();
    let sum: f64 = best.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
    assert!(best.len() == 10 && (sum - 1.0).abs() < 1e-12 && best[0] != predicted[0]["best"][0]);
}

#[test]
fn a_run_is_trained_evaluated_and_asked_on_the_cpu() {
    trains_evaluates_and_predicts("cpu");
}

#[test]
fn a_run_is_trained_evaluated_and_asked_on_the_gpu() {
    if let Some(device) = adapter() {
        trains_evaluates_and_predicts(device);
    }
}

#[test]
fn people_read_what_happens() {
    let dir = workplace();
    let dir = dir.path();
    let output = run(dir, &quick(&["--epochs", "2", "--out", "run", "--explain-plan"]));
    let words = text(&output.stdout);
    for said in [
        "device    CPU reference",
        "asked for by --device cpu",
        "70 training and 30 test images of 8×8×1",
        "10 classes",
        "batch_norm2d",
        "total",
        "head.grad_weight",
        "leaves out 6 training images",
        "come from the test images",
        "planned on the device",
        "1/2",
        "2/2",
        "ended     finished",
        "of 30 images",
        "saved     run",
        "wgrad evaluate run",
        "wgrad predict run IMAGE",
    ] {
        assert!(words.contains(said), "`{said}` is missing: {words}");
    }
    assert_eq!(text(&output.stderr), "", "a quick run on no terminal has nothing to say on stderr");
    let matrix = done(dir, &["evaluate", "run", "--device", "cpu"]);
    let rows: Vec<usize> = matrix.lines().filter(|line| line.ends_with('%')).map(|line| line.chars().count()).collect();
    assert!(rows.len() >= 8 && rows.windows(2).all(|pair| pair[0] == pair[1]), "the matrix is not aligned: {matrix}");
    assert!(done(dir, &["summary", "run", "--device", "cpu"]).contains("forward pass of 16 images"));
    let json = run(dir, &quick(&["--epochs", "1", "--out", "other", "--json"]));
    assert!(text(&json.stderr).contains("ended     finished"), "with --json people read stderr");
}

#[test]
fn patience_holds_images_out_and_says_so() {
    let dir = workplace();
    without_normalisation(dir.path());
    // Steps too small to change a weight: the loss never falls.
    let more = ["--epochs", "50", "--patience", "1", "--lr", "1e-30", "--optimizer", "sgd", "--out", "run"];
    let words = done(dir.path(), &quick(&more));
    assert!(words.contains("come from 7 training images held out of training"), "{words}");
    assert!(words.contains("stopped early"), "{words}");
    let record = read(&dir.path().join("run/run.json"));
    assert_eq!((&record["ending"], &record["data"]["held_out_images"]), (&"patience".into(), &7.into()));
    let flattered = done(dir.path(), &quick(&["--epochs", "1", "--patience", "1", "--validation", "0", "--out", "b"]));
    assert!(flattered.contains("will flatter"), "{flattered}");
}

#[test]
fn a_run_has_a_name_of_its_own_and_is_not_overwritten_by_accident() {
    let dir = workplace();
    let dir = dir.path();
    for _ in 0..2 {
        done(dir, &quick(&["--epochs", "1"]));
    }
    let names: Vec<String> = std::fs::read_dir(dir.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("20") && name.contains("-tiny")), "{names:?}");
    let one = quick(&["--epochs", "1", "--out", "run"]);
    done(dir, &one);
    let before = std::fs::read(dir.join("run/run.json")).unwrap();
    assert!(refused(dir, &one).contains("run: exists already"));
    assert_eq!(before, std::fs::read(dir.join("run/run.json")).unwrap());
    done(dir, &[&one[..], &["--overwrite", "--seed", "9"]].concat());
    assert_eq!(read(&dir.join("run/run.json"))["seed"], 9);
    let lines = std::fs::read_to_string(dir.join("run/metrics.jsonl")).unwrap();
    let epochs = objects(&lines).iter().filter(|line| line["event"] == "epoch").count();
    assert_eq!(epochs, 1, "the old metrics are gone: {lines}");
    let foreign = quick(&["--out", "idx", "--overwrite"]);
    assert!(refused(dir, &foreign).contains("holds no run"));
    assert!(dir.join("idx/train-images-idx3-ubyte").exists());
    std::fs::create_dir(dir.join("empty")).unwrap();
    done(dir, &quick(&["--epochs", "1", "--out", "empty", "--overwrite"]));
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let dir = workplace();
    let model = |out: &str, seed: &str| {
        done(dir.path(), &quick(&["--epochs", "1", "--seed", seed, "--out", out]));
        std::fs::read(dir.path().join(out).join("model.safetensors")).unwrap()
    };
    let first = model("a", "1");
    assert_eq!(first, model("b", "1"));
    assert_ne!(first, model("c", "2"));
}

#[test]
fn weights_have_pytorchs_names_and_counters() {
    let dir = workplace();
    done(dir.path(), &quick(&["--epochs", "2", "--out", "run"]));
    let file = wgrad::format::load(&dir.path().join("run/model.safetensors")).unwrap();
    let names: Vec<&str> = file.names().collect();
    let expected = [
        "bn.bias",
        "bn.num_batches_tracked",
        "bn.running_mean",
        "bn.running_var",
        "bn.weight",
        "conv.weight",
        "head.bias",
        "head.weight",
    ];
    assert_eq!(names, expected);
    assert_eq!(file.counter("bn.num_batches_tracked").unwrap(), 8);
}

fn without_normalisation(dir: &Path) {
    std::fs::write(dir.join("tiny.toml"), super::TINY.replace("type = \"batch_norm2d\"", "type = \"silu\"")).unwrap();
}

fn a_diverged_run_saves_its_last_good_state(device: &str) {
    let dir = workplace();
    let dir = dir.path();
    without_normalisation(dir);
    let arguments = quick(&["--optimizer", "sgd", "--lr", "1e30", "--out", "run"]);
    let arguments: Vec<&str> = arguments.into_iter().map(|word| if word == "cpu" { device } else { word }).collect();
    let error = refused(dir, &arguments);
    assert!(error.contains("training stopped at step") && error.contains("is in run"), "{error}");
    let record = read(&dir.join("run/run.json"));
    assert_eq!(record["ending"], "diverged");
    assert!(record["error"].as_str().unwrap().contains("training stopped at step"));
    assert!(record["steps"].as_u64().unwrap() >= 1);
    wgrad::format::load(&dir.join("run/model.safetensors")).unwrap();
    let again = run(dir, &[&arguments[..], &["--overwrite", "--json"]].concat());
    let last = objects(&text(&again.stdout)).pop().unwrap();
    assert_eq!((again.status.code(), &last["ending"]), (Some(1), &"diverged".into()));
}

#[test]
fn a_diverged_run_saves_its_last_good_state_on_the_cpu() {
    a_diverged_run_saves_its_last_good_state("cpu");
}

#[test]
fn a_diverged_run_saves_its_last_good_state_on_the_gpu() {
    if let Some(device) = adapter() {
        a_diverged_run_saves_its_last_good_state(device);
    }
}

#[test]
fn changed_data_is_noticed() {
    let dir = workplace();
    let dir = dir.path();
    done(dir, &quick(&["--epochs", "1", "--out", "run"]));
    let file = dir.join("idx/t10k-images-idx3-ubyte");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = run(elsewhere.path(), &["evaluate", dir.join("run").to_str().unwrap(), "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(0), "a relative path is found from elsewhere: {}", text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: ") && text(&output.stderr).contains("no longer holds"));
}

#[test]
fn the_built_in_digits_train_with_every_option() {
    let dir = workplace();
    std::fs::write(dir.path().join("digits.toml"), DIGITS).unwrap();
    let end = json(
        dir.path(),
        &[
            "train",
            "--network",
            "digits.toml",
            "--data",
            "builtin:7",
            "--device",
            "cpu",
            "--epochs",
            "1",
            "--optimizer",
            "adamw",
            "--weight-decay",
            "0.1",
            "--schedule",
            "one_cycle:0.2",
            "--label-smoothing",
            "0.1",
            "--clip-norm",
            "1",
            "--clip-value",
            "0.5",
            "--clip-weights",
            "2",
            "--validation",
            "0.2",
            "--backend",
            "vulkan",
        ],
    );
    assert_eq!(end[0]["data"]["held_out_images"], 1600);
    assert_eq!(end.last().unwrap()["steps"], 100);
}

const DIGITS: &str = r#"
name = "digits"
inputs = [{ name = "image", shape = [28, 28, 1] }]
layers = [
    { name = "pool", type = "avg_pool2d", kernel = [4, 4] },
    { name = "flat", type = "flatten" },
    { name = "head", type = "linear", units = 10 },
]
"#;
