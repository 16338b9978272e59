//! Networks: what a user describes, how it becomes part of a [`crate::graph::Graph`], and what its parameters are.
//!
//! A [`Network`] is data (serde): it is stored in every run, and shipped networks have names ([`shipped`]). Build one with
//! [`Sequential`], or with [`Builder`] where it branches.

mod advice;
mod build;
mod builder;
pub mod classics;
pub mod deep_plain;
mod description;
mod init;
pub mod keys;
mod layer;
mod layout;
mod rewrite;
pub mod shipped;
mod summary;

pub use build::{Built, Mode, Statistics};
pub use builder::{Builder, Port, Sequential};
pub use deep_plain::{DeepPlain, Norm};
pub use init::Init;
pub use layer::{Conv2dLayer, Layer, LinearLayer, PoolLayer};
pub use layout::{Layout, PARAMETERS, Parameter, Placed, STATISTICS};
pub use summary::{Summary, SummaryRow};

use serde::{Deserialize, Serialize};

/// A network: inputs, and layers that name what they read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What runs and listings call it.
    pub name: String,
    /// How the weights of convolutions and linear layers begin that do not say it themselves.
    #[serde(default, skip_serializing_if = "Init::is_default")]
    pub init: Init,
    /// Its inputs; images are `[h, w, c]`.
    pub inputs: Vec<Input>,
    /// Its layers, each after those it reads. The last one is the output.
    pub layers: Vec<NamedLayer>,
}

/// An input of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What layers call it.
    pub name: String,
    /// Shape without the batch: `[h, w, c]` or `[features]`.
    pub shape: Vec<usize>,
}

/// A layer in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedLayer {
    /// Unique; parameters are called `name.weight`, `name.bias`, as in PyTorch.
    pub name: String,
    /// The inputs and layers that it reads; empty means the layer before it (or the first input).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// What it is.
    #[serde(flatten)]
    pub layer: Layer,
}
