//! A model of your own in the trainers: any burn module that gives a hidden state for every token of a packed forest.
//!
//! Run it with `cargo run --release --example bring_your_own_model`. The model is a neural n-gram: a token's state is a
//! small network over the last four tokens of its own path. That is all the trainers ask for: where a path branches, both
//! branches look back into the shared history, and nothing else of the architecture matters to them. Here it learns to
//! repeat the last symbol it was told, first from good answers (SFT), then from pairs of a good and a bad one (DPO).
//!
//! `contract::check_model` says beforehand whether a model looks where it may. A model that takes padded rows and knows nothing
//! of trees, `RowNGram`, is trained through `FromRows`.

mod data;
mod model;

use anyhow::Result;
use burn::tensor::Device;
use eurus_models::{FromRows, contract};
use eurus_train::{Event, PreferenceTrainer, ReferenceLogProbs, SftTrainer, TrainingConfig};
use pref_losses::{DpoConfig, PreferenceLossConfig, PreferenceStats};

use data::Task;
use model::{NGram, RowNGram};

/// How the good and the bad answer of held-out pairs fare before and after each stage.
struct Outcome {
    fresh: PreferenceStats,
    imitating: PreferenceStats,
    preferring: PreferenceStats,
    /// Unique and naive tokens of the first DPO step.
    tokens: (usize, usize),
}

fn train() -> Result<Outcome> {
    let task = Task::draw(7);
    let settings = TrainingConfig {
        learning_rate: 1e-2,
        epochs: 6,
        trees_per_step: 8,
        ..TrainingConfig::default()
    };
    let gently = TrainingConfig {
        learning_rate: 1e-3,
        ..settings.clone()
    };
    let loss = PreferenceLossConfig::Dpo(DpoConfig::default());
    let preference = PreferenceTrainer::new(gently, &loss)?;
    let held_out = |model: &NGram| {
        let trees = &task.held_out;
        let reference = ReferenceLogProbs::compute(model, trees, &settings, &mut |_| {})?;
        preference.evaluate(model, trees, &reference)
    };

    let model = NGram::init(data::SYMBOLS, 32, 3, &Device::flex());
    contract::check_model(&model)?;
    let network = model.clone();
    contract::check_model(&FromRows::new(RowNGram { network }))?;
    let fresh = held_out(&model)?;
    let model = SftTrainer::new(settings.clone())?.train(model, &task.good_answers, &mut |_| {})?;
    let imitating = held_out(&model)?;
    let reference = ReferenceLogProbs::compute(&model, &task.pairs, &settings, &mut |_| {})?;
    let mut tokens = None;
    let model = preference.train(model, &task.pairs, &reference, &mut |event| {
        if let Event::Preference { progress, .. } = event {
            tokens.get_or_insert((progress.unique_tokens, progress.naive_tokens));
        }
    })?;
    Ok(Outcome {
        fresh,
        imitating,
        preferring: held_out(&model)?,
        tokens: tokens.unwrap_or_default(),
    })
}

/// Mean log-probs of good and bad answers.
fn log_probs(stats: &PreferenceStats) -> (f64, f64) {
    let known = stats.chosen_log_prob.zip(stats.rejected_log_prob);
    known.unwrap_or_default()
}

#[allow(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<()> {
    let outcome = train()?;
    println!("held-out log-probs      good answer   bad answer");
    for (name, stats) in [
        ("fresh weights", outcome.fresh),
        ("after SFT", outcome.imitating),
        ("after DPO", outcome.preferring),
    ] {
        let (good, bad) = log_probs(&stats);
        println!("{name:<20} {good:>14.3} {bad:>12.3}");
    }
    let (unique, naive) = outcome.tokens;
    println!(
        "a DPO step computed {unique} tokens, where sequences of their own would have {naive}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eurus_models::{ForestBatch, ForestBody};
    use token_forest::PackedForest;

    #[test]
    fn the_network_over_padded_rows_is_the_network_over_forests() {
        let device = Device::flex();
        let network = NGram::init(data::SYMBOLS, 32, 3, &device);
        let over_rows = FromRows::new(RowNGram {
            network: network.clone(),
        });
        let task = Task::draw(7);
        let trees = task.pairs.iter().map(|tree| tree.tree());
        let forest = PackedForest::from_trees(trees).expect("whole trees");
        let batch = ForestBatch::new(forest, &device);
        let difference = network.hidden_states(&batch) - over_rows.hidden_states(&batch);
        assert!(difference.abs().max().into_scalar::<f32>() < 1e-6);
    }

    #[test]
    fn a_stranger_to_the_library_learns_from_both_stages() {
        let Outcome {
            fresh,
            imitating,
            preferring,
            tokens: (unique, naive),
        } = train().expect("training");
        let margin = |stats: &PreferenceStats| {
            let (good, bad) = log_probs(stats);
            good - bad
        };
        assert!(log_probs(&imitating).0 > log_probs(&fresh).0 + 1.0);
        assert!(margin(&imitating) > margin(&fresh) + 1.0);
        assert!(margin(&preferring) > margin(&imitating) + 1.0);
        assert!(unique < naive);
    }
}
