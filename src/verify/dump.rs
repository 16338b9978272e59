//! The tensors of a wrong answer, in a file that other programs read.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView, serialize};

use super::trial::Outcome;
use crate::error::{Error, Result};
use crate::format::write_atomic;
use crate::tensor::{Elements, Tensor};

/// Writes what a failed case was given (`input.0` …), got (`got.0` …, float32) and wanted (`want.0` …, float64) into a
/// safetensors file in `folder`, named after operator, direction, variant and case. `None` for an outcome without tensors.
pub fn dump(outcome: &Outcome, folder: &Path) -> Result<Option<PathBuf>> {
    let Some(evidence) = &outcome.evidence else { return Ok(None) };
    std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    let mut tensors: Vec<(String, Stored)> = Vec::new();
    for (kind, list) in [("input", &evidence.inputs), ("got", &evidence.got)] {
        tensors.extend(list.iter().enumerate().map(|(i, tensor)| (format!("{kind}.{i}"), narrow(tensor))));
    }
    tensors.extend(evidence.want.iter().enumerate().map(|(i, tensor)| (format!("want.{i}"), wide(tensor))));
    let Outcome { operator, direction, variant, case, .. } = outcome;
    let path = folder.join(format!("{operator}_{direction}_{variant}_{case}.safetensors"));
    let views = tensors.iter().map(|(name, stored)| Ok((name.clone(), stored.view()?)));
    let views: Vec<_> =
        views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(|e| Error::file(&path, e))?;
    let bytes = serialize(views, None).map_err(|e| Error::file(&path, e))?;
    write_atomic(&path, &bytes)?;
    Ok(Some(path))
}

struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn view(&self) -> Result<TensorView<'_>, safetensors::SafeTensorError> {
        TensorView::new(self.dtype, self.shape.clone(), &self.bytes)
    }
}

fn stored<T>(tensor: &Tensor<T>, dtype: Dtype, bytes: impl Fn(&[T]) -> Vec<u8>) -> Stored {
    let (dtype, bytes) = match &tensor.elements {
        Elements::Float(data) => (dtype, bytes(data)),
        Elements::U32(data) => (Dtype::U32, data.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Elements::U8(data) => (Dtype::U8, data.clone()),
    };
    Stored { dtype, shape: tensor.shape.clone(), bytes }
}

fn narrow(tensor: &Tensor) -> Stored {
    stored(tensor, Dtype::F32, |data| data.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn wide(tensor: &Tensor<f64>) -> Stored {
    stored(tensor, Dtype::F64, |data| data.iter().flat_map(|x| x.to_le_bytes()).collect())
}
