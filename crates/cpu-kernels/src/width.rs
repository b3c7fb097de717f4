//! The vector width that kernels are run with.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Names the environment variable that caps the width: `128`, `256` or `512`.
///
/// For bug reports and tests: with it, a processor computes what a smaller one would. It is read once, by the first
/// kernel. It holds for the kernels of this crate, not for burn's own element-wise operations.
pub const MAX_VECTOR_BITS: &str = "EURUS_MAX_VECTOR_BITS";

/// How wide the vectors of a kernel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VectorWidth {
    /// 128 bits, as every processor of the architecture has (SSE2, NEON).
    Bits128,
    /// AVX2 with fused multiply-add.
    Bits256,
    /// AVX-512, the parts that all its processors have.
    Bits512,
}

/// A value of [`MAX_VECTOR_BITS`] that is no width.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAX_VECTOR_BITS} is `{value}`; give 128, 256 or 512, or unset it to use all that the processor has"
)]
pub struct WidthError {
    /// The value of the environment variable.
    pub value: String,
}

impl VectorWidth {
    /// The widest that this processor has, whatever the environment says.
    pub fn of_processor() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx_512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            // f16c too: gemm's kernels of this width ask for it when half precision is compiled in.
            let has_avx_2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if has_avx_2 && has_avx_512 {
                return Self::Bits512;
            }
            if has_avx_2 {
                return Self::Bits256;
            }
        }
        Self::Bits128
    }

    /// The width that kernels are run with: the processor's, at most [`MAX_VECTOR_BITS`].
    ///
    /// A value there that is no width is ignored; [`check_environment`] tells.
    pub fn in_use() -> Self {
        static IN_USE: OnceLock<VectorWidth> = OnceLock::new();
        *IN_USE.get_or_init(|| {
            let cap = check_environment().ok().flatten();
            // Never wider than the processor: to run code that it lacks the instructions for is undefined behavior.
            cap.map_or_else(Self::of_processor, |cap| cap.min(Self::of_processor()))
        })
    }
}

/// The cap that the environment sets, if any.
///
/// # Errors
///
/// When [`MAX_VECTOR_BITS`] is set to something that is no width.
pub fn check_environment() -> Result<Option<VectorWidth>, WidthError> {
    match std::env::var_os(MAX_VECTOR_BITS) {
        Some(value) if !value.is_empty() => value.to_string_lossy().parse().map(Some),
        _ => Ok(None),
    }
}

impl FromStr for VectorWidth {
    type Err = WidthError;

    fn from_str(value: &str) -> Result<Self, WidthError> {
        match value {
            "128" => Ok(Self::Bits128),
            "256" => Ok(Self::Bits256),
            "512" => Ok(Self::Bits512),
            _ => Err(WidthError {
                value: value.to_owned(),
            }),
        }
    }
}

impl fmt::Display for VectorWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits128 => "128 bits",
            Self::Bits256 => "256 bits",
            Self::Bits512 => "512 bits",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_read_by_their_bits_and_nothing_else_is() {
        assert_eq!("256".parse(), Ok(VectorWidth::Bits256));
        for wrong in ["", "64", "avx2", "256 bits"] {
            let error = VectorWidth::from_str(wrong).expect_err("no width");
            assert!(error.to_string().contains(MAX_VECTOR_BITS), "{error}");
        }
        assert!(VectorWidth::Bits128 < VectorWidth::Bits512);
    }

    #[test]
    fn the_width_in_use_is_no_wider_than_the_processor_and_the_cap() {
        let in_use = VectorWidth::in_use();
        assert!(in_use <= VectorWidth::of_processor());
        if let Ok(Some(cap)) = check_environment() {
            assert!(in_use <= cap);
        }
    }
}
