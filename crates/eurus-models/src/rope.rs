//! Rotary frequencies, and tables of cosines and sines.
//!
//! Most models have one set of frequencies. Those with dynamic scaling or LongRoPE have one for every length of a sequence:
//! a [`Sequence`] says for which length a run of tokens is rotated. A packed forest has one a tree, as long as its longest
//! path, so that a tree has the same values whatever it is packed with.

use std::borrow::Cow;
use std::f64::consts::{PI, TAU};

use burn::tensor::{Device, Tensor, TensorData};
use token_forest::PackedForest;

use crate::config::{DecoderConfig, RopeScaling, Yarn};

/// Rotary frequencies of a head, scaling included, computed in f64.
///
/// ```
/// use eurus_models::{DecoderConfig, RopeScaling, rope::Frequencies};
///
/// let mut config = DecoderConfig::llama(64, 32, 1, 4);
/// config.rope_scaling = RopeScaling::Dynamic { factor: 2.0 };
/// let frequencies = Frequencies::new(&config);
/// let [short, long] = [16, 3000].map(|tokens| frequencies.of_length(tokens));
/// assert_eq!(short[1], 0.1);
/// assert!(long[1] < short[1], "beyond 2048 tokens waves are longer");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    sets: Sets,
    attention_factor: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Sets {
    /// One set for all lengths.
    One(Vec<f64>),
    /// One for lengths up to a limit, one for greater ones.
    Two {
        short: Vec<f64>,
        long: Vec<f64>,
        limit: f64,
    },
    /// One for lengths up to a limit, one of its own for every greater one.
    Many {
        short: Vec<f64>,
        theta: f64,
        factor: f64,
        limit: f64,
    },
}

/// Tokens in a row that belong to one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// How many they are.
    pub tokens: usize,
    /// The length that decides the sequence's frequencies.
    pub length: usize,
}

/// The trees of a forest, each as long as its longest path.
pub fn sequences(forest: &PackedForest) -> Vec<Sequence> {
    let mut sequences: Vec<Sequence> = forest
        .longest_paths
        .iter()
        .map(|&length| Sequence {
            tokens: 0,
            length: length as usize,
        })
        .collect();
    for node in &forest.nodes {
        sequences[node.tree as usize].tokens += node.len as usize;
    }
    sequences
}

impl Frequencies {
    /// Those of a model.
    pub fn new(config: &DecoderConfig) -> Self {
        let plain = plain(config.rope_theta, config.head_dim);
        let sets = match &config.rope_scaling {
            RopeScaling::None => Sets::One(plain),
            RopeScaling::Linear { factor } => Sets::One(plain.iter().map(|w| w / factor).collect()),
            RopeScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => Sets::One(llama3(&plain, *factor, [*low, *high], *original_positions)),
            RopeScaling::Yarn(settings) => Sets::One(yarn(&plain, config, settings)),
            RopeScaling::Dynamic { factor } => Sets::Many {
                short: plain,
                theta: config.rope_theta,
                factor: *factor,
                limit: config.max_position_embeddings as f64,
            },
            RopeScaling::LongRope {
                short,
                long,
                original_positions,
                ..
            } => {
                let divided = |by: &[f64]| plain.iter().zip(by).map(|(w, by)| w / by).collect();
                Sets::Two {
                    short: divided(short),
                    long: divided(long),
                    limit: *original_positions,
                }
            }
        };
        Self {
            sets,
            attention_factor: config.rope_scaling.attention_factor(),
        }
    }

    /// The frequencies for sequences of so many tokens, `[head_dim / 2]`.
    pub fn of_length(&self, tokens: usize) -> Cow<'_, [f64]> {
        let length = tokens as f64;
        match &self.sets {
            Sets::One(set) => Cow::Borrowed(set),
            Sets::Two { long, limit, .. } if length > *limit => Cow::Borrowed(long),
            Sets::Many {
                short,
                theta,
                factor,
                limit,
            } if length > *limit => {
                let head_dim = 2 * short.len();
                let dim = head_dim as f64;
                let stretch = factor * length / limit - (factor - 1.0);
                Cow::Owned(plain(theta * stretch.powf(dim / (dim - 2.0)), head_dim))
            }
            Sets::Two { short, .. } | Sets::Many { short, .. } => Cow::Borrowed(short),
        }
    }

    /// Whether sequences of these two lengths have the same frequencies.
    pub fn are_shared(&self, lengths: [usize; 2]) -> bool {
        let beyond = |limit: f64| lengths.map(|length| length as f64 > limit);
        match self.sets {
            Sets::One(_) => true,
            Sets::Two { limit, .. } => beyond(limit)[0] == beyond(limit)[1],
            Sets::Many { limit, .. } => lengths[0] == lengths[1] || beyond(limit) == [false; 2],
        }
    }

    /// The factor of cosines and sines, which queries and keys both get.
    pub fn attention_factor(&self) -> f64 {
        self.attention_factor
    }

    /// Cosines and sines of the positions times the attention factor, each `[T, head_dim / 2]`. Angles are computed in f64.
    ///
    /// # Panics
    ///
    /// When the sequences do not have `T` tokens together.
    pub fn table(
        &self,
        positions: &[u32],
        sequences: &[Sequence],
        device: &Device,
    ) -> (Tensor<2>, Tensor<2>) {
        let shape = [positions.len(), self.of_length(0).len()];
        // In one row, which devices keep without gaps: nothing copies it before it is read.
        let tensor = |values: Vec<f32>| {
            let data = TensorData::new(values, [shape[0] * shape[1]]);
            Tensor::<1>::from_data(data, device).reshape(shape)
        };
        let (cosines, sines) = self.values(positions, sequences);
        (tensor(cosines), tensor(sines))
    }

    /// The values of [`table`](Self::table), row after row.
    pub(crate) fn values(&self, positions: &[u32], sequences: &[Sequence]) -> (Vec<f32>, Vec<f32>) {
        let tokens: usize = sequences.iter().map(|sequence| sequence.tokens).sum();
        assert_eq!(tokens, positions.len(), "every token is in one sequence");
        let width = self.of_length(0).len();
        let mut cosines = Vec::with_capacity(tokens * width);
        let mut sines = Vec::with_capacity(tokens * width);
        let mut rest = positions;
        for sequence in sequences {
            let (own, after) = rest.split_at(sequence.tokens);
            rest = after;
            let set = self.of_length(sequence.length);
            for &position in own {
                for &frequency in set.iter() {
                    let (sine, cosine) = (f64::from(position) * frequency).sin_cos();
                    cosines.push((cosine * self.attention_factor) as f32);
                    sines.push((sine * self.attention_factor) as f32);
                }
            }
        }
        (cosines, sines)
    }

    /// Whether sequences of all lengths have the same frequencies.
    pub(crate) fn are_fixed(&self) -> bool {
        matches!(self.sets, Sets::One(_))
    }
}

/// `theta^(-2i / head_dim)`.
fn plain(theta: f64, head_dim: usize) -> Vec<f64> {
    let exponent = |i: usize| 2.0 * i as f64 / head_dim as f64;
    (0..head_dim / 2)
        .map(|i| theta.powf(-exponent(i)))
        .collect()
}

fn llama3(plain: &[f64], factor: f64, [low, high]: [f64; 2], original: f64) -> Vec<f64> {
    let scaled = |frequency: f64| {
        let wavelength = TAU / frequency;
        if wavelength > original / low {
            frequency / factor
        } else if wavelength < original / high {
            frequency
        } else {
            let blend = (original / wavelength - low) / (high - low);
            (1.0 - blend) * frequency / factor + blend * frequency
        }
    };
    plain.iter().map(|&frequency| scaled(frequency)).collect()
}

fn yarn(plain: &[f64], config: &DecoderConfig, settings: &Yarn) -> Vec<f64> {
    let dim = config.head_dim as f64;
    // The index of the frequency whose wave turns so often in the original context.
    let index = |turns: f64| {
        dim * (settings.original_positions / (turns * 2.0 * PI)).ln()
            / (2.0 * config.rope_theta.ln())
    };
    let (mut low, mut high) = (index(settings.beta_fast), index(settings.beta_slow));
    if settings.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    // The reference bounds by head_dim - 1, though there are only half as many frequencies.
    (low, high) = (low.max(0.0), high.min(dim - 1.0));
    if low == high {
        high += 0.001;
    }
    let blended = |(i, frequency): (usize, &f64)| {
        let divided = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        frequency * (1.0 - divided) + frequency / settings.factor * divided
    };
    plain.iter().enumerate().map(blended).collect()
}
