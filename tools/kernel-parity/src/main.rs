//! Prints how far the kernels of training steps and of generation are from the CPU in double precision with stock operations:
//! values and gradients, on random trees. Ends with 1 if one is further than it may be. A kernel that the device refuses, for want
//! of shared memory for example, says so in the table.
//!
//! `kernel-parity [--json] [--kernel TEXT] [DEVICE...]`; without names every device of the build, with a text the kernels alone
//! whose names have it.

#![allow(clippy::print_stdout, reason = "the table goes to standard output")]

mod case;
mod cases;
mod decode;
mod optimizer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Error, Result, bail};
use burn::tensor::{DType, Device};
use serde_json::{Value, json};

use case::{Case, Distance};
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

const USAGE: &str = "kernel-parity [--json] [--kernel TEXT] [DEVICE...]";

/// What is wanted of the command line.
struct Wanted {
    as_json: bool,
    /// A part of the names of kernels.
    kernel: String,
    devices: Vec<(&'static str, Device)>,
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Result<Wanted> {
    let (mut as_json, mut kernel, mut names) = (false, String::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => as_json = true,
            "--kernel" => match arguments.next() {
                Some(text) => kernel = text,
                None => bail!("--kernel: a part of a kernel's name is missing; usage: {USAGE}"),
            },
            other if other.starts_with("--") => {
                bail!("{other}: there is no such option; usage: {USAGE}")
            }
            name => names.push(name.to_owned()),
        }
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
    Ok(Wanted {
        as_json,
        kernel,
        devices,
    })
}

/// The last line of a message that says something.
fn reason(error: &Error) -> String {
    let message = error.to_string();
    let says = |line: &&str| !line.ends_with(':') && !line.contains("acktrace");
    message.lines().rfind(says).unwrap_or_default().to_owned()
}

/// How far a device is from the CPU. burn panics where cubek has no product for a device.
fn distance(case: &Case, device: &Device, dtype: DType) -> Result<Distance> {
    catch_unwind(AssertUnwindSafe(|| case.distance(device, dtype))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        bail!("{}", message.unwrap_or("burn panicked").trim_end())
    })
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
    let Wanted {
        as_json,
        kernel,
        devices,
    } = wanted(std::env::args().skip(1))?;
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
            let cases = cases::all(size).into_iter();
            for case in cases.filter(|case| case.kernel.contains(&kernel)) {
                let found = distance(&case, device, dtype);
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
    if rows.is_empty() {
        bail!("no kernel has `{kernel}` in its name, or there is no device");
    }
    if as_json {
        println!("{}", json!({"passed": is_near, "kernels": rows}));
    }
    Ok(ExitCode::from(u8::from(!is_near)))
}
