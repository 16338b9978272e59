//! Which layer's output is looked at, and the filters of the first convolution.

use crate::error::{Error, Result};
use crate::format::document::nearest;
use crate::nn::{Layer, Network};
use crate::tensor::Tensor;

/// A layer whose output has height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spatial {
    /// Its place in the network.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Height, width and channels of its output for one image.
    pub shape: [usize; 3],
}

/// All layers whose output has more than one pixel, in their order.
///
/// # Errors
/// Where the network is impossible.
pub fn spatial(network: &Network) -> Result<Vec<Spatial>> {
    let rows = network.summary(1)?.rows.into_iter().enumerate();
    let with_space = rows.filter_map(|(index, row)| match row.output[..] {
        [1, h, w, c] if h * w > 1 => Some(Spatial { index, name: row.name, shape: [h, w, c] }),
        _ => None,
    });
    Ok(with_space.collect())
}

/// The layer called `name`; without a name, what the last convolution with space leaves for the rest of the network: the output of
/// the normalisation, shortcut and activation behind it, as far as nothing else comes between and nothing else reads them.
///
/// # Errors
/// [`Error::Invalid`] where there is no such layer, or its output has no height and width.
pub fn find(network: &Network, name: Option<&str>) -> Result<Spatial> {
    let all = spatial(network)?;
    let names = all.iter().map(|layer| layer.name.as_str());
    let listed = names.clone().collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return last_convolution(network, &all).cloned().ok_or_else(|| {
            let network = &network.name;
            Error::Invalid(match all.is_empty() {
                true => format!("no layer of network {network} has an output with height and width to be looked at"),
                false => format!(
                    "network {network} has no convolution whose output has height and width; choose a layer that has: {listed}"
                ),
            })
        });
    };
    if let Some(found) = all.iter().find(|layer| layer.name == name) {
        return Ok(found.clone());
    }
    let problem = match network.layers.iter().any(|layer| layer.name == name) {
        true => format!("the output of layer `{name}` has no height and width"),
        false => match nearest(name, names) {
            Some(near) => format!("there is no layer `{name}` (did you mean `{near}`?)"),
            None => format!("there is no layer `{name}`"),
        },
    };
    Err(Error::Invalid(format!("{problem}; choose one that has: {listed}")))
}

fn last_convolution<'a>(network: &Network, all: &'a [Spatial]) -> Option<&'a Spatial> {
    let last = all.iter().rfind(|layer| matches!(network.layers[layer.index].layer, Layer::Conv2d(_)))?;
    let mut at = last.index;
    while let [reader] = network.readers(at)[..] {
        let layer = network.layers[reader].layer;
        if !layer.normalises() && layer != Layer::Add && layer.activation().is_none() {
            break;
        }
        at = reader;
    }
    all.iter().find(|layer| layer.index == at)
}

/// The weights `[k_h, k_w, c_in / groups, c_out]` of the first convolution, and its name. The parameters are the flat buffer of the
/// network's layout.
///
/// # Errors
/// [`Error::Invalid`] where the network has no convolution.
pub fn filters(network: &Network, parameters: &[f32]) -> Result<(String, Tensor)> {
    let convolution = network.layers.iter().find(|named| matches!(named.layer, Layer::Conv2d(_)));
    let none = || Error::Invalid(format!("network {} has no convolution, and so no filters to show", network.name));
    let name = &convolution.ok_or_else(none)?.name;
    let layout = network.layout()?;
    let placed = layout.find(&format!("{name}.weight")).ok_or_else(none)?;
    let values = parameters.get(placed.offset..placed.offset + placed.parameter.len());
    let values = values.ok_or_else(|| Error::Invalid("these are not the parameters of this network".into()))?;
    Ok((name.clone(), Tensor::float(placed.parameter.shape.clone(), values.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Sequential, shipped};

    #[test]
    fn the_last_convolution_is_looked_at_behind_its_activation() {
        for (name, image, wanted) in [
            ("reference", [28, 28, 1], "relu3"),
            ("lenet5", [28, 28, 1], "tanh2"),
            ("resnet20", [32, 32, 3], "layer3_3_relu2"),
            ("convnext", [32, 32, 3], "stage2_2_add"),
            ("vgg", [32, 32, 3], "relu6"),
        ] {
            let network = shipped::network(name, image, 10).unwrap();
            assert_eq!(find(&network, None).unwrap().name, wanted, "{name}");
        }
    }

    #[test]
    fn a_layer_that_cannot_be_looked_at_is_refused_with_those_that_can() {
        let network = Sequential::new("small", &[4, 4, 1]).conv2d(2, 3).relu().flatten().linear(3).build().unwrap();
        for (name, said) in [
            ("relu", "there is no layer `relu` (did you mean `relu1`?); choose one that has: conv1, relu1"),
            ("dense1", "the output of layer `dense1` has no height and width; choose one that has: conv1, relu1"),
            ("x", "there is no layer `x`; choose one that has: conv1, relu1"),
        ] {
            let error = find(&network, Some(name)).unwrap_err().to_string();
            assert_eq!(error, said);
        }
        let flat = Sequential::new("flat", &[4, 4, 1]).flatten().linear(3).build().unwrap();
        let error = find(&flat, None).unwrap_err().to_string();
        assert!(error.contains("no layer of network flat has an output with height and width"), "{error}");
        assert!(filters(&flat, &[]).unwrap_err().to_string().contains("has no convolution"));
    }
}
