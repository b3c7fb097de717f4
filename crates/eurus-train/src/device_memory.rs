//! Where a GPU keeps what a run needs.
//!
//! CubeCL carves tensors out of pages as large as the largest tensor so far, and keeps a page as long as anything lies on it. Of a
//! model of 7 billion parameters a tenth of such pages would stay empty between tensors of other sizes. So what stays for a whole
//! run lies outside of them, as the sums of gradients do (`gpu_kernels::sums`), and the pages for what comes and goes are larger than
//! any tensor. On a CPU nothing here does anything.

use burn::tensor::{Device, Tensor};

/// Makes tensors that stay for a whole run, each in memory of its own size.
pub(crate) fn lasting<I: Send, T: Send>(
    device: &Device,
    input: I,
    make: impl Fn(I) -> T + Send,
) -> T {
    device.memory_persistent_allocations(input, make)
}

/// The part of what a run keeps that a page has. In larger ones more tensors find room beside each other, and more is left
/// of the last one: 108 of them are 1 GiB each for 7 billion parameters.
const PAGES: usize = 108;

/// Gives back what nothing lies on, and takes the first page for what comes and goes in a run that keeps so many bytes.
pub(crate) fn begin(device: &Device, kept_bytes: usize) {
    device.memory_cleanup();
    // Other devices have limits of their own for the size of a tensor.
    if is_cuda(device) {
        // What is asked for first makes the page, and its place is free again at once.
        drop(Tensor::<1>::empty(
            [kept_bytes / PAGES / size_of::<f32>()],
            device,
        ));
    }
}

#[cfg(feature = "cuda")]
fn is_cuda(device: &Device) -> bool {
    use burn::backend::{CubeDevice, DispatchDevice};
    matches!(
        device.as_dispatch(),
        DispatchDevice::Cube(CubeDevice::Cuda(_))
    )
}

#[cfg(not(feature = "cuda"))]
fn is_cuda(_device: &Device) -> bool {
    false
}
