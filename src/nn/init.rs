//! Initial values of parameters: the same for a seed on every machine and device, since they are drawn from integers on the
//! host, in float64, with functions that no platform replaces (`libm`).

use std::f64::consts::TAU;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ops::random::{pcg, random};

/// A distribution of initial values. fan_in is how many numbers a unit reads, fan_out how many units read a number (a
/// convolution's taps counted in both).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Init {
    /// All zeros: biases, and the means of running statistics.
    Zeros,
    /// All ones: the scales of normalisation.
    Ones,
    /// All the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform within ±limit; its standard deviation is limit/√3.
    Uniform {
        /// Largest magnitude.
        limit: f64,
    },
    /// Uniform within ±√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), Keras's default.
    #[default]
    GlorotUniform,
    /// Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010).
    GlorotNormal,
    /// Uniform within ±√(6 / fan_in) (He and others 2015), for layers before a ReLU.
    HeUniform,
    /// Normal with variance 2 / fan_in (He and others 2015), for layers before a ReLU.
    HeNormal,
    /// gain · Q with orthonormal rows or columns, whichever are fewer, of the matrix fan_in × units; evenly distributed among all
    /// such matrices (Saxe, McClelland and Ganguli 2014). It is made by Gram–Schmidt from normal numbers, whose R has a positive
    /// diagonal, so that no sign is left to mend (Mezzadri 2007). That takes 2 · fan_in · units · (the
    /// fewer of both) multiply-adds, which is noticeable for layers of thousands of units.
    Orthogonal {
        /// Factor.
        gain: f64,
    },
}

/// How an initialiser is written: a word, or a table where it has options.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Options(Options),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gain: Option<f64>,
}

impl From<Init> for Written {
    fn from(init: Init) -> Self {
        let options = Options { kind: init.name().to_owned(), ..Options::default() };
        Self::Options(match init {
            Init::Constant { value } => Options { value: Some(value), ..options },
            Init::Normal { std } => Options { std: Some(std), ..options },
            Init::Uniform { limit } => Options { limit: Some(limit), ..options },
            Init::Orthogonal { gain } => Options { gain: Some(gain), ..options },
            _ => return Self::Word(options.kind),
        })
    }
}

impl TryFrom<Written> for Init {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let options = match written {
            Written::Word(kind) => Options { kind, ..Options::default() },
            Written::Options(options) => options,
        };
        Self::named(&options.kind, |option| match option {
            "value" => options.value,
            "std" => options.std,
            "limit" => options.limit,
            _ => options.gain,
        })
    }
}

impl Init {
    /// The initialiser of this name, with the options that `option` knows: `value` of a constant, `std` of a normal distribution,
    /// `limit` of a uniform one, `gain` of an orthogonal one (1 where it is not known).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name, or where an option is missing.
    pub fn named(name: &str, option: impl Fn(&str) -> Option<f64>) -> Result<Self> {
        let needed = |key: &str| {
            let number = option(key).filter(|number| number.is_finite());
            number.ok_or_else(|| Error::Invalid(format!("initialiser {name} needs a number as its `{key}`")))
        };
        Ok(match name {
            "zeros" => Self::Zeros,
            "ones" => Self::Ones,
            "constant" => Self::Constant { value: needed("value")? },
            "normal" => Self::Normal { std: needed("std")? },
            "uniform" => Self::Uniform { limit: needed("limit")? },
            "glorot_uniform" => Self::GlorotUniform,
            "glorot_normal" => Self::GlorotNormal,
            "he_uniform" => Self::HeUniform,
            "he_normal" => Self::HeNormal,
            "orthogonal" => Self::Orthogonal { gain: option("gain").unwrap_or(1.0) },
            _ => {
                return Err(Error::Invalid(format!(
                    "there is no initialiser `{name}`; choose zeros, ones, constant, normal, uniform, glorot_uniform, \
                     glorot_normal, he_uniform, he_normal or orthogonal"
                )));
            }
        })
    }

    /// Its name, as files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Ones => "ones",
            Self::Constant { .. } => "constant",
            Self::Normal { .. } => "normal",
            Self::Uniform { .. } => "uniform",
            Self::GlorotUniform => "glorot_uniform",
            Self::GlorotNormal => "glorot_normal",
            Self::HeUniform => "he_uniform",
            Self::HeNormal => "he_normal",
            Self::Orthogonal { .. } => "orthogonal",
        }
    }

    /// Whether it is the default, Glorot's uniform distribution.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The standard deviation of what it draws for a parameter of `shape`, whose fan is [fan_in, fan_out].
    pub fn deviation(self, shape: &[usize], fan: [usize; 2]) -> f64 {
        let [fan_in, fan_out] = fan.map(|fan| fan as f64);
        match self {
            Self::Zeros | Self::Ones | Self::Constant { .. } => 0.0,
            Self::Normal { std } => std,
            Self::Uniform { limit } => limit / 3f64.sqrt(),
            Self::GlorotUniform | Self::GlorotNormal => (2.0 / (fan_in + fan_out)).sqrt(),
            Self::HeUniform | Self::HeNormal => (2.0 / fan_in).sqrt(),
            Self::Orthogonal { gain } => {
                let (rows, columns) = matrix(shape);
                gain / (rows.max(columns) as f64).sqrt()
            }
        }
    }

    /// Values for the parameter `name` of `shape`; `fan` is [fan_in, fan_out].
    pub fn draw(self, name: &str, shape: &[usize], fan: [usize; 2], seed: u64) -> Vec<f32> {
        let len: usize = shape.iter().product();
        let key = pcg(seed as u32 ^ pcg((seed >> 32) as u32)) ^ stream(name);
        let uniform = |limit: f64| {
            let value = |index| (limit * (2.0 * unit(key, 0, index) - 1.0)) as f32;
            (0..len).map(value).collect()
        };
        let normal = |std: f64| (0..len).map(|index| (std * gaussian(key, index)) as f32).collect();
        match self {
            Self::Zeros => vec![0.0; len],
            Self::Ones => vec![1.0; len],
            Self::Constant { value } => vec![value as f32; len],
            Self::Normal { .. } | Self::GlorotNormal | Self::HeNormal => normal(self.deviation(shape, fan)),
            Self::Uniform { limit } => uniform(limit),
            Self::GlorotUniform => uniform((6.0 / (fan[0] + fan[1]) as f64).sqrt()),
            Self::HeUniform => uniform((6.0 / fan[0] as f64).sqrt()),
            Self::Orthogonal { gain } => orthogonal(key, matrix(shape), gain),
        }
    }
}

impl fmt::Display for Init {
    /// As files write it: `"he_normal"`, `{ kind = "normal", std = 0.01 }`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Constant { value } => write!(f, "{{ kind = \"{name}\", value = {value} }}"),
            Self::Normal { std } => write!(f, "{{ kind = \"{name}\", std = {std} }}"),
            Self::Uniform { limit } => write!(f, "{{ kind = \"{name}\", limit = {limit} }}"),
            Self::Orthogonal { gain } => write!(f, "{{ kind = \"{name}\", gain = {gain} }}"),
            _ => write!(f, "\"{name}\""),
        }
    }
}

/// A number for a name, so that each parameter draws from a stream of its own (FNV-1a).
fn stream(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Number `draw` of element `index`: in [0, 1), with 53 random bits.
fn unit(key: u32, draw: u32, index: usize) -> f64 {
    let index = index as u32;
    let half = |step| u64::from(random(key, step, index));
    let bits = (half(2 * draw) << 32) | half(2 * draw + 1);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A normal number with variance 1 (Box and Muller 1958).
fn gaussian(key: u32, index: usize) -> f64 {
    let radius = (-2.0 * libm::log(1.0 - unit(key, 0, index))).sqrt();
    radius * libm::cos(TAU * unit(key, 1, index))
}

/// Rows and columns of a weight: [k_h, k_w, c_in, c_out] is (fan_in, c_out), [units, inputs] is itself.
fn matrix(shape: &[usize]) -> (usize, usize) {
    let columns = shape.last().copied().unwrap_or(1).max(1);
    (shape.iter().product::<usize>() / columns, columns)
}

/// A matrix (rows, columns), row by row, whose shorter side's vectors are orthogonal and of length `gain`.
fn orthogonal(key: u32, (rows, columns): (usize, usize), gain: f64) -> Vec<f32> {
    let (count, len) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for number in 0..count {
        let mut vector: Vec<f64> = (0..len).map(|at| gaussian(key, number * len + at)).collect();
        // Once leaves rounding of the size that was taken away; twice is enough (Giraud and others 2005).
        for _ in 0..2 {
            for other in &vectors {
                let share: f64 = vector.iter().zip(other).map(|(v, o)| v * o).sum();
                vector.iter_mut().zip(other).for_each(|(v, o)| *v -= share * o);
            }
        }
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
        vectors.push(vector);
    }
    let at = |index: usize| {
        let (row, column) = (index / columns, index % columns);
        if rows < columns { vectors[row][column] } else { vectors[column][row] }
    };
    (0..rows * columns).map(|index| (gain * at(index)) as f32).collect()
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
