//! A network, changed in one thing: its activation, its initialiser, normalisations, shortcuts. Each answers `None` where there is
//! nothing to change, and a network whose shapes fit together otherwise. Layers keep their names; those that are added are named
//! after the layer that they follow.

use super::{Init, Layer, NamedLayer, Network};
use crate::error::{Error, Result};

impl Network {
    /// The same with a ReLU in the place of each sigmoid and tanh.
    ///
    /// # Errors
    /// None, if the network is sound.
    pub fn with_relu(&self) -> Result<Option<Self>> {
        let mut network = self.clone();
        for named in &mut network.layers {
            if named.layer.activation().is_some_and(|activation| activation.unsaturated().is_some()) {
                named.layer = Layer::Relu;
            }
        }
        network.unless_same(self)
    }

    /// The same whose convolutions and linear layers all begin so.
    ///
    /// # Errors
    /// None, if the network is sound.
    pub fn with_init(&self, init: Init) -> Result<Option<Self>> {
        let mut network = Self { init, ..self.clone() };
        for named in &mut network.layers {
            match &mut named.layer {
                Layer::Conv2d(options) => options.init = None,
                Layer::Linear(options) => options.init = None,
                _ => {}
            }
        }
        let began = |network: &Self| {
            let layout = network.layout()?;
            Ok::<_, Error>(layout.parameters.iter().map(|placed| placed.parameter.init).collect::<Vec<_>>())
        };
        if began(self)? == began(&network)? { Ok(None) } else { network.unless_same(self) }
    }

    /// The same with a batch normalisation behind each convolution that has no normalisation behind it, in the place of its bias.
    ///
    /// # Errors
    /// None, if the network is sound.
    pub fn with_batch_norm(&self) -> Result<Option<Self>> {
        let mut network = self.explicit();
        let bare = |network: &Self, at: usize| {
            matches!(network.layers[at].layer, Layer::Conv2d(_))
                && !network.read_by(&network.layers[at].name).any(|reader| reader.layer.normalises())
        };
        // The output is no place for a normalisation.
        for at in (0..network.layers.len().saturating_sub(1)).rev().collect::<Vec<_>>() {
            if !bare(&network, at) {
                continue;
            }
            if let Layer::Conv2d(options) = &mut network.layers[at].layer {
                (options.bias, options.bias_init) = (false, None);
            }
            let (before, name) =
                (network.layers[at].name.clone(), network.free(&format!("{}_norm", network.layers[at].name)));
            network.redirect(&before, &name);
            let layer = Layer::BatchNorm2d { eps: 1e-5, momentum: 0.1 };
            network.layers.insert(at + 1, NamedLayer { name, inputs: vec![before], layer });
        }
        network.unless_same(&self.explicit())
    }

    /// The same without any normalisation; layers before one get the bias that it made needless.
    ///
    /// # Errors
    /// None, if the network is sound.
    pub fn without_norm(&self) -> Result<Option<Self>> {
        let mut network = self.explicit();
        while let Some(at) = network.layers.iter().position(|named| named.layer.normalises()) {
            let before = network.take_out(at, 0);
            match network.layers.iter_mut().find(|named| named.name == before).map(|named| &mut named.layer) {
                Some(Layer::Conv2d(options)) => options.bias = true,
                Some(Layer::Linear(options)) => options.bias = true,
                _ => {}
            }
        }
        network.unless_same(&self.explicit())
    }

    /// The same with an identity over each two layers (a convolution or linear layer with its normalisation and activation) that
    /// follow each other and leave the shape as it is, or over one where the next does not. Only for a chain: one that branches
    /// has shortcuts already, or something else that they would disturb.
    ///
    /// # Errors
    /// None, if the network is sound.
    pub fn with_shortcuts(&self) -> Result<Option<Self>> {
        let mut network = self.explicit();
        let chain = network.layers.iter().enumerate().all(|(at, named)| {
            let before = if at == 0 { &network.inputs[0].name } else { &network.layers[at - 1].name };
            named.inputs == [before.clone()]
        });
        if !chain || network.inputs.len() != 1 {
            return Ok(None);
        }
        let shapes: Vec<Vec<usize>> =
            self.summary(2)?.rows.into_iter().map(|row| row.output.into_iter().skip(1).collect()).collect();
        let into = |at: usize| if at == 0 { &self.inputs[0].shape } else { &shapes[at - 1] };
        // Each unit: its weighted layer, and the last layer behind that which normalises or activates. The head is none.
        let weighted: Vec<usize> = (0..self.layers.len()).filter(|&at| self.layers[at].layer.is_weighted()).collect();
        let follows = |layer: &Layer| layer.normalises() || layer.activation().is_some();
        let end = |at: usize| at + self.layers[at + 1..].iter().take_while(|named| follows(&named.layer)).count();
        let units: Vec<[usize; 2]> = weighted.iter().rev().skip(1).rev().map(|&at| [at, end(at)]).collect();
        let mut bridges = Vec::new();
        let mut unit = 0;
        while unit < units.len() {
            let [start, end] = units[unit];
            let two = units.get(unit + 1).filter(|next| next[0] == end + 1 && shapes[next[1]] == *into(start));
            match two {
                Some(&[_, end]) => {
                    bridges.push([start, end]);
                    unit += 1;
                }
                None if shapes[end] == *into(start) => bridges.push([start, end]),
                None => {}
            }
            unit += 1;
        }
        for [start, end] in bridges.into_iter().rev() {
            let from = network.layers[start].inputs[0].clone();
            let (before, name) =
                (network.layers[end].name.clone(), network.free(&format!("{}_add", network.layers[end].name)));
            network.redirect(&before, &name);
            network.layers.insert(end + 1, NamedLayer { name, inputs: vec![before, from], layer: Layer::Add });
        }
        network.unless_same(&self.explicit())
    }

    /// The same without sums: of what a sum adds, the value that has come through the most layers stays. Layers that nothing reads any
    /// more are left out.
    ///
    /// # Errors
    /// [`Error::Shape`] where what stays does not fit.
    pub fn without_shortcuts(&self) -> Result<Option<Self>> {
        let mut network = self.explicit();
        while let Some(at) = network.layers.iter().position(|named| named.layer == Layer::Add) {
            let inputs = &network.layers[at].inputs;
            let main = (0..inputs.len()).max_by_key(|&input| network.way(&inputs[input])).unwrap_or(0);
            network.take_out(at, main);
        }
        let read = |network: &Self, at: usize| network.read_by(&network.layers[at].name).next().is_some();
        while let Some(at) = (0..network.layers.len().saturating_sub(1)).rev().find(|&at| !read(&network, at)) {
            network.layers.remove(at);
        }
        network.unless_same(&self.explicit())
    }

    /// The same network, in which each layer says what it reads.
    fn explicit(&self) -> Self {
        let mut network = self.clone();
        let mut before = network.inputs.first().map(|input| input.name.clone()).unwrap_or_default();
        for named in &mut network.layers {
            if named.inputs.is_empty() {
                named.inputs.push(before.clone());
            }
            before.clone_from(&named.name);
        }
        network
    }

    /// This name, or the first one with a number behind it that nothing has yet.
    fn free(&self, name: &str) -> String {
        let taken = |name: &String| {
            self.layers.iter().any(|named| named.name == *name) || self.inputs.iter().any(|input| input.name == *name)
        };
        let mut names = std::iter::once(name.to_owned()).chain((2u64..).map(|number| format!("{name}{number}")));
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    /// The layers that read this value, in a network of which each layer says what it reads.
    fn read_by<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a NamedLayer> {
        self.layers.iter().filter(move |named| named.inputs.iter().any(|input| input == name))
    }

    /// Lets who read `from` read `to`.
    fn redirect(&mut self, from: &str, to: &str) {
        for input in self.layers.iter_mut().flat_map(|named| &mut named.inputs).filter(|input| *input == from) {
            to.clone_into(input);
        }
    }

    /// Takes a layer out; who read it reads its input number `input`, whose name is the answer.
    fn take_out(&mut self, at: usize, input: usize) -> String {
        let taken = self.layers.remove(at);
        let before = taken.inputs[input].clone();
        self.redirect(&taken.name, &before);
        before
    }

    /// How many layers lie on the longest way from an input to this value.
    fn way(&self, name: &str) -> usize {
        let mut ways: Vec<(&str, usize)> = Vec::new();
        for named in &self.layers {
            let of = |input: &String| ways.iter().find(|(known, _)| known == input).map_or(0, |(_, way)| *way);
            let way = 1 + named.inputs.iter().map(of).max().unwrap_or(0);
            ways.push((&named.name, way));
        }
        ways.into_iter().find(|(known, _)| *known == name).map_or(0, |(_, way)| way)
    }

    /// The changed network, checked; `None` where it is the one before.
    fn unless_same(self, before: &Self) -> Result<Option<Self>> {
        if self == *before {
            return Ok(None);
        }
        self.check()?;
        Ok(Some(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{DeepPlain, Norm, Sequential, deep_plain::deep_plain, shipped};

    fn count(network: &Network, what: fn(&Layer) -> bool) -> usize {
        network.layers.iter().filter(|named| what(&named.layer)).count()
    }

    fn is_add(layer: &Layer) -> bool {
        *layer == Layer::Add
    }

    fn deep(norm: Norm, residual: bool, activation: Layer) -> Network {
        let options = DeepPlain { depth: 6, width: 4, norm, residual, activation, ..DeepPlain::default() };
        deep_plain([8, 8, 1], 10, &options).unwrap()
    }

    #[test]
    fn what_is_added_can_be_taken_away_again() {
        for activation in [Layer::Sigmoid, Layer::Relu] {
            let plain = deep(Norm::None, false, activation);
            assert!(plain.without_norm().unwrap().is_none() && plain.without_shortcuts().unwrap().is_none());
            let normed = plain.with_batch_norm().unwrap().unwrap();
            assert_eq!(count(&normed, Layer::normalises), 6);
            assert_eq!(
                normed.layout().unwrap().trained(),
                deep(Norm::Batch, false, activation).layout().unwrap().trained()
            );
            assert!(normed.with_batch_norm().unwrap().is_none());
            assert_eq!(normed.without_norm().unwrap().unwrap(), plain.explicit());
            // conv1 changes the channels; conv2 with conv3 and conv4 with conv5 are bridged by two, conv6 alone.
            let bridged = plain.with_shortcuts().unwrap().unwrap();
            assert_eq!(count(&bridged, is_add), 3);
            assert_eq!(bridged.without_shortcuts().unwrap().unwrap(), plain.explicit());
            assert!(bridged.with_shortcuts().unwrap().is_none(), "it branches already");
        }
        let normed = deep(Norm::Batch, true, Layer::Relu);
        assert_eq!(count(&normed.without_norm().unwrap().unwrap(), is_add), 2);
        assert_eq!(normed.without_shortcuts().unwrap().unwrap(), deep(Norm::Batch, false, Layer::Relu).explicit());
    }

    #[test]
    fn activations_and_initialisers_change_where_they_are_others() {
        let sigmoid = deep(Norm::None, false, Layer::Sigmoid);
        let relu = sigmoid.with_relu().unwrap().unwrap();
        assert_eq!(
            (count(&relu, |layer| *layer == Layer::Relu), count(&relu, |layer| *layer == Layer::Sigmoid)),
            (6, 0)
        );
        assert!(relu.with_relu().unwrap().is_none());
        let he = relu.with_init(Init::HeNormal).unwrap().unwrap();
        assert!(he.with_init(Init::HeNormal).unwrap().is_none());
        assert!(relu.with_init(Init::GlorotUniform).unwrap().is_none());
        assert_eq!(he.layout().unwrap().parameters[0].parameter.init, Init::HeNormal);
    }

    #[test]
    fn every_shipped_network_can_be_changed_in_every_way() {
        for name in shipped::NAMES {
            let network = shipped::network(name, [32, 32, 3], 10).unwrap();
            let changed = [
                network.with_relu(),
                network.with_init(Init::HeNormal),
                network.with_batch_norm(),
                network.without_norm(),
                network.with_shortcuts(),
                network.without_shortcuts(),
            ];
            let changed: Vec<Option<Network>> = changed.into_iter().collect::<Result<_>>().unwrap();
            for network in changed.iter().flatten() {
                assert_eq!(network.summary(2).unwrap().rows.last().unwrap().output, [2, 10], "{name}");
            }
            let adds = |network: &Option<Network>| network.as_ref().map(|network| count(network, is_add));
            assert!(adds(&changed[5]).is_none_or(|adds| adds == 0), "{name}");
            assert!(changed[4].is_none() || changed[5].is_none(), "{name} has shortcuts, or it has none");
        }
        let flat = Sequential::new("flat", &[4, 4, 1]).flatten().linear(16).relu().linear(10).build().unwrap();
        assert!(flat.with_batch_norm().unwrap().is_none(), "no convolution");
        assert_eq!(count(&flat.with_shortcuts().unwrap().unwrap(), is_add), 1);
    }
}
