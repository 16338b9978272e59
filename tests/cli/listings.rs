//! Commands that only tell.

use super::{adapter, done, json, refused, run, text, wgrad, workplace};

#[test]
fn help_and_version_are_there_and_wrong_usage_ends_with_2() {
    let dir = workplace();
    assert_eq!(done(dir.path(), &["--version"]), format!("wgrad {}\n", env!("CARGO_PKG_VERSION")));
    assert!(done(dir.path(), &["--help"]).contains("Examples:"));
    for command in ["train", "evaluate", "report", "predict", "lockstep", "profile", "summary", "recipes", "recipe"] {
        assert!(done(dir.path(), &[command, "--help"]).contains("Examples:"), "{command}");
    }
    for wrong in
        [&["trane"][..], &[], &["train", "--epochs", "some"], &["predict", "run"], &["train", "--patience", "0"]]
    {
        assert_eq!(run(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn devices_lists_the_cpu_and_marks_what_auto_takes() {
    let dir = workplace();
    let devices = json(dir.path(), &["devices"]);
    assert_eq!(devices.last().unwrap()["device"], "cpu");
    assert_eq!(devices.iter().filter(|device| device["auto"] == true).count(), 1);
    let words = done(dir.path(), &["devices"]);
    assert!(words.contains("CPU reference"), "{words}");
    if adapter().is_some() {
        let first = &devices[0];
        assert!(words.contains(first["name"].as_str().unwrap()), "{words}");
        assert!(first["max_binding_bytes"].as_u64().unwrap() >= 128 << 20 && first["driver"].is_string());
    }
}

#[test]
fn without_an_adapter_devices_says_what_to_install() {
    let dir = workplace();
    let mut command = wgrad(dir.path(), &["devices"]);
    let output = command.env("VK_DRIVER_FILES", "none").env("VK_ICD_FILENAMES", "none").output().unwrap();
    if cfg!(target_os = "linux") {
        assert!(text(&output.stderr).contains("install a Vulkan driver"), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("CPU reference"));
    }
}

#[test]
fn networks_and_their_costs_are_listed() {
    let dir = workplace();
    let words = done(dir.path(), &["networks"]);
    assert!(words.contains("reference") && words.contains("residual_bn"), "{words}");
    let summary = json(dir.path(), &["summary", "--device", "cpu", "--batch", "2"]).remove(0);
    let (forward, step) = (summary["summary"]["flops"].as_u64().unwrap(), summary["step_flops"].as_u64().unwrap());
    assert_eq!(summary["summary"]["parameters"], 93_322);
    assert!(forward > 10_000_000 && step > 2 * forward && step < 4 * forward, "{forward} {step}");
    assert!(summary["memory_bytes"].as_u64().unwrap() > 93_322 * 4 * 4);
    let words =
        done(dir.path(), &["summary", "residual_bn", "--image", "32x32x3", "--classes", "7", "--device", "cpu"]);
    assert!(words.contains("64×16×16×16") && words.contains("64×7"), "{words}");
    assert!(done(dir.path(), &["summary", "tiny.toml", "--device", "cpu"]).contains("batch_norm2d"));
    assert!(refused(dir.path(), &["summary", "--batch", "0"]).contains("--batch must be at least 1"));
    assert_eq!(run(dir.path(), &["summary", "--image", "28x28"]).status.code(), Some(2));
}

#[test]
fn a_summary_of_the_step_is_planned_on_the_adapter() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let summary = json(dir.path(), &["summary", "tiny.toml", "--device", device, "--batch", "4"]).remove(0);
    assert!(summary["memory_bytes"].as_u64().unwrap() > 0 && summary["backend"] != "cpu", "{summary}");
    // The largest batch is planned, and one more is refused in a sentence.
    let most = summary["largest_batch"].as_u64().unwrap();
    assert!(most > 4, "{summary}");
    json(dir.path(), &["summary", "tiny.toml", "--device", device, "--batch", &most.to_string()]);
    let said = refused(dir.path(), &["summary", "tiny.toml", "--device", device, "--batch", &(most + 1).to_string()]);
    assert!(said.contains("smaller batch"), "{said}");
}
