//! Laws of what is made of tokens, turns and distances.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use pref_losses::{
    AotConfig, DmpoConfig, DpoConfig, Error, KtoPairConfig, LdDpoConfig, NormBtConfig, PairContext,
    PairLogProbs, PairLogWeights, PairLoss, PairParts, PreferenceLossConfig, ResponseParts,
    RewardContext, RewardLossConfig, SumConfig, WpoConfig, representation_distances,
};
use proptest::prelude::*;

use super::support::{assert_close, pairs, read, tracked, vector};

/// One response of one pair: log-ratios of its parts, on top of a reference of -2 nats each.
fn parts(ratios: &[f32]) -> ResponseParts {
    let device = Device::flex();
    let shape = [1, ratios.len()];
    let ratios = Tensor::<2>::from_data(TensorData::new(ratios.to_vec(), shape), &device);
    let reference = ratios.zeros_like() - 2.0;
    ResponseParts {
        policy: ratios.clone() - 2.0,
        reference,
        mask: ratios.equal_elem(f32::NAN).bool_not(),
    }
}

fn plain(chosen: &[f32], rejected: &[f32]) -> PairLogProbs {
    let sums = |ratios: &[f32]| {
        let reference = -2.0 * ratios.len() as f32;
        let policy = reference + ratios.iter().sum::<f32>();
        (vector(&[policy]), vector(&[reference]))
    };
    let (policy_chosen, reference_chosen) = sums(chosen);
    let (policy_rejected, reference_rejected) = sums(rejected);
    PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    }
}

fn all(log_probs: PairLogProbs) -> Vec<f32> {
    let PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    } = log_probs;
    let four = [
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    ];
    four.into_iter().flat_map(read).collect()
}

fn ratios() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-64i8..64).prop_map(|x| f32::from(x) / 16.0), 1..8)
}

proptest! {
    #[test]
    fn with_an_alpha_of_1_or_equal_lengths_all_tokens_count_alike(
        chosen in ratios(),
        rejected in ratios(),
        alpha in 0.0f64..1.0,
    ) {
        let sums = |alpha: f64, chosen: &[f32], rejected: &[f32]| {
            let ld = LdDpoConfig { alpha, ..LdDpoConfig::default() }.init().unwrap();
            all(ld.log_probs(parts(chosen), parts(rejected)))
        };
        prop_assert_eq!(sums(1.0, &chosen, &rejected), all(plain(&chosen, &rejected)));
        let shared = chosen.len().min(rejected.len());
        let (c, r) = (&chosen[..shared], &rejected[..shared]);
        prop_assert_eq!(sums(alpha, c, r), all(plain(c, r)));
        // An alpha of 0 cuts the longer response off.
        prop_assert_eq!(sums(0.0, &chosen, &rejected), all(plain(c, r)));
    }

    #[test]
    fn trajectories_of_one_turn_are_pairs_of_dpo(
        chosen in -20.0f32..20.0,
        rejected in -20.0f32..20.0,
        gamma in 0.01f64..=1.0,
    ) {
        let dmpo = DmpoConfig { gamma, ..DmpoConfig::default() }.init().unwrap();
        let dpo = DpoConfig::default().init().unwrap();
        let got = dmpo.forward(parts(&[chosen]), parts(&[rejected]));
        let want = dpo.forward(plain(&[chosen], &[rejected]));
        prop_assert_eq!(read(got.losses), read(want.losses));
        prop_assert_eq!(read(got.chosen_rewards), read(want.chosen_rewards));
    }

    #[test]
    fn earlier_turns_count_more_and_the_first_counts_whole(
        turns in 2usize..8,
        gamma in 0.05f64..=1.0,
    ) {
        let dmpo = DmpoConfig { gamma, ..DmpoConfig::default() }.init().unwrap();
        let weight = |turn: usize| {
            let mut ratios = vec![0.0; turns];
            ratios[turn] = 1.0;
            let PairLogProbs { policy_chosen, reference_chosen, .. } =
                dmpo.log_probs(parts(&ratios), parts(&[0.0]));
            read(policy_chosen - reference_chosen)[0]
        };
        let weights: Vec<f32> = (0..turns).map(weight).collect();
        prop_assert!((weights[0] - 1.0).abs() < 1e-5);
        prop_assert!(weights.windows(2).all(|pair| pair[0] > pair[1]), "{:?}", weights);
        prop_assert!(weights[turns - 1] > -1e-5);
    }
}

#[test]
fn holes_of_a_mask_take_no_number() {
    let device = Device::flex();
    let chosen = ResponseParts {
        policy: Tensor::from_floats([[9.0, -1.0, 9.0, -2.0, -4.0]], &device),
        reference: Tensor::zeros([1, 5], &device),
        mask: Tensor::<2, Bool>::from_data([[false, true, false, true, true]], &device),
    };
    let rejected = ResponseParts {
        policy: Tensor::from_floats([[-3.0, -3.0]], &device),
        reference: Tensor::zeros([1, 2], &device),
        mask: Tensor::<2, Bool>::from_data([[true, true]], &device),
    };
    let ld = LdDpoConfig {
        alpha: 0.25,
        ..LdDpoConfig::default()
    }
    .init()
    .unwrap();
    let log_probs = ld.log_probs(chosen, rejected);
    assert_eq!(read(log_probs.policy_chosen), [-4.0]);
    assert_eq!(read(log_probs.policy_rejected), [-6.0]);
}

#[test]
#[should_panic(expected = "they must agree, and have 1 rows")]
fn responses_of_different_numbers_of_pairs_are_refused() {
    let mut rejected = parts(&[1.0]);
    rejected.policy = Tensor::zeros([2, 1], &Device::flex());
    let ld = LdDpoConfig::default().init().unwrap();
    ld.log_probs(parts(&[1.0]), rejected);
}

fn log_weights(chosen: &[f32], rejected: &[f32]) -> PairLogWeights {
    PairLogWeights {
        chosen: vector(chosen),
        rejected: vector(rejected),
    }
}

#[test]
fn losses_that_sort_their_batch_are_not_weighted() {
    let aot = PreferenceLossConfig::Aot(AotConfig::default());
    let sum = SumConfig::default().with_term(1.0, aot.clone());
    let weigh = |config: PreferenceLossConfig| {
        WpoConfig {
            loss: Box::new(config),
            ..WpoConfig::default()
        }
        .init()
    };
    for config in [aot, PreferenceLossConfig::Sum(sum)] {
        let error = weigh(config).unwrap_err();
        assert_eq!(error, Error::NotPerPair { weighting: "wpo" });
        assert!(error.to_string().contains("sorts its batch"));
    }
    let kto_pair = PreferenceLossConfig::KtoPair(KtoPairConfig::default());
    assert!(weigh(kto_pair).is_ok());
}

#[test]
fn no_gradient_flows_through_weights_and_unlikely_pairs_pull_at_nothing() {
    let (chosen, rejected) = (tracked(&[1.0, 1.0]), tracked(&[0.0, 0.0]));
    let weights = PairLogWeights {
        chosen: chosen.clone().mul_scalar(-500.0) * vector(&[0.0, 1.0]),
        rejected: rejected.clone(),
    };
    let wpo = WpoConfig::default().init().unwrap();
    let context = PairContext {
        log_weights: Some(weights),
        ..PairContext::default()
    };
    let log_probs = pairs(chosen.clone(), rejected);
    let output = wpo.forward(log_probs, &context).unwrap();
    let losses = read(output.losses.clone());
    assert!(losses[0] > 0.0 && losses[1] == 0.0, "{losses:?}");
    let slopes = read(chosen.grad(&output.losses.sum().backward()).unwrap());
    // As plain DPO for a weight of 1, and nothing for a weight of 0.
    let want = -0.1 / (1.0 + 0.1f32.exp());
    assert_close(&slopes, &[want, 0.0], "slopes");
}

#[test]
fn a_cap_holds_the_product_of_both_weights() {
    let capped = WpoConfig {
        cap: Some(1.0),
        ..WpoConfig::default()
    }
    .init()
    .unwrap();
    let weights = capped.weights(&log_weights(&[3.0, 3.0, 500.0], &[-2.0, -4.0, 500.0]));
    assert_close(&read(weights), &[1.0, (-1f32).exp(), 1.0], "weights");
}

#[test]
fn the_running_mean_distance_starts_with_the_first_step() {
    let norm_bt = NormBtConfig {
        decay: 0.75,
        ..NormBtConfig::default()
    }
    .init()
    .unwrap();
    let first = norm_bt.next_mean(None, 4.0);
    assert_eq!(first, 4.0);
    assert_eq!(norm_bt.next_mean(Some(first), 8.0), 5.0);
}

#[test]
fn no_pairs_pull_at_a_linear_head_depends_on_its_distance() {
    // Equal leads, distances of 1 to 1000.
    let device = Device::flex().autodiff();
    let norm_bt = NormBtConfig {
        epsilon: 1e-9,
        ..NormBtConfig::default()
    }
    .init()
    .unwrap();
    for size in [1.0f32, 30.0, 1000.0] {
        let head = Tensor::<2>::from_floats([[0.0], [0.1]], &device).require_grad();
        let chosen = Tensor::<2>::from_floats([[size, 1.0]], &device);
        let rejected = Tensor::<2>::from_floats([[0.0, 1.0]], &device);
        let reward = |hidden: &Tensor<2>| hidden.clone().matmul(head.clone()).squeeze_dim(1);
        let losses = norm_bt.forward(
            reward(&chosen),
            reward(&rejected),
            representation_distances(chosen, rejected),
            3.0,
        );
        let slope = head.grad(&losses.sum().backward()).unwrap();
        let norm: f32 = slope.into_data().iter::<f32>().map(|x| x * x).sum();
        assert!((norm.sqrt() - 1.5).abs() < 1e-5, "{size}: {norm}");
    }
}

/// Losses chosen by configuration say what they look at, and do not go on without it.
#[test]
fn what_a_loss_looks_at_is_asked_for_by_name() {
    let ask = |text: &str, context: &PairContext| {
        let config: PreferenceLossConfig = serde_json::from_str(text).unwrap();
        let loss = config.init().unwrap();
        let output = loss.forward(pairs(vector(&[1.0]), vector(&[0.0])), context);
        (loss.needs(), output.map(|output| read(output.losses)[0]))
    };
    let nothing = PairContext::default();
    let missing = |text: &str| ask(text, &nothing).1.unwrap_err().to_string();
    assert!(missing(r#"{"type": "ld_dpo"}"#).contains("put them into `PairContext::tokens`"));
    assert!(missing(r#"{"type": "dmpo"}"#).contains("`PairContext::turns`"));
    assert!(missing(r#"{"type": "wpo"}"#).contains("`PairContext::log_weights`"));

    let two = PairParts {
        chosen: parts(&[1.0, 2.0]),
        rejected: parts(&[0.5]),
    };
    let context = PairContext {
        tokens: Some(two.clone()),
        turns: Some(two),
        log_weights: Some(log_weights(&[0.0], &[0.0])),
        ..PairContext::default()
    };
    // A weighted loss of desensitised sums: one loss around another.
    let (needs, loss) = ask(
        r#"{"type": "wpo", "loss": {"type": "ld_dpo", "alpha": 0, "loss": {"type": "dpo", "beta": 1}}}"#,
        &context,
    );
    assert!(needs.tokens && needs.log_weights && needs.reference && !needs.turns);
    assert!((loss.unwrap() - (1.0 + (-0.5f32).exp()).ln()).abs() < 1e-6);
    let (needs, loss) = ask(r#"{"type": "dmpo", "beta": 1, "gamma": 1}"#, &context);
    assert!(needs.turns && !needs.tokens);
    // 1 + 2/2 and 0.5.
    assert!((loss.unwrap() - (1.0 + (-1.5f32).exp()).ln()).abs() < 1e-6);

    let norm_bt: RewardLossConfig = serde_json::from_str(r#"{"type": "norm_bt"}"#).unwrap();
    let norm_bt = norm_bt.init().unwrap();
    assert!(norm_bt.needs_distances());
    let error = norm_bt
        .forward(vector(&[1.0]), vector(&[0.0]), &RewardContext::default())
        .unwrap_err();
    assert!(error.to_string().contains("RewardContext::distances"));
}
