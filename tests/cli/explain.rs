//! `explain`: sheets of maps, and what it refuses.

use std::path::Path;

use super::{adapter, done, json, picture, quick, refused, workplace};

fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

fn draws_maps_features_and_filters(device: &str) {
    let dir = workplace();
    let dir = dir.path();
    done(dir, &quick(&["--epochs", "12", "--lr", "0.05", "--out", "run", "--no-report"]));
    picture(dir, 3, "three.png");
    picture(dir, 5, "five.png");
    let asked = ["explain", "run", "three.png", "five.png", "--device", device, "--out", "maps.png"];
    let sheets = ["--features", "features.png", "--filters", "filters.png", "--randomize", "1"];
    let answers = json(dir, &[&asked[..], &sheets[..]].concat());
    assert_eq!(answers.len(), 3);
    let found = &answers[0];
    assert_eq!((&found["class"], &found["predicted"], &found["layer"]), (&"3".into(), &"3".into(), &"relu".into()));
    let numbers = |key: &str| found[key]["values"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap());
    assert_eq!((numbers("saliency").count(), numbers("grad_cam").count()), (64, 36));
    let (sum, rise) = (numbers("integrated_gradients").sum::<f64>(), |key: &str| found[key].as_f64().unwrap());
    let rise_by = rise("score") - rise("baseline_score");
    assert!((sum - rise_by - rise("gap")).abs() < 1e-9 && rise("gap").abs() < 0.1 * rise_by.abs(), "{found}");
    assert!(found["rank_correlation"]["saliency"].is_f64(), "{found}");
    // Four tiles of 8 pixels, each 16 large; two rows a picture.
    assert_eq!(size(&dir.join("maps.png")), (4 * 132 + 4, 4 * 132 + 4));
    // Four channels of 6×6 pixels, each 9 large, a row a picture; four filters of 3×3, each 18 large.
    assert_eq!(size(&dir.join("features.png")), (4 * 58 + 4, 2 * 58 + 4));
    assert_eq!(size(&dir.join("filters.png")), (4 * 58 + 4, 58 + 4));

    let text = done(dir, &[&asked[..], &["--class", "7"]].concat());
    assert!(text.contains("7 0.") && text.contains("(the network says 3 "), "{text}");
    assert!(text.contains("score ") && text.contains("gap ") && text.contains("6×6 at relu"), "{text}");
    assert_eq!(size(&dir.join("maps.png")), (4 * 132 + 4, 2 * 132 + 4));
}

#[test]
fn draws_maps_features_and_filters_on_the_cpu() {
    draws_maps_features_and_filters("cpu");
}

#[test]
fn draws_maps_features_and_filters_on_the_gpu() {
    let Some(device) = adapter() else { return };
    draws_maps_features_and_filters(device);
}

#[test]
fn refuses_what_cannot_be_explained_and_writes_nothing() {
    let dir = workplace();
    let dir = dir.path();
    done(dir, &quick(&["--epochs", "1", "--out", "run", "--no-report"]));
    picture(dir, 3, "row.png");
    for (words, said) in [
        (&["--layer", "bm"][..], "there is no layer `bm`; choose one that has: conv, bn, relu"),
        (
            &["--layer", "flat"],
            "the output of layer `flat` has no height and width; choose one that has: conv, bn, relu",
        ),
        (&["--class", "eleven"], "the network knows no class `eleven`; its classes are 0, 1, 2, 3"),
        (&["--filters", "filters.jpg"], "filters.jpg must end in .png"),
        (&["--filters", "maps.png"], "maps.png is named twice"),
        (&["--features", "nowhere/features.png"], "there is no directory nowhere"),
    ] {
        let error =
            refused(dir, &[&["explain", "run", "row.png", "--out", "maps.png", "--device", "cpu"], words].concat());
        assert!(error.contains(said), "{error}");
    }
    let error = refused(dir, &["explain", "run", "tiny.toml", "--out", "maps.png", "--device", "cpu"]);
    assert!(error.contains("tiny.toml: is neither a PNG nor a JPEG picture"), "{error}");
    std::fs::remove_file(dir.join("run/model.safetensors")).unwrap();
    let error = refused(dir, &["explain", "run", "row.png", "--out", "maps.png", "--device", "cpu"]);
    assert!(error.contains("this run did not come to an end"), "{error}");
    let left = ["maps.png", "filters.png", "features.png"].map(|name| dir.join(name).exists());
    assert_eq!(left, [false; 3]);
}
