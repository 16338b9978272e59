//! Initial values of parameters: the same for a seed on every device, since they are drawn from integers on the host.

use serde::{Deserialize, Serialize};

use crate::ops::random::{pcg, random};

/// A distribution of initial values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// All zeros: biases, and the means of running statistics.
    Zeros,
    /// All ones: the scales of normalisation.
    Ones,
    /// Uniform within ±√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), Keras's default.
    GlorotUniform,
}

/// A number for a name, so that each parameter draws from a stream of its own (FNV-1a).
fn stream(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl Init {
    /// `len` values for the parameter `name`; `fan` is [fan_in, fan_out].
    pub fn draw(self, name: &str, len: usize, fan: [usize; 2], seed: u64) -> Vec<f32> {
        match self {
            Self::Zeros => vec![0.0; len],
            Self::Ones => vec![1.0; len],
            Self::GlorotUniform => {
                let limit = (6.0 / (fan[0] + fan[1]) as f64).sqrt();
                let key = pcg(seed as u32 ^ pcg((seed >> 32) as u32)) ^ stream(name);
                (0..len).map(|index| (limit * (2.0 * unit(key, index) - 1.0)) as f32).collect()
            }
        }
    }
}

/// A number in [0, 1) with 53 random bits.
fn unit(key: u32, index: usize) -> f64 {
    let index = index as u32;
    let bits = (u64::from(random(key, 0, index)) << 32) | u64::from(random(key, 1, index));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_fills_its_interval_evenly() {
        let values = Init::GlorotUniform.draw("conv1.weight", 20_000, [9, 288], 3);
        let limit = (6.0f64 / 297.0).sqrt() as f32;
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 20_000.0;
        assert!(values.iter().all(|v| v.abs() <= limit));
        assert!(mean.abs() < 0.02 * limit && (variance / (limit * limit / 3.0) - 1.0).abs() < 0.03);
        assert_ne!(values[..8], Init::GlorotUniform.draw("conv2.weight", 8, [9, 288], 3));
        assert_ne!(values[..8], Init::GlorotUniform.draw("conv1.weight", 8, [9, 288], 4));
    }
}
