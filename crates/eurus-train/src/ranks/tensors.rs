//! Tensors that ranks share out and put together: on their devices if the transport has a way, else through the host.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Ranks;
use crate::Result;

/// The numbers as ranks send them.
pub(crate) fn floats(data: TensorData) -> Vec<f32> {
    match data.as_slice::<f32>() {
        Ok(values) => values.to_vec(),
        Err(_) => data.iter::<f32>().collect(),
    }
}

/// Numbers that ranks have sent, `[n]`.
pub(crate) fn flat_tensor(values: Vec<f32>, device: &Device, dtype: DType) -> Tensor<1> {
    let elements = values.len();
    let data = TensorData::new(values, [elements]).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

/// `values [n]` between zeros.
fn between_zeros(before: usize, values: Tensor<1>, after: usize) -> Tensor<1> {
    let options = (&values.device(), values.dtype());
    let zeros = |count: usize| (count > 0).then(|| Tensor::zeros([count], options));
    let (before, after) = (zeros(before), zeros(after));
    if before.is_none() && after.is_none() {
        return values;
    }
    Tensor::cat(before.into_iter().chain([values]).chain(after).collect(), 0)
}

impl Ranks {
    /// Elements of each rank's part of `elements` numbers; the last parts are filled up.
    pub(crate) fn part_of(&self, elements: usize) -> usize {
        elements.div_ceil(self.size())
    }

    /// This rank's part of `values [n]`, which it has whole, filled up with zeros.
    pub(crate) fn own_part(&self, values: Tensor<1>) -> Tensor<1> {
        if self.size() == 1 {
            return values;
        }
        let [elements] = values.dims();
        let part = self.part_of(elements);
        let start = (self.rank() * part).min(elements);
        let length = part.min(elements - start);
        if length == 0 {
            return Tensor::zeros([part], (&values.device(), values.dtype()));
        }
        between_zeros(0, values.narrow(0, start, length), part - length)
    }

    /// This rank's part of the sum of `values [n]` over the ranks, filled up with zeros.
    pub(crate) fn sum_and_share(&self, values: Tensor<1>) -> Result<Tensor<1>> {
        let Some(communicator) = &self.0 else {
            return Ok(values);
        };
        if let Some(device) = communicator.device_sum() {
            return Ok(self.own_part(device.sum(values)?));
        }
        let (device, dtype) = (values.device(), values.dtype());
        let mut values = floats(values.into_data());
        let part = self.part_of(values.len());
        values.resize(part * self.size(), 0.0);
        let mut mine = vec![0.0; part];
        communicator.reduce_scatter(&values, &mut mine)?;
        Ok(flat_tensor(mine, &device, dtype))
    }

    /// The parts of all ranks as one, without what fills up the last ones: `[elements]`.
    pub(crate) fn put_together(&self, part: Tensor<1>, elements: usize) -> Result<Tensor<1>> {
        let Some(communicator) = &self.0 else {
            return Ok(part);
        };
        let [length] = part.dims();
        if let Some(device) = communicator.device_sum() {
            // Of parts that do not overlap the sum is all of them.
            let after = length * (self.size() - 1 - self.rank());
            let whole = device.sum(between_zeros(length * self.rank(), part, after))?;
            return Ok(whole.narrow(0, 0, elements));
        }
        let (device, dtype) = (part.device(), part.dtype());
        let mut whole = vec![0.0; length * self.size()];
        communicator.all_gather(&floats(part.into_data()), &mut whole)?;
        whole.truncate(elements);
        Ok(flat_tensor(whole, &device, dtype))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Communicator, DeviceSum, threads};
    use super::*;

    /// Threads whose sums are taken to be a device's.
    struct OnDevice(threads::Thread);

    impl DeviceSum for OnDevice {
        fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
            let values = floats(values.into_data());
            let part = values.len().div_ceil(self.size());
            let mut whole = values.clone();
            whole.resize(part * self.size(), 0.0);
            let mut mine = vec![0.0; part];
            self.0.reduce_scatter(&whole, &mut mine)?;
            self.0.all_gather(&mine, &mut whole)?;
            whole.truncate(values.len());
            Ok(flat_tensor(whole, &Device::flex(), DType::F32))
        }
    }

    impl Communicator for OnDevice {
        fn rank(&self) -> usize {
            self.0.rank()
        }

        fn size(&self) -> usize {
            self.0.size()
        }

        fn reduce_scatter(&self, _: &[f32], _: &mut [f32]) -> Result<()> {
            unreachable!("through the host")
        }

        fn all_gather(&self, _: &[f32], _: &mut [f32]) -> Result<()> {
            unreachable!("through the host")
        }

        fn broadcast(&self, values: &mut [f32]) -> Result<()> {
            self.0.broadcast(values)
        }

        fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
            self.0.all_gather_bytes(bytes)
        }

        fn device_sum(&self) -> Option<&dyn DeviceSum> {
            Some(self)
        }
    }

    fn on_device(size: usize) -> Vec<Ranks> {
        let of_thread = |thread| Ranks::new(Arc::new(OnDevice(thread)));
        threads::ranks(size).into_iter().map(of_thread).collect()
    }

    /// Every rank's part of the sum of `rank + 1` times 0, 1, 2, ..., and its parts put together again.
    fn shared_out(ranks: Vec<Ranks>, elements: usize) -> Vec<[Vec<f32>; 2]> {
        std::thread::scope(|scope| {
            let of_rank = |ranks: Ranks| {
                let value = |place| place as f32 * (ranks.rank() + 1) as f32;
                let values = (0..elements).map(value).collect();
                let values = flat_tensor(values, &Device::flex(), DType::F32);
                let part = ranks.sum_and_share(values).expect("a sum");
                let whole = ranks.put_together(part.clone(), elements).expect("parts");
                [part, whole].map(|tensor| floats(tensor.into_data()))
            };
            let threads: Vec<_> = ranks
                .into_iter()
                .map(|ranks| scope.spawn(move || of_rank(ranks)))
                .collect();
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("a rank");
            threads.into_iter().map(join).collect()
        })
    }

    #[test]
    fn sums_on_devices_are_shared_out_and_put_together_as_those_through_the_host() {
        // Fewer numbers than ranks, as many, a multiple, and neither.
        for elements in [1, 3, 4, 8, 10, 35] {
            let sum: Vec<f32> = (0..elements).map(|place| 10.0 * place as f32).collect();
            let on_host = shared_out(Ranks::threads(4), elements);
            assert_eq!(on_host, shared_out(on_device(4), elements), "{elements}");
            assert!(on_host.iter().all(|[_, whole]| *whole == sum), "{elements}");
            let parts: Vec<f32> = on_host.into_iter().flat_map(|[part, _]| part).collect();
            assert_eq!(parts[..elements], sum, "{elements}");
        }
    }
}
