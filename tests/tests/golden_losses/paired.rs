//! Losses over pairs, from log-probs.

use burn::tensor::{Bool, Tensor};
use pref_losses::log_odds;
use pref_losses::log_probs::{SequenceReduction, changed_token_counts, sequence_log_probs};
use pref_losses::{PairContext, PairLengths, PairLogProbs, PairOutput, PreferenceSums};

use super::case::{Case, gradient, read};
use super::comparison::Run;
use super::configs;

/// A case whose inputs are log-probs of responses, with the lengths and the reference where it has them.
pub fn run(case: &Case<'_>) -> Result<Run, String> {
    let (chosen, rejected) = (
        case.leaf::<1>("policy_chosen"),
        case.leaf::<1>("policy_rejected"),
    );
    let mut log_probs = PairLogProbs::without_reference(chosen.clone(), rejected.clone());
    if case.has("inputs", "ref_chosen") {
        log_probs.reference_chosen = case.input("ref_chosen");
        log_probs.reference_rejected = case.input("ref_rejected");
    }
    let lengths = if case.has("inputs", "chosen_len") {
        PairLengths {
            chosen: case.input("chosen_len"),
            rejected: case.input("rejected_len"),
        }
    } else {
        // Log-probs are already averaged where the loss wants averages.
        ones(&chosen)
    };
    let leaves = [("policy_chosen", chosen), ("policy_rejected", rejected)];
    finish(case, log_probs, lengths, &leaves)
}

/// A case whose inputs are averages over tokens, under names that say so.
pub fn run_averaged(case: &Case<'_>) -> Result<Run, String> {
    let chosen = case.leaf::<1>("policy_chosen_avg");
    let rejected = case.leaf::<1>("policy_rejected_avg");
    let log_probs = PairLogProbs::without_reference(chosen.clone(), rejected.clone());
    let lengths = ones(&chosen);
    let leaves = [
        ("policy_chosen_avg", chosen),
        ("policy_rejected_avg", rejected),
    ];
    finish(case, log_probs, lengths, &leaves)
}

/// A case whose inputs are log-probs of tokens, and whose lengths are those of HALOs.
pub fn run_tokens(case: &Case<'_>) -> Result<Run, String> {
    let chosen = case.leaf::<2>("policy_chosen_tokens");
    let rejected = case.leaf::<2>("policy_rejected_tokens");
    let side = |policy: &Tensor<2>, side: &str| {
        let reference = case.input::<2>(&format!("ref_{side}_tokens"));
        let mask: Tensor<2, Bool> = case.flags(&format!("{side}_mask"));
        let sum = |values| sequence_log_probs(values, mask.clone(), SequenceReduction::Sum);
        let lengths = changed_token_counts(policy.clone(), reference.clone(), mask.clone());
        (sum(policy.clone()), sum(reference), lengths)
    };
    let (policy_chosen, reference_chosen, chosen_lengths) = side(&chosen, "chosen");
    let (policy_rejected, reference_rejected, rejected_lengths) = side(&rejected, "rejected");
    let lengths = PairLengths {
        chosen: chosen_lengths,
        rejected: rejected_lengths,
    };
    let log_probs = PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    };
    let leaves = [
        ("policy_chosen_tokens", chosen),
        ("policy_rejected_tokens", rejected),
    ];
    finish(case, log_probs, lengths, &leaves)
}

fn ones(like: &Tensor<1>) -> PairLengths {
    let ones = like.ones_like().detach();
    PairLengths {
        chosen: ones.clone(),
        rejected: ones,
    }
}

fn finish<const D: usize>(
    case: &Case<'_>,
    log_probs: PairLogProbs,
    lengths: PairLengths,
    leaves: &[(&'static str, Tensor<D>)],
) -> Result<Run, String> {
    let config = configs::paired(case)?;
    let output = forward(case, &config, log_probs.clone(), lengths.clone())?;
    // The SFT term of a case is a number of its own.
    let nll = case.has("inputs", "nll").then(|| case.leaf::<1>("nll"));
    let weight = case.setting("cpo_alpha").unwrap_or(1.0);
    let mut reduced = output.losses.clone().mean();
    if let Some(nll) = &nll {
        reduced = reduced + nll.clone().mul_scalar(weight);
    }
    let mut values = values(case, &output, &log_probs, &lengths);
    values.push(("loss", read(&reduced)));
    let gradients = reduced.backward();
    let mut grads: Vec<_> = leaves
        .iter()
        .map(|(name, leaf)| (*name, gradient(leaf, &gradients)))
        .collect();
    if let Some(nll) = &nll {
        grads.push(("nll", gradient(nll, &gradients)));
    }
    Ok(Run { values, grads })
}

/// Runs a loss by its configuration, and checks that what it says it needs is enough.
pub fn forward(
    case: &Case<'_>,
    config: &pref_losses::PreferenceLossConfig,
    mut log_probs: PairLogProbs,
    lengths: PairLengths,
) -> Result<PairOutput, String> {
    let loss = config.init().map_err(|error| error.to_string())?;
    let needs = loss.needs();
    let context = PairContext {
        lengths: needs.lengths.then_some(lengths),
        reward_shift: case.setting("delta").unwrap_or(0.0),
        ..PairContext::default()
    };
    if !needs.reference {
        // Whatever it is, it must not matter.
        log_probs.reference_chosen = log_probs.policy_chosen.ones_like().detach();
    }
    loss.forward(log_probs, &context)
        .map_err(|error| error.to_string())
}

/// Losses, and rewards as the case's reference defines them.
fn values(
    case: &Case<'_>,
    output: &PairOutput,
    log_probs: &PairLogProbs,
    lengths: &PairLengths,
) -> Vec<(&'static str, Vec<f64>)> {
    let (mut chosen, mut rejected) = (
        output.chosen_rewards.clone(),
        output.rejected_rewards.clone(),
    );
    match case.loss() {
        "simpo_halos" | "ipo_halos_tokens" => {
            let beta = case.setting("beta").unwrap_or(1.0);
            chosen = chosen.div_scalar(beta);
            rejected = rejected.div_scalar(beta);
        }
        "orpo_halos" => {
            chosen = log_odds(log_probs.policy_chosen.clone());
            rejected = log_odds(log_probs.policy_rejected.clone());
        }
        _ => {}
    }
    if case.loss() == "ipo_halos_tokens" {
        chosen = chosen / lengths.chosen.clone();
        rejected = rejected / lengths.rejected.clone();
    }
    let stats = PreferenceSums::of_pairs(output, log_probs).read();
    vec![
        ("losses", read(&output.losses)),
        ("chosen_rewards", read(&chosen)),
        ("rejected_rewards", read(&rejected)),
        ("reward_accuracy", stats.accuracy.into_iter().collect()),
        ("reward_margin", vec![stats.margin]),
    ]
}
