//! Products through cubek, which compiles its kernels for the device at hand.

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, owned, row_of_units};

/// `lhs [m, k]` times `rhs [k, n]`, in `result [m, n]`. By itself burn's product would pad its rows, and what reads them would
/// copy them.
pub fn product_into(result: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let out = result.dtype;
    matmul(
        lhs.clone(),
        rhs.clone(),
        Some(result),
        MatmulStrategy::default(),
        out,
    )
    // Of this shape or these types there is no such kernel.
    .unwrap_or_else(|_| CubeBackend::float_cast(CubeBackend::float_matmul(lhs, rhs), out.into()))
}

#[cube(launch_unchecked)]
fn add_to(sum: &mut [f32], part: &[f32]) {
    let i = ABSOLUTE_POS;
    if i < sum.len() {
        sum[i] += part[i];
    }
}

/// A product added to `sum`, in place if nobody else holds it.
pub fn add(sum: CubeTensor, part: CubeTensor) -> CubeTensor {
    if sum.dtype != DType::F32 {
        return CubeBackend::float_add(part, sum);
    }
    let sum = owned(sum);
    let elements = sum.meta.num_elements();
    if elements == 0 {
        return sum;
    }
    let client = part.client.clone();
    // SAFETY: both have as many elements, and no other index is used.
    unsafe {
        add_to::launch_unchecked(
            &client,
            cubes_for(&client, elements),
            row_of_units(),
            sum.clone().into_buffer_arg(),
            buffer(part),
        );
    }
    sum
}
