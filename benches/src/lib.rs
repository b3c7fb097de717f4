//! Criterion benches of the workspace, and what they share.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// The device of this name: `cpu`, or `cuda` in a build with that feature.
///
/// # Errors
///
/// Another name.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ => bail!("this build has no such device; `--features cuda` adds cuda"),
    }
}
