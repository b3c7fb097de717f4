//! `rope_scaling` and its newer form `rope_parameters`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::refuse;
use crate::Result;

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Frequencies as trained.
    None,
    /// Every frequency divided by a factor.
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
}

impl RopeScaling {
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
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
                "original_max_position_embeddings": original_positions as u64,
            }),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RopeFields {
    rope_type: Option<String>,
    /// The older name of `rope_type`. Files that were read and written again often have both.
    #[serde(rename = "type")]
    legacy_type: Option<String>,
    pub rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    pub fn scaling(&self) -> Result<RopeScaling> {
        let number = |value: Option<f64>, field: &'static str| {
            value.ok_or_else(|| refuse(field, "missing", "and this rope_type needs it"))
        };
        if let Some(part) = self.partial_rotary_factor.filter(|part| *part != 1.0) {
            return Err(refuse(
                "rope_parameters.partial_rotary_factor",
                part,
                "supported is 1",
            ));
        }
        let rope_type = match (&self.rope_type, &self.legacy_type) {
            (Some(rope_type), Some(legacy)) if rope_type != legacy => {
                return Err(refuse(
                    "rope_scaling.rope_type",
                    rope_type,
                    format!("but rope_scaling.type is {legacy}; keep the right one"),
                ));
            }
            (Some(rope_type), _) | (None, Some(rope_type)) => rope_type,
            (None, None) => "default",
        };
        match rope_type {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear {
                factor: number(self.factor, "rope_scaling.factor")?,
            }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: number(self.factor, "rope_scaling.factor")?,
                low: number(self.low_freq_factor, "rope_scaling.low_freq_factor")?,
                high: number(self.high_freq_factor, "rope_scaling.high_freq_factor")?,
                original_positions: number(
                    self.original_max_position_embeddings,
                    "rope_scaling.original_max_position_embeddings",
                )?,
            }),
            other => Err(refuse(
                "rope_scaling.rope_type",
                other,
                "supported are default, linear and llama3",
            )),
        }
    }
}
