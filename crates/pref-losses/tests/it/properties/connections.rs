//! Every loss is a function of its inputs in autodiff's eyes too: batches without pairs, single
//! responses and masks that leave nothing have a gradient, of 0, and never a constant that nothing
//! leads back from.

use burn::tensor::{Bool, DType, Device, Int, Tensor};
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};
use pref_losses::log_probs::{
    SequenceReduction, cross_entropy, next_token_log_probs, sequence_log_probs, sum_by_segment,
    token_log_probs,
};
use pref_losses::{
    DmpoConfig, LdDpoConfig, PlackettLuce, RepresentationDistances, ResponseLogProbs,
    ResponseParts, RewardContext, RewardLossConfig, ScoredLossConfig, UnpairedContext,
    UnpairedLogProbs, UnpairedLossConfig,
};

use super::support::{configs, forward, pairs, tracked, vector};

/// The gradient of the sum of `losses` along a leaf, with the leaf's shape.
fn gradients<const D: usize>(losses: Tensor<1>, leaves: &[&Tensor<D>], what: &str) -> Vec<f32> {
    let gradients = losses.sum().backward();
    let mut values = Vec::new();
    for leaf in leaves {
        let gradient = leaf
            .grad(&gradients)
            .unwrap_or_else(|| panic!("{what}: nothing leads back to a leaf"));
        assert_eq!(gradient.dims(), leaf.dims(), "{what}");
        values.extend(gradient.into_data().iter::<f32>());
    }
    assert!(
        values.iter().all(|value| value.is_finite()),
        "{what}: {values:?}"
    );
    values
}

fn leaf<const D: usize>(dims: [usize; D], value: f32) -> Tensor<D> {
    Tensor::full(dims, value, (&Device::flex().autodiff(), DType::F32)).require_grad()
}

fn flags<const D: usize>(dims: [usize; D], value: bool) -> Tensor<D, Bool> {
    let zeros = Tensor::<D>::zeros(dims, &Device::flex().autodiff());
    zeros.equal_elem(if value { 0.0 } else { 1.0 })
}

#[test]
fn every_loss_of_pairs_leads_back_to_both_responses() {
    for config in configs(0.1) {
        for values in [&[][..], &[0.0], &[1.0, -4.0, 0.5]] {
            let (chosen, rejected) = (tracked(values), tracked(values));
            let losses = forward(&config, pairs(chosen.clone(), rejected.clone())).losses;
            gradients(losses, &[&chosen, &rejected], &format!("{config:?}"));
        }
    }
}

#[test]
fn every_loss_of_responses_leads_back_to_them() {
    for name in UnpairedLossConfig::NAMES {
        let config = serde_json::from_value(serde_json::json!({ "type": name }));
        let loss = UnpairedLossConfig::init(&config.unwrap()).unwrap();
        for values in [&[][..], &[0.0], &[1.0, -4.0]] {
            for desirable in [true, false] {
                let policy = tracked(values);
                let log_probs = UnpairedLogProbs {
                    policy: policy.clone(),
                    reference: vector(values),
                    desirable: flags([values.len()], desirable),
                };
                let context = UnpairedContext {
                    kl: Some(vector(&[0.0])),
                    ..UnpairedContext::default()
                };
                let output = loss.forward(log_probs, &context).unwrap();
                gradients(output.losses, &[&policy], name);
            }
        }
    }
}

#[test]
fn every_loss_of_rewards_leads_back_to_both() {
    for name in RewardLossConfig::NAMES {
        let config = serde_json::from_value(serde_json::json!({ "type": name }));
        let loss = RewardLossConfig::init(&config.unwrap()).unwrap();
        for values in [&[][..], &[0.0], &[1.0, -4.0]] {
            let (chosen, rejected) = (tracked(values), tracked(values));
            let context = RewardContext {
                margin: Some(vector(values)),
                rank_only: Some(flags([values.len()], true)),
                distances: Some(RepresentationDistances {
                    distances: vector(values).abs(),
                    mean: 1.0,
                }),
            };
            let losses = loss.forward(chosen.clone(), rejected.clone(), &context);
            gradients(losses.unwrap(), &[&chosen, &rejected], name);
        }
    }
}

#[test]
fn losses_of_k_responses_lead_back_where_there_is_one_or_no_prompt() {
    let with_bonus = r#"{"type": "nca_k", "first_bonus": 0.01}"#;
    let losses = ScoredLossConfig::NAMES
        .iter()
        .map(|name| format!(r#"{{"type": "{name}"}}"#))
        .chain([with_bonus.to_owned()])
        .map(|text| {
            let config: ScoredLossConfig = serde_json::from_str(&text).unwrap();
            (text, config.init().unwrap())
        })
        .collect::<Vec<_>>();
    for dims in [[2, 1], [0, 1], [0, 3], [2, 3]] {
        let policy = leaf(dims, -3.0);
        let responses = || ResponseLogProbs {
            policy: policy.clone(),
            reference: policy.clone().detach(),
            scores: policy.clone().detach(),
        };
        let what = format!("{dims:?}");
        for (text, loss) in &losses {
            let output = loss.forward(responses());
            assert_eq!(output.losses.dims(), [dims[0]], "{text}");
            let what = format!("{text} {what}");
            gradients(output.losses, &[&policy], &what);
        }
        gradients(PlackettLuce.forward(policy.clone()), &[&policy], &what);
    }
}

#[test]
fn losses_of_parts_lead_back_where_nothing_counts() {
    let ld = LdDpoConfig::default().init().unwrap();
    let dmpo = DmpoConfig::default().init().unwrap();
    for dims in [[0, 3], [2, 3], [1, 1]] {
        for counts in [false, true] {
            let (chosen, rejected) = (leaf(dims, -1.5), leaf(dims, -2.5));
            let parts = |policy: &Tensor<2>| ResponseParts {
                policy: policy.clone(),
                reference: policy.clone().detach(),
                mask: flags(dims, counts),
            };
            let what = format!("{dims:?} {counts}");
            let sums = ld.log_probs(parts(&chosen), parts(&rejected));
            let all = sums.policy_chosen + sums.policy_rejected;
            gradients(all, &[&chosen, &rejected], &what);
            let output = dmpo.forward(parts(&chosen), parts(&rejected));
            gradients(output.losses, &[&chosen, &rejected], &what);
        }
    }
}

#[test]
fn a_ranking_of_one_response_costs_nothing_and_pulls_at_nothing() {
    for reward in [0.0, -3.5, 1e4, f32::MAX, f32::INFINITY] {
        let rewards = leaf([2, 1], reward);
        let losses = PlackettLuce.forward(rewards.clone());
        let values: Vec<f32> = losses.clone().into_data().iter().collect();
        assert_eq!(values, [0.0, 0.0], "{reward}");
        assert_eq!(gradients(losses, &[&rewards], "one response"), [0.0, 0.0]);
    }
}

#[test]
fn log_probs_of_no_token_lead_back() {
    let device = Device::flex().autodiff();
    let none = || Tensor::<1, Int>::empty([0], &device);
    let (hidden, weight) = (leaf([0, 4], 0.0), leaf([4, 6], 1.0));
    let losses = linear_log_probs(hidden.clone(), weight.clone(), none(), 2);
    assert_eq!(losses.dims(), [0]);
    assert_eq!(gradients(losses, &[&hidden, &weight], "linear"), [0.0; 24]);
    let (hidden, embedding) = (leaf([0, 4], 0.0), leaf([6, 4], 1.0));
    let losses = tied_linear_log_probs(
        hidden.clone(),
        embedding.clone(),
        none(),
        2,
        WeightGradient::OfWeight,
    );
    assert_eq!(gradients(losses, &[&hidden, &embedding], "tied"), [0.0; 24]);

    let values = tracked(&[]);
    let sums = sum_by_segment(values.clone(), none(), 3);
    assert_eq!(sums.dims(), [3]);
    gradients(sums, &[&values], "segments");
    let values = tracked(&[1.0, 2.0]);
    let segments = Tensor::<1, Int>::from_data([1, 1], &device);
    gradients(
        sum_by_segment(values.clone(), segments, 3),
        &[&values],
        "segments",
    );

    for sequences in [0, 2] {
        let logits = leaf([sequences, 1, 5], 0.5);
        let labels = Tensor::<2, Int>::zeros([sequences, 1], &device);
        // A token alone has nothing before it that could predict it.
        let (log_probs, mask) = next_token_log_probs(logits.clone(), labels.clone());
        assert_eq!(log_probs.dims(), [sequences, 0]);
        let sums = sequence_log_probs(log_probs, mask, SequenceReduction::Mean);
        gradients(sums, &[&logits], "next token");
        let log_probs = token_log_probs(logits.clone(), labels);
        let loss = cross_entropy(log_probs, flags([sequences, 1], false), None);
        gradients(loss, &[&logits], "masked");
    }
}
