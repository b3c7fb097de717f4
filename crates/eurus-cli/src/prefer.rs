//! `eurus prefer`: preference learning against the model it starts from.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use eurus::forest::{LabelKind, TrainingTree};
use eurus::losses::{
    DpoConfig, KtoConfig, NcaConfig, NcaKConfig, Needs, PreferenceLossConfig, ScoredLossConfig,
    UnpairedLossConfig,
};
use eurus::models::lora::Adapted;
use eurus::models::{Decoder, DecoderConfig};
use eurus::train::ResponseLossConfig;
use eurus::train::plan::Objective;
use eurus::train::{
    Event, Judgement, PreferenceTrainer, Ranks, ReferenceCache, ReferenceKey, ReferenceSync,
    Snapshots, TrainingConfig,
};

use crate::adapters::Adapters;
use crate::begin::{Beginning, Given};
use crate::input::{self, Wanted};
use crate::interrupt::{self, Phase};
use crate::judging::{Judging, Samples, judgement_of};
use crate::loss::described_loss;
use crate::model_folder::ModelFolder;
use crate::options::{Files, SnapshotOptions, Steps, Text, at_least_one};
use crate::other_model::OtherModel;
use crate::setup::Setup;
use crate::usage::UsageError;
use crate::{event_log, job};

pub const EXAMPLES: &str = r#"Rows of any format that `eurus data` reads, with preferences; rows that begin alike share what they have in common:
  {"prompt": "...", "chosen": "...", "rejected": "..."}                        texts, or lists of messages
  {"trajectory": [{"from": "user", "value": "..."}, {"from": "assistant", "value": "..."},
                  {"from": "user", "value": "..."}],
   "task": "Math_CoT", "chosen": "...", "rejected": "..."}                     UltraInteract_pair
  {"instruction": "...", "completions": [{"response": "...", "overall_score": 8}, ...]}

Examples:
  The paper's settings (beta 0.1, learning rate 5e-7):
    eurus prefer --model runs/sft --data pairs.jsonl --algorithm nca --out runs/nca

  KTO with the paper's weights, on a machine with little memory:
    eurus prefer --model runs/sft --data pairs.jsonl --algorithm kto --out runs/kto \
      --desirable-weight 1.33 --undesirable-weight 1 --token-budget 2048

  A loss of the library that --algorithm does not name, and a weighted sum with an SFT term:
    eurus prefer --model runs/sft --data pairs.jsonl --out runs/simpo --loss '{"type": "simpo"}'
    eurus prefer --model runs/sft --data pairs.jsonl --out runs/sum --loss '{"type": "sum", "sft_weight": 0.2,
      "terms": [{"weight": 1, "loss": {"type": "dpo"}}, {"weight": 0.5, "loss": {"type": "nca"}}]}'

  Answers that were judged one by one, as TRL writes them; rows that begin alike share what they have in common:
    {"prompt": "...", "completion": "...", "label": true}
    eurus prefer --model runs/sft --data judged.jsonl --unpaired --algorithm kto --out runs/kto

  Several scored answers to each instruction, as UltraFeedback has them; low temperatures aim at the best alone:
    eurus prefer --model runs/sft --data ultrafeedback.jsonl --scored --out runs/nca \
      --loss '{"type": "nca_k", "beta": 0.1, "temperature": 0.5}'

  Another reference than the model that the run starts from, of the same vocabulary:
    eurus prefer --model runs/sft --data pairs.jsonl --algorithm dpo --reference runs/sft-epoch-3 --out runs/dpo

  Twenty quick steps to see that something moves:
    eurus prefer --model SmolLM2-135M-Instruct --data pairs.jsonl --algorithm dpo --out smollm2-dpo \
      --max-steps 20 --trees-per-step 2 --learning-rate 1e-5"#;

#[derive(Debug, Args)]
pub struct Prefer {
    #[command(flatten)]
    pub files: Files,

    #[command(flatten)]
    pub loss: Loss,

    /// The rows of --data are single answers with a verdict each, not pairs (TRL's unpaired preference: prompt,
    /// completion, label); with --algorithm kto, or a --loss that is kto, bco or apo_zero
    #[arg(long, help_heading = "Loss")]
    pub unpaired: bool,

    /// The rows of --data are instructions with several scored answers, not pairs (UltraFeedback: instruction, completions
    /// with response and overall_score); with --algorithm nca, or a --loss that is nca_k, info_nca,
    /// plackett_luce or lambda_rank
    #[arg(long, help_heading = "Loss", conflicts_with = "unpaired")]
    pub scored: bool,

    /// Model whose log-probs the loss takes for the reference's, if it is another than --model: a folder or a name on the hub,
    /// of the same vocabulary. It is read first, and not in memory any more when training begins
    #[arg(
        long,
        value_name = "MODEL",
        help_heading = "Loss",
        conflicts_with = "sync_reference_every"
    )]
    pub reference: Option<PathBuf>,

    /// What lies there, once it has been looked at
    #[arg(skip)]
    pub reference_found: Option<ModelFolder>,

    /// Let the reference follow the policy (TR-DPO): after every so many steps it is mixed with the policy
    #[arg(long, value_name = "STEPS", help_heading = "Loss", value_parser = at_least_one)]
    pub sync_reference_every: Option<usize>,

    /// Share of the policy in that mixture; 1 puts it in the reference's place
    #[arg(long, value_name = "X", help_heading = "Loss",
          default_value_t = ReferenceSync::default().mixing)]
    pub sync_reference_mixing: f64,

    #[command(flatten)]
    pub text: Text,

    #[command(flatten)]
    pub adapters: Adapters,

    #[command(flatten)]
    pub steps: Steps,

    /// File that keeps the reference log-probs for other runs on the same model and rows, also after a kill
    /// [default: reference.jsonl among the snapshots; without --snapshot-every it goes when the run is done]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub reference_cache: Option<PathBuf>,

    #[command(flatten)]
    pub judging: Judging,

    #[command(flatten)]
    pub samples: Samples,

    #[command(flatten)]
    pub snapshots: SnapshotOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Loss")]
pub struct Loss {
    /// Preference loss of the paper
    #[arg(long, value_enum, required_unless_present = "loss")]
    algorithm: Option<Algorithm>,

    /// Any preference loss of the library: its name, or with its settings, or a weighted sum of several, as JSON or a file of it
    #[arg(long, value_name = "NAME|JSON|FILE",
          conflicts_with_all = ["algorithm", "beta", "desirable_weight", "undesirable_weight"])]
    loss: Option<String>,

    /// Strength of the tie to the model that the run starts from
    #[arg(long, value_name = "BETA", default_value_t = DpoConfig::default().beta)]
    beta: f64,

    /// Weight of chosen responses in KTO (lambda+); the paper takes 1.33
    #[arg(long, value_name = "X", default_value_t = KtoConfig::default().desirable_weight)]
    desirable_weight: f64,

    /// Weight of rejected responses in KTO (lambda-)
    #[arg(long, value_name = "X", default_value_t = KtoConfig::default().undesirable_weight)]
    undesirable_weight: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// Direct preference optimisation: widens the margin, whatever becomes of the chosen rewards
    Dpo,
    /// Kahneman-Tversky optimisation: raises chosen and lowers rejected rewards around the KL to the reference
    Kto,
    /// Noise-contrastive alignment: raises chosen rewards to an optimum
    Nca,
}

impl Loss {
    /// The loss over pairs as the library knows it.
    pub fn paired(&self) -> Result<PreferenceLossConfig> {
        Ok(match (&self.loss, self.algorithm) {
            (Some(given), _) => described_loss(given, PreferenceLossConfig::NAMES)?,
            (None, Some(Algorithm::Nca)) => {
                PreferenceLossConfig::Nca(NcaConfig { beta: self.beta })
            }
            (None, Some(Algorithm::Kto)) => PreferenceLossConfig::Kto(self.kto()),
            (None, Some(Algorithm::Dpo) | None) => PreferenceLossConfig::Dpo(DpoConfig {
                beta: self.beta,
                ..DpoConfig::default()
            }),
        })
    }

    /// The loss over single answers as the library knows it.
    pub fn unpaired(&self) -> Result<UnpairedLossConfig> {
        match (&self.loss, self.algorithm) {
            (Some(given), _) => described_loss(given, UnpairedLossConfig::NAMES),
            (None, Some(Algorithm::Kto)) => Ok(UnpairedLossConfig::Kto(self.kto())),
            (None, _) => Err(UsageError::new(
                "--unpaired: this algorithm compares two answers; use --algorithm kto, or --loss with bco or apo_zero",
            )
            .into()),
        }
    }

    /// The loss over several scored answers as the library knows it.
    pub fn scored(&self) -> Result<ScoredLossConfig> {
        match (&self.loss, self.algorithm) {
            (Some(given), _) => described_loss(given, ScoredLossConfig::NAMES),
            (None, Some(Algorithm::Nca)) => {
                Ok(ScoredLossConfig::NcaK(NcaKConfig { beta: self.beta, ..NcaKConfig::default() }))
            }
            (None, _) => Err(UsageError::new(
                "--scored: this algorithm does not know scores; use --algorithm nca, or --loss with nca_k, info_nca, plackett_luce or lambda_rank",
            )
            .into()),
        }
    }

    fn kto(&self) -> KtoConfig {
        KtoConfig {
            beta: self.beta,
            desirable_weight: self.desirable_weight,
            undesirable_weight: self.undesirable_weight,
            ..KtoConfig::default()
        }
    }
}

impl Prefer {
    /// The loss as the library knows it.
    fn loss(&self) -> Result<ResponseLossConfig> {
        Ok(if self.unpaired {
            (&self.loss.unpaired()?).into()
        } else if self.scored {
            (&self.loss.scored()?).into()
        } else {
            (&self.loss.paired()?).into()
        })
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        Some(ReferenceSync {
            every_steps: self.sync_reference_every?,
            mixing: self.sync_reference_mixing,
        })
    }

    /// The kind of groups that the loss learns from, and what else it looks at.
    pub fn learns_from(&self) -> Result<(LabelKind, Needs)> {
        let loss = self.loss()?.init().map_err(UsageError::new)?;
        Ok((loss.kind(), loss.needs()))
    }

    pub fn run(&self, ranks: &Ranks) -> Result<()> {
        let (kind, needs) = self.learns_from()?;
        let loss = self.loss()?;
        PreferenceTrainer::new(TrainingConfig::default(), loss.clone())?
            .with_reference_sync(self.reference_sync())
            .map_err(UsageError::new)?;
        let mut run = Beginning::of(
            Given {
                files: &self.files,
                text: &self.text,
                steps: &self.steps,
                adapters: self.adapters.config(),
                reference: self.reference_found.as_ref(),
                judging: &self.judging,
                snapshots: &self.snapshots,
            },
            ranks,
        )?;
        let other_reference = self.reference_found.is_some();
        let trainer_with = |settings, snapshots| {
            PreferenceTrainer::new(settings, loss.clone())?
                .with_reference_sync(self.reference_sync())?
                .with_other_reference(other_reference)
                .with_snapshots(Some(snapshots))
        };
        let settings = run.setup.settings.clone();
        run.check(|snapshots| Ok(trainer_with(settings.clone(), snapshots)?.identity()))?;

        let setup = &run.setup;
        let reference = self.reference_found.as_ref();
        let reference = reference.map(|found| OtherModel::open(found, setup));
        let reference = ranks.all_ok(reference.transpose())?;
        let wanted = Wanted::new(kind);
        let read = |files: &[String]| input::rows(files, &self.text.rows, &wanted, setup);
        let mut rows = read(&self.files.data)?;
        let mut held_out = self.judging.eval.as_deref().map(read).transpose()?;
        let mut settings = settings;
        if needs.kl {
            for rows in [Some(&mut rows), held_out.as_mut()].into_iter().flatten() {
                let longest = input::add_mismatched_responses(rows, setup)?;
                settings.max_path_tokens = settings.max_path_tokens.max(longest);
            }
        }

        if let Some(reference) = &reference {
            for rows in [Some(&rows), held_out.as_ref()].into_iter().flatten() {
                ranks.all_ok(reference.check(rows))?;
            }
        }
        run.check_space(&rows.trees, Objective::LanguageModel)?;
        let snapshots = run.snapshots()?;
        let trainer = trainer_with(settings.clone(), snapshots.clone())?
            .with_ranks(ranks.clone())
            .with_stop_request(interrupt::stop_request());
        let identity = trainer.identity().of_examples(&rows.trees);
        run.check_whole(&snapshots, &identity)?;

        let mut job = run.job(loss.name(), &snapshots, &identity);
        let setup = &run.setup;
        let policy = setup.put_on(setup.decoder()?, &self.adapters)?;
        let base = match &reference {
            Some(reference) => ranks.all_ok(reference.decoder())?,
            None => policy.without_adapters(),
        };
        let held_out_trees = held_out.iter().flat_map(|rows| &rows.trees);
        let questions = self.samples.questions(setup, held_out_trees);
        let config = reference.as_ref().map_or(&setup.config, |it| &it.config);
        let cache = self.cache(&snapshots, &base, config, setup);
        job.phase = Phase::Reference {
            file: cache.path().to_path_buf(),
            done: 0,
            of: rows.groups(),
        };
        job::run(
            job,
            |on_event| {
                let compute = |trees: &[TrainingTree], on_event: &mut dyn FnMut(&Event)| {
                    trainer.reference(&base, trees, Some(&cache), on_event)
                };
                let reference = compute(&rows.trees, on_event)?;
                let held_out = match &held_out {
                    Some(rows) => Some((&rows.trees, compute(&rows.trees, on_event)?)),
                    None => None,
                };
                drop(base);
                interrupt::enter(Phase::Training);
                let mut judge = |model: &Decoder| match &held_out {
                    Some((trees, reference)) => {
                        let stats = trainer.evaluate(model, trees, reference)?;
                        questions.ask(model, judgement_of(&stats))
                    }
                    None => Ok(Judgement::default()),
                };
                let mut evaluation = self.judging.evaluation(&mut judge);
                trainer.train_evaluated(
                    policy,
                    &rows.trees,
                    &reference,
                    evaluation.as_mut(),
                    on_event,
                )
            },
            |checkpoint, model| {
                self.adapters
                    .write(checkpoint, model, &self.files, |model| {
                        checkpoint.write_decoder(model, &setup.config)
                    })
            },
        )?;
        Ok(())
    }

    /// Where reference log-probs are kept.
    fn cache(
        &self,
        snapshots: &Snapshots,
        base: &Decoder,
        config: &DecoderConfig,
        setup: &Setup,
    ) -> ReferenceCache {
        let beside = || snapshots.folder.join(event_log::REFERENCE);
        let path = self.reference_cache.clone().unwrap_or_else(beside);
        // What an earlier run left there without being told to is in nobody's way.
        let replace = self.reference_cache.is_none() && !snapshots.resume && !snapshots.extend;
        let key = ReferenceKey::new(base, setup.tokenizer.files().fingerprint())
            .with_config(format!("{config:?}"));
        ReferenceCache::new(path, key).with_replace_stale(replace)
    }
}
