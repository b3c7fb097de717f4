//! Ranks that are threads with a GPU each, whose sums NCCL takes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};

use super::threads::Thread;
use super::{Communicator, DeviceSum};
use crate::{Error, Result};

/// One of several threads, and the devices of all.
pub(super) struct Gpu {
    thread: Thread,
    devices: Vec<Device>,
}

pub(super) fn ranks(threads: Vec<Thread>) -> Vec<Gpu> {
    let devices: Vec<Device> = (0..threads.len()).map(Device::cuda).collect();
    threads
        .into_iter()
        .map(|thread| Gpu {
            thread,
            devices: devices.clone(),
        })
        .collect()
}

impl DeviceSum for Gpu {
    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
        let own = &self.devices[self.rank()];
        if values.device() != *own {
            return Err(Error::lost(format!(
                "the model is on {:?}, not on {own:?}",
                values.device()
            )));
        }
        // burn has no other way to say that it has found no NCCL.
        catch_unwind(AssertUnwindSafe(|| {
            all_reduce(values, ReduceOperation::Sum, self.devices.clone()).resolve()
        }))
        .map_err(|_| Error::lost("no sum over the GPUs; is NCCL (libnccl.so) installed?"))
    }
}

impl Communicator for Gpu {
    fn rank(&self) -> usize {
        self.thread.rank()
    }

    fn size(&self) -> usize {
        self.thread.size()
    }

    fn reduce_scatter(&self, whole: &[f32], part: &mut [f32]) -> Result<()> {
        self.thread.reduce_scatter(whole, part)
    }

    fn all_gather(&self, part: &[f32], whole: &mut [f32]) -> Result<()> {
        self.thread.all_gather(part, whole)
    }

    fn broadcast(&self, values: &mut [f32]) -> Result<()> {
        self.thread.broadcast(values)
    }

    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.thread.all_gather_bytes(bytes)
    }

    fn device_sum(&self) -> Option<&dyn DeviceSum> {
        Some(self)
    }
}
