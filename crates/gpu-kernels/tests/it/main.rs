//! What these kernels ask of a driver that computes nothing: `tools/null-cuda` of the workspace.

#[cfg(feature = "cuda")]
mod cublas;
#[cfg(feature = "cuda")]
mod machine;
#[cfg(feature = "cuda")]
mod values;
