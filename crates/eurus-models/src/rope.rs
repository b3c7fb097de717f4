//! Rotary frequencies and tables.

use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{DecoderConfig, RopeScaling};

/// Rotary frequencies of a head, scaling included: `[head_dim / 2]`, computed in f64.
pub fn frequencies(config: &DecoderConfig) -> Vec<f64> {
    (0..config.head_dim / 2)
        .map(|i| {
            let exponent = 2.0 * i as f64 / config.head_dim as f64;
            scaled(config.rope_theta.powf(-exponent), config.rope_scaling)
        })
        .collect()
}

fn scaled(frequency: f64, scaling: RopeScaling) -> f64 {
    match scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 {
            factor,
            low,
            high,
            original_positions,
        } => {
            let wavelength = std::f64::consts::TAU / frequency;
            if wavelength > original_positions / low {
                frequency / factor
            } else if wavelength < original_positions / high {
                frequency
            } else {
                let blend = (original_positions / wavelength - low) / (high - low);
                (1.0 - blend) * frequency / factor + blend * frequency
            }
        }
    }
}

/// Cosines and sines of the positions, each `[T, head_dim / 2]`. Angles are computed in f64.
pub fn table(frequencies: &[f64], positions: &[u32], device: &Device) -> (Tensor<2>, Tensor<2>) {
    let shape = [positions.len(), frequencies.len()];
    let values = |function: fn(f64) -> f64| {
        let values: Vec<f32> = positions
            .iter()
            .flat_map(|&position| {
                frequencies
                    .iter()
                    .map(move |frequency| function(f64::from(position) * frequency) as f32)
            })
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    };
    (values(f64::cos), values(f64::sin))
}
