//! What was measured in a watched step, and how it is written down.

use serde_json::{Map, Value, json};

use crate::ops::statistics::{BINS, COUNTS, FIGURES, bin_exponent, unit};

/// What was counted of a tensor. Norm and magnitudes are those of its normal numbers: subnormal ones count as zero in them, NaN and
/// infinities not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measured {
    /// How many elements it has.
    pub elements: u64,
    /// √Σ x².
    pub norm: f64,
    /// The mean magnitude of its finite elements.
    pub mean: f64,
    /// The largest magnitude.
    pub largest: f64,
    /// Zeros of either sign.
    pub zeros: u64,
    /// Numbers below the smallest normal float32.
    pub subnormals: u64,
    /// NaN and infinities.
    pub non_finite: u64,
    /// Elements at which the derivative of the activation that made them is below a hundredth of its largest value.
    pub saturated: u64,
    /// Magnitudes of a sixteenth of the elements, or of those that can be other than zero, by powers of two: bin b counts those from
    /// 2^(2b − 112) up to 2^(2b − 110), the first one all smaller ones too, the last one all larger ones. Empty where none was made.
    pub bins: Vec<u32>,
}

impl Measured {
    /// From a record as [`crate::ops::statistics`] has it.
    pub(super) fn new(elements: usize, figures: [f64; FIGURES], counts: [u32; COUNTS], bins: &[u32]) -> Self {
        let [largest, zeros, subnormals, non_finite, saturated, _] = counts;
        let (unit, finite) = (unit(largest), elements as u64 - u64::from(non_finite));
        Self {
            elements: elements as u64,
            norm: figures[0].sqrt() * unit,
            mean: figures[1] * unit / finite.max(1) as f64,
            largest: f32::from_bits(largest).into(),
            zeros: zeros.into(),
            subnormals: subnormals.into(),
            non_finite: non_finite.into(),
            saturated: saturated.into(),
            bins: bins.to_vec(),
        }
    }

    /// The same with so many more zeros.
    pub(super) fn with_zeros(self, more: usize) -> Self {
        let finite = |elements: u64| (elements - self.non_finite).max(1) as f64;
        let (elements, zeros) = (self.elements + more as u64, self.zeros + more as u64);
        Self { elements, zeros, mean: self.mean * (finite(self.elements) / finite(elements)), ..self }
    }

    /// A count's share of the elements.
    pub fn share(&self, count: u64) -> f64 {
        count as f64 / self.elements.max(1) as f64
    }

    /// The bins that are not empty, by the exponents of their lower ends.
    pub fn exponents(&self) -> impl Iterator<Item = (i32, u32)> {
        let bins = self.bins.iter().take(BINS).enumerate();
        bins.filter(|(_, count)| **count > 0).map(|(bin, &count)| (bin_exponent(bin), count))
    }

    fn json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        put("norm", self.norm.into());
        put("mean", self.mean.into());
        put("largest", self.largest.into());
        for (key, count) in [("zeros", self.zeros), ("subnormals", self.subnormals), ("non_finite", self.non_finite)] {
            put(key, self.share(count).into());
        }
        if !self.bins.is_empty() {
            let bins: Map<String, Value> =
                self.exponents().map(|(exponent, count)| (exponent.to_string(), count.into())).collect();
            put("log2", bins.into());
        }
        object
    }
}

/// A trained parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterFlow {
    /// PyTorch's name: `conv1.weight`.
    pub name: String,
    /// Its weights before the step.
    pub value: Measured,
    /// Their gradient, before clipping.
    pub gradient: Measured,
    /// How much the step changed them.
    pub update: Measured,
}

impl ParameterFlow {
    /// ‖update‖ / ‖weights‖; none where the weights are zero.
    pub fn ratio(&self) -> Option<f64> {
        (self.value.norm > 0.0).then(|| self.update.norm / self.value.norm)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "elements": self.value.elements, "value": self.value.json(),
            "gradient": self.gradient.json(), "update": self.update.norm, "update_to_weight": self.ratio(),
        })
    }
}

/// The units of a layer with a ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// Units that were zero for each of [`Flow::images`].
    pub dead: u64,
    /// All units: channels of an image, features of a row.
    pub of: u64,
}

/// The output of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationFlow {
    /// The layer.
    pub layer: String,
    /// The layers before it whose outputs only exist inside of its kernel: the convolution before a ReLU.
    pub stands_for: Vec<String>,
    /// Its output.
    pub value: Measured,
    /// The gradient of its output, or of an output that it stands for, where the plan keeps one in memory.
    pub gradient: Option<Measured>,
    /// The layer of that output, where it is not this one.
    pub gradient_of: Option<String>,
    /// Whether it can saturate: it is a sigmoid or tanh.
    pub saturates: bool,
    /// Its units, where it is a ReLU.
    pub units: Option<Units>,
}

impl ActivationFlow {
    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("layer".into(), self.layer.clone().into());
        if !self.stands_for.is_empty() {
            object.insert("stands_for".into(), self.stands_for.clone().into());
        }
        object.insert("elements".into(), self.value.elements.into());
        object.insert("value".into(), self.value.json().into());
        if let Some(gradient) = &self.gradient {
            object.insert("gradient".into(), gradient.json().into());
        }
        if let Some(layer) = &self.gradient_of {
            object.insert("gradient_of".into(), layer.clone().into());
        }
        if self.saturates {
            object.insert("saturated".into(), self.value.share(self.value.saturated).into());
        }
        if let Some(Units { dead, of }) = self.units {
            object.insert("units".into(), of.into());
            object.insert("dead_units".into(), dead.into());
        }
        object.into()
    }
}

/// One watched step.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The step, from 1, since training began.
    pub step: u64,
    /// Its loss.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// Images of this watched step and of as many before it as it takes to call a unit dead.
    pub images: u64,
    /// Every parameter, in the order of the layers.
    pub parameters: Vec<ParameterFlow>,
    /// Every output of a layer that is in memory in a watched step, in the order of the layers.
    pub activations: Vec<ActivationFlow>,
}

impl Flow {
    /// The step in one line of JSON, as metrics and `--json` have it. Shares are of the elements; `log2` has the magnitudes of a
    /// sixteenth of them by the power of two from which their bin begins, two octaves wide.
    pub fn json(&self) -> Value {
        json!({
            "event": "flow", "epoch": self.epoch, "step": self.step, "loss": self.loss, "lr": self.lr,
            "images": self.images,
            "parameters": self.parameters.iter().map(ParameterFlow::json).collect::<Vec<_>>(),
            "activations": self.activations.iter().map(ActivationFlow::json).collect::<Vec<_>>(),
        })
    }
}
