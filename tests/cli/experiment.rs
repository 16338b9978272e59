//! The experiment on vanishing gradients, as a user sees it.

use std::path::Path;

use serde_json::Value;

use super::report::check;
use super::{done, json, refused, workplace};

/// Two versions of a moment.
fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let base = ["flow", "--data", "idx", "--batch", "16", "--device", "cpu", "--steps", "6"];
    base.into_iter().chain(more.iter().copied()).collect()
}

const TWO: [&str; 2] = ["--versions", "sigmoid_glorot,relu_glorot"];

fn names(lines: &[Value], event: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line["event"] == event);
    lines.map(|line| format!("{}-{}", line["version"].as_str().unwrap(), line["depth"])).collect()
}

fn page(out: &Path) -> String {
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    check(&page, &["figures", "claims", "versions"]);
    assert!(!page.contains("<script"));
    page
}

#[test]
fn versions_are_measured_compared_and_drawn() {
    let dir = workplace();
    let dir = dir.path();
    let lines = json(dir, &quick(&[&TWO[..], &["--depths", "3,2", "--reference", "--out", "out"]].concat()));
    let wanted = ["sigmoid_glorot-2", "relu_glorot-2", "sigmoid_glorot-3", "relu_glorot-3"];
    assert_eq!(names(&lines, "version"), wanted);
    for line in lines.iter().filter(|line| line["event"] == "version") {
        for key in ["first_over_last_start", "first_over_last_end", "loss", "accuracy", "first_over_last_start_float64"]
        {
            assert!(line[key].is_f64(), "{key}: {line}");
        }
        let [device, float64] =
            ["first_over_last_start", "first_over_last_start_float64"].map(|key| line[key].as_f64().unwrap());
        assert!((device / float64 - 1.0).abs() < 0.01 && line["verdict"].is_string(), "{line}");
    }
    let end = lines.last().unwrap();
    assert_eq!((&end["state"], &end["versions"]), (&"finished".into(), &4.into()));
    assert_eq!(end["effects"].as_array().unwrap().len(), 2);
    let html = page(&dir.join("out"));
    let told = end["effects"][0]["words"].as_str().unwrap();
    for part in [
        "Over depth",
        "depth (convolutions)",
        "Gradient by layer in the first step at depth 3",
        "cross-entropy (nats)",
        told,
    ] {
        assert!(html.contains(part), "{part}");
    }
    let plots = dir.join("out/plots");
    for file in
        ["ratio_over_depth_start", "depth_3_loss", "depth_2_relu_glorot_gradient", "depth_2_relu_glorot_histogram_end"]
    {
        let svg = std::fs::read_to_string(plots.join(format!("{file}.svg"))).unwrap();
        assert!(svg.starts_with("<svg xmlns") && svg.contains("prefers-color-scheme:dark"), "{file}");
        // Where this machine has a font, each plot is there as dots too.
        let dots = plots.join(format!("{file}.png"));
        assert!(!dots.exists() || image::open(&dots).unwrap().width() >= 1000, "{file}");
    }
    // Each version is a run like any other, and the page can be written again.
    assert!(done(dir, &["evaluate", "out/depth_2/relu_glorot", "--device", "cpu"]).contains("accuracy"));
    std::fs::remove_file(dir.join("out/report.html")).unwrap();
    done(dir, &["report", "out"]);
    assert_eq!(page(&dir.join("out")), html);
}

#[test]
fn a_network_of_ones_own_is_tried_with_and_without_each_cure() {
    let dir = workplace();
    let dir = dir.path();
    std::fs::write(
        dir.join("own.toml"),
        "[data]\nsource = \"idx\"\n[network]\nfile = \"tiny.toml\"\n[train]\nbatch = 16\n",
    )
    .unwrap();
    let lines = json(dir, &["flow", "own.toml", "--steps", "5", "--device", "cpu", "--out", "own"]);
    let names = names(&lines, "version");
    assert_eq!(names[..3], ["as_is-2", "with_he_init-2", "without_norm-2"]);
    assert!(names.contains(&"with_gradient_clip-2".to_owned()), "{names:?}");
    let effects = lines.last().unwrap()["effects"].as_array().unwrap();
    let normalised = effects.iter().find(|effect| effect["by"] == "normalisation").unwrap();
    assert_eq!((&normalised["cure"], &normalised["sick"]), (&"as_is".into(), &"without_norm".into()));
    page(&dir.join("own"));
    let words =
        done(dir, &["flow", "own/as_is", "--versions", "as_is", "--steps", "3", "--device", "cpu", "--out", "again"]);
    assert!(words.contains("as_is") && words.contains("page      again/report.html"), "{words}");
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let dir = workplace();
    let dir = dir.path();
    std::fs::create_dir(dir.join("full")).unwrap();
    std::fs::write(dir.join("full/file"), "").unwrap();
    let with = |more: &[&'static str]| quick(&[&["--out", "out"], more].concat());
    for (arguments, said) in [
        (with(&["--versions", "relu_cold"]), "there is no version `relu_cold`; there are sigmoid_small, "),
        (
            vec!["flow", "--data", "idx", "--device", "cpu", "--batch", "1000", "--out", "out"],
            "is larger than the 70 training images",
        ),
        (with(&["nonsense"]), "there is no recipe `nonsense`"),
        (with(&["--flow-threshold", "sleepy=1"]), "there is no threshold `sleepy`"),
        (quick(&["--out", "full"]), "exists already; choose another --out"),
        (quick(&["--out", "full", "--overwrite"]), "is not empty and holds no experiment"),
    ] {
        let error = refused(dir, &arguments);
        assert!(error.contains(said), "{error}");
        assert!(!dir.join("out").exists(), "{arguments:?} leaves something behind");
    }
    let twice = quick(&[&TWO[..], &["--depth", "1", "--out", "out"]].concat());
    done(dir, &twice);
    assert!(refused(dir, &twice).contains("--overwrite to replace the experiment in it"));
    done(dir, &[&twice[..], &["--overwrite"]].concat());
}
