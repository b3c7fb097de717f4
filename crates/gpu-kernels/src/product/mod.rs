//! Matrix products.
//!
//! On CUDA they go through NVIDIA's cuBLASLt where it is installed and faster, and else, as on every other device, through
//! cubek. Both add up in float32. Of float32 factors cuBLASLt takes all 24 bits; cubek's kernels for tensor cores round them to
//! TF32, which keeps 11.
//!
//! # Which of the two
//!
//! The first product of a kind (sides rounded up to powers of two, layouts, types) is done both ways on the device, and the
//! faster is kept for the process and, in `eurus/products.json` below `XDG_CACHE_HOME` or `~/.cache`, for later ones. Products
//! of float32 factors are not measured: they go to cuBLASLt. The environment variable `EURUS_PRODUCTS` decides otherwise:
//! `cublaslt` or `cubek` for all, `fastest` for the above. A product that cuBLASLt cannot do goes to cubek.
//!
//! The two round differently in the last bits. So on a GPU a run repeats bit for bit only with the same choices: on the same
//! card, driver and library, with `EURUS_PRODUCTS` set to one of the two, or with the same file of choices. Then it does: every
//! product runs on one stream, with the algorithm that the library names first for it, and no sum depends on timing.

mod cubek;

#[cfg(feature = "cuda")]
mod cublas;
#[cfg(feature = "cuda")]
mod cublas_call;
#[cfg(feature = "cuda")]
mod cublas_choice;
#[cfg(feature = "cuda")]
mod cublas_layout;
#[cfg(feature = "cuda")]
mod cublas_order;

use std::fmt::{Display, Formatter};

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

/// What has become of the search for cuBLASLt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Library {
    /// It was found.
    Found {
        /// Its version, as 13.1.0.
        version: String,
        /// Whether the host waits for every product, because the driver is older than CUDA 12.5.
        host_waits: bool,
    },
    /// All products go through cubek, for this reason.
    Absent(String),
}

impl Display for Library {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Found {
                version,
                host_waits,
            } => {
                write!(f, "cuBLASLt {version}")?;
                match host_waits {
                    true => write!(
                        f,
                        ", the host waiting for each (a driver older than CUDA 12.5)"
                    ),
                    false => Ok(()),
                }
            }
            Self::Absent(reason) => write!(f, "cubek, without cuBLASLt: {reason}"),
        }
    }
}

/// What has become of the search for cuBLASLt: a line that a program can show. None while no product has asked for it, as on
/// devices other than CUDA's.
pub fn library() -> Option<Library> {
    #[cfg(feature = "cuda")]
    return cublas::found();
    #[cfg(not(feature = "cuda"))]
    None
}

/// `lhs [m, k]` times `rhs [k, n]`: `[m, n]`, in a type of its own, so that float32 logits of a bfloat16 model are not rounded
/// to bfloat16 in between. Transposed views are not copied.
pub fn product(lhs: CubeTensor, rhs: CubeTensor, out: DType) -> CubeTensor {
    #[cfg(feature = "cuda")]
    if let Some(product) = through_library(&lhs, &rhs, out) {
        return product;
    }
    cubek::product(lhs, rhs, out)
}

/// `sum [m, n]` plus the product of `lhs [m, k]` and `rhs [k, n]`, in the type of `sum`: the gradient of a weight in float32,
/// say, from factors in bfloat16, rounded nowhere in between. In place when nobody else holds `sum`; transposed views are not
/// copied.
pub fn product_onto(sum: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    #[cfg(feature = "cuda")]
    if let Some(gemm) = call(&lhs, &rhs, sum.dtype, true) {
        let sum = crate::launch::owned(sum);
        return match done(&gemm, &lhs, cublas::multiply(&gemm, &lhs, &rhs, &sum)) {
            true => sum,
            false => cubek::product_onto(sum, lhs, rhs),
        };
    }
    cubek::product_onto(sum, lhs, rhs)
}

#[cfg(feature = "cuda")]
fn through_library(lhs: &CubeTensor, rhs: &CubeTensor, out: DType) -> Option<CubeTensor> {
    let gemm = call(lhs, rhs, out, false)?;
    let [m, _, n] = gemm.sides();
    let product = crate::launch::empty(lhs, [m as usize, n as usize], out);
    done(&gemm, lhs, cublas::multiply(&gemm, lhs, rhs, &product)).then_some(product)
}

/// How the library is to be asked for the product, if it is.
#[cfg(feature = "cuda")]
fn call(lhs: &CubeTensor, rhs: &CubeTensor, out: DType, onto: bool) -> Option<cublas_layout::Gemm> {
    if !matches!(lhs.device, burn_cubecl::CubeDevice::Cuda(_)) {
        return None;
    }
    let gemm = cublas::describe(lhs, rhs, cublas_layout::Number::of(out)?, onto)?;
    match cublas_choice::form(&gemm, lhs, rhs) {
        cublas_choice::Form::CublasLt => Some(gemm),
        cublas_choice::Form::Cubek => None,
    }
}

/// Whether the library took the product; a line where it did not.
#[cfg(feature = "cuda")]
fn done(gemm: &cublas_layout::Gemm, lhs: &CubeTensor, outcome: Result<(), String>) -> bool {
    let Err(error) = outcome else {
        return true;
    };
    let [m, k, n] = gemm.sides();
    log::warn!(
        "matrix products: cuBLASLt failed on {m}x{k}x{n}, cubek does such from now on: {error}"
    );
    cublas_choice::give_up(gemm, &lhs.device);
    false
}
