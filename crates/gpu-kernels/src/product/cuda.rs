//! Products on CUDA: by cuBLASLt, or by one of cubek's kernels.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::cublas_layout::{Gemm, Number};
use super::fastest::{self, Form};
use super::{cubek, cubek_kernels, cublas};
use crate::launch::{empty, owned};

pub fn product(lhs: CubeTensor, rhs: CubeTensor, out: DType) -> CubeTensor {
    let Some(gemm) = describe(&lhs, &rhs, out, false) else {
        return cubek::product(lhs, rhs, out);
    };
    match fastest::form(&gemm, &lhs, &rhs) {
        Form::Cubek(kernel) => cubek_kernels::product(kernel, lhs, rhs, out),
        Form::CublasLt => {
            let [m, _, n] = gemm.sides();
            let product = empty(&lhs, [m as usize, n as usize], out);
            match multiplied(&gemm, &lhs, &rhs, &product) {
                true => product,
                false => cubek::product(lhs, rhs, out),
            }
        }
    }
}

pub fn product_onto(sum: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let dtype = sum.dtype;
    let Some(gemm) = describe(&lhs, &rhs, dtype, true) else {
        return cubek::add(sum, cubek::product(lhs, rhs, dtype));
    };
    match fastest::form(&gemm, &lhs, &rhs) {
        Form::Cubek(kernel) => cubek::add(sum, cubek_kernels::product(kernel, lhs, rhs, dtype)),
        Form::CublasLt => {
            let sum = owned(sum);
            match multiplied(&gemm, &lhs, &rhs, &sum) {
                true => sum,
                false => cubek::add(sum, cubek::product(lhs, rhs, dtype)),
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
