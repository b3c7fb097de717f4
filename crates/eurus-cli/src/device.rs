//! Devices by name.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use eurus::burn::tensor::{Device, Tensor};

use crate::options::DeviceName;

/// The most characters that are told of what a driver says.
const MOST_TOLD: usize = 200;

/// A device that computes; where there are several GPUs, the one with this number.
pub fn open(name: DeviceName, gpu: usize) -> Result<Device> {
    let device = named(name, gpu)?;
    if name != DeviceName::Cpu
        && let Err(problem) = check(&device)
    {
        let name = name.as_str();
        bail!(
            "--device {name}: there is none here that computes: {problem}; install its driver, or use --device cpu"
        );
    }
    Ok(device)
}

/// Asks a device for a number. Of one that is not there burn says so by a panic, here or in a thread of its own.
fn check(device: &Device) -> Result<(), String> {
    // Whoever holds the hook puts back what it found.
    static HOOK: Mutex<()> = Mutex::new(());
    let _held = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let said = Arc::new(Mutex::new(None::<String>));
    let heard = said.clone();
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = heard.take().or(text);
    }));
    let asked = catch_unwind(AssertUnwindSafe(|| {
        Tensor::<1>::zeros([1], device).into_data()
    }));
    set_hook(before);
    match asked {
        Ok(_) => Ok(()),
        Err(_) => {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
            let said = said.unwrap_or_else(|| "it does not answer".to_owned());
            let mut told: String = said.chars().take(MOST_TOLD).collect();
            if told.len() < said.len() {
                told.push('…');
            }
            Err(told)
        }
    }
}

/// Where there are several GPUs, the one with this number.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
fn named(name: DeviceName, gpu: usize) -> Result<Device> {
    match name {
        DeviceName::Cpu => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda => Ok(Device::cuda(gpu)),
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "tch")]
        #[allow(
            deprecated,
            reason = "burn means to drop LibTorch; until then it is offered"
        )]
        DeviceName::Tch => Ok(Device::libtorch()),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda => not_built("cuda"),
        #[cfg(not(feature = "wgpu"))]
        DeviceName::Wgpu => not_built("wgpu"),
        #[cfg(not(feature = "tch"))]
        DeviceName::Tch => not_built("tch"),
    }
}

#[cfg(not(all(feature = "cuda", feature = "wgpu", feature = "tch")))]
fn not_built(feature: &str) -> Result<Device> {
    bail!(
        "--device {feature}: this program was built without it; build it with `cargo build --release -p eurus-cli --features {feature}`, or use --device cpu"
    )
}
