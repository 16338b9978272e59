//! What a trained network says to pictures that have no label.

use super::evaluation::{check_fit, upload, write_state};
use super::program::{Resident, predict};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::nn::Network;
use crate::ops::control;
use crate::session::{Device, Options, Session};
use crate::tensor::Tensor;
use crate::verify::trust;

/// Name of the pictures in the session.
const NAME: &str = "predict";

/// A trained network on a device that answers with probabilities.
pub struct Predictor {
    session: Session,
    resident: Resident,
    classes: usize,
}

impl Predictor {
    /// Prepares for batches of `batch` images `[h, w, c]`. The parameters are the flat buffers of the network's layout.
    pub fn new(
        device: &Device,
        network: &Network,
        (image, classes): ([usize; 3], usize),
        batch: usize,
        state: &[Vec<f32>; 2],
    ) -> Result<Self> {
        check_fit(network, image, classes)?;
        let resident = Resident::new(NAME, batch.max(1), image, device.max_binding_bytes());
        let graph = predict(network, &network.layout()?, &resident)?;
        let mut session = trust::session(device, vec![device.fuse(graph, &[])?.0], Options::default())?;
        write_state(&mut session, state)?;
        session.write(&format!("{NAME}.control"), &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        Ok(Self { session, resident, classes })
    }

    /// For each of the images `[n, h, w, c]`, the probability of each class: the softmax of the logits, in float64.
    pub async fn run(&mut self, images: &[u8]) -> Result<Vec<Vec<f64>>> {
        let image: usize = self.resident.image.iter().product();
        if !images.len().is_multiple_of(image) {
            let [h, w, c] = self.resident.image;
            return Err(Error::Invalid(format!("{} bytes are no images of {h}×{w}×{c}", images.len())));
        }
        let mut answers = Vec::with_capacity(images.len() / image);
        for chunk in images.chunks(image * self.resident.len) {
            // The last batch is filled up with black images, whose answers are dropped.
            let mut bytes = chunk.to_vec();
            bytes.resize(image * self.resident.len, 0);
            let split = Split::new(bytes, vec![0; self.resident.len], self.resident.image)?;
            upload(&mut self.session, &self.resident, &split)?;
            let read = self.session.run(0, 1, &[&format!("{NAME}.logits")])?.wait().await?;
            let rows = read[0].floats().chunks(self.classes).take(chunk.len() / image);
            for row in rows {
                if row.iter().any(|logit| !logit.is_finite()) {
                    let number = answers.len() + 1;
                    return Err(Error::Invalid(format!("the network's answer to image {number} is not finite")));
                }
                answers.push(softmax(row));
            }
        }
        Ok(answers)
    }
}

/// e^(x_i − m) / Σ_j e^(x_j − m) with m = max_j x_j
fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - f64::from(most)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
