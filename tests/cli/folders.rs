//! Folders of pictures, from the command line to a run and back.

use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

use super::{TINY, done, json, refused, run, text, workplace};

/// Bright pictures of two sizes under `light`, dark ones under `shade`, in a folder of this name; one file is no picture.
fn photos(dir: &Path, name: &str) {
    for (class, value) in [("light", 200), ("shade", 20)] {
        let folder = dir.join(name).join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for index in 0..20u32 {
            let picture = GrayImage::from_pixel(12 + index % 2, 10, Luma([value + index as u8]));
            picture.save(folder.join(format!("{index:02}.png"))).unwrap();
        }
    }
    std::fs::write(dir.join(name).join("shade/notes.png"), "no picture").unwrap();
}

const TRAIN: [&str; 15] = [
    "train",
    "--network",
    "two.toml",
    "--data",
    "photos",
    "--image",
    "8x8",
    "--batch",
    "12",
    "--epochs",
    "8",
    "--device",
    "cpu",
    "--lr",
    "0.05",
];

#[test]
fn a_folder_of_pictures_is_trained_on_and_found_again() {
    let dir = workplace();
    let dir = dir.path();
    photos(dir, "photos");
    photos(dir, "others");
    std::fs::write(dir.join("two.toml"), TINY.replace("units = 10", "units = 2")).unwrap();

    let error = refused(dir, &TRAIN);
    assert!(error.contains("shade/notes.png: is neither a PNG nor a JPEG") && error.contains("--skip-bad"), "{error}");
    assert!(!dir.join("runs").exists());
    let skipping = [&TRAIN[..], &["--skip-bad", "--out", "run"]].concat();
    let output = run(dir, &skipping);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{complained}");
    assert!(said.contains("36 training and 4 test images of 8×8×1 · 2 classes"), "{said}");
    assert!(said.contains("a tenth of each class") && said.contains("decoded earlier"), "{said}");
    assert!(complained.contains("skipped photos/shade/notes.png: is neither"), "{complained}");
    let record: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("run/run.json")).unwrap()).unwrap();
    assert_eq!(record["data"]["pictures"]["skip_bad"], true);
    assert_eq!(record["classes"].as_array().unwrap(), &["light", "shade"]);

    let elsewhere = tempfile::tempdir().unwrap();
    let path = dir.join("run");
    let scored = run(elsewhere.path(), &["evaluate", path.to_str().unwrap(), "--device", "cpu"]);
    assert!(scored.status.success() && !text(&scored.stderr).contains("no longer holds"), "{}", text(&scored.stderr));
    let own = json(dir, &["evaluate", "run", "--device", "cpu"]).remove(0);
    assert_eq!((&own["test_loss"], &own["test_accuracy"]), (&record["figures"]["test_loss"], &1.0.into()));
    // Another folder's pictures are brought to the size of the run's.
    assert!(refused(dir, &["evaluate", "run", "--data", "others", "--device", "cpu"]).contains("--skip-bad"));
    let other = json(dir, &["evaluate", "run", "--data", "others", "--skip-bad", "--device", "cpu"]).remove(0);
    assert_eq!((&other["test_accuracy"], &other["images"]), (&1.0.into(), &4.into()));
    assert!(done(dir, &["lockstep", "run", "--other", "cpu", "--steps", "1"]).contains("agrees    1 step"));

    RgbImage::from_pixel(30, 20, Rgb([220, 220, 220])).save(dir.join("bright.jpg")).unwrap();
    let seen = json(dir, &["predict", "run", "bright.jpg", "--device", "cpu"]).remove(0);
    assert_eq!(seen["best"][0]["class"], "light");
}

#[test]
fn pictures_of_different_sizes_name_the_option_that_helps() {
    let dir = workplace();
    let dir = dir.path();
    photos(dir, "photos");
    std::fs::remove_file(dir.join("photos/shade/notes.png")).unwrap();
    let error = refused(dir, &["train", "--data", "photos", "--device", "cpu"]);
    assert!(error.contains("light/00.png has 10×12 pixels and light/01.png has 10×13; say with --image"), "{error}");
    for size in ["8", "8x8x", "0x8"] {
        assert_eq!(run(dir, &["train", "--data", "photos", "--image", size]).status.code(), Some(2), "{size}");
    }
    assert!(refused(dir, &["train", "--data", "photos", "--image", "8x8x2"]).contains("1 (grey) or 3 (RGB)"));
}
