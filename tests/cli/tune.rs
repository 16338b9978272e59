//! `tune`: what it measures is remembered and used by later runs.

use super::{adapter, done, json, refused, workplace};

#[test]
fn what_is_tuned_is_remembered_and_used() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let lines = json(dir.path(), &["tune", "reference", "--batch", "8", "--seconds", "2", "--device", device]);
    let (sum, kinds) = lines.split_last().unwrap();
    assert_eq!(sum["event"], "tuned");
    assert_eq!(sum["kinds"].as_u64().unwrap() as usize, kinds.len());
    let Some(kind) = kinds.first() else { return println!("skipped: this adapter has one kernel for everything") };
    let times = kind["times"].as_array().unwrap();
    assert!(times.len() > 1 && times.iter().all(|time| time["ms"].as_f64().unwrap() > 0.0), "{kind}");
    // Another verdict than the one that was found, to see that it is obeyed.
    let file = dir.path().join("cache/tuned.json");
    let remembered = std::fs::read_to_string(&file).unwrap();
    let (chosen, node) = (kind["chosen"].as_str().unwrap(), kind["node"].as_str().unwrap());
    let other = times.iter().map(|time| time["variant"].as_str().unwrap()).find(|name| *name != chosen).unwrap();
    let turned = remembered.replace(&format!("\"{chosen}\""), &format!("\"{other}\""));
    std::fs::write(&file, turned).unwrap();
    let plan = ["profile", "reference", "--batch", "8", "--steps", "1", "--device", device];
    let used = |lines: Vec<serde_json::Value>| {
        let row = lines.into_iter().find(|line| line["node"] == node).unwrap();
        row["variant"].as_str().unwrap().to_owned()
    };
    assert_eq!(used(json(dir.path(), &plan)), other);
    // A damaged memory is none.
    std::fs::write(&file, "{ not json").unwrap();
    assert_eq!(used(json(dir.path(), &plan)), times[0]["variant"].as_str().unwrap());
}

#[test]
fn training_tunes_when_it_is_asked_to() {
    let Some(device) = adapter() else { return };
    let dir = workplace();
    let train = ["train", "--network", "tiny.toml", "--data", "idx", "--epochs", "1", "--tune", "--device", device];
    let said = done(dir.path(), &[&train[..], &["--out", "a"]].concat());
    assert!(said.contains("tuning    "), "{said}");
    assert!(refused(dir.path(), &["tune", "tiny.toml", "--device", "cpu"]).contains("there is nothing to tune"));
    assert!(refused(dir.path(), &["tune", "tiny.toml", "--batch", "0"]).contains("--batch must be at least 1"));
}
