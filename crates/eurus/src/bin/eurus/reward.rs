//! `eurus reward`: a reward model on the body of a language model.

use anyhow::Result;
use clap::{Args, ValueEnum};
use eurus::eval::reward_model::{PairLengths, comparison_table, evaluate_rewards};
use eurus::eval::terminal;
use eurus::losses::{BradleyTerryConfig, RewardLossConfig, UltraInteractRewardConfig};
use eurus::models::RewardModel;
use eurus::train::{Judgement, Ranks, RewardTrainer, pair_rewards};

use crate::adapters::Adapters;
use crate::input::Pairs;
use crate::judging::Judging;
use crate::options::{Files, SnapshotOptions, Steps, Text};
use crate::setup::Setup;
use crate::{input, job, setup};

pub const EXAMPLES: &str = r#"Rows are those of `eurus prefer` (UltraInteract_pair). The result has the tensors of the language model's body and
`regression_head.weight`, as Eurus-RM and UltraRM are stored.

Examples:
  Bradley-Terry plus direct rewards (the paper's loss), judged on pairs that were not trained on:
    eurus reward --model runs/sft --data pairs.jsonl --eval held-out.jsonl --out runs/rm

  Ranking alone, to compare:
    eurus reward --model runs/sft --data pairs.jsonl --eval held-out.jsonl --out runs/rm-bt --loss bt"#;

#[derive(Debug, Args)]
pub struct Reward {
    #[command(flatten)]
    pub files: Files,

    /// Loss of the rewards of a pair
    #[arg(long, value_enum, default_value_t = Loss::BtLdr, help_heading = "Loss")]
    loss: Loss,

    #[command(flatten)]
    pub text: Text,

    #[command(flatten)]
    pub adapters: Adapters,

    #[command(flatten)]
    pub steps: Steps,

    #[command(flatten)]
    pub judging: Judging,

    #[command(flatten)]
    pub snapshots: SnapshotOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Loss {
    /// Bradley-Terry: ranks the two actions
    Bt,
    /// Bradley-Terry plus direct rewards: ranks, and puts chosen rewards above zero and rejected ones below
    BtLdr,
}

impl Reward {
    pub fn run(&self, ranks: &Ranks) -> Result<()> {
        let snapshots = self.snapshots.snapshots(&self.files.out);
        let (output, setup) = setup::begin(&self.files, &self.text, &self.steps, ranks)?;
        let pairs = input::pairs(&self.files.data, &setup)?;
        let held_out = match &self.judging.eval {
            Some(file) => Some(input::pairs(file, &setup)?),
            None => None,
        };

        let (title, loss) = match self.loss {
            Loss::Bt => (
                "reward model, BT",
                RewardLossConfig::BradleyTerry(BradleyTerryConfig::new()),
            ),
            Loss::BtLdr => (
                "reward model, BT + LDR",
                RewardLossConfig::UltraInteract(UltraInteractRewardConfig::new()),
            ),
        };
        let model = RewardModel::from_decoder(setup.decoder()?);
        let model = self.adapters.put_on(model, setup.settings.seed)?;
        let trainer = RewardTrainer::new(setup.settings.clone(), &loss)?
            .with_snapshots(snapshots.clone())?
            .with_ranks(ranks.clone());
        let mut judge = |model: &RewardModel| {
            let trees = held_out.as_ref().map_or(&[][..], |pairs| &pairs.trees);
            let pairs = trainer.held_out(model, trees)?;
            Ok(Judgement::by_score("accuracy", pairs.accuracy)
                .with_metric("loss", pairs.loss)
                .with_metric("margin", pairs.margin)
                .with_metric("chosen_reward", pairs.chosen_reward)
                .with_metric("rejected_reward", pairs.rejected_reward))
        };
        let mut evaluation = self.judging.evaluation(&mut judge);
        let trained = job::run(
            output,
            snapshots.as_ref(),
            title,
            |on_event| trainer.train_evaluated(model, &pairs.trees, evaluation.as_mut(), on_event),
            |checkpoint, model| {
                self.adapters
                    .write(checkpoint, model, &self.files.model, |model| {
                        checkpoint.write_reward_model(model, &setup.config)
                    })
            },
        )?;
        if let (Some(held_out), true) = (&held_out, ranks.is_first()) {
            job::print(&compare(title, &trained, held_out, &setup)?);
        }
        Ok(())
    }
}

/// The rewards of held-out pairs as a table.
fn compare(title: &str, model: &RewardModel, pairs: &Pairs, setup: &Setup) -> Result<String> {
    let rewards = pair_rewards(model, &pairs.trees, &setup.settings)?;
    let (chosen, rejected): (Vec<f32>, Vec<f32>) = rewards
        .iter()
        .map(|pair| (pair.chosen, pair.rejected))
        .unzip();
    let lengths: Vec<PairLengths> = pairs
        .trees
        .iter()
        .flat_map(|tree| {
            let tokens = |node: usize| tree.tree.nodes[node].tokens.len();
            tree.pairs.iter().map(move |pair| PairLengths {
                chosen: tokens(pair.chosen),
                rejected: tokens(pair.rejected),
            })
        })
        .collect();
    let report = evaluate_rewards(&chosen, &rejected, Some(&lengths))?;
    let caption = format!("Held-out pairs: {}", report.pairs);
    Ok(terminal::render(&comparison_table(
        caption,
        [(title, &report)],
    )))
}
