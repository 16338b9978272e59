//! How a trained network does on test images, as the page shows it: the confusion matrix and the worst mistakes.

use crate::data::Split;
use crate::error::Result;
use crate::nn::Network;
use crate::session::Device;
use crate::train::{Evaluation, Predictor};

/// Mistakes that are shown.
const MOST_MISTAKES: usize = 24;
/// Classes that are shown with a mistake.
const MOST_CLASSES: usize = 3;

/// What the test images showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// How many images there were.
    pub images: usize,
    /// Row: the label; column: the network's answer; images counted.
    pub confusion: Vec<Vec<u64>>,
    /// The mistakes with the largest finite loss, the largest first.
    pub mistakes: Vec<Mistake>,
}

/// An image that was told wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Which of the test images it is, from 0.
    pub index: usize,
    /// What it shows.
    pub label: usize,
    /// The probability of that.
    pub of_label: f64,
    /// The most probable classes with their probabilities, the most probable first.
    pub answers: Vec<(usize, f64)>,
    /// Its height, width and channels.
    pub shape: [usize; 3],
    /// Its bytes, h × w × c.
    pub image: Vec<u8>,
}

impl Findings {
    /// What an evaluation of `split` found, with the probabilities of its worst mistakes, which the network with these
    /// parameters is asked for.
    ///
    /// # Errors
    /// Whatever [`Predictor`] reports.
    pub async fn new(
        device: &Device,
        network: &Network,
        state: &[Vec<f32>; 2],
        split: &Split,
        evaluation: &Evaluation,
    ) -> Result<Self> {
        let Evaluation { loss, accuracy, confusion, classes, losses } = evaluation;
        let told = |&index: &usize| classes[index] != split.labels[index] && losses[index].is_finite();
        let mut wrong: Vec<usize> = (0..split.len()).filter(told).collect();
        wrong.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
        wrong.truncate(MOST_MISTAKES);
        let mut mistakes = Vec::new();
        if !wrong.is_empty() {
            let fit = (split.shape, confusion.len());
            let mut predictor = Predictor::new(device, network, fit, wrong.len(), state)?;
            let bytes: Vec<u8> = wrong.iter().flat_map(|&index| split.image(index)).copied().collect();
            let answers = predictor.run(&bytes).await?;
            mistakes = wrong.iter().zip(answers).map(|(&index, row)| Mistake::new(split, index, &row)).collect();
        }
        Ok(Self { loss: *loss, accuracy: *accuracy, images: split.len(), confusion: confusion.clone(), mistakes })
    }
}

impl Mistake {
    fn new(split: &Split, index: usize, probabilities: &[f64]) -> Self {
        let label = split.labels[index] as usize;
        let mut answers: Vec<(usize, f64)> = probabilities.iter().copied().enumerate().collect();
        answers.sort_by(|a, b| b.1.total_cmp(&a.1));
        answers.truncate(MOST_CLASSES);
        let of_label = probabilities.get(label).copied().unwrap_or(0.0);
        Self { index, label, of_label, answers, shape: split.shape, image: split.image(index).to_vec() }
    }
}
