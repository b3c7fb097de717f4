//! Trains a policy of two parameters with KTO, on the CPU, in well under a second.
//!
//! You will see the log-prob of the good responses rise, that of the bad ones fall, and the KL estimate stay small.
//! `cargo run -p pref-losses --example two_parameters`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use pref_losses::{KtoConfig, PairLogProbs, PreferenceStats, PreferenceSums};

const STEPS: usize = 50;
const LEARNING_RATE: f64 = 5.0;

/// Three prompts with three responses each; a response is described by two numbers.
const RESPONSES: [[[f32; 2]; 3]; 3] = [
    [[1.0, 0.2], [0.1, 0.9], [0.4, 0.5]],
    [[0.8, -0.3], [-0.2, 0.4], [0.3, 0.1]],
    [[0.9, 0.6], [0.0, 1.0], [0.5, 0.2]],
];

/// `log p(response | prompt)`, `[prompts, responses]`: a softmax over the responses of each prompt.
fn log_probs(parameters: Tensor<1>, device: &Device) -> Tensor<2> {
    let features = Tensor::<3>::from_floats(RESPONSES, device);
    let logits = (features * parameters.unsqueeze::<3>()).sum_dim(2);
    log_softmax(logits.squeeze_dim::<2>(2), 1)
}

/// The log-prob of one response of every prompt, `[prompts]`.
fn column(log_probs: &Tensor<2>, response: usize) -> Tensor<1> {
    log_probs.clone().narrow(1, response, 1).squeeze_dim(1)
}

fn main() -> Result<(), pref_losses::Error> {
    let device = Device::flex().autodiff();
    let kto = KtoConfig {
        beta: 0.5,
        desirable_weight: 1.33,
        ..KtoConfig::default()
    }
    .init()?;

    // The first response of each prompt is good, the second one bad. The third is nobody's: it stands for the
    // mismatched completions that the KL to the reference is estimated from.
    let mut parameters = Tensor::<1>::zeros([2], &device).require_grad();
    let reference = log_probs(parameters.clone(), &device).detach();
    let mut history = Vec::new();
    for step in 0..STEPS {
        let policy = log_probs(parameters.clone(), &device);
        let kl = kto.kl(column(&policy, 2), column(&reference, 2));
        let pairs = PairLogProbs {
            policy_chosen: column(&policy, 0),
            policy_rejected: column(&policy, 1),
            reference_chosen: column(&reference, 0),
            reference_rejected: column(&reference, 1),
        };
        let output = kto.forward_pairs(pairs.clone(), kl.clone());
        let stats = PreferenceSums::of_pairs(&output, &pairs)
            .with_kl(&kl)
            .read();
        if step % 10 == 0 || step + 1 == STEPS {
            println!(
                "step {step:>2}: loss {:.3}, log-prob of chosen {:.3}, of rejected {:.3}, KL estimate {:.3}",
                stats.loss,
                stats.chosen_log_prob.unwrap_or_default(),
                stats.rejected_log_prob.unwrap_or_default(),
                stats.kl.unwrap_or_default(),
            );
        }
        history.push(stats);

        let gradients = output.losses.mean().backward();
        if let Some(gradient) = parameters.grad(&gradients) {
            let moved = parameters.inner() - gradient.mul_scalar(LEARNING_RATE);
            parameters = Tensor::from_inner(moved).require_grad();
        }
    }

    let (first, last) = (&history[0], &history[STEPS - 1]);
    let rise = |of: fn(&PreferenceStats) -> Option<f64>| Some(of(last)? - of(first)?);
    assert!(rise(|stats| stats.chosen_log_prob) > Some(0.5));
    assert!(rise(|stats| stats.rejected_log_prob) < Some(-0.5));
    assert_eq!(last.accuracy, Some(1.0));
    println!("the good responses have become likelier");
    Ok(())
}
