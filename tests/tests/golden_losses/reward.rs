//! Losses of reward models, from rewards.

use burn::tensor::Tensor;
use pref_losses::{
    BradleyTerryConfig, LdrConfig, NormBtConfig, PreferenceSums, RewardContext, RewardLossConfig,
    UltraInteractRewardConfig, representation_distances,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;

pub fn run(case: &Case<'_>) -> Result<Run, String> {
    let chosen = case.leaf::<1>("chosen_rewards");
    let rejected = case.leaf::<1>("rejected_rewards");
    let context = RewardContext {
        margin: case.has("inputs", "margin").then(|| case.input("margin")),
        rank_only: case
            .has("inputs", "is_ultrainteract")
            .then(|| case.flags("is_ultrainteract").bool_not()),
        distances: None,
    };
    let forward = |config: RewardLossConfig| {
        let loss = config.init().map_err(|error| error.to_string())?;
        let losses = loss.forward(chosen.clone(), rejected.clone(), &context);
        losses.map_err(|error| error.to_string())
    };
    let plain = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
    let direct = RewardLossConfig::Ldr(LdrConfig::default());
    let config = match case.loss() {
        "rm_bt" => plain.clone(),
        "rm_bt_centered" => RewardLossConfig::BradleyTerry(BradleyTerryConfig {
            center_coefficient: case.number("center_coef")?,
        }),
        "rm_ldr" => direct.clone(),
        _ => RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default()),
    };
    let losses = forward(config)?;
    let reduced = losses.clone().mean();
    // The file's losses per pair leave the centering penalty out.
    let per_pair = if case.loss() == "rm_bt_centered" {
        forward(plain.clone())?
    } else {
        losses
    };
    let stats = PreferenceSums::of_rewards(&per_pair, &chosen, &rejected).read();
    let mut values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&per_pair)),
        ("reward_accuracy", stats.accuracy.into_iter().collect()),
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

/// Bradley-Terry weighted by distances, with rewards that are given or made by a linear head.
pub fn run_weighted(case: &Case<'_>) -> Result<Run, String> {
    let hidden = ["chosen_hidden", "rejected_hidden"];
    let [chosen_hidden, rejected_hidden] = hidden.map(|name| case.leaf::<2>(name));
    let head = case
        .has("inputs", "score_weight")
        .then(|| case.leaf::<1>("score_weight"));
    let given = ["chosen_rewards", "rejected_rewards"];
    let leaves = match &head {
        Some(_) => None,
        None => Some(given.map(|name| case.leaf::<1>(name))),
    };
    let [chosen, rejected] = match (&head, &leaves) {
        (Some(head), _) => [&chosen_hidden, &rejected_hidden].map(|hidden| {
            let column: Tensor<2> = head.clone().unsqueeze_dim(1);
            hidden.clone().matmul(column).squeeze_dim(1)
        }),
        (None, Some(leaves)) => leaves.clone(),
        (None, None) => return Err("neither rewards nor a head".to_owned()),
    };
    let norm_bt = NormBtConfig {
        decay: case.number("ema_decay")?,
        epsilon: case.number("eps")?,
    }
    .init()
    .map_err(|error| error.to_string())?;
    let mean = case.number("ema")?;
    let apart = representation_distances(chosen_hidden.clone(), rejected_hidden.clone());
    let losses = norm_bt.forward(chosen.clone(), rejected.clone(), apart.clone(), mean);
    let plain = BradleyTerryConfig::default()
        .init()
        .map_err(|error| error.to_string())?
        .forward(chosen.clone(), rejected.clone());
    let stats = PreferenceSums::of_rewards(&losses, &chosen, &rejected).read();
    let step_mean = read(&apart.clone().mean())[0];
    let reduced = losses.clone().mean();
    let values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&losses)),
        ("bt_losses", read(&plain)),
        ("distances", read(&apart)),
        ("weights", read(&norm_bt.weights(apart, mean))),
        ("ema_next", vec![norm_bt.next_mean(Some(mean), step_mean)]),
        ("chosen_rewards", read(&chosen)),
        ("rejected_rewards", read(&rejected)),
        ("reward_accuracy", stats.accuracy.into_iter().collect()),
        ("reward_margin", vec![stats.margin]),
    ];
    let gradients = reduced.backward();
    let mut grads = vec![
        ("chosen_hidden", gradient(&chosen_hidden, &gradients)),
        ("rejected_hidden", gradient(&rejected_hidden, &gradients)),
    ];
    if let Some(head) = &head {
        grads.push(("score_weight", gradient(head, &gradients)));
    }
    for (name, leaf) in given.into_iter().zip(leaves.iter().flatten()) {
        grads.push((name, gradient(leaf, &gradients)));
    }
    Ok(Run { values, grads })
}
