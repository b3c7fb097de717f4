//! Logistic functions whose values *and* gradients hold over the whole range of f32.

use burn::tensor::{DType, Tensor, activation};

/// `log s(x)`, with `s(x) = 1 / (1 + exp(-x))`.
///
/// Computed in f32 whatever the input dtype, as `-softplus(-x)`: exact to rounding from
/// `x = -1e4` (value `x`, gradient 1) over 0 (value `-ln 2`, gradient 1/2) to the far right tail
/// (value `-exp(-x)`, gradient `exp(-x)`).
///
/// burn's own `log_sigmoid` is not used because its generic version forms `log(1 + exp(-x))` and
/// `1 - 1/z`, which are 0 for `x > 17` on every backend that does not override it.
///
/// # Shapes
///
/// - x: any
/// - output: as x, f32
pub fn log_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softplus(x.cast(DType::F32).neg(), 1.0).neg()
}

/// `s(x) = 1 / (1 + exp(-x))`, as `exp(log s(x))`.
///
/// The usual gradient `s * (1 - s)` is 0 in f32 as soon as `s` rounds to 1 (`x > 17`); this one is
/// `s(x) * s(-x)` from -1e4 to 1e4.
pub(crate) fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    log_sigmoid(x).exp()
}

/// `-log s(x)`.
pub(crate) fn negative_log_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softplus(x.cast(DType::F32).neg(), 1.0)
}

/// `(1 - rate) * -log s(x) + rate * -log s(-x)`: the logistic loss with a share of flipped labels.
pub(crate) fn smoothed_negative_log_sigmoid<const D: usize>(x: Tensor<D>, rate: f64) -> Tensor<D> {
    let kept = negative_log_sigmoid(x.clone());
    if rate == 0.0 {
        return kept;
    }
    kept.mul_scalar(1.0 - rate) + negative_log_sigmoid(x.neg()).mul_scalar(rate)
}

/// `exp(x) - 1`, exact to rounding where `x` is small too. Overflows as `exp`.
///
/// For values alone: the gradient that autodiff would give it cancels for large `|x|`. Join it to
/// its true gradient with [`with_slope`].
pub(crate) fn exp_m1<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone().mul_scalar(0.5).tanh() * x.exp().add_scalar(1.0)
}

/// 0 in the shape of `x`, and still part of its graph: the gradient is 0, where a fresh constant
/// has none and backward through it panics.
pub(crate) fn zeros_of<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    // Not `x * 0`: that is NaN where `x` is not finite.
    let everywhere = x.zeros_like().equal_elem(0.0);
    x.mask_fill(everywhere, 0.0)
}

/// `value`, a function of `x` worked out without gradient, with `slope` as its derivative.
///
/// For functions whose value and derivative both have a stable form while the derivative that
/// autodiff makes of the stable value has none. `x` and `slope` must be finite.
pub(crate) fn with_slope<const D: usize>(
    value: Tensor<D>,
    x: Tensor<D>,
    slope: Tensor<D>,
) -> Tensor<D> {
    // The bracket is exactly 0, so the value is `value` bit for bit.
    value.detach() + (x.clone() - x.detach()) * slope.detach()
}
