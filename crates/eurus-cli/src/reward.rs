//! `eurus reward`: a reward model on the body of a language model.

use anyhow::{Context, Result};
use clap::Args;
use eurus::eval::reward_model::{PairLengths, comparison_table, evaluate_rewards};
use eurus::eval::terminal;
use eurus::forest::rows::TrainingRows;
use eurus::forest::{Group, Label, LabelKind, TrainingTree};
use eurus::losses::{BradleyTerryConfig, RewardLossConfig, UltraInteractRewardConfig};
use eurus::models::RewardModel;
use eurus::train::plan;
use eurus::train::{Judgement, Ranks, RewardTrainer, pair_rewards};

use crate::adapters::Adapters;
use crate::begin::{Beginning, Given};
use crate::input::Wanted;
use crate::judging::{Judging, with_metrics};
use crate::loss::described_loss;
use crate::options::{Files, SnapshotOptions, Steps, Text};
use crate::setup::Setup;
use crate::usage::UsageError;
use crate::{input, interrupt, job};

pub const EXAMPLES: &str = r#"Rows are those of `eurus prefer`. The result has the tensors of the language model's body and
`regression_head.weight`, as Eurus-RM and UltraRM are stored.

Examples:
  Bradley-Terry plus direct rewards (the paper's loss), judged on pairs that were not trained on:
    eurus reward --model runs/sft --data pairs.jsonl --eval held-out.jsonl --out runs/rm

  A mixture in which rows of two chat data sets are ranked alone, as in the paper:
    eurus reward --model runs/sft --data mix.jsonl --rank-only ultrafeedback,ultrasafety --out runs/rm

  Ranking alone, to compare:
    eurus reward --model runs/sft --data pairs.jsonl --eval held-out.jsonl --out runs/rm-bt --loss bt

  Near-copies of each other as pairs: Bradley-Terry weighted by how far the two are apart:
    eurus reward --model runs/sft --data pairs.jsonl --out runs/rm-norm-bt --loss norm-bt"#;

#[derive(Debug, Args)]
pub struct Reward {
    #[command(flatten)]
    pub files: Files,

    #[command(flatten)]
    loss: Objective,

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

#[derive(Debug, Args)]
#[command(next_help_heading = "Loss")]
struct Objective {
    /// Loss of the rewards of a pair: bt (Bradley-Terry: ranks the two actions), bt-ldr (Bradley-Terry plus direct rewards:
    /// ranks, and puts chosen rewards above zero and rejected ones below), or any of the library by its name, or with its
    /// settings as JSON or a file of it
    #[arg(long, value_name = "NAME|JSON|FILE", default_value = "bt-ldr")]
    loss: String,

    /// Rows whose `dataset` or `task` is one of these are ranked alone, also with bt-ldr: for data whose rejected
    /// actions are worse, but not wrong
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    rank_only: Vec<String>,

    /// By how much a chosen reward should lead the rejected one
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    margin: f32,

    /// Weight of the penalty (chosen + rejected)^2 that holds the rewards' mean near 0, with bt and bt-ldr
    #[arg(long, value_name = "X")]
    center_coefficient: Option<f64>,
}

impl Objective {
    /// The loss as the library knows it, and its name for people.
    fn config(&self) -> Result<(String, RewardLossConfig)> {
        let centered = self.center_coefficient.unwrap_or_default();
        Ok(match self.loss.as_str() {
            "bt" => {
                let config = BradleyTerryConfig {
                    center_coefficient: centered,
                };
                let title = "reward model, BT".to_owned();
                (title, RewardLossConfig::BradleyTerry(config))
            }
            "bt-ldr" => {
                let config = UltraInteractRewardConfig {
                    center_coefficient: centered,
                    ..UltraInteractRewardConfig::default()
                };
                let title = "reward model, BT + LDR".to_owned();
                (title, RewardLossConfig::UltraInteract(config))
            }
            given => {
                let config: RewardLossConfig = described_loss(given, RewardLossConfig::NAMES)?;
                (format!("reward model, {}", config.name()), config)
            }
        })
    }

    /// The part of rows to learn from; the labels are those of the data, so a held-out file gets its own.
    fn wanted(&self) -> Wanted {
        Wanted {
            rank_only: self.rank_only.clone(),
            margin: self.margin,
            ..Wanted::new(LabelKind::Pair)
        }
    }
}

impl Reward {
    /// The part of rows to learn from.
    pub fn wanted(&self) -> Wanted {
        self.loss.wanted()
    }

    /// Refuses names of data sets that no row has.
    pub fn check_rank_only(&self, pairs: &TrainingRows) -> Result<()> {
        let names = &self.loss.rank_only;
        let is_ranked = |group: &Group| {
            matches!(
                group.label,
                Label::Pair {
                    rank_only: true,
                    ..
                }
            )
        };
        let mut groups = pairs.trees.iter().flat_map(TrainingTree::groups);
        if names.is_empty() || groups.any(is_ranked) {
            return Ok(());
        }
        let problem = format!(
            "--rank-only {} has no effect: no row of {} has such a `dataset` or `task`; give the names that the rows have, or leave it out",
            names.join(","),
            pairs.files()
        );
        Err(UsageError::new(problem).into())
    }

    /// The loss as the library knows it.
    pub fn loss(&self) -> Result<RewardLossConfig> {
        Ok(self.loss.config()?.1)
    }

    pub fn run(&self, ranks: &Ranks) -> Result<()> {
        let (title, loss) = self.loss.config()?;
        let title = title.as_str();
        loss.init().map_err(UsageError::new)?;
        let mut run = Beginning::of(
            Given {
                files: &self.files,
                text: &self.text,
                steps: &self.steps,
                adapters: self.adapters.config(),
                reference: None,
                judging: &self.judging,
                snapshots: &self.snapshots,
            },
            ranks,
        )?;
        let settings = run.setup.settings.clone();
        let trainer_with = |snapshots| {
            RewardTrainer::new(settings.clone(), &loss)?.with_snapshots(Some(snapshots))
        };
        run.check(|snapshots| Ok(trainer_with(snapshots)?.identity()))?;
        let setup = &run.setup;
        let read = |files: &[String]| input::rows(files, &self.text.rows, &self.wanted(), setup);
        let pairs = read(&self.files.data)?;
        self.check_rank_only(&pairs)?;
        let held_out = self.judging.eval.as_deref().map(read).transpose()?;
        run.check_space(&pairs.trees, plan::Objective::Reward)?;
        let snapshots = run.snapshots()?;

        let setup = &run.setup;
        let model = setup.put_on(setup.reward_start()?, &self.adapters)?;
        let trainer = trainer_with(snapshots.clone())?
            .with_ranks(ranks.clone())
            .with_stop_request(interrupt::stop_request());
        let identity = trainer.identity().of_examples(&pairs.trees);
        let job = run.job(title, &snapshots, &identity);
        let setup = &run.setup;
        let mut judge = |model: &RewardModel| {
            let trees = held_out.as_ref().map_or(&[][..], |pairs| &pairs.trees);
            let stats = trainer.evaluate(model, trees)?;
            let accuracy = stats.accuracy.unwrap_or_default();
            let judgement =
                Judgement::by_score("accuracy", accuracy).with_metric("loss", stats.loss);
            Ok(with_metrics(judgement, &stats))
        };
        let mut evaluation = self.judging.evaluation(&mut judge);
        let trained = job::run(
            job,
            |on_event| trainer.train_evaluated(model, &pairs.trees, evaluation.as_mut(), on_event),
            |checkpoint, model| {
                self.adapters
                    .write(checkpoint, model, &self.files, |model| {
                        checkpoint.write_reward_model(model, &setup.config)
                    })
            },
        )?;
        if let (Some(held_out), true) = (&held_out, ranks.is_first()) {
            let table = compare(title, &trained, held_out, setup).with_context(|| {
                let out = self.files.out.display();
                format!("the model is complete in {out}, but its rewards of --eval could not be compared")
            })?;
            job::print(&table);
        }
        Ok(())
    }
}

/// The rewards of held-out pairs as a table.
fn compare(
    title: &str,
    model: &RewardModel,
    pairs: &TrainingRows,
    setup: &Setup,
) -> Result<String> {
    let rewards = pair_rewards(model, &pairs.trees, &setup.settings)?;
    let (chosen, rejected): (Vec<f32>, Vec<f32>) = rewards
        .iter()
        .map(|pair| (pair.chosen, pair.rejected))
        .unzip();
    let lengths: Vec<PairLengths> = pairs
        .trees
        .iter()
        .flat_map(|tree| {
            let tokens = |node: usize| tree.tree().nodes[node].tokens.len();
            tree.groups().iter().map(move |pair| PairLengths {
                chosen: tokens(pair.nodes[0]),
                rejected: tokens(pair.nodes[1]),
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
