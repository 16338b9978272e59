//! `augment` and the augmentation of a run.

use serde_json::Value;

use super::{QUICK, done, json, quick, refused, workplace};

#[test]
fn a_sheet_shows_images_beside_their_views() {
    let dir = workplace();
    let dir = dir.path();
    std::fs::write(dir.join("my.toml"), "[data]\nsource = \"idx\"\n[augment]\ncrop = 2\ncutout = 3\nfill = 0.5\n")
        .unwrap();
    let draw = |name: &str, more: &[&str]| {
        let arguments = ["augment", "my.toml", "--out", name, "--images", "3", "--views", "2", "--device", "cpu"];
        json(dir, &[&arguments, more].concat()).remove(0)
    };
    let said = draw("sheet.png", &[]);
    assert_eq!((&said["augment"]["crop"], &said["seed"]), (&2.into(), &0.into()));
    assert_eq!(said["classes"].as_array().unwrap().len(), 3);
    let pixels = |name: &str| image::open(dir.join(name)).unwrap().into_rgb8();
    let sheet = pixels("sheet.png");
    // Images of 8×8, twelve times as large, with 4 pixels between tiles, and 16 more behind the image.
    assert_eq!(sheet.dimensions(), (3 * 96 + 16 + 5 * 4, 3 * 96 + 4 * 4));
    // The first class is a bright first row; the last pixel of the image is black.
    assert!(sheet.get_pixel(4, 4).0[0] >= 200 && sheet.get_pixel(99, 99).0 == [0; 3]);
    draw("again.png", &[]);
    draw("other.png", &["--seed", "1"]);
    assert!(pixels("again.png") == sheet && pixels("other.png") != sheet);
    let words =
        done(dir, &["augment", "my.toml", "--out", "sheet.png", "--augment", "flip,mixup:1", "--device", "cpu"]);
    assert!(words.contains("flipped by chance · mixed in pairs by Beta(1, 1)"), "{words}");
}

#[test]
fn a_sheet_that_cannot_be_drawn_is_refused_in_a_sentence() {
    let dir = workplace();
    let dir = dir.path();
    let draw = |more: &[&str]| refused(dir, &[&["augment", "--data", "idx", "--device", "cpu"], more].concat());
    for (more, said) in [
        (
            &["--out", "a.png"][..],
            "the usual recipe changes no image; write what to show, such as --augment crop:4,flip",
        ),
        (&["--out", "a.png", "--augment", "turn:3"], "`turn:3` is no augmentation; write some of crop:PIXELS"),
        (
            &["--out", "a.png", "--augment", "crop:9"],
            "`crop` 9 would move images of 8×8 out of sight; it must be below 8",
        ),
        (&["--out", "none/a.png", "--augment", "flip"], "there is no directory none"),
    ] {
        let error = draw(more);
        assert!(error.contains(said), "{error}");
    }
    assert!(!dir.join("a.png").exists());
}

#[test]
fn a_run_keeps_its_augmentation_and_is_evaluated_without_it() {
    let dir = workplace();
    let dir = dir.path();
    let spec = "crop:1,rotate:10,brightness:0.1,mixup:0.4";
    let words = done(dir, &quick(&["--epochs", "1", "--augment", spec, "--out", "run"]));
    assert!(words.contains("augment   training images are moved by up to 1 pixel · turned by up to 10°"), "{words}");
    let record: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("run/run.json")).unwrap()).unwrap();
    let wanted = serde_json::json!({ "crop": 1, "rotate": 10.0, "brightness": 0.1, "mixup": 0.4 });
    assert_eq!(record["config"]["augment"], wanted);
    let score = json(dir, &["evaluate", "run", "--device", "cpu"]).pop().unwrap();
    assert!(score["test_loss"].is_f64(), "{score}");
    assert_eq!(score["test_loss"], record["figures"]["test_loss"], "evaluated are the images of the data set");
    done(dir, &[&QUICK[..], &["--epochs", "1", "--augment", "none", "--out", "plain"]].concat());
    assert!(!std::fs::read_to_string(dir.join("plain/run.json")).unwrap().contains("augment"));
}
