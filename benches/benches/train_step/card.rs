//! The card: its name and its memory as the driver says them, its speed as its data sheet does.

use burn::tensor::Device;

/// Tera-operations per second of products of bfloat16 with sums in float32, without sparsity, on NVIDIA's data sheets; by a part
/// of the name that the driver gives. The first that fits holds.
const DATA_SHEETS: [(&str, f64); 7] = [
    ("H200 NVL", 835.0),
    ("H200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.0),
    ("H100", 989.0),
    ("A100", 312.0),
    ("L40S", 362.0),
];

/// A card by its name.
pub fn data_sheet_tflops(name: &str) -> Option<f64> {
    let found = DATA_SHEETS.iter().find(|(part, _)| name.contains(part));
    found.map(|(_, tflops)| *tflops)
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use burn::tensor::Device;
    use cudarc::driver::CudaContext;

    fn context(device: &Device) -> Option<Arc<CudaContext>> {
        let is_card = *device == Device::cuda(0);
        is_card.then(|| CudaContext::new(0).ok()).flatten()
    }

    pub fn name(device: &Device) -> Option<String> {
        context(device)?.name().ok()
    }

    /// How much of the card's memory is taken, asked for time and again.
    pub struct MemoryWatch {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<usize>,
    }

    impl MemoryWatch {
        /// `None` for a device that is no card.
        pub fn start(device: &Device) -> Option<Self> {
            let context = context(device)?;
            let stop = Arc::new(AtomicBool::new(false));
            let seen = stop.clone();
            let thread = std::thread::spawn(move || {
                let mut most = 0;
                loop {
                    if let Ok((free, total)) = context.mem_get_info() {
                        most = most.max(total - free);
                    }
                    if seen.load(Ordering::Relaxed) {
                        return most;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            Some(Self { stop, thread })
        }

        /// The most bytes that were taken, by whomever.
        pub fn peak(self) -> Option<usize> {
            self.stop.store(true, Ordering::Relaxed);
            self.thread.join().ok()
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use burn::tensor::Device;

    pub fn name(_device: &Device) -> Option<String> {
        None
    }

    pub struct MemoryWatch;

    impl MemoryWatch {
        pub fn start(_device: &Device) -> Option<Self> {
            None
        }

        pub fn peak(self) -> Option<usize> {
            None
        }
    }
}

pub use cuda::MemoryWatch;

/// What the driver calls a card; `None` for other devices.
pub fn name(device: &Device) -> Option<String> {
    cuda::name(device)
}
