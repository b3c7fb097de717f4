//! Reward models: rewards at every token, and the gradients of both losses.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eurus_models::{DecoderConfig, ForestBatch, ForestRewardModel, RewardModel, int_tensor};
use eurus_tests::report::Report;
use pref_losses::{RewardContext, RewardLoss, RewardLossConfig};

use super::gradients::{self, Section};
use super::language_model::check_hidden;
use super::rows::{Row, by_row, pack, pair_rows, rows};
use super::subject::Subject;
use super::{packed_trees, training};

pub fn check(
    subject: &Subject,
    model: &RewardModel,
    config: &DecoderConfig,
    report: &mut Report,
) -> Result<()> {
    let expected = &subject.expected;
    let limit = expected.tolerance.of("reward_abs")?;
    for case in &expected.cases {
        let rows = rows(case);
        let forest = pack(&rows)?;
        let positions: Vec<u32> = rows.iter().flat_map(|row| row.positions.clone()).collect();
        report.same("positions", &case.id, &forest.positions, &positions);
        let all: Vec<u32> = (0..forest.len() as u32).collect();
        let batch = ForestBatch::new(forest, &Device::flex());
        let rewards = model.rewards(&batch, int_tensor(&all, &Device::flex()));
        let rewards: Vec<f32> = rewards.into_data().iter().collect();
        let tokens = case
            .token_rewards_f64
            .as_ref()
            .context("no token_rewards_f64")?;
        let ends = case.reward_f64.as_ref().context("no reward_f64")?;
        for (row, got) in by_row(&rewards, &rows, |row| row.tokens.len())
            .into_iter()
            .enumerate()
        {
            let place = format!("{} row {row}", case.id);
            report.all_close(
                "rewards at all tokens",
                &place,
                got.iter().copied(),
                &tokens[row],
                limit,
            );
            let last = got.last().map_or(f64::NAN, |&reward| f64::from(reward));
            report.close("rewards at the end", place, last, ends[row], limit);
        }
    }
    check_hidden(subject, model.model.clone(), config, "reward_abs", report)?;

    let trainable = model.clone().train();
    if let Some(pairs) = &expected.pairs {
        let rewards = end_rewards(model, &pair_rows(pairs), &Device::flex())?;
        let rewards: Vec<f32> = rewards.into_data().iter().collect();
        report.all_close("rewards of pairs", "row", rewards, &pairs.reward_f64, limit);
        for (check, stored, section, config) in [
            (
                "gradient of BT",
                "grad_bt",
                &expected.grad_bt,
                bradley_terry(),
            ),
            (
                "gradient of BT+LDR",
                "grad_bt_dr",
                &expected.grad_bt_dr,
                ultra_interact(),
            ),
        ] {
            let Some(section) = section else {
                continue;
            };
            let loss = pair_loss(&trainable, &pair_rows(pairs), &config.init()?)?;
            let section = Section {
                check,
                place: "pairs",
                stored,
                expected: section,
                tolerance: &expected.tolerance,
            };
            gradients::check(subject, &section, &trainable, loss, report)?;
        }
    }
    packed_trees::check_rewards(subject, &trainable, report)?;
    training::check_reward_model(subject, model, report)
}

pub fn bradley_terry() -> RewardLossConfig {
    RewardLossConfig::BradleyTerry(Default::default())
}

pub fn ultra_interact() -> RewardLossConfig {
    RewardLossConfig::UltraInteract(Default::default())
}

/// The reward at the end of every row, `[rows]`.
fn end_rewards(model: &RewardModel, rows: &[Row], device: &Device) -> Result<Tensor<1>> {
    let forest = pack(rows)?;
    let mut after = 0;
    let ends: Vec<u32> = rows
        .iter()
        .map(|row| {
            after += row.tokens.len() as u32;
            after - 1
        })
        .collect();
    let batch = ForestBatch::new(forest, device);
    Ok(model.rewards(&batch, int_tensor(&ends, device)))
}

/// The mean loss of pairs whose rows alternate between chosen and rejected.
pub fn pair_loss(model: &RewardModel, rows: &[Row], loss: &RewardLoss) -> Result<Tensor<1>> {
    let device = Device::flex().autodiff();
    let rewards = end_rewards(model, rows, &device)?;
    let every_other = |first: u32| {
        let indices: Vec<u32> = (first..rows.len() as u32).step_by(2).collect();
        rewards.clone().select(0, int_tensor(&indices, &device))
    };
    Ok(loss
        .forward(every_other(0), every_other(1), &RewardContext::default())?
        .mean())
}
