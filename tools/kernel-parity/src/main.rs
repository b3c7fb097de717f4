//! Prints how far every kernel of `gpu-kernels` is from the CPU in double precision with stock operations: values and gradients,
//! on random trees. Ends with 1 if one is further than it may be.
//!
//! `kernel-parity [--json] [DEVICE...]`; without names every device of the build.

#![allow(clippy::print_stdout, reason = "the table goes to standard output")]

mod adamw;
mod case;
mod cases;

use std::process::ExitCode;

use anyhow::{Result, bail};
use burn::tensor::{DType, Device};
use serde_json::json;

/// Of float32 and of bfloat16, relative to the largest number.
const TOLERANCES: [(DType, &str, f64); 2] =
    [(DType::F32, "f32", 1e-4), (DType::BF16, "bf16", 2e-2)];

/// Every device of this build, by name.
fn devices() -> Vec<(&'static str, Device)> {
    vec![
        #[cfg(feature = "cpu")]
        ("cpu", Device::cpu()),
        #[cfg(feature = "cuda")]
        ("cuda", Device::cuda(0)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Device::wgpu(Default::default())),
    ]
}

/// What is wanted of the command line.
fn wanted(arguments: impl Iterator<Item = String>) -> Result<(bool, Vec<(&'static str, Device)>)> {
    let (options, names): (Vec<_>, Vec<_>) = arguments.partition(|it| it.starts_with("--"));
    if let Some(other) = options.iter().find(|it| *it != "--json") {
        bail!("{other}: there is no such option; usage: kernel-parity [--json] [DEVICE...]");
    }
    let mut devices = devices();
    for name in &names {
        if !devices.iter().any(|(device, _)| device == name) {
            bail!(
                "{name}: this build has no such device; its features `cpu`, `cuda` and `wgpu` add them"
            );
        }
    }
    devices.retain(|(device, _)| names.is_empty() || names.iter().any(|name| name == device));
    Ok((!options.is_empty(), devices))
}

fn main() -> Result<ExitCode> {
    let (as_json, devices) = wanted(std::env::args().skip(1))?;
    let mut rows = Vec::new();
    let mut is_near = true;
    if !as_json {
        println!(
            "| device | type | kernel | values | gradients |\n| --- | --- | --- | ---: | ---: |"
        );
    }
    for (name, device) in &devices {
        for (dtype, type_name, tolerance) in TOLERANCES {
            if !device.supports_dtype(dtype) {
                continue;
            }
            for case in cases::all() {
                let kernel = &case.kernel;
                let apart = case.distance(device, dtype);
                // Not a number is not near.
                let near = |distance: f64| distance <= tolerance;
                let passed = near(apart.values) && apart.gradients.is_none_or(near);
                is_near &= passed;
                if !as_json {
                    let gradients = apart.gradients.map(|it| format!("{it:.1e}"));
                    println!(
                        "| {name} | {type_name} | {kernel} | {:.1e} | {} |{}",
                        apart.values,
                        gradients.unwrap_or_default(),
                        if passed { "" } else { " **too far**" }
                    );
                }
                rows.push(json!({
                    "device": name, "type": type_name, "kernel": kernel, "values": apart.values,
                    "gradients": apart.gradients, "passed": passed,
                }));
            }
        }
    }
    if as_json {
        println!("{}", json!({"passed": is_near, "kernels": rows}));
    }
    Ok(ExitCode::from(u8::from(!is_near)))
}
