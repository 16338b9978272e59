//! Where the time of a step goes.

use serde_json::Value;

use super::{adapter, done, json, refused, run, workplace};

const PROFILE: [&str; 7] = ["profile", "tiny.toml", "--batch", "4", "--steps", "2", "--device"];

fn events<'a>(all: &'a [Value], event: &str) -> Vec<&'a Value> {
    all.iter().filter(|object| object["event"] == event).collect()
}

fn sum(rows: &[&Value], key: &str) -> f64 {
    rows.iter().filter_map(|row| row[key].as_f64()).sum()
}

#[test]
fn every_node_has_a_row_and_the_shares_and_the_rest_are_the_step() {
    let dir = workplace();
    for device in [Some("cpu"), adapter()].into_iter().flatten() {
        let all = json(dir.path(), &[&PROFILE[..], &[device]].concat());
        let (nodes, operators, last) = (events(&all, "node"), events(&all, "operator"), all.last().unwrap());
        assert_eq!((&last["event"], &last["network"], &last["batch"]), (&"profile".into(), &"tiny".into(), &4.into()));
        for name in
            ["batch", "conv", "bn+relu", "head+loss+loss.grad", "conv.grad_weight", "bn.grad", "settle", "optimizer"]
        {
            assert!(nodes.iter().any(|node| node["node"] == name), "{name} has no row");
        }
        assert_eq!(sum(&operators, "nodes"), nodes.len() as f64);
        for rows in [&nodes, &operators] {
            let shares = sum(rows, "share") + last["rest_share"].as_f64().unwrap();
            assert!((shares - 1.0).abs() < 1e-6, "{shares}");
            assert!((sum(rows, "ms") / last["operators_ms"].as_f64().unwrap() - 1.0).abs() < 1e-6);
        }
        let conv = nodes.iter().find(|node| node["node"] == "conv.grad_weight").unwrap();
        assert_eq!((&conv["operator"], &conv["direction"]), (&"conv2d".into(), &"grad_weight".into()));
        for key in ["ms", "share", "gflops", "gb_s"] {
            assert!(conv[key].as_f64().is_some_and(|number| number > 0.0), "{key}: {conv}");
        }
        for key in ["ms_per_step", "images_per_second", "profiled_ms", "profiling_overhead_ms", "covered", "rest_ms"] {
            assert!(last[key].is_f64(), "{key}: {last}");
        }
        assert_eq!(last["host"].is_null(), device == "cpu", "{last}");
        assert_eq!(last["clock"] == "reference", device == "cpu", "{last}");
    }
}

#[test]
fn a_clock_that_is_not_the_devices_is_named() {
    let dir = workplace();
    let words = done(dir.path(), &[&PROFILE[..], &["cpu"]].concat());
    for said in ["round each reference operator", "unexplained rest", "ordinary step", "all operators", "made up"] {
        assert!(words.contains(said), "`{said}` is missing: {words}");
    }
    let Some(device) = adapter() else { return };
    let arguments = [&PROFILE[..], &[device, "--wall-clock"]].concat();
    let words = done(dir.path(), &arguments);
    assert!(words.contains("the host's, round a submission for each dispatch"), "{words}");
    assert!(words.contains("processor time") && words.contains("a submission of its own"), "{words}");
    let last = json(dir.path(), &arguments).pop().unwrap();
    assert_eq!(last["clock"], "wall_clock");
    assert!(last["empty_ms"].as_f64().unwrap() > 0.0, "{last}");
}

#[test]
fn the_trace_holds_every_dispatch_and_what_the_host_did() {
    let dir = workplace();
    for device in [Some("cpu"), adapter()].into_iter().flatten() {
        let all = json(dir.path(), &[&PROFILE[..], &[device, "--trace", "trace.json"]].concat());
        let trace: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.path().join("trace.json")).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let (complete, named): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|event| event["ph"] == "X");
        assert!(named.iter().all(|event| event["ph"] == "M" && event["args"]["name"].is_string()));
        for event in &complete {
            let number = |key: &str| event[key].as_f64().unwrap();
            assert!(number("ts") >= 0.0 && number("dur") >= 0.0 && number("pid") == 1.0, "{event}");
            assert!(event["name"].is_string() && event["cat"].is_string() && event["args"].is_object(), "{event}");
        }
        let last = all.last().unwrap();
        let seen = last["intervals"].as_u64().unwrap() - last["discarded"].as_u64().unwrap();
        assert_eq!(complete.iter().filter(|event| event["tid"] == 2).count() as u64, seen);
        for name in ["record", "submit", "wait"] {
            let seen = complete.iter().any(|event| event["name"] == name && event["tid"] == 1);
            assert!(seen || device == "cpu", "{name} is not on the host's track");
        }
        assert!(trace["otherData"]["clocks"].is_string());
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let dir = workplace();
    let words = done(dir.path(), &[&PROFILE[..], &["cpu", "--html", "profile.html"]].concat());
    assert!(words.contains("page      profile.html"), "{words}");
    let page = std::fs::read_to_string(dir.path().join("profile.html")).unwrap();
    for held in
        ["<svg", "prefers-color-scheme:dark", "conv.grad_weight", "median time in a step (", "operator · direction"]
    {
        assert!(page.contains(held), "`{held}` is missing");
    }
    for foreign in ["http:", "https:", "<script", "<link", "src="] {
        assert!(!page.contains(foreign), "the page has `{foreign}`");
    }
}

#[test]
fn what_cannot_be_profiled_is_refused_in_a_sentence() {
    let dir = workplace();
    let headless = super::TINY
        .split("[[layers]]\nname = \"head\"")
        .next()
        .unwrap()
        .replace("[[layers]]\nname = \"flat\"\ntype = \"flatten\"\n", "");
    std::fs::write(dir.path().join("headless.toml"), headless).unwrap();
    for (arguments, said) in [
        (&["lenet"][..], "there is no network `lenet`; did you mean `lenet5`? choose reference, lenet5, deep_plain"),
        (&["none.toml"], "none.toml: cannot be read"),
        (&["idx"], "is no run"),
        (&["headless.toml"], "ends in shape"),
        (&["tiny.toml", "--batch", "0"], "--batch must be at least 1"),
        (&["tiny.toml", "--html", "nowhere/page.html"], "nowhere/page.html cannot be written"),
    ] {
        let arguments = [&["profile", "--device", "cpu", "--steps", "1"], arguments].concat();
        let error = refused(dir.path(), &arguments);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    assert_eq!(run(dir.path(), &["profile", "--steps", "0"]).status.code(), Some(2));
}
