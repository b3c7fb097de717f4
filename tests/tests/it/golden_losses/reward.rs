//! Losses of reward models, from rewards.

use pref_losses::{
    BradleyTerryConfig, LdrConfig, RewardContext, RewardLossConfig, RewardSums,
    UltraInteractRewardConfig,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;

pub fn run(case: &Case<'_>) -> Result<Run, String> {
    let chosen = case.leaf::<1>("chosen_rewards");
    let rejected = case.leaf::<1>("rejected_rewards");
    let context = RewardContext {
        margin: case.has("inputs", "margin").then(|| case.input("margin")),
        is_ultra_interact: case
            .has("inputs", "is_ultrainteract")
            .then(|| case.flags("is_ultrainteract")),
    };
    let forward = |config: RewardLossConfig| {
        let loss = config.init().map_err(|error| error.to_string())?;
        Ok::<_, String>(loss.forward(chosen.clone(), rejected.clone(), &context))
    };
    let ranking = BradleyTerryConfig::new();
    let plain = RewardLossConfig::BradleyTerry(ranking.clone());
    let direct = RewardLossConfig::Ldr(LdrConfig::new());
    let config = match case.loss() {
        "rm_bt" => plain.clone(),
        "rm_bt_centered" => RewardLossConfig::BradleyTerry(
            ranking.with_center_coefficient(case.number("center_coef")?),
        ),
        "rm_ldr" => direct.clone(),
        _ => RewardLossConfig::UltraInteract(UltraInteractRewardConfig::new()),
    };
    let losses = forward(config)?;
    let reduced = losses.clone().mean();
    // The file's losses per pair leave the centering penalty out.
    let per_pair = if case.loss() == "rm_bt_centered" {
        forward(plain.clone())?
    } else {
        losses
    };
    let stats = RewardSums::of(&per_pair, &chosen, &rejected).read();
    let mut values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&per_pair)),
        ("reward_accuracy", vec![stats.accuracy]),
        ("reward_margin", vec![stats.margin]),
        ("bt_losses", read(&forward(plain)?)),
    ];
    if case.loss() == "rm_ultrainteract" {
        values.push(("dr_losses", read(&forward(direct)?)));
    }
    let gradients = reduced.backward();
    let grads = vec![
        ("chosen_rewards", gradient(&chosen, &gradients)),
        ("rejected_rewards", gradient(&rejected, &gradients)),
    ];
    Ok(Run { values, grads })
}
