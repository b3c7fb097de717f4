//! Matrix products.
//!
//! On CUDA they go through NVIDIA's cuBLASLt where it is installed and faster, and else, as on every other device, through
//! cubek. Both add up in float32. Of float32 factors cuBLASLt takes all 24 bits; cubek's kernels for tensor cores round them to
//! TF32, which keeps 11.
//!
//! # Which of them
//!
//! The first product of a kind (sides rounded up to powers of two, layouts, types) is done by cuBLASLt and by cubek on the device,
//! and the faster is kept for the process and, in `eurus/products.json` below `XDG_CACHE_HOME` or `~/.cache`, for later ones.
//! Without cuBLASLt all go to one kernel of cubek, burn's choice. Products of float32 factors are not measured: they go to
//! cuBLASLt where it is.
//!
//! The environment variable `EURUS_PRODUCTS` decides otherwise: `cublaslt` or `cubek` (that one kernel) for all; `fastest` for the
//! above, and where there is no cuBLASLt six kernels of cubek compete for products of 2^27 multiplications or more, which takes
//! minutes of compiling once. A product that cuBLASLt cannot do goes to cubek.
//!
//! Different kernels round differently in the last bits. So on a GPU a run repeats bit for bit only with the same choices: on
//! the same card, driver and library, with `EURUS_PRODUCTS` set to `cublaslt` or `cubek`, or with the same file of choices. Then
//! it does: cuBLASLt's products run on one stream, by the algorithm that the library names first, and no sum depends on timing.

mod cubek;
#[cfg(feature = "cuda")]
mod cubek_kernels;
#[cfg(feature = "cuda")]
mod cublas;
#[cfg(feature = "cuda")]
mod cublas_call;
#[cfg(feature = "cuda")]
mod cublas_layout;
#[cfg(feature = "cuda")]
mod cublas_order;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod fastest;

use std::fmt::{Display, Formatter};

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use crate::launch::{dims, empty};
use crate::sums;

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

/// `lhs [m, k]` times `rhs [k, n]`: `[m, n]`, contiguous, in a type of its own, so that float32 logits of a bfloat16 model are
/// not rounded to bfloat16 in between. Transposed views are not copied.
pub fn product(lhs: CubeTensor, rhs: CubeTensor, out: DType) -> CubeTensor {
    let result = empty_for(&lhs, &rhs, out);
    product_into(result, lhs, rhs)
}

/// [`product`] as the first part of a [sum](sums) of gradients.
pub fn product_for_sum(lhs: CubeTensor, rhs: CubeTensor, out: DType) -> CubeTensor {
    let result = sums::empty(&lhs, [dims(&lhs)[0], dims(&rhs)[1]], out);
    product_into(result, lhs, rhs)
}

/// A product in `result [m, n]`, contiguous, which nobody else holds.
fn product_into(result: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    #[cfg(feature = "cuda")]
    if matches!(lhs.device, burn_cubecl::CubeDevice::Cuda(_)) {
        return cuda::product_into(result, lhs, rhs);
    }
    cubek::product_into(result, lhs, rhs)
}

/// Memory for a product.
fn empty_for(lhs: &CubeTensor, rhs: &CubeTensor, out: DType) -> CubeTensor {
    empty(lhs, [dims(lhs)[0], dims(rhs)[1]], out)
}

/// `sum [m, n]` plus the product of `lhs [m, k]` and `rhs [k, n]`, in the type of `sum`: the gradient of a weight in float32,
/// say, from factors in bfloat16, rounded nowhere in between. In place when nobody else holds `sum`; transposed views are not
/// copied.
pub fn product_onto(sum: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    #[cfg(feature = "cuda")]
    if matches!(lhs.device, burn_cubecl::CubeDevice::Cuda(_)) {
        return cuda::product_onto(sum, lhs, rhs);
    }
    let part = empty_for(&lhs, &rhs, sum.dtype);
    cubek::add(sum, cubek::product_into(part, lhs, rhs))
}
