//! Whole losses from logits and token ids.

use burn::tensor::{Bool, Int, Tensor};
use pref_losses::log_probs::{
    IGNORE_INDEX, SequenceReduction, cross_entropy, next_token_log_probs, sequence_log_probs,
    token_counts,
};
use pref_losses::{
    KlEstimate, PairLengths, PairLogProbs, PreferenceLossConfig, SumConfig, UnpairedLogProbs,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;
use super::{configs, paired, unpaired};

/// Log-probs of the next tokens where `mask` is true, and where that is.
fn masked_log_probs(
    logits: Tensor<3>,
    ids: Tensor<2, Int>,
    mask: Tensor<2, Bool>,
) -> (Tensor<2>, Tensor<2, Bool>) {
    next_token_log_probs(logits, ids.mask_fill(mask.bool_not(), IGNORE_INDEX))
}

/// Log-probs and lengths of responses. `prefix` is that of the ids and of the mask.
fn responses(case: &Case<'_>, logits: Tensor<3>, prefix: &str) -> (Tensor<1>, Tensor<1>) {
    let ids = case.ints(&format!("{prefix}input_ids"));
    let (log_probs, mask) = masked_log_probs(logits, ids, case.flags(&format!("{prefix}mask")));
    let lengths = token_counts(mask.clone());
    let sums = sequence_log_probs(log_probs, mask, SequenceReduction::Sum);
    (sums, lengths)
}

/// The chosen half and the rejected half.
fn halves(tensor: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let pairs = tensor.dims()[0] / 2;
    let chosen = tensor.clone().narrow(0, 0, pairs);
    (chosen, tensor.narrow(0, pairs, pairs))
}

/// Pairs from rows, all chosen rows first.
fn pairs(policy: Tensor<1>, reference: Option<Tensor<1>>) -> PairLogProbs {
    let (chosen, rejected) = halves(policy);
    let mut log_probs = PairLogProbs::without_reference(chosen, rejected);
    if let Some(reference) = reference {
        (log_probs.reference_chosen, log_probs.reference_rejected) = halves(reference);
    }
    log_probs
}

fn lengths_of(counts: Tensor<1>) -> PairLengths {
    let (chosen, rejected) = halves(counts);
    PairLengths { chosen, rejected }
}

pub fn dpo(case: &Case<'_>) -> Result<Run, String> {
    let logits = case.leaf::<3>("logits");
    let (policy, counts) = responses(case, logits.clone(), "");
    let (reference, _) = responses(case, case.input("ref_logits"), "");
    let log_probs = pairs(policy, Some(reference));
    let config = configs::paired(case)?;
    let output = paired::forward(case, &config, log_probs, lengths_of(counts))?;
    let reduced = output.losses.clone().mean();
    Ok(Run {
        values: vec![
            ("loss", read(&reduced)),
            ("losses", read(&output.losses)),
            ("chosen_rewards", read(&output.chosen_rewards)),
            ("rejected_rewards", read(&output.rejected_rewards)),
        ],
        grads: vec![("logits", gradient(&logits, &reduced.backward()))],
    })
}

/// TRL's whole CPO loss is a sum with an SFT term over the tokens of the chosen responses.
pub fn cpo(case: &Case<'_>) -> Result<Run, String> {
    let logits = case.leaf::<3>("logits");
    let (policy, counts) = responses(case, logits.clone(), "");
    let log_probs = pairs(policy, None);
    let lengths = lengths_of(counts);
    let term = configs::paired(case)?;
    let averaged = term
        .init()
        .map_err(|error| error.to_string())?
        .needs()
        .lengths;
    let weight = case.setting("cpo_alpha").unwrap_or(0.0);
    let config = PreferenceLossConfig::Sum(SumConfig {
        sft_weight: weight,
        ..SumConfig::default().with_term(1.0, term)
    });
    let output = paired::forward(case, &config, log_probs.clone(), lengths.clone())?;
    let reduced = output.losses.mean();
    // TRL leaves the SFT term out, and reports 0, where its weight is 0.
    let nll = if weight == 0.0 {
        vec![0.0]
    } else {
        let chosen = log_probs.policy_chosen.clone();
        read(&(chosen.sum().neg() / lengths.chosen.clone().sum()))
    };
    let reported =
        |sums: Tensor<1>, lengths: Tensor<1>| read(&if averaged { sums / lengths } else { sums });
    Ok(Run {
        values: vec![
            ("loss", read(&reduced)),
            ("nll", nll),
            (
                "chosen_logps",
                reported(log_probs.policy_chosen, lengths.chosen),
            ),
            (
                "rejected_logps",
                reported(log_probs.policy_rejected, lengths.rejected),
            ),
        ],
        grads: vec![("logits", gradient(&logits, &reduced.backward()))],
    })
}

/// TRL's whole ORPO loss has an SFT term over all tokens of the chosen rows, prompts included.
pub fn orpo(case: &Case<'_>) -> Result<Run, String> {
    let logits = case.leaf::<3>("logits");
    let (policy, counts) = responses(case, logits.clone(), "");
    let log_probs = pairs(policy, None);
    let lengths = lengths_of(counts);
    let config = configs::paired(case)?;
    let output = paired::forward(case, &config, log_probs.clone(), lengths.clone())?;
    let [rows, ..] = logits.dims();
    let (tokens, mask) = masked_log_probs(
        logits.clone().narrow(0, 0, rows / 2),
        case.ints("input_ids").narrow(0, 0, rows / 2),
        case.flags::<2>("attention_mask").narrow(0, 0, rows / 2),
    );
    let nll = cross_entropy(tokens, mask, None);
    let reduced = output.losses.mean() + nll.clone();
    Ok(Run {
        values: vec![
            ("loss", read(&reduced)),
            ("nll", read(&nll)),
            (
                "chosen_logps",
                read(&(log_probs.policy_chosen / lengths.chosen)),
            ),
            (
                "rejected_logps",
                read(&(log_probs.policy_rejected / lengths.rejected)),
            ),
        ],
        grads: vec![("logits", gradient(&logits, &reduced.backward()))],
    })
}

pub fn kto(case: &Case<'_>) -> Result<Run, String> {
    let kto = unpaired::kto_config(case, KlEstimate::Mean)?
        .init()
        .map_err(|error| error.to_string())?;
    let logits = case.leaf::<3>("logits");
    let (policy, _) = responses(case, logits.clone(), "");
    let (reference, _) = responses(case, case.input("ref_logits"), "");
    let (policy_kl, _) = responses(case, case.input("kl_logits"), "kl_");
    let (reference_kl, _) = responses(case, case.input("ref_kl_logits"), "kl_");
    let kl = kto.kl(policy_kl, reference_kl);
    let log_probs = UnpairedLogProbs {
        policy,
        reference,
        desirable: case.flags("labels"),
    };
    let output = kto.forward(log_probs, kl.clone());
    let reduced = output.losses.clone().mean();
    Ok(Run {
        values: vec![
            ("loss", read(&reduced)),
            ("losses", read(&output.losses)),
            ("kl", read(&kl)),
        ],
        grads: vec![("logits", gradient(&logits, &reduced.backward()))],
    })
}
