//! What in a picture makes a network answer as it does: the gradient of one class's score, taken on the device by the kernels that
//! train, and the maps that are made of it.
//!
//! ```text
//! Grad-CAM              ReLU(Σ_k α_k·A_k), α_k = the mean over space of ∂s/∂A_k, for a layer's output A
//!                       (Selvaraju and others 2017)
//! saliency              max over the channels of |∂s/∂x| (Simonyan, Vedaldi and Zisserman 2014)
//! integrated gradients  (x − x0) · 1/m · Σ_j ∂s/∂x at x0 + (j − ½)/m · (x − x0), j = 1..m; they add up to s(x) − s(x0) but
//!                       for the error of the sum, which is the gap of completeness (Sundararajan, Taly and Yan 2017)
//! ```
//! s is the network's output for the class, before softmax, in evaluation: normalisation by running statistics, no dropout. Nothing
//! says that such a map shows what a network learnt: [`Map::rank_correlation`] with the map of random weights tells whether
//! it depends on the weights at all (Adebayo and others 2018).

mod layers;
mod maps;

pub use layers::{Spatial, filters, find, spatial};
pub use maps::Map;

use super::evaluation::{check_fit, image_of, write_state};
use super::program::{PIXEL, check_logits, no_output};
use crate::error::{Error, Result};
use crate::graph::{Graph, differentiate};
use crate::nn::{Layout, Mode, Network};
use crate::ops::{self, control};
use crate::session::{self, Device, Session};
use crate::tensor::{Spec, Tensor};
use crate::verify::trust;

/// Names of the persistent values of [`graph`].
pub mod names {
    /// The images, as floats in [0, 1].
    pub const IMAGES: &str = "explain.images";
    /// The gradient that arrives at the network's output: 1 at the class, 0 elsewhere.
    pub const UPSTREAM: &str = "explain.upstream";
    /// The network's output.
    pub const SCORES: &str = "explain.scores";
    /// The gradients of the images.
    pub const IMAGE_GRADIENTS: &str = "explain.image_gradients";
    /// The layer's output for the first image.
    pub const ACTIVATION: &str = "explain.activation";
    /// Its gradient.
    pub const ACTIVATION_GRADIENT: &str = "explain.activation_gradient";
}

/// The most images that are looked at together.
const MOST_ROWS: usize = 64;

/// A batch of `rows` images `[h, w, c]`: forward in evaluation, and the gradients, with respect to the images and to the output of
/// layer number `layer`, of what [`names::UPSTREAM`] picks from the network's output.
///
/// # Errors
/// [`Error::Invalid`] where the network's output does not depend on the images or on that layer.
pub fn graph(network: &Network, layout: &Layout, layer: usize, rows: usize) -> Result<Graph> {
    let [h, w, c] = image_of(network)?;
    let mut graph = Graph::new();
    let g = &mut graph;
    let control = g.persistent("explain.control", Spec::u32([control::LEN]));
    let images = g.persistent(names::IMAGES, Spec::f32([rows, h, w, c]));
    let built = network.build(g, &[images], control, Mode::Evaluate, layout)?;
    let scores = built.output().ok_or_else(|| no_output(network))?;
    check_logits(g, scores, network)?;
    let upstream = g.persistent(names::UPSTREAM, g.spec(scores).clone());
    let activation = built.layers[layer];
    let gradients = differentiate(g, scores, upstream, &[images, activation])?;
    let gradient = |value, what: &str| {
        let none = || Error::Invalid(format!("the output of network {} does not depend on {what}", network.name));
        gradients.of(value).ok_or_else(none)
    };
    let of_images = gradient(images, "its images")?;
    let of_activation = gradient(activation, &format!("layer `{}`", network.layers[layer].name))?;
    let keep = |g: &mut Graph, value, name: &str| {
        let kept = g.persistent(name, g.spec(value).clone());
        g.place(value, kept, 0)
    };
    for (value, name) in [(activation, names::ACTIVATION), (of_activation, names::ACTIVATION_GRADIENT)] {
        let first = g.apply1(&format!("{name}.first"), ops::Slice { axis: 0, start: 0, len: 1 }, &[value])?;
        keep(g, first, name)?;
    }
    keep(g, of_images, names::IMAGE_GRADIENTS)?;
    keep(g, scores, names::SCORES)?;
    Ok(graph)
}

/// How answers are explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The layer whose output Grad-CAM weighs; without one, see [`find`].
    pub layer: Option<String>,
    /// Steps of the path that gradients are integrated along.
    pub steps: usize,
    /// Where that path begins: an image that has this value everywhere, from 0 (black) to 1 (white).
    pub baseline: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self { layer: None, steps: 32, baseline: 0.0 }
    }
}

/// Why a network gives a class its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The class.
    pub class: usize,
    /// Its score for the picture.
    pub score: f64,
    /// Its score for the baseline.
    pub baseline_score: f64,
    /// Grad-CAM, of the size of the layer's output.
    pub grad_cam: Map,
    /// Saliency, of the size of the picture.
    pub saliency: Map,
    /// Integrated gradients, added up over the channels: above 0 what speaks for the class, below what speaks against it.
    pub attributions: Map,
    /// The layer's output for the picture, `[h, w, k]`.
    pub activation: Tensor,
}

impl Explanation {
    /// How far the integrated gradients are from adding up to what the score rose by from the baseline to the picture.
    pub fn gap(&self) -> f64 {
        self.attributions.values.iter().sum::<f64>() - (self.score - self.baseline_score)
    }
}

/// A trained network on a device that explains its answers.
pub struct Explainer {
    session: Session,
    layer: Spatial,
    image: [usize; 3],
    classes: usize,
    rows: usize,
    steps: usize,
    baseline: f32,
}

impl Explainer {
    /// Prepares for pictures `[h, w, c]`. The parameters are the flat buffers of the network's layout.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the network does not fit, or for options that make no sense.
    pub fn new(
        device: &Device,
        network: &Network,
        (image, classes): ([usize; 3], usize),
        options: &Options,
        state: &[Vec<f32>; 2],
    ) -> Result<Self> {
        check_fit(network, image, classes)?;
        let Options { layer, steps, baseline } = options;
        let (layer, steps, baseline) = (find(network, layer.as_deref())?, *steps, *baseline);
        if steps == 0 || !(0.0..=1.0).contains(&baseline) {
            return Err(Error::Invalid(format!(
                "gradients are integrated over at least 1 step from a baseline of 0 (black) to 1 (white), not over {steps} from {baseline}"
            )));
        }
        let (layout, mut rows) = (network.layout()?, (steps + 2).min(MOST_ROWS));
        let graph = loop {
            let graph = device.fuse(graph(network, &layout, layer.index, rows)?, &[])?.0;
            match device.fits(&graph) {
                // Tensors too large for this device's bindings: fewer images together.
                Err(_) if rows > 1 => rows = rows.div_ceil(2),
                fits => break fits.map(|()| graph)?,
            }
        };
        let mut session = trust::session(device, vec![graph], session::Options::default())?;
        write_state(&mut session, state)?;
        session.write("explain.control", &Tensor::u32([control::LEN], vec![0; control::LEN]))?;
        Ok(Self { session, layer, image, classes, rows, steps, baseline })
    }

    /// The layer whose output Grad-CAM weighs.
    pub fn layer(&self) -> &Spatial {
        &self.layer
    }

    /// Replaces the weights.
    ///
    /// # Errors
    /// Where they are not those of the network.
    pub fn set_state(&mut self, state: &[Vec<f32>; 2]) -> Result<()> {
        write_state(&mut self.session, state)
    }

    /// Explains the score of `class` for one picture, bytes `[h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the bytes are no such picture, there is no such class, or what the network computes is not finite.
    pub async fn run(&mut self, picture: &[u8], class: usize) -> Result<Explanation> {
        let [h, w, c] = self.image;
        if picture.len() != h * w * c || class >= self.classes {
            let problem = format!(
                "{} bytes and class number {class} are no picture of {h}×{w}×{c} and no class of {}",
                picture.len(),
                self.classes
            );
            return Err(Error::Invalid(problem));
        }
        let pick = (0..self.rows * self.classes).map(|at| if at % self.classes == class { 1.0 } else { 0.0 });
        self.session.write(names::UPSTREAM, &Tensor::float([self.rows, self.classes], pick.collect()))?;
        let pixels: Vec<f32> = picture.iter().map(|&byte| f32::from(byte) * PIXEL).collect();
        // The picture, the baseline, then the path between them.
        let shares: Vec<f32> = [1.0, 0.0].into_iter().chain((0..self.steps).map(|j| self.share(j))).collect();
        let mut scores = Vec::with_capacity(shares.len());
        let mut saliency = Vec::new();
        let mut integrated = vec![0.0; pixels.len()];
        let mut layer = Vec::new();
        for (number, shares) in shares.chunks(self.rows).enumerate() {
            let mut read = self.gradients(&pixels, shares).await?;
            let rows = read[1].floats().chunks(pixels.len()).take(shares.len());
            for (row, gradient) in rows.enumerate() {
                match number * self.rows + row {
                    0 => saliency = gradient.to_vec(),
                    1 => {}
                    _ => integrated.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += f64::from(g)),
                }
            }
            scores.extend(read[0].floats().chunks(self.classes).take(shares.len()).map(|row| f64::from(row[class])));
            if number == 0 {
                layer = read.split_off(2);
            }
        }
        // What was read of the layer: its output, then its gradient.
        let grad_cam = maps::grad_cam(&layer[0], &layer[1]);
        let activation = layer.swap_remove(0);
        let way = |i: usize| f64::from(pixels[i]) - f64::from(self.baseline);
        let attribution = |i: usize| way(i) * integrated[i] / self.steps as f64;
        Ok(Explanation {
            class,
            score: scores[0],
            baseline_score: scores[1],
            grad_cam,
            saliency: Map::new([h, w], |place| {
                saliency[place * c..(place + 1) * c].iter().fold(0.0, |most, g| f64::from(g.abs()).max(most))
            }),
            attributions: Map::new([h, w], |place| (place * c..(place + 1) * c).map(attribution).sum()),
            activation: Tensor::new(self.layer.shape.to_vec(), activation.elements),
        })
    }

    /// How far point `j` from 0 lies on the way from the baseline to the picture.
    fn share(&self, j: usize) -> f32 {
        ((j as f64 + 0.5) / self.steps as f64) as f32
    }

    /// Scores, gradients of the images, and the layer's output with its gradient, for images that lie so far on the way from the
    /// baseline to the picture. Rows that are left over hold the baseline.
    async fn gradients(&mut self, pixels: &[f32], shares: &[f32]) -> Result<Vec<Tensor>> {
        let [h, w, c] = self.image;
        let mut images = Vec::with_capacity(self.rows * pixels.len());
        for row in 0..self.rows {
            let share = shares.get(row).copied().unwrap_or(0.0);
            images.extend(pixels.iter().map(|pixel| self.baseline + share * (pixel - self.baseline)));
        }
        self.session.write(names::IMAGES, &Tensor::float([self.rows, h, w, c], images))?;
        let wanted = [names::SCORES, names::IMAGE_GRADIENTS, names::ACTIVATION, names::ACTIVATION_GRADIENT];
        let read = self.session.run(0, 1, &wanted)?.wait().await?;
        match read.iter().all(|tensor| tensor.floats().iter().all(|value| value.is_finite())) {
            true => Ok(read),
            false => Err(Error::Invalid("what the network computes for this picture is not finite".into())),
        }
    }
}
