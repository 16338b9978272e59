//! `wgrad verify`, right and wrong kernels alike, and what a device is trusted with.

use std::path::Path;

use serde_json::Value;

use super::{adapter, json, objects, refused, run, text, wgrad, workplace};

/// A folder of shaders in which one file has one text replaced.
fn broken(dir: &Path, file: &str, from: &str, to: &str) -> std::path::PathBuf {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(file)).unwrap();
    assert!(source.contains(from), "{file} has no `{from}`");
    let folder = dir.join("shaders");
    let place = folder.join(file);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, source.replacen(from, to, 1)).unwrap();
    folder
}

/// The summary, and the lines of the cases before it.
fn split(lines: &[Value]) -> (&Value, &[Value]) {
    let (summary, cases) = lines.split_last().unwrap();
    assert_eq!(summary["event"], "summary");
    (summary, cases)
}

#[test]
fn each_case_has_a_line_and_the_last_line_counts_them() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let options = ["verify", "--op", "max_pool2d", "--op", "linear_grad_weight", "--device", device];
    let lines = json(dir.path(), &options);
    let (summary, cases) = split(&lines);
    assert!(summary["passed"].as_u64().unwrap() > 50, "{summary}");
    assert_eq!([&summary["failed"], &summary["devices"]], [0, 1]);
    assert!(summary["seconds"].is_f64());
    for case in cases {
        assert!(["max_pool2d", "linear"].contains(&case["operator"].as_str().unwrap()), "{case}");
        assert!(["passed", "not_run"].contains(&case["verdict"].as_str().unwrap()), "{case}");
        assert!(case["relative_l2"].as_f64().unwrap_or(0.0) <= case["tolerance"]["relative_l2"].as_f64().unwrap());
    }
    let count = |verdict: &str| cases.iter().filter(|case| case["verdict"] == verdict).count() as u64;
    assert_eq!(
        [count("passed"), count("not_run")],
        [&summary["passed"], &summary["not_run"]].map(|n| n.as_u64().unwrap())
    );
}

#[test]
fn one_variant_and_one_case_can_be_asked_with_another_seed() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let options = ["verify", "--op", "conv2d", "--variant", "tiled", "--case", "stride2_pad1", "--seed", "7"];
    let lines = json(dir.path(), &[&options[..], &["--device", device]].concat());
    let (summary, cases) = split(&lines);
    assert_eq!(summary["seed"], 7);
    assert!(
        cases.iter().all(|case| case["variant"] == "tiled" && case["case"].as_str().unwrap().contains("stride2_pad1"))
    );
    let directions: Vec<_> = cases.iter().map(|case| case["direction"].as_str().unwrap()).collect();
    for direction in ["forward", "grad_input", "grad_weight"] {
        assert!(directions.contains(&direction), "{directions:?}");
    }
}

#[test]
fn a_wrong_kernel_fails_with_its_story_and_its_tensors() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let shaders = broken(dir.path(), "pool2d.wgsl", "if places[at] == row", "if places[at] != row");
    let options = ["verify", "--op", "max_pool2d", "--device", device, "--dump", "dumped", "--html", "page.html"];
    let output = wgrad(dir.path(), &options).env("WGRAD_SHADERS", &shaders).output().unwrap();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(said.contains("FAILED    max_pool2d · grad · baseline"), "{said}");
    assert!(said.contains("at (n, h, w, c) = ("), "{said}");
    assert!(complained.contains("pool2d.wgsl stand in for"), "{complained}");
    assert!(complained.contains("cases failed"), "{complained}");
    let dumped = std::fs::read_dir(dir.path().join("dumped")).unwrap().count();
    assert!(dumped > 5, "{dumped} files");
    let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(page.contains("FAILED") && page.ends_with("</html>\n"));
    // The forward direction is right, and a kernel that nobody asked is not counted.
    let output =
        wgrad(dir.path(), &["verify", "--op", "relu", "--device", device]).env("WGRAD_SHADERS", &shaders).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[test]
fn a_kernel_that_writes_beyond_its_buffer_fails() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let guard = "if index < params.len {\n            y[index] = activate(left[e] + right[e], params.slope);";
    let shaders = broken(dir.path(), "elementwise.wgsl", guard, &guard.replace("index < params.len", "true"));
    let options = ["verify", "--op", "add", "--device", device, "--json"];
    let output = wgrad(dir.path(), &options).env("WGRAD_SHADERS", &shaders).output().unwrap();
    let lines = objects(&text(&output.stdout));
    let (summary, cases) = split(&lines);
    assert!(summary["failed"].as_u64().unwrap() > 0, "{summary}");
    assert!(
        cases
            .iter()
            .any(|case| case["reason"].as_str().unwrap_or_default().contains("outside of the kernel's buffers"))
    );
}

#[test]
fn workgroups_add_up_without_subgroups_where_that_is_asked() {
    let Some(device) = adapter() else { return };
    let options = ["verify", "--op", "settle", "--no-subgroups", "--device", device];
    let wrong = [
        ("fold.wgsl", "let sum = lanes[0];", "let sum = lanes[1];", Some(1)),
        ("fold_subgroups.wgsl", "subgroupAdd(mine)", "mine", Some(0)),
    ];
    for (file, from, to, code) in wrong {
        let dir = workplace();
        let shaders = broken(dir.path(), &format!("shared/{file}"), from, to);
        let output = wgrad(dir.path(), &options).env("WGRAD_SHADERS", &shaders).output().unwrap();
        assert_eq!(output.status.code(), code, "{file}: {}", text(&output.stderr));
    }
}

#[test]
fn a_fast_kernel_that_is_wrong_here_is_not_used_and_said_once() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let train =
        ["train", "--network", "tiny.toml", "--data", "idx", "--epochs", "1", "--explain-plan", "--device", device];
    let plain = text(&run(dir.path(), &[&train[..], &["--out", "a"]].concat()).stdout);
    let fast = ["broadcast", "tiled"].into_iter().find(|name| plain.contains(name));
    let Some(fast) = fast else { return println!("skipped: this adapter prefers baseline kernels") };
    let (sum, wrong) = match fast {
        "broadcast" => ("PIXELS + v] += a;", "PIXELS + v] += a + 1.5;"),
        _ => ("acc[r][s] + select(", "1.5 + acc[r][s] + select("),
    };
    let shaders = broken(dir.path(), &format!("conv2d_{fast}.wgsl"), sum, wrong);
    let go = |more: &[&str]| {
        let arguments = [&train[..], more].concat();
        let output = wgrad(dir.path(), &arguments).env("WGRAD_SHADERS", &shaders).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    // The row of the plan, not that of the network's summary.
    let row = |line: &&str| {
        line.trim_start().starts_with("conv ") && ["baseline", "few_channels", fast].iter().any(|v| line.contains(v))
    };
    let line = |plan: &str| plan.lines().find(row).unwrap().to_owned();
    let (plan, warned) = go(&["--out", "b"]);
    assert!(!line(&plan).contains(fast), "{}", line(&plan));
    assert!(
        warned.contains(&format!("the {fast} kernel of conv2d is wrong on this adapter and is not used")),
        "{warned}"
    );
    // The verdict is remembered under the shader's hash: the next run says so, and does not ask again.
    let (plan, warned) = go(&["--out", "c"]);
    assert!(!line(&plan).contains(fast) && warned.contains("verdicts.json remembers"), "{warned}");
    let (plan, _) = go(&["--out", "d", "--trust-all"]);
    assert!(line(&plan).contains(fast), "{}", line(&plan));
    let (plan, _) = go(&["--out", "e", "--baseline-only"]);
    assert!(!plan.contains(fast), "{plan}");
}

#[test]
fn a_baseline_kernel_that_is_wrong_here_trains_nothing() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let shaders = broken(dir.path(), "reduce.wgsl", "total += ", "total -= ");
    let train = ["train", "--network", "tiny.toml", "--data", "idx", "--epochs", "1", "--device", device];
    // Asked, then remembered.
    for _ in 0..2 {
        let arguments = [&train[..], &["--out", "a"]].concat();
        let output = wgrad(dir.path(), &arguments).env("WGRAD_SHADERS", &shaders).output().unwrap();
        let complained = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complained}");
        assert!(complained.contains("is wrong on this adapter, the baseline too"), "{complained}");
        assert!(!dir.path().join("a").exists());
    }
    let arguments = [&train[..], &["--out", "b", "--trust-all"]].concat();
    let output = wgrad(dir.path(), &arguments).env("WGRAD_SHADERS", &shaders).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_reference_in_float32_passes_the_whole_sweep_without_an_adapter() {
    let dir = workplace();
    let lines = json(dir.path(), &["verify", "--device", "cpu"]);
    let (summary, cases) = split(&lines);
    assert_eq!([&summary["failed"], &summary["not_run"]], [0, 0], "{summary}");
    assert!(summary["passed"].as_u64().unwrap() > 2_000, "{summary}");
    let masked = |case: &&Value| case["operator"] == "softmax_cross_entropy" && case["case"] == "minus_infinite";
    assert_eq!(cases.iter().filter(masked).count(), 2);
}

#[test]
fn answers_of_another_program_are_checked_and_unknown_ones_fail() {
    let dir = workplace();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle/operators");
    let cases = dir.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    for name in ["relu_a", "lr_step_shared"] {
        let file = format!("{name}.safetensors");
        std::fs::copy(fixtures.join(&file), cases.join(&file)).unwrap();
    }
    let lines = json(dir.path(), &["verify", "--oracle", "cases", "--device", "cpu"]);
    let (summary, _) = split(&lines);
    assert_eq!([&summary["passed"], &summary["failed"]], [3, 0], "{summary}");
    // The same case under the name of an operator that nobody knows, and a file that is no case.
    let known = std::fs::read(cases.join("relu_a.safetensors")).unwrap();
    let at = known.windows(4).position(|bytes| bytes == b"relu").unwrap();
    let unknown = [&known[..at], b"rexu", &known[at + 4..]].concat();
    std::fs::write(cases.join("unknown.safetensors"), unknown).unwrap();
    std::fs::write(cases.join("nothing.safetensors"), b"nothing").unwrap();
    let output = run(dir.path(), &["verify", "--oracle", "cases", "--device", "cpu", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = objects(&text(&output.stdout));
    let (summary, all) = split(&lines);
    assert_eq!([&summary["passed"], &summary["failed"]], [3, 3], "{summary}");
    assert!(all.iter().any(|case| case["case"] == "unknown" && case["verdict"] == "failed"), "{all:?}");
}

#[test]
fn what_does_not_exist_is_refused() {
    let dir = workplace();
    let cpu = ["--device", "cpu"];
    let refuse = |options: &[&str]| refused(dir.path(), &[&["verify"], options, &cpu].concat());
    assert!(refuse(&["--op", "conv3d"]).contains("there is no operator `conv3d`; there are accumulate"));
    assert!(refuse(&["--variant", "warp"]).contains("there is no variant `warp`; there are baseline"));
    assert!(refuse(&["--op", "relu", "--case", "nonesuch"]).contains("no case's name contains `nonesuch`"));
    assert!(refuse(&["--oracle", "nowhere"]).contains("nowhere"));
    assert!(refuse(&["--oracle", "idx"]).contains("there are no oracle cases in idx"));
    let mut command = wgrad(dir.path(), &["verify", "--op", "relu", "--device", "cpu"]);
    let output = command.env("WGRAD_SHADERS", "idx/none").output().unwrap();
    assert!(text(&output.stderr).contains("WGRAD_SHADERS=idx/none"), "{}", text(&output.stderr));
}
