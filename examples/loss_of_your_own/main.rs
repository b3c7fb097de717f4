//! A preference loss that is defined here and not in `pref-losses`, trained with snapshots, interrupted, and gone on with.
//!
//! The loss is DPO times `(1 - s(z))^gamma`, `s(z)` being how sure the policy is of the pair: a pair that is ranked well
//! already hardly counts. The trainer needs its trait and nothing else: what it looks at, and losses of pairs.
//!
//! `cargo run --example loss_of_your_own` takes a few seconds.

use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use eurus_models::{Decoder, DecoderConfig};
use eurus_train::{Event, PreferenceTrainer, Snapshots, TrainingConfig};
use pref_losses::{
    Error, Needs, PairContext, PairLogProbs, PairLoss, PairOutput, PreferenceLoss, log_sigmoid,
};
use token_forest::{Group, TokenTree, TrainingTree};

#[derive(Debug)]
struct FocalDpo {
    beta: f64,
    gamma: f64,
}

impl PairLoss for FocalDpo {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(&self, log_probs: PairLogProbs, _: &PairContext) -> Result<PairOutput, Error> {
        let chosen = (log_probs.policy_chosen - log_probs.reference_chosen) * self.beta;
        let rejected = (log_probs.policy_rejected - log_probs.reference_rejected) * self.beta;
        let lead = chosen.clone() - rejected.clone();
        // 1 - s(z) is s(-z).
        let unsure = (log_sigmoid(lead.clone().neg()) * self.gamma).exp();
        Ok(PairOutput {
            losses: log_sigmoid(lead).neg() * unsure,
            chosen_rewards: chosen.detach(),
            rejected_rewards: rejected.detach(),
        })
    }
}

const GAMMA: f64 = 2.0;

/// Questions with a right and a wrong answer each, as tokens: `a b =` is answered with `a` and not with `b`.
fn pairs() -> Result<Vec<TrainingTree>> {
    let question = |a: u32| {
        let b = (a + 5) % 20;
        let mut tree = TokenTree::new(vec![a, b, 30], false);
        let right = tree.push(0, vec![a, 31], true);
        let wrong = tree.push(0, vec![b, 31], true);
        let pair = Group::pair(right, wrong);
        Ok(TrainingTree::new(
            format!("question {a}"),
            &tree,
            vec![pair],
        )?)
    };
    (0..20).map(question).collect()
}

/// Trains, and returns the margin of every step's pairs and the numbers of the steps that were taken here.
fn train(snapshots: Option<Snapshots>) -> Result<Vec<(usize, f64)>> {
    let settings = TrainingConfig {
        learning_rate: 1e-2,
        epochs: 8,
        trees_per_step: 5,
        ..TrainingConfig::default()
    };
    let loss = FocalDpo {
        beta: 0.5,
        gamma: GAMMA,
    };
    // Snapshots of a run with another identity are refused: name what the loss depends on.
    let identity = format!("focal DPO {loss:?}");
    let trainer = PreferenceTrainer::with_loss(settings, PreferenceLoss::new(loss), identity)?
        .with_snapshots(snapshots)?;

    let trees = pairs()?;
    let policy = Decoder::init(&DecoderConfig::llama(32, 32, 2, 2), 7, &Device::flex());
    let reference = trainer.reference(&policy, &trees, None, &mut |_| {})?;
    let mut steps = Vec::new();
    trainer.train(policy, &trees, &reference, &mut |event| {
        if let Event::Preference { progress, stats } = event {
            steps.push((progress.step, stats.margin));
        }
    })?;
    Ok(steps)
}

/// Takes away the snapshots after a step, as if the run had been killed then.
fn forget_after(folder: &Path, step: usize) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix("step-").and_then(|it| it.parse().ok());
        if number.is_some_and(|number: usize| number > step) {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<()> {
    let whole = train(None)?;
    let (first, last) = (whole[0], whole[whole.len() - 1]);
    println!(
        "margin of the pairs: {:.3} at step {}, {:.3} at step {}",
        first.1, first.0, last.1, last.0
    );
    ensure!(last.1 > first.1 + 0.5, "the right answers lead");

    let folder = tempfile::tempdir()?;
    let snapshots = || {
        Snapshots::new(folder.path())
            .with_every_steps(10)
            .with_keep(9)
    };
    train(Some(snapshots()))?;
    forget_after(folder.path(), 20)?;
    let rest = train(Some(snapshots().with_resume(true)))?;
    println!(
        "gone on after step 20: steps {} to {}, the same numbers",
        rest[0].0,
        rest[rest.len() - 1].0
    );
    ensure!(
        rest == whole[20..],
        "a run that goes on is the run that was not interrupted"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_loss_that_the_library_does_not_know_trains_and_goes_on() {
        super::main().expect("the example checks itself");
    }
}
