//! Recipes, as a user lists, writes and follows them.

use serde_json::Value;

use super::{TINY, adapter, done, json, refused, workplace};

/// A recipe for the data of [`workplace`] whose network stands in it.
fn recipe() -> String {
    let network = TINY.replace("[[layers]]", "[[network.layers]]");
    format!(
        "[data]\nsource = \"idx\"\nimage = [8, 8, 1]\n[train]\nepochs = 3\nbatch = 16\nlr = 0.05\noptimizer = {{ kind = \"adamw\", \
         weight_decay = 0.5 }}\nschedule = \"one_cycle\"\nclip_norm = 2\n[network]\n{network}"
    )
}

#[test]
fn recipes_are_listed_and_written_out() {
    let dir = workplace();
    let dir = dir.path();
    let words = done(dir, &["recipes"]);
    for recipe in json(dir, &["recipes"]) {
        let name = recipe["name"].as_str().unwrap();
        assert!(words.contains(name) && words.contains(recipe["says"].as_str().unwrap()), "{words}");
        std::fs::write(dir.join("my.toml"), done(dir, &["recipe", name])).unwrap();
        let summary = json(dir, &["summary", "my.toml", "--batch", "1", "--device", "cpu"]).remove(0);
        assert_eq!(summary["summary"]["parameters"], recipe["parameters"]);
    }
    let error = refused(dir, &["recipe", "lenet"]);
    assert!(error.contains("there is no recipe `lenet`; did you mean `lenet5`?"), "{error}");
}

#[test]
fn a_recipe_is_followed_but_for_what_the_command_line_says() {
    let dir = workplace();
    let dir = dir.path();
    std::fs::write(dir.join("my.toml"), recipe()).unwrap();
    done(dir, &["train", "my.toml", "--epochs", "2", "--lr", "0.01", "--device", "cpu", "--out", "run"]);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("run/run.json")).unwrap()).unwrap();
    let config = &record["config"];
    assert_eq!((&config["epochs"], &config["batch"], &config["lr"]), (&2.into(), &16.into(), &0.01.into()));
    assert_eq!((&config["optimizer"]["kind"], &config["optimizer"]["weight_decay"]), (&"adamw".into(), &0.5.into()));
    // 70 images are 4 whole batches an epoch.
    assert_eq!((&config["schedule"]["kind"], &config["schedule"]["total_steps"]), (&"one_cycle".into(), &8.into()));
    assert_eq!((&config["clip_norm"], &record["network"]["name"]), (&2.0.into(), &"tiny".into()));
    // The run goes on being one, and lockstep takes the recipe too.
    assert!(done(dir, &["summary", "run", "--device", "cpu"]).contains("batch_norm2d"));
    let other = adapter().unwrap_or("cpu");
    let last = json(dir, &["lockstep", "my.toml", "--steps", "2", "--other", other]).pop().unwrap();
    assert_eq!((&last["agrees"], &last["batch"], &last["network"]), (&true.into(), &16.into(), &"tiny".into()));
}

#[test]
fn a_mistake_in_a_recipe_names_file_line_and_column() {
    let dir = workplace();
    let dir = dir.path();
    for (text, said) in [
        (
            recipe().replace("epochs", "epoch"),
            "my.toml: line 5, column 1: [train] has no key `epoch`; did you mean `epochs`?",
        ),
        (recipe().replace("0.05", "true"), "my.toml: line 7, column 6: `lr` must be a number above 0, not true"),
        (recipe().replace("units = 10", "units = 0"), "`units` must be a whole number from 1"),
        (recipe().replace("kernel = [3, 3]", "kernel = [9, 9]"), "my.toml: line 16, column 1: layer conv"),
        (
            recipe().replace("[8, 8, 1]\n", "[9, 8, 1]\n"),
            "the recipe is for images of 9×8×1, but those of idx are 8×8×1",
        ),
        (recipe().replace("batch = 16", "batch = 71"), "--batch 71 is larger than the 70 training images"),
        (String::from("[network]\nname = \"vgg16\""), "my.toml: line 2, column 8: there is no network `vgg16`"),
    ] {
        std::fs::write(dir.join("my.toml"), text).unwrap();
        let error = refused(dir, &["train", "my.toml", "--device", "cpu"]);
        assert!(error.contains(said), "{error}");
        assert!(!dir.join("runs").exists());
    }
    let error = refused(dir, &["train", "none.toml"]);
    assert!(error.contains("none.toml: cannot be read"), "{error}");
    assert!(refused(dir, &["train", "lenet"]).contains("did you mean `lenet5`?"));
}

#[test]
fn an_initialiser_that_cannot_work_is_told_before_training() {
    let dir = workplace();
    let dir = dir.path();
    let text = TINY.replace("name = \"tiny\"", "name = \"tiny\"\ninit = \"zeros\"");
    std::fs::write(dir.join("tiny.toml"), text).unwrap();
    let summary = json(dir, &["summary", "tiny.toml", "--device", "cpu"]).remove(0);
    let warning = summary["summary"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("init = \"zeros\" in conv") && warning.contains("write init = "), "{warning}");
    let words = done(dir, &super::quick(&["--epochs", "1", "--out", "run"]));
    assert!(words.contains("warning   init = \"zeros\" in conv"), "{words}");
}
