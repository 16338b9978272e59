use super::*;
use ::safetensors::tensor::serialize;

fn tensor(name: &str, layout: Layout, shape: &[usize]) -> NamedTensor {
    let data = (0..shape.iter().product()).map(|i: usize| i as f32 * 0.5 - 3.0).collect();
    NamedTensor { name: name.to_owned(), layout, shape: shape.to_vec(), data }
}

fn network() -> Vec<NamedTensor> {
    vec![
        tensor("conv1.weight", Layout::Conv, &[3, 2, 5, 4]),
        tensor("conv1.bias", Layout::Vector, &[4]),
        tensor("fc.weight", Layout::Linear, &[10, 7]),
    ]
}

/// A file made by the safetensors library itself.
fn foreign(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> (tempfile::TempDir, PathBuf) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foreign.safetensors");
    std::fs::write(&path, serialize(views, None).unwrap()).unwrap();
    (dir, path)
}

#[test]
fn what_is_saved_is_loaded_again_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let counters = [("bn.num_batches_tracked".to_owned(), i64::MAX)];
    let metadata = BTreeMap::from([("seed".to_owned(), "7 \"quoted\" ü".to_owned())]);
    save(&path, &network(), &counters, &metadata).unwrap();
    let file = load(&path).unwrap();
    for tensor in network() {
        assert_eq!(file.tensor(&tensor.name, tensor.layout, &tensor.shape).unwrap(), tensor.data, "{}", tensor.name);
    }
    assert_eq!(file.counter("bn.num_batches_tracked").unwrap(), i64::MAX);
    assert_eq!(file.metadata["seed"], "7 \"quoted\" ü");
    assert_eq!(file.metadata["format"], "pt");
    let again = dir.path().join("b.safetensors");
    save(&again, &network(), &counters, &metadata).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
}

#[test]
fn convolution_weights_lie_in_files_as_pytorch_has_them() {
    let (k_h, k_w, c_in, c_out) = (3, 2, 5, 4);
    let ours = tensor("w", Layout::Conv, &[k_h, k_w, c_in, c_out]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    save(&path, std::slice::from_ref(&ours), &[], &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("w").unwrap();
    assert_eq!((view.dtype(), view.shape()), (Dtype::F32, &[c_out, c_in, k_h, k_w][..]));
    let theirs = elements(view.data(), f32::from_le_bytes);
    for (i, &value) in theirs.iter().enumerate() {
        let [co, ci, y, x] = position(view.shape(), i)[..] else { panic!("rank") };
        assert_eq!(value, ours.data[((y * k_w + x) * c_in + ci) * c_out + co]);
    }
}

#[test]
fn counters_are_int64_scalars_and_the_data_are_aligned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    save(&path, &network(), &[("n".to_owned(), -5)], &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("n").unwrap();
    assert_eq!((view.dtype(), view.shape(), view.data()), (Dtype::I64, &[][..], &(-5i64).to_le_bytes()[..]));
    let (header, _) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
}

#[test]
fn other_float_types_are_converted() {
    let values = [1.5f32, -0.25];
    let (_dir, path) = foreign(&[
        ("f16", Dtype::F16, vec![2], values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()),
        ("bf16", Dtype::BF16, vec![2], values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()),
        ("f64", Dtype::F64, vec![2], values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect()),
    ]);
    let file = load(&path).unwrap();
    for name in ["f16", "bf16", "f64"] {
        assert_eq!(file.tensor(name, Layout::Vector, &[2]).unwrap(), values);
    }
}

#[test]
fn what_does_not_fit_the_network_is_told_by_name() {
    let (_dir, path) = foreign(&[
        ("w", Dtype::F32, vec![4, 5, 3, 2], vec![0; 480]),
        ("u", Dtype::U8, vec![3], vec![0; 3]),
        ("n", Dtype::I64, vec![], vec![0; 8]),
    ]);
    let file = load(&path).unwrap();
    let complaint = |name, layout, shape: &[usize]| file.tensor(name, layout, shape).unwrap_err().to_string();
    let cases = [
        (
            complaint("w", Layout::Conv, &[3, 2, 5, 8]),
            "w has the shape [4, 5, 3, 2], but the network wants [8, 5, 3, 2]",
        ),
        (complaint("missing", Layout::Vector, &[3]), "has no tensor missing"),
        (complaint("u", Layout::Vector, &[3]), "elements of type U8"),
        (complaint("n", Layout::Vector, &[1]), "is an int64 scalar"),
        (file.counter("w").unwrap_err().to_string(), "w holds floats of shape"),
        (file.counter("u").unwrap_err().to_string(), "u holds U8"),
        (file.counter("missing").unwrap_err().to_string(), "has no tensor missing"),
        (file.refuse_unexpected(["w", "u"]).unwrap_err().to_string(), "holds the tensor n, which"),
        (file.refuse_unexpected([]).unwrap_err().to_string(), "holds 3 tensors that the network does not have, n the"),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{error}");
    }
    file.refuse_unexpected(["n", "u", "w", "more"]).unwrap();
}

#[test]
fn values_that_are_not_finite_are_neither_read_nor_written() {
    let mut values = vec![0u8; 24];
    values[16..20].copy_from_slice(&f32::NAN.to_le_bytes());
    let (dir, path) = foreign(&[("w", Dtype::F32, vec![2, 3], values)]);
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("its tensor w holds NaN at [1, 1]"), "{error}");
    let (_dir, path) = foreign(&[("w", Dtype::F64, vec![1], 1e300f64.to_le_bytes().to_vec())]);
    assert!(load(&path).unwrap_err().to_string().contains("holds inf at [0]"));
    let mut bad = tensor("v", Layout::Vector, &[4]);
    bad.data[2] = f32::NEG_INFINITY;
    let target = dir.path().join("bad.safetensors");
    let error = save(&target, &[bad], &[], &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("v holds -inf at [2]") && !target.exists(), "{error}");
}

#[test]
fn bad_arguments_and_bad_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let twice = [tensor("a", Layout::Vector, &[1]), tensor("a", Layout::Vector, &[2])];
    assert!(save(&path, &twice, &[], &BTreeMap::new()).unwrap_err().to_string().contains("the name a"));
    let reserved = [tensor("__metadata__", Layout::Vector, &[1])];
    assert!(save(&path, &reserved, &[], &BTreeMap::new()).is_err());
    let mut short = tensor("a", Layout::Linear, &[2, 3]);
    short.data.pop();
    assert!(save(&path, &[short], &[], &BTreeMap::new()).unwrap_err().to_string().contains("5 elements are no Linear"));
    assert!(load(&path).unwrap_err().to_string().contains("cannot be read"));
    save(&path, &network(), &[], &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for bad in [&b""[..], b"no tensors here", &bytes[..bytes.len() - 1], &bytes[..40]] {
        std::fs::write(&path, bad).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("is no safetensors file, or is damaged"), "{error}");
    }
}
