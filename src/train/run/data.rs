//! What a run says about its data, and how they are found again.

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, PictureOptions, Source};

/// What a run was trained and tested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// What finds it again: the name of a data set, or the whole path of a directory.
    pub source: String,
    /// SHA-256 of all images and labels.
    pub fingerprint: String,
    /// Images of the training split, held-out ones included.
    pub training_images: usize,
    /// How many of these were held out for validation; 0 means that the test images validated.
    pub held_out_images: usize,
    /// Images of the test split.
    pub test_images: usize,
    /// How a folder's pictures were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureOptions>,
}

impl DataRecord {
    /// The record of `data`, of which so many training images are held out.
    pub fn new(data: &Dataset, held_out_images: usize) -> Self {
        let directory = data.name.parse().ok().and_then(|source: Source| source.directory()?.canonicalize().ok());
        let source = directory.map_or(data.name.clone(), |path| path.display().to_string());
        let (training_images, test_images) = (data.train.len(), data.test.len());
        let (fingerprint, pictures) = (data.fingerprint(), data.pictures);
        Self { source, fingerprint, training_images, held_out_images, test_images, pictures }
    }
}
