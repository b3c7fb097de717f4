//! Prints how far the kernels of a training step are from the CPU in double precision with stock operations: values and gradients,
//! on random trees. Ends with 1 if one is further than it may be. A kernel that the device refuses, for want of shared memory for
//! example, says so in the table.
//!
//! `kernel-parity [--json] [DEVICE...]`; without names every device of the build.

#![allow(clippy::print_stdout, reason = "the table goes to standard output")]

mod adamw;
mod case;
mod cases;

use std::process::ExitCode;

use anyhow::{Error, Result, bail};
use burn::tensor::{DType, Device};
use serde_json::{Value, json};

use case::Distance;
use cases::Size;

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

/// The last line of a message that says something.
fn reason(error: &Error) -> String {
    let message = error.to_string();
    let says = |line: &&str| !line.ends_with(':') && !line.contains("acktrace");
    message.lines().rfind(says).unwrap_or_default().to_owned()
}

/// A line of the table, and the same as JSON.
fn row(
    device: &str,
    dtype: &str,
    kernel: &str,
    found: &Result<Distance>,
    passed: bool,
) -> (String, Value) {
    let (values, gradients) = match found {
        Ok(Distance { values, gradients }) => (format!("{values:.1e}"), *gradients),
        Err(error) => (format!("refused: {}", reason(error)), None),
    };
    let shown = gradients.map_or(String::new(), |it| format!("{it:.1e}"));
    let note = if passed { "" } else { " **too far**" };
    let line = format!("| {device} | {dtype} | {kernel} | {values} | {shown} |{note}");
    let json = json!({
        "device": device, "type": dtype, "kernel": kernel, "passed": passed, "gradients": gradients,
        "values": found.as_ref().ok().map(|it| it.values),
        "refused": found.as_ref().err().map(ToString::to_string),
    });
    (line, json)
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
        let size = match *name {
            "cpu" => Size::SMALL,
            _ => Size::WHOLE,
        };
        for (dtype, type_name, tolerance) in TOLERANCES {
            if !device.supports_dtype(dtype) {
                continue;
            }
            for case in cases::all(size) {
                let found = case.distance(device, dtype);
                // Not a number is not near. A kernel that a device has no room for computes nothing wrong.
                let near = |distance: f64| distance <= tolerance;
                let passed = found.as_ref().map_or(true, |apart| {
                    near(apart.values) && apart.gradients.is_none_or(near)
                });
                is_near &= passed;
                let (line, json) = row(name, type_name, &case.kernel, &found, passed);
                if !as_json {
                    println!("{line}");
                }
                rows.push(json);
            }
        }
    }
    if as_json {
        println!("{}", json!({"passed": is_near, "kernels": rows}));
    }
    Ok(ExitCode::from(u8::from(!is_near)))
}
