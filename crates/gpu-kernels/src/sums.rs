//! Sums of the gradients of a step, where they do not stand in the way of what comes and goes.
//!
//! CubeCL carves tensors out of pages and keeps a page as long as anything lies on it. The first forest of a step makes the sums of
//! gradients between its activations; on the same pages they would leave gaps that the activations of a forest of another size do
//! not fit in. So a sum has memory of its own size, which the sum of a later step takes again.

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use crate::launch;

/// A sum on the device of `like`, not filled.
pub fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    like.client
        .memory_persistent_allocation(shape, |shape| launch::empty(like, shape, dtype))
}

/// A sum of the shape of `like`, of zeros.
pub fn zeros(like: &CubeTensor, dtype: DType) -> CubeTensor {
    let shape = like.meta.shape().clone();
    like.client.memory_persistent_allocation(shape, |shape| {
        CubeBackend::float_zeros(shape, &like.device, dtype.into())
    })
}
