//! Losses over K responses to a prompt.

use burn::tensor::{Device, Tensor};
use ndarray::{Array1, Array2};
use pref_losses::oracle;
use pref_losses::{PlackettLuce, ResponseLogProbs, ScoredLossConfig};
use proptest::prelude::*;

use super::batch::{matrix, numbers, read, vector};
use super::oracles::STEP;
use super::{check, close, differences, settings, weighted, weights};

/// Most prompts and most responses to each.
const MOST: usize = 16;

/// K responses to several prompts.
#[derive(Debug, Clone)]
struct Responses {
    shape: [usize; 2],
    policy: Vec<f32>,
    reference: Vec<f32>,
    scores: Vec<f32>,
}

impl Responses {
    fn strategy() -> impl Strategy<Value = Self> {
        (1..=MOST, 1..=MOST).prop_flat_map(|(prompts, k)| {
            let part = || numbers(prompts * k, 4.0);
            (part(), part(), part()).prop_map(move |(policy, reference, scores)| Self {
                shape: [prompts, k],
                policy,
                reference,
                scores,
            })
        })
    }

    /// The same with scores, and now and then log-ratios, of which several are equal.
    fn with_ties() -> impl Strategy<Value = Self> {
        (Self::strategy(), any::<bool>(), any::<bool>()).prop_map(
            |(mut responses, scores, ratios)| {
                if scores {
                    responses.scores.iter_mut().for_each(|x| *x = x.round());
                }
                if ratios {
                    responses.policy.iter_mut().for_each(|x| *x = x.round());
                    responses.reference.iter_mut().for_each(|x| *x = x.round());
                }
                responses
            },
        )
    }

    fn tensors(&self, policy: Tensor<2>) -> ResponseLogProbs {
        let device = Device::flex();
        ResponseLogProbs {
            policy,
            reference: matrix(&self.reference, self.shape, &device),
            scores: matrix(&self.scores, self.shape, &device),
        }
    }

    /// Any of the numbers, in f64.
    fn wide(&self, part: &[f32]) -> Array2<f64> {
        let part = part.iter().map(|&x| f64::from(x)).collect();
        Array2::from_shape_vec(self.shape, part).expect("one number per response")
    }

    /// Compares losses and gradients with an oracle of the policy's numbers.
    fn compare(
        &self,
        loss: impl Fn(Tensor<2>) -> Tensor<1>,
        oracle: impl Fn(&Array2<f64>) -> Array1<f64>,
    ) -> Result<(), TestCaseError> {
        let device = Device::flex().autodiff();
        let policy = matrix(&self.policy, self.shape, &device).require_grad();
        let losses = loss(policy.clone());
        let at = self.wide(&self.policy);
        close("losses", &read(&losses), &oracle(&at).to_vec())?;
        let factors = vector(&weights(self.shape[0]), &device);
        let gradients = (losses * factors).sum().backward();
        let want = differences(&at.flatten().into_owned(), STEP, |moved| {
            let moved = moved.clone().into_shape_with_order(self.shape);
            weighted(&oracle(&moved.expect("as many as before")))
        });
        let got = policy.grad(&gradients).expect("a leaf of the loss");
        close("gradient", &read(&got), &want)
    }
}

#[test]
fn every_loss_of_scored_responses_equals_its_oracle() {
    for name in ScoredLossConfig::NAMES {
        let inputs = (settings::scored(name), Responses::with_ties());
        check(name, inputs, |(config, responses)| {
            let loss = config.init().expect("settings in range");
            let oracle = scored(&config, &responses);
            let got = |policy| loss.forward(responses.tensors(policy));
            let policy = matrix(&responses.policy, responses.shape, &Device::flex());
            let rewards = read(&got(policy).rewards);
            let beta = beta(&config);
            let ratios = responses.wide(&responses.policy) - responses.wide(&responses.reference);
            close("rewards", &rewards, &(ratios * beta).flatten().to_vec())?;
            responses.compare(|policy| got(policy).losses, oracle)
        });
    }
}

fn beta(config: &ScoredLossConfig) -> f64 {
    match config {
        ScoredLossConfig::NcaK(config) | ScoredLossConfig::InfoNca(config) => config.beta,
        ScoredLossConfig::PlackettLuce(config) => config.beta,
        ScoredLossConfig::LambdaRank(config) => config.beta,
        other => panic!("the loss `{}` has no oracle here", other.name()),
    }
}

/// Losses of prompts as a function of the policy's log-probs.
type Oracle = Box<dyn Fn(&Array2<f64>) -> Array1<f64>>;

/// The oracle of a loss.
fn scored(config: &ScoredLossConfig, responses: &Responses) -> Oracle {
    let reference = responses.wide(&responses.reference);
    let scores = responses.wide(&responses.scores);
    let beta = beta(config);
    match config.clone() {
        ScoredLossConfig::NcaK(config) => {
            let (temperature, bonus) = (config.temperature, config.first_bonus);
            let targets = oracle::target_weights(scores.view(), temperature, bonus);
            Box::new(move |policy| {
                oracle::nca_k((policy - &reference).view(), targets.view(), beta)
            })
        }
        ScoredLossConfig::InfoNca(config) => {
            let (temperature, bonus) = (config.temperature, config.first_bonus);
            let targets = oracle::target_weights(scores.view(), temperature, bonus);
            Box::new(move |policy| {
                oracle::info_nca_k((policy - &reference).view(), targets.view(), beta)
            })
        }
        ScoredLossConfig::PlackettLuce(_) => Box::new(move |policy| {
            oracle::score_order((policy - &reference).view(), scores.view(), beta)
        }),
        ScoredLossConfig::LambdaRank(_) => {
            // Those at the point itself: they are constants.
            let ratios = responses.wide(&responses.policy) - &reference;
            let weights = oracle::lambda_rank_weights(ratios.view(), scores.view());
            Box::new(move |policy| {
                oracle::lambda_rank((policy - &reference).view(), &weights, beta)
            })
        }
        other => panic!("the loss `{}` has no oracle here", other.name()),
    }
}

#[test]
fn plackett_luce_equals_its_oracle() {
    check("plackett_luce", Responses::strategy(), |responses| {
        // One response has one order and nothing to differentiate.
        prop_assume!(responses.shape[1] > 1);
        responses.compare(
            |rewards| PlackettLuce.forward(rewards),
            |rewards| oracle::plackett_luce(rewards.view()),
        )
    });
}
