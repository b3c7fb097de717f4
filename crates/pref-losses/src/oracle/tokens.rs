//! From logits to log-probs of tokens and sequences.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3, Axis, Zip, s};

use super::scalar::{Shifted, log_sum_exp};

/// `log softmax(logits)[target]` without a shift: `targets[b, t]` is scored by `logits[b, t]`.
///
/// # Shapes
///
/// - logits: `[sequences, tokens, vocab]`
/// - targets, output: `[sequences, tokens]`
///
/// # Panics
///
/// If the shapes disagree or a target is outside the vocabulary.
pub fn token_log_probs(logits: ArrayView3<f64>, targets: ArrayView2<i64>) -> Array2<f64> {
    Zip::from(logits.lanes(Axis(2)))
        .and(targets)
        .map_collect(|logits, &target| log_prob(logits, target))
}

/// `log sum_v p(v)^2` with `p = softmax(logits)`, without a shift: the expected probability of a
/// sample.
///
/// # Shapes
///
/// - logits: `[sequences, tokens, vocab]`
/// - output: `[sequences, tokens]`
pub fn token_log_sum_squares(logits: ArrayView3<f64>) -> Array2<f64> {
    logits.map_axis(Axis(2), |logits| {
        let log_softmax = Shifted::of(logits);
        log_sum_exp(logits.mapv(|x| 2.0 * log_softmax.log_softmax(x)).view())
    })
}

/// The causal form: `logits[b, t]` scores `labels[b, t + 1]`; a negative label does not count.
///
/// Returns the log-probs, 0 where they do not count, and the mask, both
/// `[sequences, tokens - 1]`.
///
/// # Panics
///
/// If the shapes disagree, there is no token, or a label is outside the vocabulary.
pub fn next_token_log_probs(
    logits: ArrayView3<f64>,
    labels: ArrayView2<i64>,
) -> (Array2<f64>, Array2<bool>) {
    let labels = labels.slice(s![.., 1..]);
    let log_probs = Zip::from(logits.slice(s![.., ..-1, ..]).lanes(Axis(2)))
        .and(labels)
        .map_collect(|logits, &label| {
            if label < 0 {
                0.0
            } else {
                log_prob(logits, label)
            }
        });
    (log_probs, labels.mapv(|label| label >= 0))
}

/// `log softmax(hidden @ weight)[target]`.
///
/// # Shapes
///
/// - hidden: `[tokens, d_model]`
/// - weight: `[d_model, vocab]`
/// - targets, output: `[tokens]`
///
/// # Panics
///
/// If the shapes disagree or a target is outside the vocabulary.
pub fn linear_log_probs(
    hidden: ArrayView2<f64>,
    weight: ArrayView2<f64>,
    targets: ArrayView1<i64>,
) -> Array1<f64> {
    Zip::from(hidden.dot(&weight).rows())
        .and(targets)
        .map_collect(|logits, &target| log_prob(logits, target))
}

/// Sums of the log-probs that the mask counts, `[sequences]`.
///
/// # Panics
///
/// If the shapes disagree.
pub fn sequence_sums(log_probs: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array1<f64> {
    assert_eq!(log_probs.dim(), mask.dim(), "one mask entry per log-prob");
    Zip::from(log_probs.rows())
        .and(mask.rows())
        .map_collect(|log_probs, mask| {
            let counted = log_probs.iter().zip(mask).filter(|(_, counts)| **counts);
            counted.map(|(log_prob, _)| log_prob).sum()
        })
}

/// Means of the log-probs that the mask counts, `[sequences]`; 0 for a sequence without any.
///
/// # Panics
///
/// If the shapes disagree.
pub fn sequence_means(log_probs: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array1<f64> {
    let counts = mask.map_axis(Axis(1), |row| counted(row).max(1) as f64);
    sequence_sums(log_probs, mask) / counts
}

/// Mean log-ratio over the tokens whose log-ratio is not exactly 0, `[sequences]`: what the
/// HALOs code divides IPO's log-ratios by. NaN for a sequence that has not moved from the reference.
///
/// # Panics
///
/// If the shapes disagree.
pub fn changed_token_means(ratios: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array1<f64> {
    let changed = Zip::from(ratios)
        .and(mask)
        .map_collect(|&ratio, &counts| counts && ratio != 0.0);
    let counts = changed.map_axis(Axis(1), |row| counted(row) as f64);
    sequence_sums(ratios, mask) / counts
}

/// Negative mean log-prob over the counted tokens of the batch, or over `tokens_in_step` of them;
/// 0 without any.
///
/// # Panics
///
/// If the shapes disagree.
pub fn cross_entropy(
    log_probs: ArrayView2<f64>,
    mask: ArrayView2<bool>,
    tokens_in_step: Option<usize>,
) -> f64 {
    let tokens = tokens_in_step.unwrap_or_else(|| mask.iter().filter(|&&counts| counts).count());
    -sequence_sums(log_probs, mask).sum() / tokens.max(1) as f64
}

fn counted(mask: ArrayView1<bool>) -> usize {
    mask.iter().filter(|&&counts| counts).count()
}

fn log_prob(logits: ArrayView1<f64>, target: i64) -> f64 {
    let logit = usize::try_from(target).ok().and_then(|i| logits.get(i));
    let Some(&logit) = logit else {
        panic!(
            "target {target} is outside the vocabulary of {}",
            logits.len()
        );
    };
    Shifted::of(logits).log_softmax(logit)
}
