//! Every key of a network's description, as [`crate::format::schema`] checks and documents it.

use crate::format::schema::{Key, Kind, REQUIRED, Range, Section, Tagged};

const fn key(name: &'static str, kind: Kind, default: &'static str, says: &'static str) -> Key {
    Key { name, kind, default, says }
}

const COUNT: Kind = Kind::Whole { least: 1, most: 1 << 31 };
const PAIR: Kind = Kind::Sizes { count: 2, least: 1 };
const BORDER: Kind = Kind::Sizes { count: 4, least: 0 };

/// The initialisers.
pub static INITS: Tagged = Tagged {
    tag: "kind",
    common: &[],
    kinds: &[
        Section { title: "zeros", says: "all 0", keys: &[] },
        Section { title: "ones", says: "all 1", keys: &[] },
        Section {
            title: "constant",
            says: "all the same",
            keys: &[key("value", Kind::Number(Range::Any), REQUIRED, "the value")],
        },
        Section {
            title: "normal",
            says: "normal around 0",
            keys: &[key("std", Kind::Number(Range::Positive), REQUIRED, "standard deviation")],
        },
        Section {
            title: "uniform",
            says: "uniform within ±limit",
            keys: &[key("limit", Kind::Number(Range::Positive), REQUIRED, "largest magnitude")],
        },
        Section { title: "glorot_uniform", says: "uniform within ±√(6 / (fan_in + fan_out))", keys: &[] },
        Section { title: "glorot_normal", says: "normal with variance 2 / (fan_in + fan_out)", keys: &[] },
        Section { title: "he_uniform", says: "uniform within ±√(6 / fan_in), for layers before a ReLU", keys: &[] },
        Section { title: "he_normal", says: "normal with variance 2 / fan_in, for layers before a ReLU", keys: &[] },
        Section {
            title: "orthogonal",
            says: "rows or columns, whichever are fewer, orthogonal and of length gain",
            keys: &[key("gain", Kind::Number(Range::Positive), "1.0", "factor; √2 before a ReLU")],
        },
    ],
};

/// How weights begin, for a network or a layer.
pub const INIT: Kind = Kind::Choice(&INITS);

const WEIGHT_INIT: Key = key("init", INIT, "the network's", "how the weights begin");
const BIAS_INIT: Key = key("bias_init", INIT, "\"zeros\"", "how the bias begins");
const BIAS: Key = key("bias", Kind::Flag, "true", "whether there is a bias");
const EPS: Key = key("eps", Kind::Number(Range::Positive), "1e-5", "added to the variance inside the root");

const POOL: [Key; 5] = [
    key("kernel", PAIR, REQUIRED, "height and width of the window, in pixels"),
    key("stride", PAIR, "the kernel", "steps down and to the right, in pixels"),
    key("padding", BORDER, "[0, 0, 0, 0]", "border at the top, left, bottom and right, in pixels"),
    key("ceil_mode", Kind::Flag, "false", "whether windows that hang over the bottom or right edge count"),
    key("count_include_pad", Kind::Flag, "true", "whether means count the border; maxima never do"),
];

const fn plain(title: &'static str, says: &'static str) -> Section {
    Section { title, says, keys: &[] }
}

/// The layers.
pub static LAYERS: Tagged = Tagged {
    tag: "type",
    common: &[
        key("name", Kind::Text, REQUIRED, "what it is called; its parameters are `NAME.weight` and `NAME.bias`"),
        key("inputs", Kind::Texts, "the layer before it", "the inputs and layers that it reads"),
    ],
    kinds: &[
        Section {
            title: "conv2d",
            says: "convolution; as many groups as input channels make it depthwise",
            keys: &[
                key("channels", COUNT, REQUIRED, "output channels"),
                key("kernel", PAIR, REQUIRED, "height and width of the kernel, in pixels"),
                key("stride", PAIR, "[1, 1]", "steps down and to the right, in pixels"),
                key("padding", BORDER, "[0, 0, 0, 0]", "zeros at the top, left, bottom and right, in pixels"),
                key("dilation", PAIR, "[1, 1]", "distance between taps, in pixels"),
                key("groups", COUNT, "1", "groups of channels that do not see each other"),
                BIAS,
                WEIGHT_INIT,
                BIAS_INIT,
            ],
        },
        Section {
            title: "linear",
            says: "dense layer",
            keys: &[key("units", COUNT, REQUIRED, "output features"), BIAS, WEIGHT_INIT, BIAS_INIT],
        },
        Section { title: "max_pool2d", says: "maximum of each window", keys: &POOL },
        Section { title: "avg_pool2d", says: "mean of each window", keys: &POOL },
        plain("global_avg_pool2d", "mean of each channel over the whole image"),
        plain("relu", "max(x, 0)"),
        Section {
            title: "leaky_relu",
            says: "x above 0, else slope · x",
            keys: &[key("slope", Kind::Number(Range::NotNegative), "0.01", "slope below 0")],
        },
        Section {
            title: "elu",
            says: "x above 0, else alpha · (eˣ − 1)",
            keys: &[key("alpha", Kind::Number(Range::NotNegative), "1.0", "limit below 0, negated")],
        },
        plain("sigmoid", "1 / (1 + e⁻ˣ)"),
        plain("tanh", "hyperbolic tangent"),
        plain("silu", "x · sigmoid(x)"),
        plain("gelu", "x · Φ(x), with the normal distribution's Φ"),
        plain("gelu_tanh", "the same, approximated by tanh"),
        plain("softplus", "ln(1 + eˣ)"),
        plain("hard_swish", "x · min(max(x + 3, 0), 6) / 6"),
        plain("softmax", "over the channels"),
        plain("log_softmax", "over the channels"),
        Section {
            title: "batch_norm2d",
            says: "each channel to mean 0 and variance 1 over the batch, then scaled and shifted",
            keys: &[
                EPS,
                key("momentum", Kind::Number(Range::Share), "0.1", "weight of a batch in the running statistics"),
            ],
        },
        Section {
            title: "group_norm",
            says: "the same over the pixels and channels of a group, for each image alone",
            keys: &[key("groups", COUNT, REQUIRED, "groups; they divide the channels"), EPS],
        },
        Section {
            title: "layer_norm",
            says: "the same over the channels of each pixel, or over a vector",
            keys: &[EPS],
        },
        Section {
            title: "dropout",
            says: "zeroes elements by chance while training, and scales the others up",
            keys: &[key("rate", Kind::Number(Range::BelowOne), REQUIRED, "share that is zeroed")],
        },
        plain("add", "sum of its inputs: a residual connection"),
        plain("mul", "product of its inputs"),
        plain("concat", "its inputs one behind the other along the channels"),
        plain("flatten", "images to vectors, in the order channel, row, column"),
    ],
};

/// An input of a network.
pub static INPUT: Section = Section {
    title: "an input",
    says: "what the network reads",
    keys: &[
        key("name", Kind::Text, REQUIRED, "what layers call it"),
        key(
            "shape",
            Kind::Sizes { count: 0, least: 1 },
            REQUIRED,
            "height, width and channels of an image, without the batch",
        ),
    ],
};

/// The inputs, as a network's description and a recipe have them.
pub const INPUTS: Key = key("inputs", Kind::Tables(&INPUT), REQUIRED, "the network's inputs; training takes one image");
/// The layers, as a network's description and a recipe have them.
pub const LAYER_LIST: Key =
    key("layers", Kind::Variants(&LAYERS), REQUIRED, "the layers in their order; the last one is the output");

/// A network's description.
pub static NETWORK: Section = Section {
    title: "a network",
    says: "a description of one's own",
    keys: &[
        key("name", Kind::Text, REQUIRED, "what runs and listings call it"),
        key("init", INIT, "\"glorot_uniform\"", "how the weights begin of layers that do not say it themselves"),
        INPUTS,
        LAYER_LIST,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::NamedLayer;

    /// A value that the key takes and that is not its default.
    fn sample(key: &Key) -> &'static str {
        match (key.name, key.kind) {
            (_, Kind::Flag) if key.default == "true" => "false",
            (_, Kind::Flag) => "true",
            (_, Kind::Whole { .. }) => "7",
            (_, Kind::Number(_)) => "0.75",
            (_, Kind::Sizes { count: 2, .. }) => "[7, 8]",
            (_, Kind::Sizes { .. }) => "[1, 2, 3, 4]",
            (_, Kind::Choice(_)) => "{ kind = \"normal\", std = 0.5 }",
            other => panic!("no sample for {other:?}"),
        }
    }

    fn read(kind: &Section, keys: impl Fn(&Key) -> bool) -> toml::Table {
        let mut text = format!("name = \"a\"\ntype = \"{}\"\n", kind.title);
        for key in kind.keys.iter().filter(|key| keys(key)) {
            text += &format!("{} = {}\n", key.name, sample(key));
        }
        let layer: NamedLayer = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        toml::Table::try_from(&layer).unwrap()
    }

    #[test]
    fn the_keys_are_those_that_layers_read_with_the_defaults_that_they_have() {
        for kind in LAYERS.kinds {
            let (least, all) = (read(kind, Key::is_required), read(kind, |_| true));
            let mut written: Vec<&str> =
                all.keys().map(String::as_str).filter(|key| !["name", "type"].contains(key)).collect();
            let mut known: Vec<&str> = kind.keys.iter().map(|key| key.name).collect();
            written.sort_unstable();
            known.sort_unstable();
            assert_eq!(written, known, "{}", kind.title);
            for key in kind.keys.iter().filter(|key| !key.is_required()) {
                let wanted: Option<toml::Table> = toml::from_str(&format!("x = {}", key.default)).ok();
                let Some(found) = least.get(key.name) else { continue };
                assert_eq!(Some(found), wanted.and_then(|table| table.get("x").cloned()).as_ref(), "{}", key.name);
            }
        }
    }
}
