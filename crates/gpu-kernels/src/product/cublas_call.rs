//! One product through cuBLASLt: its description, the algorithm for it, the call.

use std::collections::HashMap;
use std::ffi::c_void;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{self, cublasLtMatmulAlgo_t, cublasLtMatmulDescAttributes_t};
use cudarc::cublaslt::sys::{cublasLtMatmulPreferenceAttributes_t, cublasLtReductionScheme_t};
use cudarc::driver::sys::{CUdeviceptr, CUstream};

use super::cublas_layout::{Gemm, Matrix, Number};

/// What algorithms may use beside the matrices: what NVIDIA recommends for Hopper.
pub const WORKSPACE_BYTES: usize = 32 << 20;

/// Algorithms that are remembered: a training run has a few for every number of tokens that it meets.
const MOST_ALGORITHMS: usize = 4096;

/// What an algorithm may rely on of a pointer, at most.
const MOST_ALIGNMENT: u32 = 256;

/// Where the matrices of a [`Gemm`] begin.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub a: CUdeviceptr,
    pub b: CUdeviceptr,
    pub out: CUdeviceptr,
}

impl Places {
    /// How each of them is aligned, in bytes.
    fn alignments(self) -> [u32; 3] {
        [self.a, self.b, self.out].map(|place| match place.trailing_zeros() {
            zeros if zeros < MOST_ALIGNMENT.ilog2() => 1 << zeros,
            _ => MOST_ALIGNMENT,
        })
    }
}

/// A handle of the library, its workspace and the algorithms it has chosen. Never given back: a process needs it to its end.
pub struct Calls {
    handle: sys::cublasLtHandle_t,
    workspace: CUdeviceptr,
    algorithms: HashMap<(Gemm, [u32; 3]), cublasLtMatmulAlgo_t>,
}

impl Calls {
    /// For the thread's current context. `workspace` has [`WORKSPACE_BYTES`].
    pub fn new(workspace: CUdeviceptr) -> Result<Self, CublasError> {
        Ok(Self {
            handle: result::create_handle()?,
            workspace,
            algorithms: HashMap::new(),
        })
    }

    /// Puts the product on the stream. After an error nothing is on it.
    ///
    /// # Safety
    ///
    /// The places are those of whole matrices that stay where they are until what the stream has is done.
    pub unsafe fn enqueue(
        &mut self,
        gemm: &Gemm,
        places: Places,
        stream: CUstream,
    ) -> Result<(), CublasError> {
        let description = Description::new(gemm)?;
        let [a, b, out] = [&gemm.a, &gemm.b, &gemm.out].map(Layout::new);
        let (a, b, out) = (a?, b?, out?);
        let key = (*gemm, places.alignments());
        let algorithm = match self.algorithms.get(&key) {
            Some(known) => *known,
            None => {
                let preference = Preference::new(key.1)?;
                // SAFETY: all of them are alive.
                let found = unsafe {
                    result::get_matmul_algo_heuristic(
                        self.handle,
                        description.0,
                        a.0,
                        b.0,
                        out.0,
                        out.0,
                        preference.0,
                    )?
                };
                if self.algorithms.len() == MOST_ALGORITHMS {
                    self.algorithms.clear();
                }
                self.algorithms.insert(key, found.algo);
                found.algo
            }
        };
        let (alpha, beta) = (1f32, if gemm.onto { 1f32 } else { 0f32 });
        // SAFETY: all of them are alive, and the caller vouches for the places.
        unsafe {
            result::matmul(
                self.handle,
                description.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                places.a as *const c_void,
                a.0,
                places.b as *const c_void,
                b.0,
                places.out as *const c_void,
                out.0,
                places.out as *mut c_void,
                out.0,
                &algorithm,
                self.workspace as *mut c_void,
                WORKSPACE_BYTES,
                stream.cast(),
            )
        }
    }
}

/// What is computed: sums in float32, of float32 factors at their full precision.
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    fn new(gemm: &Gemm) -> Result<Self, CublasError> {
        let this = Self(result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )?);
        this.transposed(
            cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA,
            gemm.a_transposed,
        )?;
        this.transposed(
            cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB,
            gemm.b_transposed,
        )?;
        Ok(this)
    }

    fn transposed(
        &self,
        factor: cublasLtMatmulDescAttributes_t,
        transposed: bool,
    ) -> Result<(), CublasError> {
        // CUBLAS_OP_N and CUBLAS_OP_T.
        let operation = i32::from(transposed);
        // SAFETY: the library copies these four bytes.
        unsafe {
            result::set_matmul_desc_attribute(
                self.0,
                factor,
                (&raw const operation).cast(),
                size_of_val(&operation),
            )
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody else has it.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// A matrix for the library.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(matrix: &Matrix) -> Result<Self, CublasError> {
        let number = match matrix.number {
            Number::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Number::F16 => sys::cudaDataType_t::CUDA_R_16F,
            Number::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
        };
        result::create_matrix_layout(number, matrix.rows, matrix.columns, matrix.leading as i64)
            .map(Self)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody else has it.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What an algorithm may use and rely on.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new([a, b, out]: [u32; 3]) -> Result<Self, CublasError> {
        use cublasLtMatmulPreferenceAttributes_t::*;
        let this = Self(result::create_matmul_pref()?);
        this.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, WORKSPACE_BYTES)?;
        // Parts of a long sum are added in float32, not in the type of the output.
        let reduction = cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        this.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction)?;
        this.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, a)?;
        this.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, b)?;
        this.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out)?;
        this.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out)?;
        Ok(this)
    }

    fn set<T: Copy>(
        &self,
        attribute: cublasLtMatmulPreferenceAttributes_t,
        value: T,
    ) -> Result<(), CublasError> {
        // SAFETY: the library copies the value, which has the type that it documents for the attribute.
        unsafe {
            result::set_matmul_pref_attribute(
                self.0,
                attribute,
                (&raw const value).cast(),
                size_of::<T>(),
            )
        }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody else has it.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
