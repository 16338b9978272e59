//! Initialisers that cannot work where they stand, each told in a sentence: what will happen, and what to write instead.
//! Nothing is changed: a bad choice may be the point of an experiment.

use super::{Init, Layer, Layout, Network};

/// Scales beyond this factor of what Glorot's or He's formula asks for are told.
const FAR: f64 = 10.0;

/// What is wrong with the weights of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// All units are and stay the same.
    Alike,
    /// Nothing passes a ReLU, in either direction.
    Dead,
    /// The scale, over the one that a formula asks for.
    Scale {
        factor: f64,
        /// Whether the formula is He's, for an activation like ReLU; else Glorot's.
        he: bool,
    },
}

impl Fault {
    /// Whether two layers are told of in one sentence.
    fn joins(self, other: Self) -> bool {
        match (self, other) {
            (Self::Scale { factor, he }, Self::Scale { factor: other, he: also }) => {
                he == also && (factor > 1.0) == (other > 1.0)
            }
            _ => self == other,
        }
    }
}

impl Network {
    /// A sentence for each group of layers whose initialiser cannot work, or is far from the scale that keeps activations as large
    /// as they are.
    pub(super) fn advice(&self, layout: &Layout) -> Vec<String> {
        let mut groups: Vec<(Init, Vec<(Fault, &str)>)> = Vec::new();
        for (at, named) in self.layers.iter().enumerate() {
            let (Some(init), Some(fault)) = (self.init_of(at), self.fault(at, layout)) else { continue };
            let found = (fault, named.name.as_str());
            match groups.iter_mut().find(|(other, faults)| *other == init && faults[0].0.joins(fault)) {
                Some((_, faults)) => faults.push(found),
                None => groups.push((init, vec![found])),
            }
        }
        groups.iter().map(|(init, faults)| sentence(*init, faults)).collect()
    }

    fn init_of(&self, at: usize) -> Option<Init> {
        match self.layers[at].layer {
            Layer::Conv2d(options) => Some(options.init.unwrap_or(self.init)),
            Layer::Linear(options) => Some(options.init.unwrap_or(self.init)),
            _ => None,
        }
    }

    /// The layers that read layer `at`.
    pub(crate) fn readers(&self, at: usize) -> Vec<usize> {
        let name = &self.layers[at].name;
        let reads = |&index: &usize| match self.layers[index].inputs.as_slice() {
            [] => index == at + 1,
            names => names.contains(name),
        };
        (at + 1..self.layers.len()).filter(reads).collect()
    }

    /// The convolutions and linear layers that read layer `at`, with nothing but layers between that treat all channels alike;
    /// `None` where something between does not.
    fn weighted_readers(&self, at: usize) -> Option<Vec<usize>> {
        let (mut found, mut seen, mut open) = (Vec::new(), vec![false; self.layers.len()], self.readers(at));
        while let Some(reader) = open.pop() {
            match self.layers[reader].layer {
                _ if std::mem::replace(&mut seen[reader], true) => {}
                Layer::Conv2d(_) | Layer::Linear(_) => found.push(reader),
                Layer::Mul | Layer::Dropout { .. } => return None,
                _ => open.extend(self.readers(reader)),
            }
        }
        Some(found)
    }

    /// Whether a normalisation reads layer `at` directly, and the activation behind it.
    fn behind(&self, at: usize) -> (bool, Option<Layer>) {
        let (mut normalised, mut at) = (false, at);
        while let [reader] = self.readers(at)[..] {
            let layer = self.layers[reader].layer;
            match layer {
                _ if layer.normalises() => normalised = true,
                Layer::MaxPool2d(_) | Layer::AvgPool2d(_) => {}
                _ if layer.activation().is_some() => return (normalised, Some(layer)),
                _ => break,
            }
            at = reader;
        }
        (normalised, None)
    }

    fn fault(&self, at: usize, layout: &Layout) -> Option<Fault> {
        let (init, named) = (self.init_of(at)?, &self.layers[at]);
        if matches!(init, Init::GlorotUniform | Init::GlorotNormal | Init::HeUniform | Init::HeNormal) {
            return None;
        }
        let (units, bias, bias_init) = match named.layer {
            Layer::Conv2d(o) => (o.channels / o.groups.max(1), o.bias, o.bias_init),
            Layer::Linear(o) => (o.units, o.bias, o.bias_init),
            _ => return None,
        };
        let same = |init: Init| matches!(init, Init::Zeros | Init::Ones | Init::Constant { .. });
        let readers = self.weighted_readers(at);
        let is_head = readers.as_ref().is_some_and(Vec::is_empty);
        let (normalised, activation) = self.behind(at);
        if same(init) {
            let alike = readers.is_some_and(|all| all.iter().all(|&reader| self.init_of(reader).is_some_and(same)));
            let biased = bias && bias_init.is_some_and(|init| init != Init::Zeros);
            let zeros = matches!(init, Init::Zeros) || init == Init::Constant { value: 0.0 };
            return match () {
                () if alike && !is_head && units > 1 => Some(Fault::Alike),
                () if zeros && !biased && activation == Some(Layer::Relu) => Some(Fault::Dead),
                () => None,
            };
        }
        if normalised {
            return None;
        }
        let weight = &layout.find(&format!("{}.weight", named.name))?.parameter;
        let he = activation.is_some_and(|layer| !matches!(layer, Layer::Sigmoid | Layer::Tanh));
        let right = if he { Init::HeNormal } else { Init::GlorotNormal };
        let factor = init.deviation(&weight.shape, weight.fan) / right.deviation(&weight.shape, weight.fan);
        // A head that begins small only begins with even chances for all classes.
        let far = factor > FAR || (factor < 1.0 / FAR && !is_head);
        far.then_some(Fault::Scale { factor, he })
    }
}

/// `conv1`, `conv1 and conv2`, `conv1, conv2 and 4 more layers`
fn names(faults: &[(Fault, &str)]) -> String {
    match faults {
        [(_, one)] => (*one).to_owned(),
        [(_, one), (_, two)] => format!("{one} and {two}"),
        [(_, one), (_, two), (_, three)] => format!("{one}, {two} and {three}"),
        [(_, one), (_, two), rest @ ..] => format!("{one}, {two} and {} more layers", rest.len()),
        [] => String::new(),
    }
}

/// A factor with two digits.
fn times(factor: f64) -> String {
    if factor < 100.0 { format!("{factor:.0}") } else { format!("{:.0}", (factor / 10.0).round() * 10.0) }
}

fn sentence(init: Init, faults: &[(Fault, &str)]) -> String {
    let (layers, word) = (names(faults), if faults.len() == 1 { "its" } else { "their" });
    match faults[0].0 {
        Fault::Alike => format!(
            "init = {init} in {layers}: all units of a layer begin alike, get the same gradient and stay alike, so that each layer \
             learns one feature at most; write init = \"glorot_uniform\", or \"he_normal\" before a ReLU"
        ),
        Fault::Dead => format!(
            "init = {init} in {layers}: every unit answers 0, where the derivative of ReLU is 0, so {word} weights never change; \
             write init = \"he_normal\""
        ),
        Fault::Scale { he, .. } => {
            let factors = || {
                faults.iter().filter_map(|(fault, _)| match fault {
                    Fault::Scale { factor, .. } if *factor > 1.0 => Some(*factor),
                    Fault::Scale { factor, .. } => Some(1.0 / factor),
                    _ => None,
                })
            };
            let (least, most) = factors().fold((f64::INFINITY, 0.0f64), |(l, m), f| (l.min(f), m.max(f)));
            let [least, most] = [least, most].map(times);
            let range = if least == most { most } else { format!("{least} to {most}") };
            let large = matches!(faults[0].0, Fault::Scale { factor, .. } if factor > 1.0);
            let (formula, instead) = if he { ("He's", "he_normal") } else { ("Glorot's", "glorot_uniform") };
            let (size, grow) = if large { ("large", "grow") } else { ("small", "shrink") };
            format!(
                "init = {init} in {layers}: {range} times as {size} as {formula} formula asks for, so that activations and gradients \
                 {grow} by about that factor a layer; write init = \"{instead}\""
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Conv2dLayer, DeepPlain, LinearLayer, Norm, Sequential, deep_plain::deep_plain};

    fn advice(options: &DeepPlain) -> Vec<String> {
        let network = deep_plain([8, 8, 1], 10, options).unwrap();
        network.advice(&network.layout().unwrap())
    }

    #[test]
    fn a_bad_initialiser_is_told_once_for_all_layers_that_have_it() {
        let with = |init, activation| DeepPlain { depth: 5, width: 8, init, activation, ..DeepPlain::default() };
        for (init, activation, said) in [
            (
                Init::Zeros,
                Layer::Sigmoid,
                "init = \"zeros\" in conv1, conv2 and 3 more layers: all units of a layer begin alike",
            ),
            (Init::Constant { value: 0.1 }, Layer::Relu, "in conv1, conv2 and 3 more layers: all units"),
            (Init::Normal { std: 3.0 }, Layer::Tanh, "as large as Glorot's formula asks for"),
            (
                Init::Normal { std: 1e-3 },
                Layer::Relu,
                "in conv1, conv2 and 3 more layers: 170 to 470 times as small as He's formula",
            ),
        ] {
            let found = advice(&with(init, activation));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(said), "{found:?}");
        }
        for init in [Init::GlorotUniform, Init::HeNormal, Init::Orthogonal { gain: 1.0 }, Init::Normal { std: 0.1 }] {
            assert_eq!(advice(&with(init, Layer::Relu)), [""; 0]);
        }
    }

    #[test]
    fn what_can_work_is_not_told() {
        let normalised = DeepPlain { norm: Norm::Batch, init: Init::Normal { std: 100.0 }, ..DeepPlain::default() };
        // Only the head is not normalised.
        assert!(advice(&normalised)[0].contains("in head: "), "{:?}", advice(&normalised));
        let advice = |network: Network| network.advice(&network.layout().unwrap());
        let zero = LinearLayer::new(10).init(Init::Zeros);
        let head = Sequential::new("head", &[4, 4, 1]).flatten().linear(5).relu().layer(Layer::Linear(zero));
        assert_eq!(advice(head.build().unwrap()), [""; 0]);
        let conv = Conv2dLayer::new(4, 3).init(Init::Zeros);
        let chain = |layer: Layer, conv| {
            let net = Sequential::new("one", &[4, 4, 1]).layer(Layer::Conv2d(conv)).layer(layer).flatten().linear(10);
            advice(net.build().unwrap())
        };
        assert!(chain(Layer::Relu, conv)[0].contains("in conv1: every unit answers 0"));
        assert_eq!(chain(Layer::Sigmoid, conv), [""; 0]);
        assert_eq!(chain(Layer::Relu, conv.bias_init(Init::Constant { value: 0.1 })), [""; 0]);
    }
}
