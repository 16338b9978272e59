//! `wgrad bench`

use serde_json::Value;

use super::{adapter, done, json, objects, refused, run, text, workplace};

/// The operators that are timed in a moment.
const SHORT: [&str; 4] = ["bench", "--quick", "--workload", "reference/dense2"];

#[test]
fn mistakes_have_one_sentence_that_says_what_to_do() {
    let dir = workplace();
    std::fs::write(dir.path().join("words.jsonl"), "no json\n").unwrap();
    std::fs::write(dir.path().join("other.jsonl"), "{\"event\":\"device\"}\n").unwrap();
    std::fs::write(dir.path().join("empty.jsonl"), "\n").unwrap();
    for (options, said) in [
        (&["--workload", "refrence"][..], "there is no workload `refrence`; near it are reference"),
        (&["--workload", "resnet19/*"], "near it are resnet18"),
        (&["--workload", "reference", "--workload", "conv2"], "near it are reference/conv2"),
        (&["--variant", "quick"], "there is no variant `quick`; there are baseline"),
        (&["--seconds", "0"], "--seconds 0 must be a number above 0"),
        (&["--seconds", "nan"], "--seconds NaN must be"),
        (&["--device", "cpu", "--device", "no such adapter"], "no"),
        (&["--compare", "nowhere.jsonl", "words.jsonl"], "nowhere.jsonl: cannot be read"),
        (&["--compare", "words.jsonl", "words.jsonl"], "words.jsonl: line 1 is no row of `wgrad bench --json`"),
        (&["--compare", "other.jsonl", "other.jsonl"], "it names no workload and direction"),
        (&["--compare", "empty.jsonl", "empty.jsonl"], "empty.jsonl: holds no row"),
    ] {
        let error = refused(dir.path(), &[&["bench"], options].concat());
        assert!(error.contains(said), "{options:?}: {error}");
    }
    for options in [&["--json", "--csv"][..], &["--quick", "--seconds", "1"], &["--batch", "0"], &["--compare", "one"]]
    {
        assert_eq!(run(dir.path(), &[&["bench"], options].concat()).status.code(), Some(2), "{options:?}");
    }
}

#[test]
fn the_list_has_networks_and_operators() {
    let dir = workplace();
    let names: Vec<String> =
        json(dir.path(), &["bench", "--list"]).iter().map(|row| row["workload"].as_str().unwrap().to_owned()).collect();
    for name in ["reference", "resnet18", "reference/inference", "reference/conv2", "mobilenet_v2/block3_depthwise"] {
        assert!(names.iter().any(|known| known == name), "{name} is not listed");
    }
    assert!(done(dir.path(), &["bench", "--list"]).contains("64×13×13×32"));
}

#[test]
fn operators_are_measured_in_every_direction_and_variant() {
    let dir = workplace();
    if adapter().is_none() {
        return;
    }
    let output = run(dir.path(), &[&SHORT[..], &["--json", "--html", "page.html"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows = objects(&text(&output.stdout));
    for direction in ["forward", "grad_input", "grad_weight", "grad_bias"] {
        let row = rows.iter().find(|row| row["direction"] == direction && row["variant"] == "baseline");
        let row = row.unwrap_or_else(|| panic!("no row of {direction}"));
        assert_eq!(row["workload"], "reference/dense2");
        for key in ["ms", "gflops", "gb_s", "percent_of_roof", "roof_gflops", "roof_gb_s", "spread_percent"] {
            assert!(
                row[key].as_f64().is_some_and(|value| value >= 0.0 && value.is_finite()),
                "{direction} {key}: {row}"
            );
        }
        assert!(row["device"].is_string() && row.get("ms_per_step").is_none(), "{row}");
    }
    let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("FLOP/byte") && page.contains("prefers-color-scheme:dark"));
    assert!(!page.contains("http"), "the page loads something from elsewhere");
    std::fs::write(dir.path().join("a.jsonl"), &output.stdout).unwrap();
    let compared = done(dir.path(), &["bench", "--compare", "a.jsonl", "a.jsonl"]);
    assert!(compared.contains("B takes 1.000 times as long as A"), "{compared}");
    let csv = done(dir.path(), &[&SHORT[..], &["--csv", "--variant", "baseline"]].concat());
    assert!(csv.lines().count() >= 5 && csv.starts_with("workload,direction,variant,device"), "{csv}");
}

#[test]
fn a_network_is_measured_on_the_cpu_too() {
    let dir = workplace();
    let rows =
        json(dir.path(), &["bench", "--seconds", "0.2", "--device", "cpu", "--workload", "reference", "--batch", "2"]);
    assert_eq!(rows.len(), 1);
    let number = |key: &str| rows[0][key].as_f64().unwrap_or_else(|| panic!("{key}: {}", rows[0]));
    assert_eq!(number("ms_per_step"), number("ms"));
    assert!((number("images_per_second") - 2000.0 / number("ms")).abs() < 1e-6);
    assert_eq!(rows[0]["percent_of_roof"], Value::Null, "the CPU reference has no measured roof");
    let refused = json(dir.path(), &["bench", "--quick", "--device", "cpu", "--workload", "reference/dense2"]);
    assert!(refused.iter().all(|row| row["ms"].is_null() && row["outcome"] == "not_run" && row["reason"].is_string()));
}
