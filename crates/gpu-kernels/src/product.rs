//! Matrix products.

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;

/// `lhs [m, k]` times `rhs [k, n]`, with the sums kept in a type of their own: float32 logits of a bfloat16 model are not
/// rounded to bfloat16 in between.
pub fn product(lhs: CubeTensor, rhs: CubeTensor, out: DType) -> CubeTensor {
    matmul(
        lhs.clone(),
        rhs.clone(),
        None,
        MatmulStrategy::default(),
        out,
    )
    // Of this shape or these types there is no such kernel.
    .unwrap_or_else(|_| CubeBackend::float_cast(CubeBackend::float_matmul(lhs, rhs), out.into()))
}
