//! Recipes: what they mean, what is refused, what ships, and that the document tells every key.

use super::shipped::{ALL, Shipped};
use super::*;
use crate::format::schema::{Key, Kind, Section, Tagged};
use crate::graph::Pass;
use crate::nn::{DeepPlain, deep_plain};
use crate::ops::Activation;

fn read(text: &str) -> Result<Recipe> {
    Recipe::from_toml(text, Path::new(""))
}

#[test]
fn every_key_is_read() {
    let recipe = read(
        "[data]\nsource = \"mnist\"\nclasses = 7\nimage = [8, 9, 1]\nskip_bad = true\nmirror = \"https://x\"\nvalidation = 0.25\n[network]\nname = \
         \"deep_plain\"\ndepth = 3\nwidth = 4\nactivation = \"elu\"\nnorm = \"group\"\nresidual = true\npool = 1\nflatten = true\ninit \
         = { kind = \"orthogonal\", gain = 2 }\n[train]\nepochs = 2\nsteps = 12\nbatch = 10\nmicro_batch = 4\nseed = 3\nlr = 1\noptimizer = { kind = \
         \"rmsprop\", alpha = 0.5 }\nschedule = \"cosine\"\nlabel_smoothing = 0.5\nclip_norm = 1\nclip_value = 2\nclip_weights = \
         3\npatience = 4\nno_fuse = [\"loads\"]\n[augment]\ncrop = 4\nflip = true\nmixup = 0.2\n",
    )
    .unwrap();
    let DataRecipe { source, classes, image, skip_bad, mirror, validation } = &recipe.data;
    assert_eq!((source.as_str(), *classes, *image, *skip_bad), ("mnist", 7, Some([8, 9, 1]), true));
    assert_eq!((mirror.as_deref(), *validation), (Some("https://x"), Some(0.25)));
    let options = DeepPlain {
        depth: 3,
        width: 4,
        activation: Layer::Elu { alpha: 1.0 },
        norm: Norm::Group,
        residual: true,
        pool: 1,
        flatten: true,
        init: Init::Orthogonal { gain: 2.0 },
    };
    assert_eq!(recipe.network([8, 9, 1], 7).unwrap(), deep_plain::deep_plain([8, 9, 1], 7, &options).unwrap());
    let wanted = TrainConfig {
        epochs: 2,
        steps: Some(12),
        batch: 10,
        micro_batch: Some(4),
        seed: 3,
        lr: 1.0,
        optimizer: OptimizerConfig::RmsProp { alpha: 0.5, eps: 1e-8, momentum: 0.0, weight_decay: 0.0 },
        // 100 images, of which a quarter is held out, are 7 whole batches an epoch; the second one is cut short.
        schedule: Schedule::Cosine { t_max: 12, min_lr: 0.0 },
        label_smoothing: 0.5,
        clip_norm: Some(1.0),
        clip_value: Some(2.0),
        clip_weights: Some(3.0),
        validation: 0.25,
        patience: Some(4),
        augment: Augmentation { crop: 4, flip: true, mixup: 0.2, ..Augmentation::default() },
        no_fuse: vec![Pass::Loads],
        ..TrainConfig::default()
    };
    assert_eq!(recipe.config(100), wanted);
    assert_eq!(read("[train]\npatience = 1").unwrap().config(100).validation, PATIENCE_VALIDATION);
}

#[test]
fn pictures_of_a_folder_follow_the_size_and_other_images_have_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let named = read("[data]\nsource = \"cifar10\"\nimage = [32, 32, 3]\nskip_bad = true").unwrap().data;
    assert_eq!((named.image, named.pictures()), (Some([32, 32, 3]), PictureOptions { size: None, skip_bad: true }));
    let pictures = named.clone().with_source(folder.path().to_str().unwrap());
    assert_eq!(pictures.pictures().size, Some([32, 32, 3].into()));
    assert_eq!(named.with_source("builtin").image, None);
}

#[test]
fn layers_stand_in_a_recipe_as_in_a_network_of_their_own() {
    let inputs = "inputs = [{ name = \"image\", shape = [4, 4, 1] }]\n";
    let layers = "name = \"a\"\ntype = \"flatten\"\n";
    let described = Network::from_toml(&format!("name = \"own\"\n{inputs}[[layers]]\n{layers}")).unwrap();
    let inside = format!("[network]\nname = \"own\"\n{inputs}[[network.layers]]\n{layers}");
    assert_eq!(read(&inside).unwrap().network, NetworkRecipe::Described(described.clone()));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.toml"), described.to_toml().unwrap()).unwrap();
    let by_file = Recipe::from_toml("[network]\nfile = \"net.toml\"", folder.path()).unwrap();
    assert_eq!(by_file.network, NetworkRecipe::Described(described.clone()));
    // A description alone is a recipe too.
    assert_eq!(Recipe::read(&folder.path().join("net.toml")).unwrap().network, NetworkRecipe::Described(described));
    let broken = inside.replace("flatten", "linear");
    assert!(read(&broken).unwrap_err().to_string().starts_with("line 4, column 1: layer a (linear) lacks `units`"));
    let twice = format!("{inside}[[network.layers]]\nname = \"a\"\ntype = \"relu\"\n");
    assert!(read(&twice).unwrap_err().to_string().starts_with("line 7, column 1: two layers are called `a`"));
    std::fs::write(folder.path().join("bad.toml"), "name = 3").unwrap();
    let error = Recipe::from_toml("[network]\nfile = \"bad.toml\"", folder.path()).unwrap_err().to_string();
    assert!(error.contains("bad.toml: line 1, column 8: `name` must be a text, not 3"), "{error}");
}

#[test]
fn a_mistake_has_its_place_and_one_sentence() {
    for (text, said) in [
        ("[train]\nepoch = 3", "line 2, column 1: [train] has no key `epoch`; did you mean `epochs`?"),
        ("[train]\nepochs = \"3\"", "line 2, column 10: `epochs` must be a whole number from 1, not \"3\""),
        ("[train]\nepochs = 0", "line 2, column 10: `epochs` must be a whole number from 1, not 0"),
        ("[train]\nepochs = 1.5", "not 1.5"),
        ("[train]\nlr = -1e-3", "line 2, column 6: `lr` must be a number above 0, not -1e-3"),
        ("[train]\nlr = nan", "`lr` must be a number above 0, not nan"),
        (
            "[train]\noptimizer = \"adma\"",
            "line 2, column 13: `optimizer` must be `sgd`, `momentum`, `adam`, `adamw` or `rmsprop`, not `adma`; did you mean `adam`?",
        ),
        (
            "[train]\noptimizer = 3",
            "`optimizer` must be `sgd`, `momentum`, `adam`, `adamw` or `rmsprop`, or a table with `kind` and options, not 3",
        ),
        (
            "[train]\noptimizer = { kind = \"adam\", beta = 1 }",
            "line 2, column 30: optimizer \"adam\" has no key `beta`; did you mean `betas`?",
        ),
        (
            "[train]\noptimizer = { kind = \"adam\", betas = [0.9] }",
            "`betas` must be two numbers from 0, below 1, not a list of 1",
        ),
        (
            "[train]\noptimizer = { kind = \"sgd\", nesterov = true }",
            "line 2, column 40: `nesterov` needs a momentum above 0",
        ),
        (
            "[train]\nschedule = \"step\"",
            "line 2, column 12: schedule \"step\" needs `step_size`; write schedule = { kind = \"step\", step_size = … }",
        ),
        ("[train]\nno_fuse = [\"loads\", \"load\"]", "line 2, column 21: `no_fuse` must be"),
        ("[augment]\nrotate = 270", "line 2, column 10: `rotate` must be a number from 0 to 180, not 270"),
        ("[augment]\nflips = true", "line 2, column 1: [augment] has no key `flips`; did you mean `flip`?"),
        ("[train]\nlr = 1\nlr = 2", "line 3, column 1: duplicate key"),
        ("[trian]", "line 1, column 2: a recipe has no key `trian`; did you mean `train`?"),
        ("epochs = 3", "line 1, column 1: a recipe has no key `epochs`; it takes data, network, train, augment"),
        ("[data]\nimage = [28, 28]", "line 2, column 9: `image` must be 3 whole numbers from 1, not a list of 2"),
        ("[data]\nclasses = 257", "`classes` must be a whole number from 1 to 256, not 257"),
        (
            "[network]\nname = \"mobilnet\"",
            "line 2, column 8: there is no network `mobilnet`, and [network] has no `layers` of its own; did you mean `mobilenet`?",
        ),
        (
            "[network]\nname = \"vgg\"\ndepth = 3",
            "line 3, column 9: `depth` is an option of the network deep_plain, not of vgg",
        ),
        ("[network]\nfile = \"x.toml\"\nname = \"vgg\"", "line 3, column 8: `name` and `file` exclude each other"),
        ("[network]\nfile = \"none.toml\"", "none.toml: cannot be read"),
        ("[network]\nlayers = []", "[network] has layers, but lacks `inputs`"),
        ("network = 3", "line 1, column 11: `network` must be a table, not 3"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}\ninstead of\n{said}\n");
        assert!(!error.contains('\n'), "{error}");
    }
    let small = read("[network]\nname = \"lenet5\"").unwrap().network([2, 2, 1], 10).unwrap_err().to_string();
    assert!(small.contains("network lenet5 cannot read images of 2×2×1: "), "{small}");
}

/// Sets every key with a default that TOML can write to that default.
fn written(section: &Section) -> String {
    let keys = section.keys.iter().filter(|key| toml::from_str::<toml::Table>(&format!("x = {}", key.default)).is_ok());
    keys.map(|key| format!("{} = {}\n", key.name, key.default)).collect()
}

#[test]
fn the_defaults_that_the_keys_declare_are_those_that_hold() {
    let of = |text: &str| read(text).unwrap();
    assert_eq!(of(&format!("[data]\n{}", written(&keys::DATA))), Recipe::default());
    assert_eq!(of(&format!("[train]\n{}", written(&keys::TRAIN))), Recipe::default());
    assert_eq!(of(&format!("[augment]\n{}", written(&keys::AUGMENT))), Recipe::default());
    let deep = written(&keys::NETWORK).replace("\"reference\"", "\"deep_plain\"");
    let usual = of("[network]\nname = \"deep_plain\"").network([28, 28, 1], 10).unwrap();
    assert_eq!(of(&format!("[network]\n{deep}")).network([28, 28, 1], 10).unwrap(), usual);
    for (key, tagged) in [("optimizer", &keys::OPTIMIZERS), ("schedule", &keys::SCHEDULES)] {
        for kind in tagged.kinds.iter().filter(|kind| !kind.keys.iter().any(Key::is_required)) {
            let (title, options) = (kind.title, written(kind));
            let table = format!("[train.{key}]\nkind = \"{title}\"\n{options}");
            assert_eq!(of(&table), of(&format!("[train]\n{key} = \"{title}\"")), "{table}");
        }
    }
}

/// Two values that a key takes.
fn samples(key: &Key) -> [String; 2] {
    let words = |words: Vec<&str>| [format!("\"{}\"", words[0]), format!("\"{}\"", words[1])];
    match key.kind {
        Kind::Text => words(vec!["a", "b"]),
        Kind::Flag => ["true", "false"].map(str::to_owned),
        Kind::Whole { .. } => ["7", "9"].map(str::to_owned),
        Kind::Number(_) => ["0.75", "0.625"].map(str::to_owned),
        Kind::Pair(_) => ["[0.5, 0.75]", "[0.5, 0.625]"].map(str::to_owned),
        Kind::Sizes { .. } => ["[7, 8, 1]", "[7, 9, 1]"].map(str::to_owned),
        Kind::Word(all) => words(all.to_vec()),
        Kind::Words(all) => ["[]".to_owned(), format!("[\"{}\"]", all[0])],
        Kind::Choice(tagged) => {
            let plain = tagged.kinds.iter().filter(|kind| !kind.keys.iter().any(Key::is_required));
            words(plain.map(|kind| kind.title).collect())
        }
        other => panic!("no samples of {other:?}"),
    }
}

/// Whether a table's recipe becomes another one with another value of each of its keys.
fn expect_read(head: &str, keys: &[&Key]) {
    let text = |other: Option<&str>| {
        let line = |key: &&Key| {
            let [one, two] = samples(key);
            format!("{} = {}\n", key.name, if other == Some(key.name) { two } else { one })
        };
        head.to_owned() + &keys.iter().map(line).collect::<String>()
    };
    let read = |text: String| read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for key in keys {
        assert_ne!(read(text(None)), read(text(Some(key.name))), "{head}: `{}` is not read", key.name);
    }
}

#[test]
fn no_key_is_accepted_and_forgotten() {
    let all = |section: &'static Section| section.keys.iter().collect::<Vec<_>>();
    expect_read("[data]\n", &all(&keys::DATA));
    expect_read("[train]\n", &all(&keys::TRAIN));
    expect_read("[augment]\n", &all(&keys::AUGMENT));
    let own = ["name", "file", "inputs", "layers"];
    let options: Vec<&Key> = keys::NETWORK.keys.iter().filter(|key| !own.contains(&key.name)).collect();
    expect_read("[network]\nname = \"deep_plain\"\n", &options);
    for (key, tagged) in [("optimizer", &keys::OPTIMIZERS), ("schedule", &keys::SCHEDULES)] {
        for kind in tagged.kinds {
            expect_read(&format!("[train.{key}]\nkind = \"{}\"\n", kind.title), &all(kind));
        }
    }
    for kind in crate::nn::keys::INITS.kinds {
        expect_read(&format!("[network.init]\nkind = \"{}\"\n", kind.title), &all(kind));
    }
}

#[test]
fn words_of_recipes_are_those_of_the_crate() {
    let words = |section: &Section, name: &str| match section.keys.iter().find(|key| key.name == name).unwrap().kind {
        Kind::Word(words) | Kind::Words(words) => words.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(words(&keys::TRAIN, "no_fuse"), Pass::ALL.map(Pass::name));
    assert_eq!(words(&keys::NETWORK, "activation"), Activation::all(0.0, 0.0).map(Activation::name));
    assert_eq!(words(&keys::NETWORK, "norm"), Norm::ALL.map(|(name, _)| name));
    assert_eq!(ALL.map(|shipped| shipped.name), NAMES);
}

#[test]
fn every_shipped_recipe_is_built_without_a_warning() {
    for shipped in ALL {
        let recipe = shipped.recipe().unwrap_or_else(|error| panic!("{}: {error}", shipped.name));
        assert!(matches!(&recipe.network, NetworkRecipe::Shipped { name, .. } if name == shipped.name));
        recipe.config(8000).check(8000).unwrap();
        for image in [[28, 28, 1], [32, 32, 3]] {
            let summary = recipe.network(image, 10).unwrap().summary(2).unwrap();
            assert_eq!(summary.rows.last().unwrap().output, [2, 10], "{}", shipped.name);
            assert_eq!(summary.warnings, [""; 0], "{}", shipped.name);
        }
        assert!(shipped.says().ends_with('.') && shipped.says().len() < 120, "{}", shipped.says());
    }
    let error = Shipped::find("resnet50").unwrap_err().to_string();
    assert!(error.contains("did you mean `resnet20`?") || error.contains("did you mean `resnet18`?"), "{error}");
}

fn table(section: &Section) -> String {
    let mut out = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in section.keys {
        let default = match toml::from_str::<toml::Table>(&format!("x = {}", key.default)) {
            Ok(_) => format!("`{}`", key.default),
            Err(_) => key.default.to_owned(),
        };
        let value = match key.kind {
            Kind::Choice(_) => "a word, or a table with `kind` and options: see below".to_owned(),
            kind => kind.to_string(),
        };
        out += &format!("| `{}` | {value} | {default} | {} |\n", key.name, key.says);
    }
    out
}

fn kinds(tagged: &Tagged) -> String {
    let mut out = format!("| `{}` | what it is | its keys |\n|---|---|---|\n", tagged.tag);
    for kind in tagged.kinds {
        let keys = kind.keys.iter().map(|key| {
            let default = if key.is_required() { "required".to_owned() } else { format!("default {}", key.default) };
            let value =
                if matches!(key.kind, Kind::Choice(_)) { "an initialiser".to_owned() } else { key.kind.to_string() };
            format!("`{}`: {value}; {default}; {}", key.name, key.says)
        });
        out += &format!("| `{}` | {} | {} |\n", kind.title, kind.says, keys.collect::<Vec<_>>().join("<br>"));
    }
    out
}

/// The document, its tables from the keys that recipes are checked with.
fn document() -> String {
    let mut out = include_str!("recipe/document.md").to_owned();
    let network = &crate::nn::keys::NETWORK;
    for (mark, table) in [
        ("DATA", table(&keys::DATA)),
        ("NETWORK", table(&keys::NETWORK)),
        ("TRAIN", table(&keys::TRAIN)),
        ("AUGMENT", table(&keys::AUGMENT)),
        ("OPTIMIZERS", kinds(&keys::OPTIMIZERS)),
        ("SCHEDULES", kinds(&keys::SCHEDULES)),
        ("INITIALISERS", kinds(&crate::nn::keys::INITS)),
        ("DESCRIPTION", table(network)),
        ("INPUT", table(&crate::nn::keys::INPUT)),
        ("COMMON", table(&Section { title: "", says: "", keys: crate::nn::keys::LAYERS.common })),
        ("LAYERS", kinds(&crate::nn::keys::LAYERS)),
    ] {
        let mark = format!("<!-- {mark} -->\n");
        assert_eq!(out.matches(&mark).count(), 1, "{mark}");
        out = out.replace(&mark, &table);
    }
    out
}

#[test]
fn the_document_of_recipes_tells_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
    let wanted = document();
    if std::env::var("WGRAD_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        found == wanted,
        "docs/recipes.md is stale; write it anew with `WGRAD_UPDATE_DOCS=1 cargo test --lib recipe`"
    );
}
