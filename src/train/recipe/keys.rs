//! Every key of a recipe, as [`crate::format::schema`] checks and documents it.

use crate::format::schema::{Key, Kind, REQUIRED, Range, Section, Tagged};
use crate::nn::keys::{INIT, INPUTS, LAYER_LIST};
use crate::train::augment::{MOST_ALPHA, MOST_DEGREES};

const fn key(name: &'static str, kind: Kind, default: &'static str, says: &'static str) -> Key {
    Key { name, kind, default, says }
}

/// Whole numbers from this one; TOML's end at 2^63 − 1.
const fn whole(least: u64) -> Kind {
    Kind::Whole { least, most: i64::MAX as u64 }
}

const fn decay(default: &'static str) -> Key {
    key(
        "weight_decay",
        Kind::Number(Range::NotNegative),
        default,
        "factor of the weights that is added to their gradient",
    )
}

const fn sgd(title: &'static str, says: &'static str, momentum: &'static [Key; 3]) -> Section {
    Section { title, says, keys: momentum }
}

const fn momentum(default: &'static str) -> [Key; 3] {
    [
        key("momentum", Kind::Number(Range::BelowOne), default, "share of the last update that goes on"),
        key("nesterov", Kind::Flag, "false", "Nesterov's look ahead; needs a momentum"),
        decay("0.0"),
    ]
}

const fn adam(weight_decay: Key) -> [Key; 3] {
    [
        key(
            "betas",
            Kind::Pair(Range::BelowOne),
            "[0.9, 0.999]",
            "decay of the mean gradient and of the mean square, a step",
        ),
        EPS,
        weight_decay,
    ]
}

const EPS: Key = key("eps", Kind::Number(Range::Positive), "1e-8", "added to the root of the mean square");
const DECOUPLED: Key = key(
    "weight_decay",
    Kind::Number(Range::NotNegative),
    "0.01",
    "share by which weights shrink a step, times the learning rate",
);

/// The optimisers.
pub static OPTIMIZERS: Tagged = Tagged {
    tag: "kind",
    common: &[],
    kinds: &[
        sgd("sgd", "stochastic gradient descent", &momentum("0.0")),
        sgd("momentum", "the same with momentum", &momentum("0.9")),
        Section { title: "adam", says: "Adam", keys: &adam(decay("0.0")) },
        Section { title: "adamw", says: "Adam with decoupled weight decay", keys: &adam(DECOUPLED) },
        Section {
            title: "rmsprop",
            says: "RMSprop",
            keys: &[
                key("alpha", Kind::Number(Range::BelowOne), "0.99", "decay of the mean square, a step"),
                EPS,
                key("momentum", Kind::Number(Range::BelowOne), "0.0", "share of the last update that goes on"),
                decay("0.0"),
            ],
        },
    ],
};

const GAMMA: Key = key("gamma", Kind::Number(Range::Positive), REQUIRED, "factor");
const MIN_LR: Key = key("min_lr", Kind::Number(Range::NotNegative), "0.0", "the lowest learning rate");

/// The learning-rate schedules.
pub static SCHEDULES: Tagged = Tagged {
    tag: "kind",
    common: &[],
    kinds: &[
        Section { title: "constant", says: "`lr` throughout", keys: &[] },
        Section {
            title: "step",
            says: "times gamma every `step_size` epochs",
            keys: &[key("step_size", whole(1), REQUIRED, "epochs between two drops"), GAMMA],
        },
        Section { title: "exponential", says: "times gamma every epoch", keys: &[GAMMA] },
        Section {
            title: "cosine",
            says: "down to `min_lr` along half a cosine",
            keys: &[key("t_max", whole(1), "all of the run", "steps of the way down"), MIN_LR],
        },
        Section {
            title: "warmup",
            says: "up to `lr` along a line, then `lr`",
            keys: &[
                key("warmup_steps", whole(1), REQUIRED, "steps of the way up"),
                key("start_factor", Kind::Number(Range::Share), "0.1", "share of `lr` in the first step"),
            ],
        },
        Section {
            title: "one_cycle",
            says: "up to `lr` along a cosine, then far down",
            keys: &[
                key("total_steps", whole(2), "all of the run", "steps of the whole cycle"),
                key("pct_start", Kind::Number(Range::Inside), "0.3", "share of the way up"),
                key("div_factor", Kind::Number(Range::Positive), "25.0", "`lr` over the first rate"),
                key("final_div_factor", Kind::Number(Range::Positive), "1e4", "the first rate over the last one"),
            ],
        },
        Section {
            title: "plateau",
            says: "times factor where the validation loss stays",
            keys: &[
                key("factor", Kind::Number(Range::Inside), "0.1", "factor of a drop"),
                key("patience", whole(0), "2", "epochs without progress that are borne"),
                key(
                    "threshold",
                    Kind::Number(Range::BelowOne),
                    "1e-4",
                    "share by which the loss must fall to count as progress",
                ),
                MIN_LR,
            ],
        },
    ],
};

/// What is trained on.
pub static DATA: Section = Section {
    title: "[data]",
    says: "what is trained on",
    keys: &[
        key("source", Kind::Text, "\"builtin\"", "the data set, as `train --data` takes it"),
        key("classes", Kind::Whole { least: 1, most: 256 }, "10", "classes of IDX files, whose format does not say it"),
        key(
            "image",
            Kind::Sizes { count: 3, least: 1 },
            "that of the data",
            "height, width and channels, to which the pictures of a folder are brought and which other images must have; `summary`, \
             `profile` and `tune`, which load no data, take 28×28×1 where it is not written",
        ),
        key(
            "skip_bad",
            Kind::Flag,
            "false",
            "whether pictures of a folder that cannot be used are left out, not refused",
        ),
        key("mirror", Kind::Text, "the usual address", "address to download MNIST, Fashion-MNIST or CIFAR-10 from"),
        key(
            "validation",
            Kind::Number(Range::BelowOne),
            "0.0, or 0.1 with `patience`",
            "share of the training images that is held out; with 0 the test images validate",
        ),
    ],
};

const ACTIVATIONS: [&str; 10] =
    ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "softplus", "hard_swish"];
const NORMS: [&str; 4] = ["none", "batch", "group", "layer"];

/// The keys of `[network]` that only `deep_plain` has.
pub const DEEP_PLAIN: [&str; 7] = ["depth", "width", "activation", "norm", "residual", "pool", "flatten"];

const SIZE: Kind = Kind::Whole { least: 1, most: 1 << 20 };

/// What is trained.
pub static NETWORK: Section = Section {
    title: "[network]",
    says: "what is trained: a network that comes with the program, a file, or layers of one's own",
    keys: &[
        key("name", Kind::Text, "\"reference\"", "a name that `wgrad networks` lists; with `layers`, any name"),
        key(
            "file",
            Kind::Text,
            "none",
            "a network's description, seen from the recipe's folder; instead of all else here",
        ),
        key("init", INIT, "the network's", "how the weights begin of layers that have no initialiser of their own"),
        key("depth", SIZE, "20", "`deep_plain`: 3×3 convolutions"),
        key("width", SIZE, "16", "`deep_plain`: channels of each of them"),
        key("activation", Kind::Word(&ACTIVATIONS), "\"relu\"", "`deep_plain`: behind each of them"),
        key("norm", Kind::Word(&NORMS), "\"none\"", "`deep_plain`: normalisation between convolution and activation"),
        key("residual", Kind::Flag, "false", "`deep_plain`: an identity shortcut over each two convolutions"),
        key(
            "pool",
            SIZE,
            "2",
            "`deep_plain`: side of the max pool behind the first activation, in pixels; 1 leaves it out",
        ),
        key(
            "flatten",
            Kind::Flag,
            "false",
            "`deep_plain`: whether the head reads every pixel, not the mean of each channel",
        ),
        Key { default: "none", ..INPUTS },
        Key { default: "none", ..LAYER_LIST },
    ],
};

const PASSES: [&str; 18] = [
    "flatten",
    "pool-gradient",
    "epilogue",
    "pooling",
    "loads",
    "derivative",
    "bias",
    "gradients",
    "residual-gradient",
    "statistics",
    "normalisation",
    "settle",
    "loss",
    "head",
    "head-gradients",
    "mlp",
    "partial-sums",
    "clipping",
];

/// How it is trained.
pub static TRAIN: Section = Section {
    title: "[train]",
    says: "how it is trained",
    keys: &[
        key("epochs", whole(1), "5", "passes over the training images"),
        key("steps", whole(1), "none", "most steps; the epoch in which they are done is cut short"),
        key("batch", Kind::Whole { least: 1, most: 1 << 24 }, "64", "images a step"),
        key(
            "micro_batch",
            Kind::Whole { least: 1, most: 1 << 24 },
            "as the device needs",
            "the most images that are computed at a time; their gradients are added up",
        ),
        key(
            "seed",
            whole(0),
            "0",
            "seed of the initial weights, of the order of the images, of how they are augmented, and of dropout",
        ),
        key("lr", Kind::Number(Range::Positive), "1e-3", "learning rate before the schedule"),
        key("optimizer", Kind::Choice(&OPTIMIZERS), "\"adam\"", "how weights follow gradients"),
        key("schedule", Kind::Choice(&SCHEDULES), "\"constant\"", "how the learning rate changes"),
        key(
            "label_smoothing",
            Kind::Number(Range::Share),
            "0.0",
            "share of the probability that is spread over all classes",
        ),
        key("clip_norm", Kind::Number(Range::Positive), "none", "largest norm of the whole gradient"),
        key("clip_value", Kind::Number(Range::Positive), "none", "largest magnitude of a gradient's element"),
        key("clip_weights", Kind::Number(Range::Positive), "none", "largest magnitude of a weight"),
        key("patience", whole(1), "none", "epochs without a lower validation loss after which the run ends"),
        key("no_fuse", Kind::Words(&PASSES), "[]", "fusion passes that are left out of the plan"),
    ],
};

const PIXELS: Kind = Kind::Whole { least: 0, most: 1 << 20 };
const SHARE: Kind = Kind::Number(Range::Share);

/// How the training images are changed.
pub static AUGMENT: Section = Section {
    title: "[augment]",
    says: "how the training images are changed on the device, anew in each step; test and validation images never are",
    keys: &[
        key("crop", PIXELS, "0", "pixels by which an image is moved at most, along each axis; below its shorter side"),
        key("flip", Kind::Flag, "false", "whether half of the images are mirrored, left to right"),
        key(
            "rotate",
            Kind::Number(Range::UpTo(MOST_DEGREES)),
            "0.0",
            "degrees by which an image is turned about its middle at most, in either direction",
        ),
        key(
            "scale",
            Kind::Number(Range::BelowOne),
            "0.0",
            "share by which the distance between two pixels grows or shrinks at most: 0.1 makes images 0.91 to 1.11 times as large",
        ),
        key("brightness", SHARE, "0.0", "what is added to all pixels or taken from them at most; black is 0, white 1"),
        key("contrast", SHARE, "0.0", "share by which differences to middle grey grow or shrink at most"),
        key(
            "cutout",
            PIXELS,
            "0",
            "side of the square that is cut out of each image, in pixels; at most its shorter side",
        ),
        key("fill", SHARE, "0.0", "what stands outside of an image and in the square, from black to white"),
        key(
            "mixup",
            Kind::Number(Range::UpTo(MOST_ALPHA)),
            "0.0",
            "α of the distribution Beta(α, α) of the shares of which each image is mixed with the next one of its batch; 0 mixes none",
        ),
    ],
};

/// A whole recipe.
pub static RECIPE: Section = Section {
    title: "a recipe",
    says: "four tables, each of which may be missing",
    keys: &[
        key("data", Kind::Table(&DATA), "all defaults", "what is trained on"),
        key("network", Kind::Table(&NETWORK), "all defaults", "what is trained"),
        key("train", Kind::Table(&TRAIN), "all defaults", "how it is trained"),
        key("augment", Kind::Table(&AUGMENT), "all defaults", "how the training images are changed"),
    ],
};
