//! An estimate of the time of a run: its operations over the speed of matrix products on the device.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use eurus::burn::tensor::{Device, Distribution, Tensor};
use eurus::models::DecoderConfig;
use serde::Serialize;

use crate::options::DeviceName;

/// How long products are measured.
const MEASURED: Duration = Duration::from_millis(500);

/// The most rows, inputs and outputs of the measured product: enough for a GPU, and half a second on two cores.
const ROWS: usize = 1024;
const FEATURES: usize = 4096;

/// Share of the speed of matrix products that training reaches; what else it does takes time, too. Steps of SmolLM2-135M on
/// two cores reached 0.81 to 0.86.
const ASSUMED_SHARE: f64 = 0.8;

/// Speed of matrix products on a device.
#[derive(Debug, Clone, Copy)]
pub struct MatmulRate {
    /// Operations per second.
    flops_per_second: f64,
}

impl MatmulRate {
    /// Multiplies matrices of the shapes of the model's MLP for half a second, and takes the fastest product.
    pub fn measure(device: &Device, config: &DecoderConfig) -> Result<Self> {
        let inputs = config.hidden_size.min(FEATURES);
        let outputs = config.intermediate_size.min(FEATURES);
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, device);
        let (x, weight) = (random([ROWS, inputs]), random([inputs, outputs]));
        let product = || {
            let started = Instant::now();
            let y = x.clone().matmul(weight.clone());
            device.sync().map(|()| {
                drop(y);
                started.elapsed()
            })
        };
        let problem = "a matrix product to measure the device's speed with failed";
        // The first product may wake threads or compile a kernel.
        product().context(problem)?;
        let started = Instant::now();
        let mut fastest = Duration::MAX;
        while started.elapsed() < MEASURED {
            fastest = fastest.min(product().context(problem)?);
        }
        let flops = 2.0 * (ROWS * inputs * outputs) as f64;
        Ok(Self {
            flops_per_second: flops / fastest.as_secs_f64().max(1e-9),
        })
    }
}

/// How long a run takes, and what that is derived from.
#[derive(Debug, Serialize)]
pub struct Time {
    /// Operations of all matrix products of the run.
    pub flops: f64,
    pub device: String,
    /// What the device was measured to do.
    pub matmul_flops_per_second: f64,
    /// Share of it that the run is taken to reach.
    pub assumed_share: f64,
    pub seconds: f64,
}

impl Time {
    pub fn estimate(flops: f64, rate: MatmulRate, device: DeviceName) -> Self {
        let name = device.to_possible_value();
        Self {
            flops,
            device: name.map_or_else(String::new, |value| value.get_name().to_owned()),
            matmul_flops_per_second: rate.flops_per_second,
            assumed_share: ASSUMED_SHARE,
            seconds: flops / (rate.flops_per_second * ASSUMED_SHARE),
        }
    }
}
