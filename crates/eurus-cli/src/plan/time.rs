//! Time of a run, from its operations and the speed of this machine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eurus::burn::tensor::{Device, Distribution, Tensor};
use eurus::models::DecoderConfig;
use eurus::models::ops::project;
use serde::Serialize;

/// How long products are measured.
const MEASURED: Duration = Duration::from_millis(500);

/// The most rows, inputs and outputs of the measured product: enough for a GPU, and half a second on two cores.
const ROWS: usize = 1024;
const FEATURES: usize = 4096;

/// Share of the speed of matrix products that training reaches; what else it does takes time, too. Steps of SmolLM2-135M's
/// shape on two cores reached 0.56 to 0.64 in release builds.
const ASSUMED_SHARE: f64 = 0.6;

/// How long a run takes, and what that is derived from.
#[derive(Debug, Serialize)]
pub struct Time {
    /// Operations of all matrix products of the run.
    pub flops: f64,
    /// Matrix-product operations per second, as measured on the device.
    pub matmul_flops_per_second: f64,
    /// Share of it that the run is taken to reach.
    pub assumed_share: f64,
    pub seconds: f64,
}

impl Time {
    /// Measures the device with products of the shape of the model's MLP.
    pub fn estimate(flops: f64, device: &Device, config: &DecoderConfig) -> Result<Self> {
        Ok(Self::at(flops, matmul_flops_per_second(device, config)?))
    }

    /// At a speed of matrix products that has been measured.
    pub fn at(flops: f64, rate: f64) -> Self {
        Self {
            flops,
            matmul_flops_per_second: rate,
            assumed_share: ASSUMED_SHARE,
            seconds: flops / (rate * ASSUMED_SHARE),
        }
    }
}

/// The speed of the fastest of many products, by the operator that the model's layers use.
pub fn matmul_flops_per_second(device: &Device, config: &DecoderConfig) -> Result<f64> {
    let inputs = config.hidden_size.min(FEATURES);
    let outputs = config.intermediate_size.min(FEATURES);
    let random = |shape| Tensor::<2>::random(shape, Distribution::Default, device);
    let (x, weight) = (random([ROWS, inputs]), random([outputs, inputs]));
    let product = || {
        let started = Instant::now();
        let y = project(x.clone(), weight.clone());
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
    Ok(flops / fastest.as_secs_f64().max(1e-9))
}
