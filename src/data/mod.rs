//! Data sets: labelled images in memory, and where they come from.
//!
//! Everything is decoded once, to bytes, and then lives on the device; nothing here runs while a network trains. A
//! source is a word that users type, which [`Source`] understands: [`builtin`] draws digits with no file at all; [`mnist`] and
//! [`cifar10`] download the classic sets; a directory holds files in MNIST's format ([`idx`]), those of CIFAR-10, or folders
//! of PNG and JPEG pictures, one a class ([`folder`]). [`picture`] reads a single picture, for these and for `predict`.

pub mod builtin;
pub mod cifar10;
mod download;
pub mod folder;
pub mod idx;
pub mod mnist;
pub mod picture;
mod source;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::ops::random::permute;

pub use source::{Event, ImageSize, LoadOptions, PictureOptions, Source, load};

/// A data set with its two splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// What it is called in reports: the source as the user named it.
    pub name: String,
    /// Images to learn from.
    pub train: Split,
    /// Images to measure with.
    pub test: Split,
    /// Names of the classes; label `i` means `classes[i]`.
    pub classes: Vec<String>,
    /// How they were read, where the images are a folder's pictures.
    pub pictures: Option<PictureOptions>,
}

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Bytes, `[n, h, w, c]`.
    pub images: Vec<u8>,
    /// The class of each image, `[n]`.
    pub labels: Vec<u32>,
    /// `[h, w, c]` of every image.
    pub shape: [usize; 3],
}

impl Dataset {
    /// A data set from its parts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the splits differ in image size or a label has no class.
    pub fn new(name: impl Into<String>, train: Split, test: Split, classes: Vec<String>) -> Result<Self> {
        let dataset = Self { name: name.into(), train, test, classes, pictures: None };
        dataset.check()?;
        Ok(dataset)
    }

    /// Checks what training relies on: neither split empty, counts agree, one image size, every label has a class.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        for (which, split) in [("training", &self.train), ("test", &self.test)] {
            split.check().map_err(|e| Error::Invalid(format!("the {which} split of {}: {e}", self.name)))?;
            let classes = self.classes.len();
            if let Some((i, label)) = split.label_outside(classes) {
                return Err(Error::Invalid(format!(
                    "{which} image {i} of {} has label {label}, but there are only {classes} classes",
                    self.name
                )));
            }
        }
        let ([h, w, c], [th, tw, tc]) = (self.train.shape, self.test.shape);
        if self.train.shape != self.test.shape {
            return Err(Error::Invalid(format!(
                "the training images of {} are {h}×{w}×{c} and its test images {th}×{tw}×{tc}; they must be of one size",
                self.name
            )));
        }
        Ok(())
    }

    /// SHA-256 of both splits in hexadecimal, training first: what a run stores to name its data.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        self.train.hash(&mut hasher);
        self.test.hash(&mut hasher);
        hex(&hasher.finalize())
    }
}

impl Split {
    /// Images and labels of one size, checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no image, or the counts of images and labels differ.
    pub fn new(images: Vec<u8>, labels: Vec<u32>, shape: [usize; 3]) -> Result<Self> {
        let split = Self { images, labels, shape };
        split.check()?;
        Ok(split)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image, h · w · c.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Image `index` in `[h, w, c]`. Panics where there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.image_len();
        &self.images[index * size..(index + 1) * size]
    }

    /// The first label that is not below `classes`, with its index.
    pub fn label_outside(&self, classes: usize) -> Option<(usize, u32)> {
        self.labels.iter().copied().enumerate().find(|&(_, label)| label as usize >= classes)
    }

    /// Keeps the first `count` images; a larger count changes nothing.
    pub fn truncate(&mut self, count: usize) {
        let count = count.min(self.len());
        self.labels.truncate(count);
        self.images.truncate(count * self.image_len());
    }

    /// Takes `count` images away and returns them: the validation images of a run. They are drawn from the whole split, the same
    /// ones every time, since files are often sorted by class.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `count` is 0 or would leave nothing.
    pub fn hold_out(&mut self, count: usize) -> Result<Self> {
        const SEED: u32 = 0x5eed;
        if count == 0 || count >= self.len() {
            return Err(Error::Invalid(format!(
                "cannot hold {count} of {} training images out for validation (--validation): both parts need at least one image",
                self.len()
            )));
        }
        let mut held = vec![false; self.len()];
        (0..count as u32).for_each(|i| held[permute(SEED, 0, i, self.len() as u32) as usize] = true);
        let part = |wanted: bool| Self {
            images: (0..self.len()).filter(|&i| held[i] == wanted).flat_map(|i| self.image(i).to_vec()).collect(),
            labels: (0..self.len()).filter(|&i| held[i] == wanted).map(|i| self.labels[i]).collect(),
            shape: self.shape,
        };
        let validation = part(true);
        *self = part(false);
        Ok(validation)
    }

    /// SHA-256 in hexadecimal of the shape (as in the data set's fingerprint), the images and the labels.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        self.hash(&mut hasher);
        hex(&hasher.finalize())
    }

    /// Feeds h, w and c as little-endian u64, the image bytes, and the labels as little-endian u32.
    fn hash(&self, hasher: &mut Sha256) {
        for size in self.shape {
            hasher.update((size as u64).to_le_bytes());
        }
        hasher.update(&self.images);
        for label in &self.labels {
            hasher.update(label.to_le_bytes());
        }
    }

    fn check(&self) -> Result<()> {
        let [h, w, c] = self.shape;
        if self.is_empty() || self.image_len() == 0 {
            return Err(Error::Invalid(format!("{} images of {h}×{w}×{c} are nothing to learn from", self.len())));
        }
        if self.images.len() != self.len() * self.image_len() {
            return Err(Error::Invalid(format!(
                "{} labels, but {} bytes are not that many images of {h}×{w}×{c}",
                self.len(),
                self.images.len()
            )));
        }
        Ok(())
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(count: usize) -> Split {
        let images = (0..count * 4).map(|i| i as u8).collect();
        Split::new(images, (0..count as u32).map(|i| i % 3).collect(), [2, 2, 1]).unwrap()
    }

    fn classes(count: usize) -> Vec<String> {
        (0..count).map(|i| i.to_string()).collect()
    }

    #[test]
    fn validation_images_are_drawn_from_the_whole_split() {
        let mut train = split(60);
        let all = train.clone();
        let validation = train.hold_out(20).unwrap();
        assert_eq!((train.len(), validation.len()), (40, 20));
        let place = |image: &[u8]| (0..60).find(|&i| all.image(i) == image).unwrap();
        let held: Vec<usize> = (0..20).map(|i| place(validation.image(i))).collect();
        let kept: Vec<usize> = (0..40).map(|i| place(train.image(i))).collect();
        assert!(held.iter().any(|&i| i < 20) && held.iter().any(|&i| i >= 40), "{held:?}");
        assert!(kept.iter().all(|i| !held.contains(i)) && kept.is_sorted());
        assert!(held.iter().zip(&validation.labels).all(|(&i, &label)| all.labels[i] == label));
        assert!(train.hold_out(40).is_err() && train.hold_out(0).is_err());
        train.truncate(3);
        train.truncate(9);
        assert_eq!((train.len(), train.images.len()), (3, 12));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(Split::new(vec![], vec![], [2, 2, 1]).is_err());
        assert!(Split::new(vec![0; 7], vec![0, 1], [2, 2, 1]).is_err());
        assert!(Split::new(vec![], vec![0, 1], [0, 2, 1]).is_err());
        let other = Split::new(vec![0; 6], vec![0], [2, 3, 1]).unwrap();
        assert!(Dataset::new("x", split(3), other, classes(3)).is_err());
        let error = Dataset::new("x", split(3), split(2), classes(2)).unwrap_err().to_string();
        assert_eq!(error, "training image 2 of x has label 2, but there are only 2 classes");
    }

    #[test]
    fn the_fingerprint_sees_every_byte_and_every_label() {
        let dataset = Dataset::new("x", split(4), split(3), classes(3)).unwrap();
        let (mut pixel, mut label) = (dataset.clone(), dataset.clone());
        pixel.test.images[11] ^= 1;
        label.train.labels[0] = 1;
        assert_eq!(dataset.fingerprint().len(), 64);
        assert_ne!(dataset.fingerprint(), pixel.fingerprint());
        assert_ne!(dataset.fingerprint(), label.fingerprint());
        assert_ne!(dataset.train.fingerprint(), dataset.test.fingerprint());
    }
}
