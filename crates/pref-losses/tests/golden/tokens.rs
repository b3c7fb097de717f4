//! Losses from logits.

use burn::tensor::Tensor;
use pref_losses::linear_log_probs::{linear_log_probs, tied_linear_log_probs};
use pref_losses::log_probs::{
    IGNORE_INDEX, SequenceReduction, cross_entropy, next_token_log_probs, sequence_log_probs,
    token_log_probs,
};
use pref_losses::{KlEstimate, PairLengths, PairLogProbs, UnpairedLogProbs};

use crate::NOT_BUILT;
use crate::case::{Case, Run, grad, read};
use crate::losses::{kto_config, pair_loss, pair_values};

fn objective(case: &Case<'_>, sums: &Tensor<1>, means: &Tensor<1>) -> Tensor<1> {
    if case.value["config"]["objective"] == "mean" {
        means.clone().mean()
    } else {
        sums.clone().mean()
    }
}

fn sequence_values(
    loss: &Tensor<1>,
    sums: &Tensor<1>,
    means: &Tensor<1>,
) -> Vec<(&'static str, Vec<f64>)> {
    vec![
        ("loss", read(loss)),
        ("seq_logps_sum", read(sums)),
        ("seq_logps_mean", read(means)),
    ]
}

pub fn tokens(case: &Case<'_>) -> Run {
    let logits = case.leaf::<3>("logits");
    let log_probs = token_log_probs(logits.clone(), case.ints("token_labels"));
    let run = finish_tokens(case, log_probs);
    Run {
        values: run.1,
        grads: vec![("logits", grad(&logits, &run.0.backward()))],
    }
}

/// The same through the linear operation: hidden states are the logits, the weight is the identity.
pub fn linear_tokens(case: &Case<'_>, tied: bool) -> Run {
    let [sequences, tokens, vocab] = case.dims::<3>("logits");
    let logits = case.leaf::<3>("logits");
    let hidden = logits.clone().reshape([sequences * tokens, vocab]);
    let weight = Tensor::<2>::eye(vocab, &case.device).require_grad();
    let targets = case.ints("token_labels").reshape([sequences * tokens]);
    let op = if tied {
        tied_linear_log_probs
    } else {
        linear_log_probs
    };
    let log_probs = op(hidden, weight, targets, 3).reshape([sequences, tokens]);
    let run = finish_tokens(case, log_probs);
    Run {
        values: run.1,
        grads: vec![("logits", grad(&logits, &run.0.backward()))],
    }
}

fn finish_tokens(
    case: &Case<'_>,
    log_probs: Tensor<2>,
) -> (Tensor<1>, Vec<(&'static str, Vec<f64>)>) {
    let sums = sequence_log_probs(
        log_probs.clone(),
        case.flags("mask"),
        SequenceReduction::Sum,
    );
    let means = sequence_log_probs(
        log_probs.clone(),
        case.flags("mask"),
        SequenceReduction::Mean,
    );
    let loss = objective(case, &sums, &means);
    let mut values = sequence_values(&loss, &sums, &means);
    values.push(("token_logps", read(&log_probs)));
    (loss, values)
}

pub fn causal(case: &Case<'_>, loss: &str) -> Run {
    let logits = case.leaf::<3>("logits");
    let (log_probs, mask) = next_token_log_probs(logits.clone(), case.ints("token_labels"));
    let (loss, values) = if loss == "sft_ce" {
        let tokens = case
            .has("config", "num_items_in_batch")
            .then(|| case.config("num_items_in_batch") as usize);
        let loss = cross_entropy(log_probs, mask, tokens);
        (loss.clone(), vec![("loss", read(&loss))])
    } else {
        let sums = sequence_log_probs(log_probs.clone(), mask.clone(), SequenceReduction::Sum);
        let means = sequence_log_probs(log_probs, mask, SequenceReduction::Mean);
        let loss = objective(case, &sums, &means);
        let values = sequence_values(&loss, &sums, &means);
        (loss, values)
    };
    Run {
        values,
        grads: vec![("logits", grad(&logits, &loss.backward()))],
    }
}

/// Log-probs and lengths of responses, from logits, ids and the response mask.
fn response_log_probs(case: &Case<'_>, logits: Tensor<3>, prefix: &str) -> (Tensor<1>, Tensor<1>) {
    let mask = case.flags::<2>(&format!("{prefix}mask"));
    let labels = case
        .ints(&format!("{prefix}input_ids"))
        .mask_fill(mask.bool_not(), IGNORE_INDEX);
    let (log_probs, mask) = next_token_log_probs(logits, labels);
    let lengths = log_probs
        .ones_like()
        .mask_fill(mask.clone().bool_not(), 0.0)
        .sum_dim(1)
        .squeeze_dim(1);
    (
        sequence_log_probs(log_probs, mask, SequenceReduction::Sum),
        lengths,
    )
}

pub fn end_to_end_pairs(case: &Case<'_>) -> Option<Run> {
    let loss = case.value["config"]["loss_type"]
        .as_str()
        .expect("loss_type");
    if NOT_BUILT.contains(&loss) {
        return None;
    }
    let logits = case.leaf::<3>("logits");
    let (policy, lengths) = response_log_probs(case, logits.clone(), "");
    let (reference, _) = response_log_probs(case, case.input("ref_logits"), "");
    let pairs = policy.dims()[0] / 2;
    let split = |tensor: Tensor<1>| {
        (
            tensor.clone().narrow(0, 0, pairs),
            tensor.narrow(0, pairs, pairs),
        )
    };
    let (policy_chosen, policy_rejected) = split(policy);
    let (reference_chosen, reference_rejected) = split(reference);
    let (chosen, rejected) = split(lengths);
    let log_probs = PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    };
    let output = pair_loss(
        case,
        loss,
        log_probs,
        Some(PairLengths { chosen, rejected }),
    );
    let values = pair_values(&output);
    Some(Run {
        values,
        grads: vec![("logits", grad(&logits, &output.losses.mean().backward()))],
    })
}

pub fn end_to_end_kto(case: &Case<'_>) -> Run {
    let kto = kto_config(case, KlEstimate::Mean);
    let logits = case.leaf::<3>("logits");
    let (policy, _) = response_log_probs(case, logits.clone(), "");
    let (reference, _) = response_log_probs(case, case.input("ref_logits"), "");
    let (policy_kl, _) = response_log_probs(case, case.input("kl_logits"), "kl_");
    let (reference_kl, _) = response_log_probs(case, case.input("ref_kl_logits"), "kl_");
    let kl = kto.kl(policy_kl, reference_kl);
    let output = kto.forward(
        UnpairedLogProbs {
            policy,
            reference,
            desirable: case.flags("labels"),
        },
        kl.clone(),
    );
    let values = vec![
        ("loss", read(&output.losses.clone().mean())),
        ("losses", read(&output.losses)),
        ("kl", read(&kl)),
    ];
    Run {
        values,
        grads: vec![("logits", grad(&logits, &output.losses.mean().backward()))],
    }
}
