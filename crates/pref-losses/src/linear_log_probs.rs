//! Log-probs of target tokens straight from hidden states, without ever holding the logits.
//!
//! `[tokens, vocab]` logits are by far the largest tensor of a training step: 2048 tokens of a
//! vocabulary of 128 thousand are 1 GiB in f32, and a plain `log_softmax` + `gather` under autodiff
//! keeps several copies. Here the logits are made block by block; forward keeps two numbers per
//! token (the largest logit and the logarithm of the sum), backward makes each block again and
//! turns it into gradients. That costs one more matrix product and makes the memory independent of
//! `tokens * vocab`.
//!
//! One function gives policy log-probs (with gradient) and reference log-probs (without), so the
//! two agree to the bit for the same weights.

mod operation;

use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor};

use self::operation::{Also, LinearLogProbs, WeightLayout};

/// The type that the gradient of an output weight comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightGradient {
    /// That of the weight.
    #[default]
    OfWeight,
    /// f32 for a parameter in half precision, so that sums of it over several passes are rounded nowhere in between; that of the
    /// weight for others.
    ///
    /// burn adds no gradient in half precision to it: whatever else the parameter is used in has to give f32 as well.
    F32,
}

/// Log-probs of target tokens: `log softmax(hidden @ output_weight)[target]`.
///
/// Equal to making the logits, `log_softmax` and `gather`, in value and in gradient (of `hidden`
/// and of `output_weight`), but at most `chunk_tokens * vocab` logits exist at a time. Computed in
/// f32 whatever the input dtype: the CPU backend multiplies in f32 as well, the others multiply in
/// the input dtype and do the rest in f32. Gradients have the dtype of what they belong to.
///
/// Does not shift: `targets[t]` is scored by `hidden[t]`. There is no bias.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - output_weight: `[d_model, vocab]`, the layout of burn's `Linear`; a view is not copied
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: `[tokens]`, f32
///
/// `chunk_tokens` bounds the memory, it does not change the result beyond rounding; 0 counts as 1.
/// On CPU 64 is as fast as 256 (2048 tokens, 576 x 49152); elsewhere 256 to 1024 fill the device.
///
/// # Panics
///
/// If the shapes disagree, if `hidden` and `output_weight` differ in dtype, on CPU if a target is
/// outside the vocabulary, and on a backend that was not compiled in through a feature of this
/// crate.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use pref_losses::linear_log_probs::linear_log_probs;
///
/// let device = Device::flex().autodiff();
/// let hidden = Tensor::<2>::random([4, 8], Distribution::Default, &device).require_grad();
/// let weight = Tensor::<2>::zeros([8, 100], &device).require_grad();
/// let targets = Tensor::<1, Int>::from_data([7, 0, 99, 42], &device);
///
/// let log_probs = linear_log_probs(hidden, weight.clone(), targets, 256);
/// let values: Vec<f32> = log_probs.clone().into_data().iter::<f32>().collect();
/// assert!(values.iter().all(|value| (value + 100f32.ln()).abs() < 1e-5));
///
/// let gradients = log_probs.sum().neg().backward();
/// assert_eq!(weight.grad(&gradients).unwrap().dims(), [8, 100]);
/// ```
pub fn linear_log_probs(
    hidden: Tensor<2>,
    output_weight: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
) -> Tensor<1> {
    call(hidden, output_weight, targets, How::untied(chunk_tokens))
}

/// [`linear_log_probs`], and `log sum_v p(v)^2` at the same positions, for the weights of
/// [`Wpo`](crate::Wpo): see [`token_log_sum_squares`](crate::log_probs::token_log_sum_squares).
///
/// Both come from the same blocks of logits, so the second costs one more pass of `exp` over them and
/// no matrix product. The log-probs and their gradients are those of [`linear_log_probs`], to the
/// bit; the sums of squares have no gradient.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - output_weight: `[d_model, vocab]`
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: log-probs and `log sum_v p(v)^2`, `[tokens]` each, f32
///
/// # Panics
///
/// As [`linear_log_probs`].
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Distribution, Int, Tensor};
/// use pref_losses::linear_log_probs::linear_log_probs_with_squares;
///
/// let device = Device::flex();
/// let hidden = Tensor::<2>::random([2, 4], Distribution::Default, &device);
/// let weight = Tensor::<2>::zeros([4, 10], &device);
/// let targets = Tensor::<1, Int>::from_data([3, 9], &device);
/// let (log_probs, log_sum_squares) = linear_log_probs_with_squares(hidden, weight, targets, 64);
/// // Ten words, all alike: what is expected is what is.
/// let difference = (log_probs - log_sum_squares).abs().max().into_scalar::<f32>();
/// assert!(difference < 1e-6);
/// ```
pub fn linear_log_probs_with_squares(
    hidden: Tensor<2>,
    output_weight: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
) -> (Tensor<1>, Tensor<1>) {
    call_with_squares(hidden, output_weight, targets, How::untied(chunk_tokens))
}

/// [`linear_log_probs`] for a model whose output weight is its token embedding,
/// `[vocab, d_model]`.
///
/// The embedding is read as it lies in memory, and its gradient comes in the same layout, so
/// nothing is transposed. `gradient` says in which type it comes, since that of the embedding is added to it.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - embedding: `[vocab, d_model]`
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: `[tokens]`, f32
///
/// # Panics
///
/// As [`linear_log_probs`].
pub fn tied_linear_log_probs(
    hidden: Tensor<2>,
    embedding: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
    gradient: WeightGradient,
) -> Tensor<1> {
    let how = How {
        layout: WeightLayout::VocabByInput,
        chunk_tokens,
        gradient,
    };
    call(hidden, embedding, targets, how)
}

/// [`linear_log_probs_with_squares`] for a model whose output weight is its token embedding,
/// `[vocab, d_model]`.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - embedding: `[vocab, d_model]`
/// - targets: `[tokens]`, each in `0..vocab`
/// - output: log-probs and `log sum_v p(v)^2`, `[tokens]` each, f32
///
/// # Panics
///
/// As [`linear_log_probs`].
pub fn tied_linear_log_probs_with_squares(
    hidden: Tensor<2>,
    embedding: Tensor<2>,
    targets: Tensor<1, Int>,
    chunk_tokens: usize,
    gradient: WeightGradient,
) -> (Tensor<1>, Tensor<1>) {
    let how = How {
        layout: WeightLayout::VocabByInput,
        chunk_tokens,
        gradient,
    };
    call_with_squares(hidden, embedding, targets, how)
}

/// How log-probs are computed.
#[derive(Debug, Clone, Copy)]
struct How {
    layout: WeightLayout,
    chunk_tokens: usize,
    gradient: WeightGradient,
}

impl How {
    fn untied(chunk_tokens: usize) -> Self {
        Self {
            layout: WeightLayout::InputByVocab,
            chunk_tokens,
            gradient: WeightGradient::OfWeight,
        }
    }
}

fn call(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>, how: How) -> Tensor<1> {
    check(&hidden, &weight, &targets, how.layout);
    if hidden.dims()[0] == 0 {
        return nothing(hidden, weight, how.layout);
    }
    dispatch(hidden, weight, targets, how, Also::Nothing)
}

fn call_with_squares(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    how: How,
) -> (Tensor<1>, Tensor<1>) {
    check(&hidden, &weight, &targets, how.layout);
    let [tokens, _] = hidden.dims();
    if tokens == 0 {
        let log_probs = nothing(hidden, weight, how.layout);
        return (log_probs.clone(), log_probs.detach());
    }
    let both = dispatch(hidden, weight, targets, how, Also::LogSumSquares);
    let log_probs = both.clone().narrow(0, 0, tokens);
    (log_probs, both.detach().narrow(0, tokens, tokens))
}

fn check(hidden: &Tensor<2>, weight: &Tensor<2>, targets: &Tensor<1, Int>, layout: WeightLayout) {
    let [tokens, d_model] = hidden.dims();
    let (weight_input, vocab) = layout.split(weight.dims());
    assert!(
        weight_input == d_model && vocab > 0,
        "`hidden` is {:?} and the output weight {:?}: expected {layout:?} with {d_model} inputs \
         and a vocabulary of at least 1",
        hidden.dims(),
        weight.dims()
    );
    assert!(
        targets.dims() == [tokens],
        "`targets` is {:?}, `hidden` is {:?}: there must be one target per hidden state",
        targets.dims(),
        hidden.dims()
    );
    assert!(
        hidden.dtype() == weight.dtype(),
        "`hidden` is {:?} and the output weight {:?}: cast one of them",
        hidden.dtype(),
        weight.dtype()
    );
}

fn dispatch(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    how: How,
    also: Also,
) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as LinearLogProbs>::linear_log_probs(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        how.layout,
        how.chunk_tokens.max(1),
        also,
        how.gradient,
    ))
}

/// The log-probs of no token, which still lead back to both inputs.
fn nothing(hidden: Tensor<2>, weight: Tensor<2>, layout: WeightLayout) -> Tensor<1> {
    let first = weight.narrow(layout.vocab_axis(), 0, 1);
    let column = match layout {
        WeightLayout::InputByVocab => first,
        WeightLayout::VocabByInput => first.transpose(),
    };
    hidden.matmul(column).squeeze_dim(1).cast(DType::F32)
}
