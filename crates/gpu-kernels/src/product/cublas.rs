//! Products through cuBLASLt, on tensors of CubeCL.
//!
//! The library is found when the first product asks for it; a program that was built with CUDA runs without it. What a device
//! has of it (a handle, a stream, events, 32 MiB of workspace) is made once and lives on CubeCL's thread of that device, the
//! only one that puts work on it: between the moment when a product's place in the order is fixed and the moment when the
//! product stands there, no other work can come.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn_cubecl::tensor::CubeTensor;
use cubecl::cuda::CudaRuntime;
use cubecl_runtime::runtime::Runtime;
use cudarc::cublaslt::sys;
use cudarc::driver::result;

use super::Library;
use super::cublas_call::{Calls, Places, WORKSPACE_BYTES};
use super::cublas_layout::{Factor, Gemm, Number};
use super::cublas_order::Lane;

type Server = <CudaRuntime as Runtime>::Server;

/// What a device has of the library.
struct OfDevice {
    lane: Lane,
    calls: Calls,
}

thread_local! {
    /// Of every context that this thread has worked in, or why there is none.
    static DEVICES: RefCell<HashMap<usize, Result<OfDevice, String>>> = RefCell::default();
}

/// What has become of the search for the library.
static FOUND: Mutex<Option<Library>> = Mutex::new(None);

/// What has become of the search for the library; none while nothing has asked for it.
pub fn found() -> Option<Library> {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How the library would be asked for a product; none when it cannot be.
pub fn describe(lhs: &CubeTensor, rhs: &CubeTensor, out: Number, onto: bool) -> Option<Gemm> {
    Gemm::new(factor(lhs)?, factor(rhs)?, out, onto)
}

fn factor(tensor: &CubeTensor) -> Option<Factor> {
    if tensor.qparams.is_some() || tensor.meta.tiling.is_tiled() {
        return None;
    }
    Some(Factor {
        shape: tensor.meta.shape()[..].try_into().ok()?,
        strides: tensor.meta.strides()[..].try_into().ok()?,
        number: Number::of(tensor.dtype)?,
    })
}

/// Puts the product of `lhs` and `rhs` into `out`, a contiguous tensor that nobody else reads, or adds it there. After an error
/// `out` is as it was.
pub fn multiply(
    gemm: &Gemm,
    lhs: &CubeTensor,
    rhs: &CubeTensor,
    out: &CubeTensor,
) -> Result<(), String> {
    let client = &out.client;
    if client.is_capturing() {
        return Err("a graph is being captured".into());
    }
    let on_device = || {
        // Held until the product is in the order of things: what is freed or moved later comes after it.
        let a = client.get_resource::<Server>(rhs.handle.clone());
        let b = client.get_resource::<Server>(lhs.handle.clone());
        let d = client.get_resource::<Server>(out.handle.clone());
        let failed = |error| format!("a tensor is not on the device: {error}");
        let (a, b, d) = (a.map_err(failed)?, b.map_err(failed)?, d.map_err(failed)?);
        let (a, b, d) = (a.resource(), b.resource(), d.resource());
        let whole = a.size >= gemm.a.bytes() && b.size >= gemm.b.bytes();
        if !whole || d.size < gemm.out.bytes() {
            return Err(format!("a buffer is too short for {gemm:?}"));
        }
        let places = Places {
            a: a.ptr,
            b: b.ptr,
            out: d.ptr,
        };
        with_device(|device| {
            device.lane.enter().map_err(|error| error.to_string())?;
            // SAFETY: the buffers are long enough, see above, and work that frees them comes after the product.
            let put = unsafe { device.calls.enqueue(gemm, places, device.lane.stream()) };
            // In any case: the lane's stream must not run into what comes next.
            let left = device.lane.leave();
            put.map_err(|error| error.to_string())?;
            // The product is on its way. If the device cannot even be waited for, it is lost, which the next read says.
            if let Err(error) = left {
                log::error!("CUDA: {error}");
            }
            Ok(())
        })
    };
    client
        .exclusive(on_device)
        .map_err(|error| error.to_string())?
}

/// Whether the library is there for this tensor's device.
pub fn available(tensor: &CubeTensor) -> bool {
    match found() {
        Some(Library::Found { .. }) => true,
        Some(Library::Absent(_)) => false,
        None => {
            let client = &tensor.client;
            let opened = client.exclusive(|| {
                // Makes the context current.
                let resource = client.get_resource::<Server>(tensor.handle.clone());
                resource.is_ok() && with_device(|_| Ok(())).is_ok()
            });
            opened.unwrap_or(false)
        }
    }
}

/// Runs with what the thread's current context has of the library.
fn with_device<R>(run: impl FnOnce(&mut OfDevice) -> Result<R, String>) -> Result<R, String> {
    let context = result::ctx::get_current().map_err(|error| error.to_string())?;
    let context = context.ok_or("the thread has no CUDA context")?;
    DEVICES.with_borrow_mut(|devices| {
        let device = devices.entry(context as usize).or_insert_with(|| {
            let device = open(context);
            let found = match &device {
                Ok(device) => Library::Found {
                    version: version(),
                    host_waits: device.lane.host_waits(),
                },
                Err(reason) => Library::Absent(reason.clone()),
            };
            match &found {
                Library::Found { .. } => log::info!("matrix products: {found}"),
                Library::Absent(_) => log::warn!("matrix products: {found}"),
            }
            *FOUND.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            device
        });
        run(device.as_mut().map_err(|reason| reason.clone())?)
    })
}

fn open(context: cudarc::driver::sys::CUcontext) -> Result<OfDevice, String> {
    // SAFETY: the library is loaded to see whether it is there.
    if !unsafe { sys::is_culib_present() } {
        return Err("there is no libcublasLt on the library path".into());
    }
    let lane = Lane::new(context).map_err(|error| error.to_string())?;
    // SAFETY: nobody else has this memory, and it is never freed.
    let workspace = unsafe { result::malloc_sync(WORKSPACE_BYTES) };
    let workspace = workspace.map_err(|error| format!("its workspace: {error}"))?;
    let calls = Calls::new(workspace).map_err(|error| error.to_string())?;
    Ok(OfDevice { lane, calls })
}

/// As NVIDIA writes it: 13.1.0.
fn version() -> String {
    // SAFETY: the library is there.
    let version = unsafe { sys::cublasLtGetVersion() };
    // Since version 11 two digits each for the second and third part.
    format!(
        "{}.{}.{}",
        version / 10_000,
        version / 100 % 100,
        version % 100
    )
}
