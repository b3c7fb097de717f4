//! How rotary frequencies are stretched for long contexts.

use serde_json::{Value, json};

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Frequencies as trained.
    None,
    /// Every frequency divided by a factor (position interpolation, arXiv 2306.15595).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3: low frequencies divided, high ones kept, a linear blend between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original_positions / low` are divided.
        low: f64,
        /// Wavelengths below `original_positions / high` are kept.
        high: f64,
        /// Context length before stretching.
        original_positions: f64,
    },
    /// Low frequencies divided, high ones kept, and scores scaled (YaRN, arXiv 2309.00071).
    Yarn(Yarn),
    /// A base that grows with the length of the sequence beyond `max_position_embeddings` (NTK-aware scaling by length,
    /// arXiv 2309.00071, section 3.3).
    Dynamic {
        /// By how much the base grows.
        factor: f64,
    },
    /// Every frequency divided by a number of its own, one for short and one for long sequences (arXiv 2402.13753).
    LongRope {
        /// Divisors for sequences up to `original_positions`, one per frequency.
        short: Vec<f64>,
        /// Divisors for longer ones.
        long: Vec<f64>,
        /// Context length before stretching.
        original_positions: f64,
        /// Factor of cosines and sines.
        attention_factor: f64,
    },
}

/// Settings of [`RopeScaling::Yarn`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// The divisor of low frequencies.
    pub factor: f64,
    /// Waves that turn this often in the original context, or more often, are kept.
    pub beta_fast: f64,
    /// Waves that turn this often in the original context, or less often, are divided.
    pub beta_slow: f64,
    /// Whether the bounds of the blend are rounded to whole indices of frequencies.
    pub truncate: bool,
    /// Context length before stretching.
    pub original_positions: f64,
    /// Factor of cosines and sines: scores grow by its square.
    pub attention_factor: f64,
}

impl RopeScaling {
    /// The factor of cosines and sines.
    pub fn attention_factor(&self) -> f64 {
        match self {
            Self::Yarn(yarn) => yarn.attention_factor,
            Self::LongRope {
                attention_factor, ..
            } => *attention_factor,
            _ => 1.0,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
            Self::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": *original_positions as u64,
            }),
            Self::Yarn(yarn) => json!({
                "rope_type": "yarn",
                "factor": yarn.factor,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
                "truncate": yarn.truncate,
                "original_max_position_embeddings": yarn.original_positions as u64,
                "attention_factor": yarn.attention_factor,
            }),
            Self::LongRope {
                short,
                long,
                original_positions,
                attention_factor,
            } => json!({
                "rope_type": "longrope",
                "short_factor": short,
                "long_factor": long,
                "original_max_position_embeddings": *original_positions as u64,
                "attention_factor": attention_factor,
            }),
        }
    }
}
