//! Log-probs of tokens and sequences, and cross-entropy, from logits.

use burn::tensor::Tensor;
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};
use pref_losses::log_probs::{
    SequenceReduction, cross_entropy, next_token_log_probs, sequence_log_probs, token_log_probs,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;

type Values = Vec<(&'static str, Vec<f64>)>;

/// The same three times: from logits, and through the linear operation in its two layouts.
pub fn run(case: &Case<'_>) -> Vec<Run> {
    let logits = case.leaf::<3>("logits");
    let log_probs = token_log_probs(logits.clone(), case.ints("token_labels"));
    vec![
        finish(case, &logits, log_probs),
        run_linear(case, false),
        run_linear(case, true),
    ]
}

/// Hidden states are the logits, the weight is the identity.
fn run_linear(case: &Case<'_>, tied: bool) -> Run {
    let [sequences, tokens, vocab] = case.dims::<3>("logits");
    let logits = case.leaf::<3>("logits");
    let hidden = logits.clone().reshape([sequences * tokens, vocab]);
    let weight = Tensor::<2>::eye(vocab, case.device).require_grad();
    let targets = case.ints("token_labels").reshape([sequences * tokens]);
    let log_probs = match tied {
        true => tied_linear_log_probs(hidden, weight, targets, 3, WeightGradient::OfWeight),
        false => linear_log_probs(hidden, weight, targets, 3),
    };
    finish(case, &logits, log_probs.reshape([sequences, tokens]))
}

fn finish(case: &Case<'_>, logits: &Tensor<3>, log_probs: Tensor<2>) -> Run {
    let reduced = |reduction| sequence_log_probs(log_probs.clone(), case.flags("mask"), reduction);
    let sums = reduced(SequenceReduction::Sum);
    let means = reduced(SequenceReduction::Mean);
    let (loss, mut values) = objective(case, &sums, &means);
    values.push(("token_logps", read(&log_probs)));
    Run {
        values,
        grads: vec![("logits", gradient(logits, &loss.backward()))],
    }
}

pub fn run_causal(case: &Case<'_>) -> Run {
    let logits = case.leaf::<3>("logits");
    let (log_probs, mask) = next_token_log_probs(logits.clone(), case.ints("token_labels"));
    let (loss, values) = if case.loss() == "sft_ce" {
        let tokens = case
            .setting("num_items_in_batch")
            .map(|tokens| tokens as usize);
        let loss = cross_entropy(log_probs, mask, tokens);
        (loss.clone(), vec![("loss", read(&loss))])
    } else {
        let sums = sequence_log_probs(log_probs.clone(), mask.clone(), SequenceReduction::Sum);
        let means = sequence_log_probs(log_probs, mask, SequenceReduction::Mean);
        objective(case, &sums, &means)
    };
    Run {
        values,
        grads: vec![("logits", gradient(&logits, &loss.backward()))],
    }
}

fn objective(case: &Case<'_>, sums: &Tensor<1>, means: &Tensor<1>) -> (Tensor<1>, Values) {
    let loss = if case.word("objective") == Some("mean") {
        means.clone().mean()
    } else {
        sums.clone().mean()
    };
    let values = vec![
        ("loss", read(&loss)),
        ("seq_logps_sum", read(sums)),
        ("seq_logps_mean", read(means)),
    ];
    (loss, values)
}
