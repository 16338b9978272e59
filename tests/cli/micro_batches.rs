//! `--micro-batch`: told before the run begins, and stored in it.

use super::{done, json, quick, refused, workplace};

#[test]
fn a_run_in_micro_batches_says_so_and_stores_it() {
    let dir = workplace();
    let said = done(dir.path(), &quick(&["--epochs", "1", "--micro-batch", "6", "--out", "a", "--explain-plan"]));
    let told = [
        "3 micro-batches of at most 6 images a step; their gradients are added up",
        "from each of them, not from the whole",
    ];
    assert!(told.iter().all(|text| said.contains(text)), "{said}");
    assert!(said.contains("gradient_sum of micro-batch 3"), "{said}");
    let record = std::fs::read_to_string(dir.path().join("a/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["config"]["batch"], &record["config"]["micro_batch"]), (&16.into(), &6.into()));
    // Four steps of three, as PyTorch counts them.
    let file = std::fs::read(dir.path().join("a/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensor("bn.num_batches_tracked").unwrap().data(), 12i64.to_le_bytes());
    let summary = json(dir.path(), &["summary", "a", "--device", "cpu"]);
    assert_eq!(summary[0]["micro_batch"], 6);
}

#[test]
fn micro_batches_that_are_none_or_too_many_are_refused() {
    let dir = workplace();
    assert!(refused(dir.path(), &quick(&["--micro-batch", "0"])).contains("--micro-batch must be at least 1"));
    let all = ["summary", "tiny.toml", "--batch", "600", "--micro-batch", "1", "--device", "cpu"];
    let error = refused(dir.path(), &all);
    assert!(error.contains("into 600 parts and 256 are the most; take 3 or more"), "{error}");
}
