//! Losses over K responses to a prompt.

use burn::tensor::{Device, Tensor};
use ndarray::{Array1, Array2};
use pref_losses::oracle;
use pref_losses::{NcaKConfig, PlackettLuce, ResponseLogProbs};
use proptest::prelude::*;

use super::batch::{matrix, numbers, read, vector};
use super::oracles::STEP;
use super::{check, close, differences, weighted, weights};

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
fn nca_over_k_responses_equals_its_oracle() {
    let settings = (0.01f64..2.0, 0.1f64..4.0, 0.0f64..1.0);
    let inputs = (settings, Responses::strategy());
    check(
        "nca_k",
        inputs,
        |((beta, temperature, bonus), responses)| {
            let config = NcaKConfig::new()
                .with_beta(beta)
                .with_temperature(temperature)
                .with_first_bonus(bonus);
            let (nca, info_nca) = (config.init_nca(), config.init_info_nca());
            let (nca, info_nca) = (nca.expect("in range"), info_nca.expect("in range"));
            let reference = responses.wide(&responses.reference);
            let scores = responses.wide(&responses.scores);
            let targets = oracle::target_weights(scores.view(), temperature, bonus);
            responses.compare(
                |policy| nca.forward(responses.tensors(policy)).losses,
                |policy| oracle::nca_k((policy - &reference).view(), targets.view(), beta),
            )?;
            responses.compare(
                |policy| info_nca.forward(responses.tensors(policy)).losses,
                |policy| oracle::info_nca_k((policy - &reference).view(), targets.view(), beta),
            )
        },
    );
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
