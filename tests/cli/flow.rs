//! The flow of gradients, as a user sees it.

use serde_json::Value;

use super::{done, objects, refused, workplace};

fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let base =
        ["train", "--network", "tiny.toml", "--data", "idx", "--batch", "16", "--device", "cpu", "--epochs", "2"];
    base.into_iter().chain(more.iter().copied()).collect()
}

fn metrics(dir: &std::path::Path, run: &str, event: &str) -> Vec<Value> {
    let lines = std::fs::read_to_string(dir.join(run).join("metrics.jsonl")).unwrap();
    objects(&lines).into_iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn a_verdict_is_told_with_its_numbers_and_what_helps() {
    let dir = workplace();
    let dir = dir.path();
    let hot = ["--watch", "3", "--flow-threshold", "too_hot=1e-9", "--out", "run", "--tensorboard", "board"];
    let words = done(dir, &quick(&hot));
    for said in ["at step 1, in epoch 1", "flow  too hot: a step changes the weights of", "try   --lr", "smaller steps"]
    {
        assert!(words.contains(said), "`{said}` is missing: {words}");
    }
    assert_eq!(words.matches("try   --lr").count(), 1, "what helps is said once: {words}");
    assert_eq!(words.matches("flow  too hot").count(), 3, "once when it began and after each epoch: {words}");
    assert!(words.lines().all(|line| !line.contains("flow") || line.chars().count() <= 120), "{words}");
    // 8 steps: the first one and each third after it.
    let flows = metrics(dir, "run", "flow");
    assert_eq!(flows.iter().map(|flow| flow["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 4, 7]);
    let first = &flows[0];
    assert_eq!(first["parameters"].as_array().unwrap().len(), 5);
    let relu = first["activations"].as_array().unwrap().iter().find(|layer| layer["layer"] == "relu").unwrap();
    assert_eq!(relu["units"], 4);
    let verdicts = metrics(dir, "run", "verdict");
    assert_eq!((verdicts.len(), &verdicts[0]["verdict"]), (3, &"too_hot".into()));
    let finding = &verdicts[0]["findings"][0];
    assert!(
        finding["numbers"]["threshold"].as_f64() == Some(1e-9) && finding["cures"][0]["how"].is_string(),
        "{finding}"
    );
    let files: Vec<_> = std::fs::read_dir(dir.join("board/run")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0].to_str().unwrap().contains("tfevents"), "{files:?}");
    assert!(std::fs::metadata(&files[0]).unwrap().len() > 1000);
}

#[test]
fn watching_changes_no_byte_of_the_weights_and_can_be_left_out() {
    let dir = workplace();
    let dir = dir.path();
    let model = |run: &str| std::fs::read(dir.join(run).join("model.safetensors")).unwrap();
    done(dir, &quick(&["--watch", "1", "--out", "watched"]));
    let words = done(dir, &quick(&["--watch", "0", "--out", "plain"]));
    assert!(model("watched") == model("plain"));
    assert!(metrics(dir, "plain", "flow").is_empty() && !words.contains("flow"), "{words}");
    assert_eq!(metrics(dir, "watched", "flow").len(), 8);
}

#[test]
fn thresholds_and_directories_that_cannot_be_are_refused() {
    let dir = workplace();
    let dir = dir.path();
    assert!(refused(dir, &quick(&["--flow-threshold", "sleepy=1"])).contains("there is no threshold `sleepy`"));
    assert!(refused(dir, &quick(&["--flow-threshold", "stuck=-1"])).contains("must be a number above 0"));
    std::fs::write(dir.join("file"), "").unwrap();
    let error = refused(dir, &quick(&["--tensorboard", "file", "--out", "run"]));
    assert!(error.contains("cannot be made") && !dir.join("run").exists(), "{error}");
}
