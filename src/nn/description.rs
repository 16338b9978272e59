//! Networks as TOML: read, checked, and written.

use super::{Layer, Network, keys};
use crate::error::{Error, Result};
use crate::format::document::{Document, Table};

impl Network {
    /// Whether every shape and name fits; what [`super::Builder::build`] and files are checked with.
    ///
    /// # Errors
    /// One sentence about the first layer that does not fit.
    pub fn check(&self) -> Result<()> {
        if self.inputs.is_empty() || self.layers.is_empty() {
            return Err(Error::Invalid(format!("network {} needs at least one input and one layer", self.name)));
        }
        self.layout().map(drop)
    }

    /// Reads a description in TOML.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one sentence that begins with line and column.
    pub fn from_toml(text: &str) -> Result<Self> {
        let document = Document::read(text, &keys::NETWORK)?;
        let network = toml::from_str(text).map_err(|error| Error::Invalid(error.message().replace('\n', ", ")))?;
        Self::placed(network, &document.table())
    }

    /// The network that `table` of a file describes, checked as a whole: an error names the line of the layer.
    pub(crate) fn placed(network: Self, table: &Table) -> Result<Self> {
        let Err(error) = network.check() else { return Ok(network) };
        // The first layer without which what is before it would be sound.
        let sound = |count: usize| Self { layers: network.layers[..count].to_vec(), ..network.clone() }.check().is_ok();
        let at = (1..=network.layers.len()).find(|&count| !sound(count));
        let layers = table.sections("layers");
        match at.and_then(|count| layers.get(count - 1)) {
            Some(layer) => layer.wrong("", error.to_string()),
            None => table.wrong("layers", error.to_string()),
        }
    }

    /// The description in TOML.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a value has no form in TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Why layer number `at` cannot read `name`, which nothing before it is called.
    pub(super) fn unknown_input(&self, at: usize, name: &str) -> Error {
        let reader = &self.layers[at].name;
        let Some(later) = self.layers.iter().skip(at).position(|layer| layer.name == name).map(|by| at + by) else {
            return Error::Invalid(format!("layer {reader} reads `{name}`, which no input and no layer is called"));
        };
        let Some(circle) = self.path(later, at) else {
            return Error::Invalid(format!(
                "layer {reader} reads `{name}`, which comes after it; write {name} before {reader}"
            ));
        };
        let mut names: Vec<&str> = circle.iter().map(|&index| self.layers[index].name.as_str()).collect();
        names.insert(0, reader);
        let circle = if names.len() == 2 { "itself".to_owned() } else { names[1..].join(", which reads ") };
        Error::Invalid(format!("layer {reader} reads {circle}: a circle, and none of them can be computed first"))
    }

    /// The layers that layer number `layer` reads; one that names nothing reads the one before it.
    fn operands_of(&self, layer: usize) -> Vec<usize> {
        match self.layers[layer].inputs.as_slice() {
            [] => layer.checked_sub(1).into_iter().collect(),
            names => self.layers.iter().enumerate().filter(|(_, l)| names.contains(&l.name)).map(|(i, _)| i).collect(),
        }
    }

    /// The only operand of layer number `layer`, where that is another layer.
    pub(crate) fn before(&self, layer: usize) -> Option<usize> {
        let operands = self.layers[layer].inputs.len().max(1);
        self.operands_of(layer).pop().filter(|_| operands == 1)
    }

    /// The layers from `from` to `to`, each of which reads the next.
    fn path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut seen = vec![false; self.layers.len()];
        let mut paths = vec![vec![from]];
        while let Some(path) = paths.pop() {
            let last = path[path.len() - 1];
            if last == to {
                return Some(path);
            }
            if !std::mem::replace(&mut seen[last], true) {
                paths.extend(self.operands_of(last).into_iter().map(|next| [path.as_slice(), &[next]].concat()));
            }
        }
        None
    }
}

impl Layer {
    /// An activation by its name, with its usual option.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no activation is called so.
    pub fn activation_named(name: &str) -> Result<Self> {
        let read = toml::from_str::<Self>(&format!("type = {name:?}")).ok();
        read.filter(|layer| layer.activation().is_some()).ok_or_else(|| {
            let all = crate::ops::Activation::all(0.0, 0.0).map(crate::ops::Activation::name);
            Error::Invalid(format!("there is no activation `{name}`; choose {}", all.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"x\"\ninputs = [{ name = \"image\", shape = [8, 8, 1] }]\n";

    #[test]
    fn a_mistake_in_a_description_is_found_with_its_line_and_column() {
        let layer = |text: &str| format!("{HEAD}[[layers]]\nname = \"a\"\n{text}\n");
        let chain = |text: &str| layer(&format!("type = \"relu\"\n{text}"));
        for (text, said) in [
            ("name = x".to_owned(), "line 1, column 8: "),
            (
                format!("{HEAD}colour = 3"),
                "line 3, column 1: a network has no key `colour`; it takes name, init, inputs, layers",
            ),
            (format!("{HEAD}layres = []"), "line 3, column 1: a network has no key `layres`; did you mean `layers`?"),
            (HEAD.to_owned(), "line 1, column 1: a network lacks `layers`, a list of tables"),
            (
                HEAD.replace("8, 8", "0, 8") + "layers = []",
                "line 2, column 37: `shape` must be a list of whole numbers from 1",
            ),
            (layer("type = \"conv3d\""), "line 5, column 8: `type` must be `conv2d`, "),
            (layer("type = \"conv3d\""), "not `conv3d`; did you mean `conv2d`?"),
            (layer("channels = 3"), "line 3, column 1: layer a lacks `type`"),
            (
                layer("type = \"conv2d\"\nchannels = 3"),
                "line 3, column 1: layer a (conv2d) lacks `kernel`, 2 whole numbers from 1",
            ),
            (
                layer("type = \"conv2d\"\nchannels = 3\nkernel = [3, 3]\npading = [1, 1, 1, 1]"),
                "line 8, column 1: layer a (conv2d) has no key `pading`; did you mean `padding`?",
            ),
            (
                layer("type = \"conv2d\"\nchannels = \"3\""),
                "line 6, column 12: `channels` must be a whole number from 1",
            ),
            (
                layer("type = \"conv2d\"\nchannels = 3\nkernel = [3]"),
                "line 7, column 10: `kernel` must be 2 whole numbers from 1, not a list of 1",
            ),
            (
                layer("type = \"relu\"\ninput = [\"image\"]"),
                "line 6, column 1: layer a (relu) has no key `input`; did you mean `inputs`?",
            ),
            (layer("type = \"linear\"\nunits = 3\ninit = \"henormal\""), "line 7, column 8: `init` must be `zeros`, "),
            (layer("type = \"linear\"\nunits = 3\ninit = \"normal\""), "write init = { kind = \"normal\", std = … }"),
            (
                layer("type = \"linear\"\nunits = 3\ninit = { kind = \"normal\", std = -1 }"),
                "`std` must be a number above 0, not -1",
            ),
            (layer("type = \"linear\"\nunits = 3\ninit = { std = 1 }"), "`init` lacks `kind`"),
            (
                layer("type = \"dropout\"\nrate = 1.0"),
                "line 6, column 8: `rate` must be a number from 0, below 1, not 1.0",
            ),
            (chain("[[layers]]\nname = \"b\"\ntype = \"linear\""), "line 6, column 1: layer b (linear) lacks `units`"),
            (chain("[[layers]]\nname = \"a\"\ntype = \"relu\""), "line 6, column 1: two layers are called `a`"),
            (
                layer("type = \"layer_norm\"\n[[layers]]\nname = \"a\"\ntype = \"linear\"\nunits = 3"),
                "line 6, column 1: two layers are called `a`",
            ),
            (
                chain("[[layers]]\nname = \"b\"\ntype = \"relu\"\ninputs = [\"z\"]"),
                "line 6, column 1: layer b reads `z`, which no input and no layer is called",
            ),
            (
                chain("[[layers]]\nname = \"b\"\ntype = \"max_pool2d\"\nkernel = [9, 9]"),
                "line 6, column 1: layer b (pool2d): ",
            ),
            (chain("[[layers]]\nname = \"image\"\ntype = \"relu\""), "an input and a layer are called `image`"),
            (chain("inputs = [\"a\"]"), "line 3, column 1: layer a reads itself: a circle"),
            (
                layer(
                    "type = \"relu\"\ninputs = [\"c\"]\n[[layers]]\nname = \"b\"\ntype = \"relu\"\n[[layers]]\nname = \"c\"\ntype = \"relu\"",
                ),
                "line 3, column 1: layer a reads c, which reads b, which reads a: a circle",
            ),
            (
                layer(
                    "type = \"relu\"\ninputs = [\"b\"]\n[[layers]]\nname = \"b\"\ntype = \"relu\"\ninputs = [\"image\"]",
                ),
                "layer a reads `b`, which comes after it; write b before a",
            ),
        ] {
            let error = Network::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}\ninstead of\n{said}\n");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_description_is_read_as_it_is_written() {
        let text = format!(
            "{HEAD}init = {{ kind = \"normal\", std = 0.5 }}\n[[layers]]\nname = \"a\"\ntype = \"flatten\"\n[[layers]]\n\
             name = \"b\"\ntype = \"linear\"\nunits = 3\ninit = \"he_normal\"\nbias_init = {{ kind = \"constant\", value = 1 }}\n"
        );
        let network = Network::from_toml(&text).unwrap();
        assert_eq!(Network::from_toml(&network.to_toml().unwrap()).unwrap(), network);
        let inits: Vec<String> =
            network.layout().unwrap().parameters.iter().map(|p| p.parameter.init.to_string()).collect();
        assert_eq!(inits, ["\"he_normal\"", "{ kind = \"constant\", value = 1 }"]);
    }
}
