//! Ctrl-C, and readers that go away.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::{done, objects, quick, text, wgrad, workplace};

fn interrupt(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[test]
fn ctrl_c_ends_a_run_that_is_evaluated_and_saved() {
    let dir = workplace();
    let endless = quick(&["--epochs", "1000000", "--out", "run", "--json"]);
    let mut child = wgrad(dir.path(), &endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
    interrupt(&child);
    seen.extend(lines.map(Result::unwrap));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let end = objects(&seen.join("\n")).pop().unwrap();
    assert_eq!((&end["event"], &end["ending"]), (&"end".into(), &"interrupted".into()));
    assert!(end["test_loss"].is_f64());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(
        words.contains("stopping: the run will be evaluated and saved") && words.contains("ended     interrupted"),
        "{words}"
    );
    assert!(done(dir.path(), &["evaluate", "run", "--device", "cpu"]).contains("interrupted after"));
}

#[test]
fn a_reader_that_goes_away_ends_a_run_quietly() {
    let dir = workplace();
    let endless = quick(&["--epochs", "1000000", "--out", "run"]);
    let mut child = wgrad(dir.path(), &endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(first.starts_with("wgrad "), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    assert!(dir.path().join("run/model.safetensors").exists(), "what was trained is saved");
    let mut child = wgrad(dir.path(), &["evaluate", "run", "--device", "cpu"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn ctrl_c_ends_an_experiment_and_leaves_what_is_done() {
    let dir = workplace();
    let endless = [
        &["flow", "--data", "idx", "--batch", "16", "--device", "cpu", "--steps", "100000000", "--depth", "1"][..],
        &["--versions", "tanh_glorot,relu_glorot", "--out", "out", "--json"],
    ]
    .concat();
    let mut child = wgrad(dir.path(), &endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen: Vec<String> = lines.by_ref().take(1).map(Result::unwrap).collect();
    // The first version is under way as soon as it has a run.
    while !dir.path().join("out/tanh_glorot/run.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    interrupt(&child);
    seen.extend(lines.map(Result::unwrap));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let end = objects(&seen.join("\n")).pop().unwrap();
    assert_eq!((&end["event"], &end["state"], &end["versions"]), (&"end".into(), &"interrupted".into(), &0.into()));
    let page = std::fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.contains("It was interrupted: 0 of 2 versions are done."));
}
