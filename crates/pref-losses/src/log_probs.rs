//! From logits or token log-probs to log-probs of sequences.
//!
//! To go from hidden states without holding the logits, see
//! [`linear_log_probs`](crate::linear_log_probs::linear_log_probs).

use burn::tensor::{Bool, DType, IndexingUpdateOp, Int, Tensor};

use crate::pairs::{assert_len, log_ratio};

/// Label of positions that do not count, as in PyTorch.
pub const IGNORE_INDEX: i64 = -100;

/// How the tokens of a sequence are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceReduction {
    /// Sum over the counted tokens: the log-prob of the response.
    Sum,
    /// Mean over the counted tokens; 0 for a sequence without any.
    Mean,
}

/// Log-probs of target tokens: `log softmax(logits)[target]`, without making the whole
/// log-softmax an output.
///
/// Computed in f32 whatever the input dtype, as `(x - max) - log(sum(exp(x - max)))`. Does not
/// shift: `targets[b, t]` is scored by `logits[b, t]`.
///
/// # Shapes
///
/// - logits: `[sequences, tokens, vocab]`
/// - targets: `[sequences, tokens]`, each in `0..vocab`
/// - output: `[sequences, tokens]`, f32
///
/// # Panics
///
/// If the shapes disagree, and on CPU if a target is outside the vocabulary.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use pref_losses::log_probs::token_log_probs;
///
/// let device = Device::flex();
/// let logits = Tensor::<3>::zeros([1, 2, 8], &device);
/// let targets = Tensor::<2, Int>::from_data([[3, 5]], &device);
/// let log_probs: Vec<f32> = token_log_probs(logits, targets).into_data().iter::<f32>().collect();
/// assert!(log_probs.iter().all(|log_prob| (log_prob + 8f32.ln()).abs() < 1e-6));
/// ```
pub fn token_log_probs(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<2> {
    let [sequences, tokens, _] = logits.dims();
    assert!(
        targets.dims() == [sequences, tokens],
        "`targets` is {:?}, `logits` is {:?}: the first two axes must agree",
        targets.dims(),
        logits.dims()
    );
    let logits = logits.cast(DType::F32);
    let max = logits.clone().detach().max_dim(2);
    let shifted = logits - max;
    let log_sum = shifted.clone().exp().sum_dim(2).log();
    let target = shifted.gather(2, targets.unsqueeze_dim(2));
    (target - log_sum).squeeze_dim(2)
}

/// `log sum_v p(v)^2` at each position, with `p = softmax(logits)`: the logarithm of the probability
/// that two samples agree, for the weights of [`Wpo`](crate::Wpo).
///
/// From `-log vocab` for a uniform distribution to 0 for a certain token. Computed in f32 whatever
/// the input dtype, as `log(sum(exp(2 (x - max)))) - 2 log(sum(exp(x - max)))`, which neither
/// overflows nor underflows. Does not shift: for tokens that are scored by the position before them,
/// leave the last position out. Without gradient.
///
/// To go from hidden states without holding the logits, see
/// [`linear_log_probs_with_squares`](crate::linear_log_probs::linear_log_probs_with_squares).
///
/// # Shapes
///
/// - logits: `[sequences, tokens, vocab]`
/// - output: `[sequences, tokens]`, f32
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::log_probs::token_log_sum_squares;
///
/// let logits = Tensor::<3>::zeros([1, 1, 8], &Device::flex());
/// let value = token_log_sum_squares(logits).into_scalar::<f32>();
/// assert!((value + 8f32.ln()).abs() < 1e-6);
/// ```
pub fn token_log_sum_squares(logits: Tensor<3>) -> Tensor<2> {
    let logits = logits.detach().cast(DType::F32);
    let shifted = logits.clone() - logits.max_dim(2);
    let log_sum = |x: Tensor<3>| x.exp().sum_dim(2).log();
    let squares = log_sum(shifted.clone().mul_scalar(2.0));
    (squares - log_sum(shifted).mul_scalar(2.0)).squeeze_dim(2)
}

/// The causal form: `logits[b, t]` scores `labels[b, t + 1]`.
///
/// Returns the log-probs and the mask of positions that count, both `[sequences, tokens - 1]`;
/// positions labelled [`IGNORE_INDEX`] (any negative label) have log-prob 0 and mask false.
///
/// # Shapes
///
/// - logits: `[sequences, tokens, vocab]`, at least one token
/// - labels: `[sequences, tokens]`
///
/// # Panics
///
/// If the shapes disagree.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use pref_losses::log_probs::{IGNORE_INDEX, next_token_log_probs};
///
/// let device = Device::flex();
/// let logits = Tensor::<3>::zeros([1, 3, 8], &device);
/// // The prompt is one token, the response two; prompts do not count.
/// let labels = Tensor::<2, Int>::from_data([[IGNORE_INDEX, 3, 5]], &device);
/// let (log_probs, mask) = next_token_log_probs(logits, labels);
/// assert_eq!((log_probs.dims(), mask.dims()), ([1, 2], [1, 2]));
/// ```
pub fn next_token_log_probs(
    logits: Tensor<3>,
    labels: Tensor<2, Int>,
) -> (Tensor<2>, Tensor<2, Bool>) {
    let [sequences, tokens, vocab] = logits.dims();
    assert!(
        labels.dims() == [sequences, tokens] && tokens > 0,
        "`labels` is {:?}, `logits` is {:?}: the first two axes must agree and be at least 1",
        labels.dims(),
        logits.dims()
    );
    let labels = labels.slice([0..sequences, 1..tokens]);
    let ignored = labels.clone().lower_elem(0);
    if sequences == 0 || tokens == 1 {
        // An empty slice has no gradient; an empty product leads back to the logits.
        let rows = logits.cast(DType::F32).sum_dim(2).squeeze_dim::<2>(2);
        let rows = if tokens > 1 { rows.sum_dim(1) } else { rows };
        let none = Tensor::<2>::zeros([1, tokens - 1], (&rows.device(), DType::F32));
        return (rows.matmul(none), ignored.bool_not());
    }
    let logits = logits.slice([0..sequences, 0..tokens - 1, 0..vocab]);
    let targets = labels.mask_fill(ignored.clone(), 0);
    let log_probs = token_log_probs(logits, targets).mask_fill(ignored.clone(), 0.0);
    (log_probs, ignored.bool_not())
}

/// Log-probs of sequences from those of their tokens.
///
/// # Shapes
///
/// - log_probs: `[sequences, tokens]`
/// - mask: `[sequences, tokens]`, true where the token counts
/// - output: `[sequences]`, f32
///
/// # Panics
///
/// If the shapes disagree.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::log_probs::{SequenceReduction, sequence_log_probs};
///
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_floats([[-1.0, -2.0, -4.0]], &device);
/// let mask = Tensor::<2, Bool>::from_data([[false, true, true]], &device);
/// let sum = sequence_log_probs(log_probs.clone(), mask.clone(), SequenceReduction::Sum);
/// let mean = sequence_log_probs(log_probs, mask, SequenceReduction::Mean);
/// assert_eq!((sum.into_scalar::<f32>(), mean.into_scalar::<f32>()), (-6.0, -3.0));
/// ```
pub fn sequence_log_probs(
    log_probs: Tensor<2>,
    mask: Tensor<2, Bool>,
    reduction: SequenceReduction,
) -> Tensor<1> {
    let (sum, count) = masked_sums(log_probs, mask);
    match reduction {
        SequenceReduction::Sum => sum,
        SequenceReduction::Mean => sum / count.clamp_min(1.0),
    }
}

/// Number of tokens of each sequence, as the lengths that length-normalized losses take.
///
/// # Shapes
///
/// - mask: `[sequences, tokens]`, true where the token counts
/// - output: `[sequences]`, f32
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::log_probs::token_counts;
///
/// let mask = [[true, true, false], [false, true, false]];
/// let mask = Tensor::<2, Bool>::from_data(mask, &Device::flex());
/// let counts: Vec<f32> = token_counts(mask).into_data().iter::<f32>().collect();
/// assert_eq!(counts, [2.0, 1.0]);
/// ```
pub fn token_counts(mask: Tensor<2, Bool>) -> Tensor<1> {
    let ones = Tensor::<2>::ones(mask.dims(), (&mask.device(), DType::F32));
    ones.mask_fill(mask.bool_not(), 0.0)
        .sum_dim(1)
        .squeeze_dim(1)
}

/// Number of tokens of each sequence whose log-prob differs between policy and reference.
///
/// HALOs divides by this number in IPO. It is 0 for a sequence that the policy has not moved;
/// losses here then divide by 1.
///
/// # Shapes
///
/// - policy, reference: `[sequences, tokens]`
/// - mask: `[sequences, tokens]`, true where the token counts
/// - output: `[sequences]`, f32, without gradient
///
/// # Panics
///
/// If the shapes disagree.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::log_probs::changed_token_counts;
///
/// let device = Device::flex();
/// let counts = changed_token_counts(
///     Tensor::from_floats([[-1.0, -2.0, -3.0]], &device),
///     Tensor::from_floats([[-1.0, -2.5, -3.5]], &device),
///     Tensor::<2, Bool>::from_data([[true, true, false]], &device),
/// );
/// assert_eq!(counts.into_scalar::<f32>(), 1.0);
/// ```
pub fn changed_token_counts(
    policy: Tensor<2>,
    reference: Tensor<2>,
    mask: Tensor<2, Bool>,
) -> Tensor<1> {
    let dims = mask.dims();
    assert!(
        policy.dims() == dims && reference.dims() == dims,
        "`policy` is {:?}, `reference` is {:?}, `mask` is {dims:?}: they must agree",
        policy.dims(),
        reference.dims()
    );
    let same = log_ratio(policy, reference).detach().equal_elem(0.0);
    token_counts(mask.bool_and(same.bool_not()))
}

/// Cross-entropy of supervised fine-tuning: the negative mean log-prob over all counted tokens of
/// the batch; 0 for a batch without any.
///
/// When gradients are accumulated over micro-batches, give `tokens_in_step`, the number of counted
/// tokens of the whole step: a mean of means would weigh tokens of short micro-batches more.
///
/// # Shapes
///
/// - log_probs, mask: `[sequences, tokens]`
/// - output: `[1]`, f32
///
/// # Panics
///
/// If the shapes disagree.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::log_probs::cross_entropy;
///
/// let device = Device::flex();
/// let log_probs = Tensor::<2>::from_floats([[-1.0, -2.0], [-3.0, -9.0]], &device);
/// let mask = Tensor::<2, Bool>::from_data([[true, true], [true, false]], &device);
/// let loss = cross_entropy(log_probs.clone(), mask.clone(), None);
/// assert_eq!(loss.into_scalar::<f32>(), 2.0);
/// // One micro-batch of a step with 12 tokens.
/// let part = cross_entropy(log_probs, mask, Some(12));
/// assert_eq!(part.into_scalar::<f32>(), 0.5);
/// ```
pub fn cross_entropy(
    log_probs: Tensor<2>,
    mask: Tensor<2, Bool>,
    tokens_in_step: Option<usize>,
) -> Tensor<1> {
    let (sum, count) = masked_sums(log_probs, mask);
    let total = sum.sum().neg();
    match tokens_in_step {
        Some(tokens) => total.div_scalar(tokens.max(1) as f64),
        None => total / count.sum().clamp_min(1.0),
    }
}

/// Sums by segment: `output[s] = sum of values[i] with segments[i] = s`; 0 for an empty segment.
///
/// This is how per-token log-probs of a packed batch become log-probs of its responses.
///
/// # Shapes
///
/// - values: `[tokens]`
/// - segments: `[tokens]`, each in `0..count`
/// - output: `[count]`, f32
///
/// # Panics
///
/// If the shapes disagree, and on CPU if a segment is not below `count`.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use pref_losses::log_probs::sum_by_segment;
///
/// let device = Device::flex();
/// let values = Tensor::<1>::from_floats([-1.0, -2.0, -4.0], &device);
/// let segments = Tensor::<1, Int>::from_data([0, 2, 2], &device);
/// let sums: Vec<f32> = sum_by_segment(values, segments, 3).into_data().iter::<f32>().collect();
/// assert_eq!(sums, [-1.0, 0.0, -6.0]);
/// ```
pub fn sum_by_segment(values: Tensor<1>, segments: Tensor<1, Int>, count: usize) -> Tensor<1> {
    let tokens = values.dims()[0];
    assert!(
        segments.dims()[0] == tokens,
        "`segments` has {} entries, `values` has {tokens}: they must agree",
        segments.dims()[0]
    );
    let values = values.cast(DType::F32);
    let zeros = Tensor::<1>::zeros([count], (&values.device(), DType::F32));
    if tokens == 0 {
        // The sum of nothing still leads back to `values`.
        return zeros + values.sum();
    }
    zeros.select_assign(0, segments, values, IndexingUpdateOp::Add)
}

/// Sum and number of the counted tokens of each sequence, `[sequences]`.
fn masked_sums(log_probs: Tensor<2>, mask: Tensor<2, Bool>) -> (Tensor<1>, Tensor<1>) {
    assert!(
        mask.dims() == log_probs.dims(),
        "`mask` is {:?}, `log_probs` is {:?}: they must agree",
        mask.dims(),
        log_probs.dims()
    );
    let log_probs = log_probs.cast(DType::F32);
    let ignored = mask.bool_not();
    let count = log_probs.ones_like().mask_fill(ignored.clone(), 0.0);
    let sum = log_probs.mask_fill(ignored, 0.0);
    (
        sum.sum_dim(1).squeeze_dim(1),
        count.sum_dim(1).squeeze_dim(1),
    )
}

/// Logarithms of the weights that [`Wpo`](crate::Wpo) gives to responses: the mean over their tokens of `log p_t - log sum_v p(v)^2`; 0 for a response
/// without tokens. Both inputs are the **policy's**, at the same positions.
///
/// # Shapes
///
/// - log_probs: `[responses, tokens]`, from [`token_log_probs`]
/// - log_sum_squares: `[responses, tokens]`, from
///   [`token_log_sum_squares`]
/// - mask: `[responses, tokens]`, true where the token counts
/// - output: `[responses]`, f32, without gradient
///
/// # Panics
///
/// If the shapes disagree.
pub fn log_weights(
    log_probs: Tensor<2>,
    log_sum_squares: Tensor<2>,
    mask: Tensor<2, Bool>,
) -> Tensor<1> {
    assert!(
        log_sum_squares.dims() == log_probs.dims(),
        "`log_sum_squares` is {:?}, `log_probs` is {:?}: they must agree",
        log_sum_squares.dims(),
        log_probs.dims()
    );
    // Token by token: the difference of two sums would cancel.
    let excess = log_probs.detach().cast(DType::F32) - log_sum_squares.detach().cast(DType::F32);
    sequence_log_probs(excess, mask, SequenceReduction::Mean)
}

/// [`log_weights`] of a packed batch: token `i` belongs to response `segments[i]`.
///
/// # Shapes
///
/// - log_probs, log_sum_squares: `[tokens]`, from
///   [`linear_log_probs_with_squares`](crate::linear_log_probs::linear_log_probs_with_squares)
/// - segments: `[tokens]`, each in `0..count`
/// - output: `[count]`, f32, without gradient
///
/// # Panics
///
/// If the shapes disagree, and on CPU if a segment is not below `count`.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use pref_losses::log_probs::log_weights_by_segment;
///
/// let device = Device::flex();
/// let log_weights = log_weights_by_segment(
///     Tensor::from_floats([-1.0, -2.0, -4.0], &device),
///     Tensor::from_floats([-1.5, -1.5, -1.0], &device),
///     Tensor::<1, Int>::from_data([0, 0, 1], &device),
///     3,
/// );
/// let log_weights: Vec<f32> = log_weights.into_data().iter::<f32>().collect();
/// assert_eq!(log_weights, [0.0, -3.0, 0.0]);
/// ```
pub fn log_weights_by_segment(
    log_probs: Tensor<1>,
    log_sum_squares: Tensor<1>,
    segments: Tensor<1, Int>,
    count: usize,
) -> Tensor<1> {
    let tokens = log_probs.dims()[0];
    assert_len("log_sum_squares", &log_sum_squares, "log_probs", tokens);
    let excess = log_probs.detach().cast(DType::F32) - log_sum_squares.detach().cast(DType::F32);
    let tokens = sum_by_segment(excess.ones_like(), segments.clone(), count);
    sum_by_segment(excess, segments, count) / tokens.clamp_min(1.0)
}
