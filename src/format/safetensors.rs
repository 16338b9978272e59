//! Weights in safetensors files, as PyTorch names and lays them out: `load_state_dict(strict=True)` takes what
//! [`save`] writes, and [`load`] takes what `safetensors.torch.save_file` writes.
//!
//! Convolution weights are `[k_h, k_w, c_in / groups, c_out]` inside this crate and `[c_out, c_in / groups, k_h, k_w]`
//! in a file; everything else is the same in both. Values are written as float32; float16, bfloat16 and float64 are
//! also read. A weight that is not finite is never written nor accepted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::safetensors::{Dtype, SafeTensors, tensor::TensorView};
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::format::write_atomic;

/// How a tensor lies in memory and in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A convolution's weight: `[k_h, k_w, c_in / groups, c_out]` inside, `[c_out, c_in / groups, k_h, k_w]` in files.
    Conv,
    /// A linear layer's weight: `[out, in]` in both.
    Linear,
    /// A bias, scale or running statistic: `[c]` in both.
    Vector,
}

/// A tensor with its name in the file, as it lies inside the crate.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// PyTorch's name: layer name, then `.weight`, `.bias`, `.running_mean` or `.running_var`.
    pub name: String,
    /// How `shape` and `data` are to be understood.
    pub layout: Layout,
    /// The internal shape.
    pub shape: Vec<usize>,
    /// Elements in row-major order of `shape`.
    pub data: Vec<f32>,
}

/// What a safetensors file held, by name.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
    stored: BTreeMap<String, Stored>,
    /// The text entries of the file's header.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor as it lies in the file.
#[derive(Debug, Clone)]
enum Stored {
    Float { shape: Vec<usize>, data: Vec<f32> },
    Counter(i64),
    Other { shape: Vec<usize>, dtype: Dtype },
}

impl Layout {
    /// The number of dimensions.
    pub fn rank(self) -> usize {
        match self {
            Self::Conv => 4,
            Self::Linear => 2,
            Self::Vector => 1,
        }
    }

    /// Which internal dimension each dimension in the file is.
    fn order(self) -> &'static [usize] {
        match self {
            Self::Conv => &[3, 2, 0, 1],
            Self::Linear => &[0, 1],
            Self::Vector => &[0],
        }
    }

    /// The shape in a file of the internal `shape`. Panics where the rank is another one.
    pub fn file_shape(self, shape: &[usize]) -> Vec<usize> {
        assert_eq!(shape.len(), self.rank(), "shape {shape:?} is no {self:?}");
        self.order().iter().map(|&axis| shape[axis]).collect()
    }

    /// Elements from the internal order to the file's. Panics where shape and data do not fit together.
    pub fn to_file(self, shape: &[usize], data: &[f32]) -> Vec<f32> {
        permute(
            data,
            &self.file_shape(shape),
            &self.order().iter().map(|&axis| stride(shape, axis)).collect::<Vec<_>>(),
        )
    }

    /// Elements from the file's order to the internal one of `shape`. Panics where shape and data do not fit together.
    pub fn from_file(self, shape: &[usize], data: &[f32]) -> Vec<f32> {
        let file = self.file_shape(shape);
        let mut strides = vec![0; shape.len()];
        for (axis, &internal) in self.order().iter().enumerate() {
            strides[internal] = stride(&file, axis);
        }
        permute(data, shape, &strides)
    }
}

/// Elements between neighbours along `axis` of a row-major tensor.
fn stride(shape: &[usize], axis: usize) -> usize {
    shape[axis + 1..].iter().product()
}

/// The elements of a tensor of `shape`, whose source strides are `strides`, in row-major order.
fn permute(data: &[f32], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    assert_eq!(count, data.len(), "shape {shape:?} does not fit its elements");
    let place = |mut index: usize| {
        let mut at = 0;
        for (size, stride) in shape.iter().zip(strides).rev() {
            at += index % size * stride;
            index /= size;
        }
        data[at]
    };
    (0..count).map(place).collect()
}

/// Writes tensors, counters (such as `bn1.num_batches_tracked`, int64 scalars) and text entries to `path`, wholly or
/// not at all. The same arguments give the same bytes. The entry `format` is `pt` unless `metadata` says otherwise.
///
/// # Errors
/// [`Error::Invalid`] for a name that comes twice, a shape that does not fit its elements or its layout, and a value
/// that is not finite; [`Error::File`] where the file cannot be written.
pub fn save(
    path: &Path,
    tensors: &[NamedTensor],
    counters: &[(String, i64)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut text = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    text.extend(metadata.clone());
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(text));
    let mut data = Vec::new();
    // Eight-byte elements first, so that every tensor is aligned.
    for (name, count) in counters {
        append(&mut header, &mut data, name, "I64", &[], &count.to_le_bytes())?;
    }
    for tensor in tensors {
        let NamedTensor { name, layout, shape, data: values } = tensor;
        if shape.len() != layout.rank() || shape.iter().product::<usize>() != values.len() {
            let count = values.len();
            return Err(Error::Invalid(format!("{name}: {count} elements are no {layout:?} tensor of {shape:?}")));
        }
        if let Some((index, value)) = not_finite(values) {
            return Err(Error::Invalid(format!(
                "{name} holds {value} at {:?} and was not saved to {}",
                position(shape, index),
                path.display()
            )));
        }
        let bytes: Vec<u8> = layout.to_file(shape, values).into_iter().flat_map(f32::to_le_bytes).collect();
        append(&mut header, &mut data, name, "F32", &layout.file_shape(shape), &bytes)?;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text);
    file.extend(data);
    write_atomic(path, &file)
}

/// Adds one tensor to header and data.
fn append(
    header: &mut Map<String, Value>,
    data: &mut Vec<u8>,
    name: &str,
    dtype: &str,
    shape: &[usize],
    bytes: &[u8],
) -> Result<()> {
    let begin = data.len();
    data.extend(bytes);
    let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] });
    match header.insert(name.to_owned(), entry) {
        None => Ok(()),
        Some(_) => Err(Error::Invalid(format!("two tensors have the name {name}"))),
    }
}

/// Reads a safetensors file.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, is no safetensors file, is truncated, or holds a value that is not
/// finite (as float32).
pub fn load(path: &Path) -> Result<Checkpoint> {
    let fail = |problem: String| Error::file(path, problem);
    let bytes = std::fs::read(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let damaged = |e| fail(format!("is no safetensors file, or is damaged ({e})"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let metadata = header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect();
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let mut stored = BTreeMap::new();
    for (name, view) in file.iter() {
        let tensor = decode(&view);
        if let Stored::Float { shape, data } = &tensor
            && let Some((index, value)) = not_finite(data)
        {
            return Err(fail(format!("its tensor {name} holds {value} at {:?}", position(shape, index))));
        }
        stored.insert(name.to_owned(), tensor);
    }
    Ok(Checkpoint { path: path.to_owned(), stored, metadata })
}

/// A tensor's values, where they are of a kind that this crate uses.
fn decode(view: &TensorView) -> Stored {
    let (shape, bytes) = (view.shape().to_vec(), view.data());
    let data = match view.dtype() {
        Dtype::F32 => elements(bytes, f32::from_le_bytes),
        Dtype::F64 => elements(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => elements(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => elements(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        dtype => {
            return match <[u8; 8]>::try_from(bytes) {
                Ok(bytes) if dtype == Dtype::I64 => Stored::Counter(i64::from_le_bytes(bytes)),
                _ => Stored::Other { shape, dtype },
            };
        }
    };
    Stored::Float { shape, data }
}

fn elements<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| decode(chunk)).collect()
}

/// The first value that is not finite, with its index.
fn not_finite(data: &[f32]) -> Option<(usize, f32)> {
    data.iter().copied().enumerate().find(|(_, value)| !value.is_finite())
}

/// Element `index` of a row-major tensor as one index for each dimension.
fn position(shape: &[usize], index: usize) -> Vec<usize> {
    (0..shape.len()).map(|axis| index / stride(shape, axis) % shape[axis]).collect()
}

impl Checkpoint {
    /// The names of everything in the file, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str)
    }

    /// The tensor `name` in the internal order of `shape`.
    ///
    /// # Errors
    /// [`Error::File`] where the file has no such tensor, or one of another shape or element type.
    pub fn tensor(&self, name: &str, layout: Layout, shape: &[usize]) -> Result<Vec<f32>> {
        let want = layout.file_shape(shape);
        match self.find(name)? {
            Stored::Float { shape: have, data } if *have == want => Ok(layout.from_file(shape, data)),
            Stored::Float { shape: have, .. } => Err(self.error(format!(
                "its tensor {name} has the shape {have:?}, but the network wants {want:?} (PyTorch's layout)"
            ))),
            Stored::Counter(_) => Err(self.error(format!("its tensor {name} is an int64 scalar, not floats"))),
            Stored::Other { shape, dtype } => Err(self.error(format!(
                "its tensor {name} has elements of type {dtype:?} (shape {shape:?}); only F32, F16, BF16 and F64 are read"
            ))),
        }
    }

    /// The counter `name`, an int64 scalar.
    ///
    /// # Errors
    /// [`Error::File`] where the file has no such tensor, or something else under this name.
    pub fn counter(&self, name: &str) -> Result<i64> {
        match self.find(name)? {
            Stored::Counter(count) => Ok(*count),
            Stored::Float { shape, .. } => {
                Err(self.error(format!("its tensor {name} holds floats of shape {shape:?}, not one int64")))
            }
            Stored::Other { shape, dtype } => {
                Err(self.error(format!("its tensor {name} holds {dtype:?} of shape {shape:?}, not one int64")))
            }
        }
    }

    /// Refuses a file with more in it than the network has: a sign that it belongs to another network.
    ///
    /// # Errors
    /// [`Error::File`] with the first name that is not among `known`, and how many there are.
    pub fn refuse_unexpected<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let known: std::collections::BTreeSet<&str> = known.into_iter().collect();
        let mut others = self.names().filter(|name| !known.contains(name));
        match (others.next(), others.count()) {
            (None, _) => Ok(()),
            (Some(name), 0) => Err(self.error(format!("holds the tensor {name}, which the network does not have"))),
            (Some(name), more) => Err(self
                .error(format!("holds {} tensors that the network does not have, {name} the first of them", more + 1))),
        }
    }

    fn find(&self, name: &str) -> Result<&Stored> {
        self.stored.get(name).ok_or_else(|| self.error(format!("has no tensor {name}, which the network needs")))
    }

    fn error(&self, problem: String) -> Error {
        Error::file(&self.path, problem)
    }
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
