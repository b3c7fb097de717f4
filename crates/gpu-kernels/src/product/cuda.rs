//! Products on CUDA: by cuBLASLt, or by one of cubek's kernels.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::cublas_layout::{Gemm, Number};
use super::fastest::{self, Form};
use super::{cubek, cubek_kernels, cublas, empty_for};
use crate::launch::owned;

pub fn product_into(result: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let Some(gemm) = describe(&lhs, &rhs, result.dtype, false) else {
        return cubek::product_into(result, lhs, rhs);
    };
    match fastest::form(&gemm, &lhs, &rhs) {
        Form::Cubek(kernel) => cubek_kernels::product_into(kernel, result, lhs, rhs),
        Form::CublasLt => match multiplied(&gemm, &lhs, &rhs, &result) {
            true => result,
            false => cubek::product_into(result, lhs, rhs),
        },
    }
}

pub fn product_onto(sum: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let dtype = sum.dtype;
    let part = || empty_for(&lhs, &rhs, dtype);
    let Some(gemm) = describe(&lhs, &rhs, dtype, true) else {
        return cubek::add(sum, cubek::product_into(part(), lhs, rhs));
    };
    match fastest::form(&gemm, &lhs, &rhs) {
        Form::Cubek(kernel) => {
            let part = cubek_kernels::product_into(kernel, part(), lhs, rhs);
            cubek::add(sum, part)
        }
        Form::CublasLt => {
            let sum = owned(sum);
            match multiplied(&gemm, &lhs, &rhs, &sum) {
                true => sum,
                false => cubek::add(sum, cubek::product_into(part(), lhs, rhs)),
            }
        }
    }
}

/// How cuBLASLt would be asked for it.
fn describe(lhs: &CubeTensor, rhs: &CubeTensor, out: DType, onto: bool) -> Option<Gemm> {
    cublas::describe(lhs, rhs, Number::of(out)?, onto)
}

/// Whether cuBLASLt took the product; a line where it did not.
fn multiplied(gemm: &Gemm, lhs: &CubeTensor, rhs: &CubeTensor, out: &CubeTensor) -> bool {
    let Err(error) = cublas::multiply(gemm, lhs, rhs, out) else {
        return true;
    };
    let [m, k, n] = gemm.sides();
    log::warn!(
        "matrix products: cuBLASLt failed on {m}x{k}x{n}, cubek does such from now on: {error}"
    );
    fastest::give_up(gemm, lhs, rhs);
    false
}
