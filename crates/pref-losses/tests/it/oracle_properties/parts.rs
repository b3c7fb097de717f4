//! What is made of tokens, turns and hidden states, before or after a loss of pairs.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use ndarray::{Array1, Array2};
use pref_losses::log_probs::{log_weights, log_weights_by_segment};
use pref_losses::oracle::{self, LogRatios};
use pref_losses::{
    DmpoConfig, DpoConfig, LdDpoConfig, NormBtConfig, PairContext, PairLogProbs, PairLogWeights,
    PairLoss, PreferenceLoss, ResponseParts, WpoConfig, representation_distances,
};
use proptest::prelude::*;

use super::batch::{leaf, matrix, numbers, read, vector};
use super::oracles::STEP;
use super::{check, close, differences, weighted, weights};

/// The losses whose oracles are here, since they want more than sums of log-probs or rewards.
pub const LOSSES: [&str; 4] = ["dmpo", "ld_dpo", "wpo", "norm_bt"];

/// Most pairs and parts.
const MOST: usize = 8;

/// One response of each pair, in parts.
#[derive(Debug, Clone)]
struct Side {
    shape: [usize; 2],
    policy: Vec<f32>,
    reference: Vec<f32>,
    /// What is subtracted from a token's log-prob in its weight.
    squares: Vec<f32>,
    mask: Vec<bool>,
}

impl Side {
    fn strategy(pairs: usize) -> impl Strategy<Value = Self> {
        (1..=MOST).prop_flat_map(move |parts| {
            let count = pairs * parts;
            let mask = prop::collection::vec(prop::bool::weighted(0.7), count);
            let part = || numbers(count, 4.0);
            (part(), part(), part(), mask).prop_map(move |(policy, reference, squares, mask)| {
                Self {
                    shape: [pairs, parts],
                    policy,
                    reference,
                    squares,
                    mask,
                }
            })
        })
    }

    fn mask(&self) -> Tensor<2, Bool> {
        let data = TensorData::new(self.mask.clone(), self.shape);
        Tensor::from_data(data, &Device::flex())
    }

    /// With junk where the mask is false, which must not count.
    fn matrix(&self, values: &[f32]) -> Tensor<2> {
        let junk = |(value, counts): (&f32, &bool)| if *counts { *value } else { f32::NAN };
        let values: Vec<f32> = values.iter().zip(&self.mask).map(junk).collect();
        matrix(&values, self.shape, &Device::flex())
    }

    fn parts(&self, policy: &Tensor<1>) -> ResponseParts {
        ResponseParts {
            policy: policy.clone().reshape(self.shape),
            reference: self.matrix(&self.reference),
            mask: self.mask(),
        }
    }

    fn wide(&self, values: &[f32]) -> Array2<f64> {
        let values = values.iter().map(|&x| f64::from(x)).collect();
        Array2::from_shape_vec(self.shape, values).expect("one number per part")
    }

    fn wide_mask(&self) -> Array2<bool> {
        Array2::from_shape_vec(self.shape, self.mask.clone()).expect("one flag per part")
    }
}

fn sides() -> impl Strategy<Value = [Side; 2]> {
    (1..=MOST).prop_flat_map(|pairs| [Side::strategy(pairs), Side::strategy(pairs)])
}

/// A loss of both sides' parts against an oracle of their log-ratios, values and gradients.
fn compare(
    [chosen, rejected]: &[Side; 2],
    loss: impl Fn(ResponseParts, ResponseParts) -> Tensor<1>,
    oracle: impl Fn(&Array2<f64>, &Array2<f64>) -> Array1<f64>,
) -> Result<(), TestCaseError> {
    let (c, r) = (leaf(&chosen.policy), leaf(&rejected.policy));
    let losses = loss(chosen.parts(&c), rejected.parts(&r));
    let ratios = |side: &Side, policy: &Array1<f64>| {
        let policy = policy.clone().into_shape_with_order(side.shape);
        policy.expect("as many as before") - side.wide(&side.reference)
    };
    let oracle =
        |c: &Array1<f64>, r: &Array1<f64>| oracle(&ratios(chosen, c), &ratios(rejected, r));
    let at = |side: &Side| side.wide(&side.policy).flatten().into_owned();
    let (at_c, at_r) = (at(chosen), at(rejected));
    close("losses", &read(&losses), &oracle(&at_c, &at_r).to_vec())?;
    let factors = vector(&weights(chosen.shape[0]), &Device::flex());
    let gradients = (losses * factors).sum().backward();
    let mut want = differences(&at_c, STEP, |moved| weighted(&oracle(moved, &at_r)));
    want.extend(differences(&at_r, STEP, |moved| {
        weighted(&oracle(&at_c, moved))
    }));
    let mut got = Vec::new();
    for leaf in [c, r] {
        got.extend(read(&leaf.grad(&gradients).expect("a leaf of the loss")));
    }
    close("gradient", &got, &want)
}

#[test]
fn length_desensitized_dpo_equals_its_oracle() {
    let inputs = (prop_oneof![Just(0.0), Just(1.0), 0.0f64..1.0], sides());
    check("ld_dpo", inputs, |(alpha, sides)| {
        let ld = LdDpoConfig {
            alpha,
            ..LdDpoConfig::default()
        }
        .init()
        .expect("valid");
        let dpo = DpoConfig::default().init().expect("valid");
        let masks = sides.each_ref().map(Side::wide_mask);
        let [c, r] = [0, 1].map(|side| oracle::part_counts(masks[side].view()));
        let shared = Array1::from_iter(c.iter().zip(&r).map(|(c, r)| *c.min(r)));
        let sum = |ratios: &Array2<f64>, side: usize| {
            let mask = masks[side].view();
            oracle::length_desensitized(ratios.view(), mask, shared.view(), alpha)
        };
        compare(
            &sides,
            |chosen, rejected| dpo.forward(ld.log_probs(chosen, rejected)).losses,
            |chosen, rejected| oracle::dpo(&LogRatios::new(sum(chosen, 0), sum(rejected, 1)), 0.1),
        )
    });
}

#[test]
fn dmpo_equals_its_oracle() {
    let gammas = prop_oneof![Just(1.0), Just(0.999), 0.05f64..1.0];
    let inputs = (gammas, 0.05f64..1.0, 0.0f64..0.4, sides());
    check("dmpo", inputs, |(gamma, beta, rate, sides)| {
        let config = DmpoConfig {
            beta,
            gamma,
            ..DmpoConfig::default()
        };
        let dmpo = DmpoConfig {
            label_smoothing: rate,
            ..config
        }
        .init()
        .expect("valid");
        let masks = sides.each_ref().map(Side::wide_mask);
        let sum = |ratios: &Array2<f64>, side: usize| {
            oracle::discounted_turns(ratios.view(), masks[side].view(), gamma)
        };
        compare(
            &sides,
            |chosen, rejected| dmpo.forward(chosen, rejected).losses,
            |chosen, rejected| {
                let ratios = LogRatios::new(sum(chosen, 0), sum(rejected, 1));
                oracle::conservative_dpo(&ratios, beta, rate)
            },
        )
    });
}

#[test]
fn weights_of_the_policys_own_probabilities_equal_their_oracle() {
    let caps = prop_oneof![Just(None), (0.1f64..2.0).prop_map(Some)];
    check("wpo", (caps, sides()), |(cap, sides)| {
        let wpo = WpoConfig {
            cap,
            ..WpoConfig::default()
        }
        .init()
        .expect("valid");
        let of = |side: &Side| {
            let (policy, squares) = (side.matrix(&side.policy), side.matrix(&side.squares));
            log_weights(policy, squares, side.mask())
        };
        let want = |side: &Side| {
            let (policy, squares) = (side.wide(&side.policy), side.wide(&side.squares));
            oracle::wpo_weights(policy.view(), squares.view(), side.wide_mask().view())
        };
        let [chosen, rejected] = &sides;
        let log_weights = PairLogWeights {
            chosen: of(chosen),
            rejected: of(rejected),
        };
        let joint = want(chosen) * want(rejected);
        let joint = joint.mapv(|weight| cap.map_or(weight, |cap| weight.min(cap)));
        close(
            "weights",
            &read(&wpo.weights(&log_weights)),
            &joint.to_vec(),
        )?;

        // A pair's loss is what it was, times its weight; rewards are what they were.
        let pairs = chosen.shape[0];
        let numbers: Vec<f32> = (0..pairs).map(|pair| -1.0 - pair as f32).collect();
        let policy = leaf(&numbers);
        let log_probs =
            PairLogProbs::without_reference(policy.clone(), policy.clone().detach() * 2.0);
        let dpo = PreferenceLoss::new(DpoConfig::default().init().expect("valid"));
        let context = PairContext {
            log_weights: Some(log_weights),
            ..PairContext::default()
        };
        let plain = dpo
            .forward(log_probs.clone(), &context)
            .expect("nothing needed");
        let output = wpo.forward(log_probs, &context).expect("all is given");
        prop_assert_eq!(read(&plain.chosen_rewards), read(&output.chosen_rewards));
        let product = Array1::from(read(&plain.losses)) * &joint;
        close("losses", &read(&output.losses), &product.to_vec())?;

        // The tokens of all responses one after the other.
        let (mut tokens, mut squares, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        for (index, _) in chosen
            .mask
            .iter()
            .enumerate()
            .filter(|(_, counts)| **counts)
        {
            tokens.push(chosen.policy[index]);
            squares.push(chosen.squares[index]);
            segments.push((index / chosen.shape[1]) as i32);
        }
        let device = Device::flex();
        let count = segments.len();
        let packed = log_weights_by_segment(
            vector(&tokens, &device),
            vector(&squares, &device),
            Tensor::from_data(TensorData::new(segments, [count]), &device),
            pairs,
        );
        let packed: Vec<f64> = read(&packed).iter().map(|weight| weight.exp()).collect();
        close("packed", &packed, &want(chosen).to_vec())
    });
}

#[test]
fn norm_bt_equals_its_oracle() {
    let inputs = (1..=MOST, 1..=MOST, 0.1f64..4.0, 1e-6f64..0.1).prop_flat_map(
        |(pairs, d_model, mean, epsilon)| {
            let rewards = || numbers(pairs, 8.0);
            let hidden = || numbers(pairs * d_model, 4.0);
            let arrays = (rewards(), rewards(), hidden(), hidden());
            (Just((pairs, d_model, mean, epsilon)), arrays)
        },
    );
    check(
        "norm_bt",
        inputs,
        |(settings, (c, r, hidden_c, hidden_r))| {
            let (pairs, d_model, mean, epsilon) = settings;
            let shape = [pairs, d_model];
            let device = Device::flex();
            let apart = representation_distances(
                matrix(&hidden_c, shape, &device),
                matrix(&hidden_r, shape, &device),
            );
            let want: Vec<f64> = hidden_c
                .chunks(d_model)
                .zip(hidden_r.chunks(d_model))
                .map(|(c, r)| {
                    let squares = c.iter().zip(r).map(|(c, r)| f64::from(c - r).powi(2));
                    squares.sum::<f64>().sqrt()
                })
                .collect();
            close("distances", &read(&apart), &want)?;
            let norm_bt = NormBtConfig {
                epsilon,
                ..NormBtConfig::default()
            }
            .init()
            .expect("valid");
            let (chosen, rejected) = (leaf(&c), leaf(&r));
            let losses = norm_bt.forward(chosen.clone(), rejected.clone(), apart, mean);
            let wide = |values: &[f32]| {
                values
                    .iter()
                    .map(|&x| f64::from(x))
                    .collect::<Array1<f64>>()
            };
            let (c, r, apart) = (wide(&c), wide(&r), Array1::from(want));
            let oracle = |c: &Array1<f64>, r: &Array1<f64>| {
                oracle::norm_bt(c.view(), r.view(), apart.view(), mean, epsilon)
            };
            close("losses", &read(&losses), &oracle(&c, &r).to_vec())?;
            let factors = vector(&weights(pairs), &device);
            let gradients = (losses * factors).sum().backward();
            let along = [
                (
                    chosen,
                    differences(&c, STEP, |moved| weighted(&oracle(moved, &r))),
                ),
                (
                    rejected,
                    differences(&r, STEP, |moved| weighted(&oracle(&c, moved))),
                ),
            ];
            for (leaf, want) in along {
                close(
                    "gradient",
                    &read(&leaf.grad(&gradients).expect("a leaf")),
                    &want,
                )?;
            }
            Ok(())
        },
    );
}
