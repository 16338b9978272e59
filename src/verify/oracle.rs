//! Oracle cases: inputs and the answers that PyTorch computed for them in float64.
//!
//! A case is one safetensors file: the operator's name and attributes in the metadata, inputs under their names,
//! wanted tensors as `want.<name>`. Tensors are in PyTorch's layout there and in the layout of this crate inside;
//! [`run_case`] converts on the way in and on the way out.

mod mapping;
mod run;

pub use mapping::{from_pytorch, to_pytorch};
pub use run::{Execute, run_case};

use super::compare::{Difference, Tolerance, compare};
use crate::error::{Error, Result};
use crate::ops::Real;
use crate::tensor::{Elements, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One case in PyTorch's layout.
#[derive(Debug, Clone)]
pub struct OracleCase {
    /// The file's name without its ending.
    pub name: String,
    /// The operator's name as PyTorch's users write it, or `training`.
    pub op: String,
    /// The operator's attributes.
    pub attrs: Map<String, Value>,
    /// Inputs by name. Labels are integers, images of training cases bytes.
    pub inputs: BTreeMap<String, Tensor<f64>>,
    /// Wanted tensors by name, without `want.`.
    pub wants: BTreeMap<String, Tensor<f64>>,
}

/// The files of the cases in a folder, in the order of their names.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    let mut files: Vec<PathBuf> = list.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "safetensors"));
    files.sort();
    Ok(files)
}

/// The cases in a folder, in the order of their names.
pub fn cases_in(folder: &Path) -> Result<Vec<OracleCase>> {
    files_in(folder)?.iter().map(|file| OracleCase::load(file)).collect()
}

impl OracleCase {
    /// Reads a case.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| Error::file(path, e))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::file(path, e))?;
        let text = |key: &str| {
            let found = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
            found
                .cloned()
                .ok_or_else(|| Error::file(path, format!("has no `{key}` in its metadata: not an oracle case")))
        };
        let (op, attrs) = (text("op")?, text("attrs")?);
        let attrs = serde_json::from_str(&attrs).map_err(|e| Error::file(path, format!("attrs: {e}")))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let mut case = Self { name, op, attrs, inputs: BTreeMap::new(), wants: BTreeMap::new() };
        for (name, view) in file.tensors() {
            let elements = elements(view.dtype(), view.data()).ok_or_else(|| {
                Error::file(path, format!("`{name}`: no oracle tensor is of type {:?}", view.dtype()))
            })?;
            let tensor = Tensor::new(view.shape().to_vec(), elements);
            match name.strip_prefix("want.") {
                Some(wanted) => case.wants.insert(wanted.to_owned(), tensor),
                None => case.inputs.insert(name, tensor),
            };
        }
        case.flatten();
        Ok(case)
    }

    /// PyTorch's operators take more ranks than this crate's: the same elements in another shape.
    fn flatten(&mut self) {
        let shape = |name: &str| self.inputs.get(name).map_or(Vec::new(), |tensor| tensor.shape.clone());
        let (x, weight) = (shape("x"), shape("weight"));
        let rank = x.len();
        // The axes over which a layer is normalised are those of its weight.
        let last = match self.op.as_str() {
            "layer_norm" if !weight.is_empty() && x.ends_with(&weight) => weight.len(),
            _ => 1,
        };
        let rows = |shape: &[usize]| match shape.split_at_checked(shape.len().wrapping_sub(last)) {
            Some((leading, last)) => vec![leading.iter().product(), last.iter().product()],
            None => shape.to_vec(),
        };
        if last > 1 {
            let inputs = self.inputs.iter_mut().filter(|(name, _)| ["weight", "bias"].contains(&name.as_str()));
            let wants = self.wants.iter_mut().filter(|(name, _)| ["grad_weight", "grad_bias"].contains(&name.as_str()));
            inputs.chain(wants).for_each(|(_, tensor)| tensor.shape = vec![tensor.len()]);
        }
        let image = |shape: &[usize]| shape.iter().copied().chain([1; 4]).take(4).collect();
        let reshape: &dyn Fn(&[usize]) -> Vec<usize> = match (self.op.as_str(), rank) {
            ("linear", 1 | 3..) | ("layer_norm", 4..) => &rows,
            ("layer_norm", _) if last > 1 => &rows,
            ("group_norm", 2 | 3) => &image,
            _ => return,
        };
        let inputs = self.inputs.iter_mut().filter(|(name, _)| ["x", "grad_y"].contains(&name.as_str()));
        let wants = self.wants.iter_mut().filter(|(name, _)| ["y", "grad_x"].contains(&name.as_str()));
        inputs.chain(wants).for_each(|(_, tensor)| tensor.shape = reshape(&tensor.shape));
    }

    /// The input of this name.
    pub fn input(&self, name: &str) -> Result<&Tensor<f64>> {
        self.inputs.get(name).ok_or_else(|| self.error(format!("has no input `{name}`")))
    }

    /// Refuses a case that does not want one of these: nothing would be held against what it leaves out.
    fn expect_wants<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        match names.into_iter().find(|name| !self.wants.contains_key(*name)) {
            Some(name) => Err(self.error(format!("has no `want.{name}`, which every case of {} holds", self.op))),
            None => Ok(()),
        }
    }

    /// Compares what was computed, as [`run_case`] answers it, with every wanted tensor. A wanted tensor that was not
    /// computed fails.
    pub fn check<T: Real>(&self, got: &[(String, Tensor<T>)], tolerance: Tolerance) -> Vec<(String, Difference)> {
        let difference = |name: &String, want: &Tensor<f64>| {
            // A scalar has one element, whatever its rank.
            let shape = if want.shape.is_empty() { &[1] } else { want.shape.as_slice() };
            match got.iter().find(|(got, _)| got == name) {
                Some((_, got)) if got.shape == shape => {
                    let mut difference = compare(got.floats(), want.floats(), shape, tolerance);
                    difference.axes = if name.ends_with("weight") { "(out, in, h, w)" } else { "(n, c, h, w)" };
                    difference
                }
                found => {
                    let mut missing = compare::<T>(&[], want.floats(), shape, tolerance);
                    missing.problem = Some(match found {
                        Some((_, got)) => format!("has shape {:?} where {shape:?} is wanted", got.shape),
                        None => "was not computed".to_owned(),
                    });
                    missing
                }
            }
        };
        self.wants.iter().map(|(name, want)| (name.clone(), difference(name, want))).collect()
    }

    fn error(&self, problem: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("oracle case {} ({}): {problem}", self.name, self.op))
    }

    fn attr(&self, key: &str) -> Result<&Value> {
        self.attrs.get(key).ok_or_else(|| self.error(format!("has no attribute `{key}`")))
    }

    fn number(&self, key: &str) -> Result<f64> {
        self.attr(key)?.as_f64().ok_or_else(|| self.error(format!("`{key}` must be a number")))
    }

    /// A number that is 0 where the case does not name it.
    fn number_or_zero(&self, key: &str) -> Result<f64> {
        if self.attrs.contains_key(key) { self.number(key) } else { Ok(0.0) }
    }

    fn flag(&self, key: &str) -> Result<bool> {
        self.attr(key)?.as_bool().ok_or_else(|| self.error(format!("`{key}` must be true or false")))
    }

    fn flag_or_false(&self, key: &str) -> Result<bool> {
        if self.attrs.contains_key(key) { self.flag(key) } else { Ok(false) }
    }

    fn size(&self, key: &str) -> Result<usize> {
        let value = self.attr(key)?.as_u64().and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| self.error(format!("`{key}` must be a whole number")))
    }

    fn numbers<const N: usize>(&self, key: &str) -> Result<[f64; N]> {
        let wrong = || self.error(format!("`{key}` must be a list of {N} numbers"));
        let list = self.attr(key)?.as_array().ok_or_else(wrong)?;
        let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
    }

    fn sizes<const N: usize>(&self, key: &str) -> Result<[usize; N]> {
        let numbers = self.numbers::<N>(key)?;
        if numbers.iter().any(|number| number.fract() != 0.0 || *number < 0.0) {
            return Err(self.error(format!("`{key}` must hold whole numbers of at least 0")));
        }
        Ok(numbers.map(|value| value as usize))
    }
}

/// The elements of a stored tensor; `None` for types that no case holds, or for labels outside u32.
fn elements(dtype: Dtype, data: &[u8]) -> Option<Elements<f64>> {
    fn words<const N: usize, E>(data: &[u8], convert: impl Fn([u8; N]) -> E) -> Vec<E> {
        data.chunks_exact(N).filter_map(|bytes| bytes.try_into().ok().map(&convert)).collect()
    }
    Some(match dtype {
        Dtype::F64 => Elements::Float(words(data, f64::from_le_bytes)),
        Dtype::F32 => Elements::Float(words(data, |bytes| f64::from(f32::from_le_bytes(bytes)))),
        Dtype::I64 => {
            let labels = words(data, i64::from_le_bytes);
            Elements::U32(labels.into_iter().map(|label| u32::try_from(label).ok()).collect::<Option<_>>()?)
        }
        Dtype::U8 => Elements::U8(data.to_vec()),
        _ => return None,
    })
}
