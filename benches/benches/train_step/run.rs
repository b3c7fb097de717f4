//! Training with its clock: the warm-up, then the steps that count.

use std::time::Instant;

use anyhow::Result;
use eurus_memory::reset_peak;
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{
    Event, PreferenceTrainer, ReferenceLogProbs, RewardTrainer, SftTrainer, TrainingConfig,
};
use pref_losses::{BradleyTerryConfig, PreferenceLossConfig, RewardLossConfig};
use token_forest::TrainingTree;

use crate::{Options, weights};

/// What the steps add up to.
#[derive(Default)]
pub struct Tally {
    pub seconds: f64,
    pub steps: usize,
    pub unique_tokens: usize,
    pub naive_tokens: usize,
    /// Tokens that the step's forests had room for.
    pub room: f64,
    /// Of the first steps.
    pub first_losses: Vec<f64>,
    /// Of the first steps.
    pub first_seconds: Vec<f64>,
    pub last_loss: f64,
}

/// Steps whose losses and times are printed, to be compared with those of another device.
const FIRST_STEPS: usize = 10;

impl Tally {
    fn observe(&mut self, event: &Event) {
        if let Some(progress) = event.progress() {
            self.seconds += progress.seconds;
            self.steps += 1;
            self.unique_tokens += progress.unique_tokens;
            self.naive_tokens += progress.naive_tokens;
            self.room += progress.unique_tokens as f64 / progress.utilization;
            if self.first_losses.len() < FIRST_STEPS {
                self.first_losses.push(progress.loss);
                self.first_seconds.push(progress.seconds);
            }
            self.last_loss = progress.loss;
        }
    }
}

/// One run.
pub struct Run<'a> {
    pub options: &'a Options,
    pub settings: TrainingConfig,
    pub config: DecoderConfig,
    /// Set by [`preference`](Self::preference).
    pub reference_seconds: f64,
}

impl Run<'_> {
    fn decoder(&self) -> Decoder {
        let device = &self.options.device;
        match self.options.device_weights {
            true => weights::draw(&self.config, device),
            false => Decoder::init(&self.config, 0, device),
        }
    }

    pub fn preference(
        &mut self,
        loss: &PreferenceLossConfig,
        trees: &[TrainingTree],
    ) -> Result<Tally> {
        let policy = self.decoder();
        let started = Instant::now();
        let reference = ReferenceLogProbs::compute(&policy, trees, &self.settings, &mut |_| {})?;
        self.reference_seconds = started.elapsed().as_secs_f64();
        let trainer = PreferenceTrainer::new(self.settings.clone(), loss)?;
        let (warmup, warmup_reference) = self.warmup(trees, &policy)?;
        let policy = trainer.train(policy, &warmup, &warmup_reference, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(policy, trees, &reference, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    fn warmup(
        &self,
        trees: &[TrainingTree],
        policy: &Decoder,
    ) -> Result<(Vec<TrainingTree>, ReferenceLogProbs)> {
        let trees = trees[..self.options.warmup_trees.min(trees.len())].to_vec();
        let reference = ReferenceLogProbs::compute(policy, &trees, &self.settings, &mut |_| {})?;
        Ok((trees, reference))
    }

    pub fn reward(&mut self, trees: &[TrainingTree]) -> Result<Tally> {
        let model = RewardModel::from_decoder(self.decoder());
        let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
        let trainer = RewardTrainer::new(self.settings.clone(), &loss)?;
        let warmup = &trees[..self.options.warmup_trees.min(trees.len())];
        let model = trainer.train(model, warmup, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(model, trees, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    pub fn sft(&mut self, trees: &[TrainingTree]) -> Result<Tally> {
        let model = self.decoder();
        let trainer = SftTrainer::new(self.settings.clone())?;
        let warmup = &trees[..self.options.warmup_trees.min(trees.len())];
        let model = trainer.train(model, warmup, &mut |_| {})?;
        self.measure(|tally| {
            trainer.train(model, trees, &mut |event| tally.observe(event))?;
            Ok(())
        })
    }

    /// Counts the peak of memory from here on.
    fn measure(&self, train: impl FnOnce(&mut Tally) -> Result<()>) -> Result<Tally> {
        reset_peak();
        let mut tally = Tally::default();
        train(&mut tally)?;
        Ok(tally)
    }
}
