//! Losses that are not of this crate.

use burn::tensor::{DType, Device, Tensor};
use pref_losses::{
    Error, KtoConfig, Needs, PairContext, PairLogProbs, PairLoss, PairOutput, PreferenceLoss,
    ResponseLogProbs, ResponseOutput, RewardContext, RewardLoss, RewardPairLoss, ScoreLoss,
    ScoredLoss, UnpairedContext, UnpairedLogProbs, UnpairedLoss, UnpairedOutput, VerdictLoss,
};

use super::support::{pairs, read, vector};

/// Twice the log-ratio, of whatever comes.
#[derive(Debug)]
struct Twice;

fn twice<const D: usize>(policy: Tensor<D>, reference: Tensor<D>) -> Tensor<D> {
    (policy - reference).mul_scalar(2.0)
}

impl PairLoss for Twice {
    fn needs(&self) -> Needs {
        Needs {
            lengths: true,
            ..Needs::REFERENCE
        }
    }

    fn kl(&self, policy: Tensor<1>, _: Tensor<1>) -> Option<Tensor<1>> {
        Some(policy.sum())
    }

    fn forward(&self, log_probs: PairLogProbs, context: &PairContext) -> Result<PairOutput, Error> {
        if context.lengths.is_none() {
            return Err(Error::MissingLengths { loss: "twice" });
        }
        let chosen = twice(log_probs.policy_chosen, log_probs.reference_chosen);
        let rejected = twice(log_probs.policy_rejected, log_probs.reference_rejected);
        Ok(PairOutput {
            losses: rejected.clone() - chosen.clone(),
            chosen_rewards: chosen.detach(),
            rejected_rewards: rejected.detach(),
        })
    }
}

impl VerdictLoss for Twice {
    fn needs(&self) -> Needs {
        Needs::REFERENCE
    }

    fn forward(
        &self,
        log_probs: UnpairedLogProbs,
        _: &UnpairedContext,
    ) -> Result<UnpairedOutput, Error> {
        let rewards = twice(log_probs.policy, log_probs.reference);
        Ok(UnpairedOutput {
            losses: rewards.clone().neg(),
            rewards: rewards.detach(),
        })
    }
}

impl ScoreLoss for Twice {
    fn forward(&self, responses: ResponseLogProbs) -> ResponseOutput {
        let rewards = twice(responses.policy, responses.reference);
        ResponseOutput {
            losses: rewards.clone().sum_dim(1).squeeze_dim(1),
            rewards: rewards.detach(),
        }
    }
}

impl RewardPairLoss for Twice {
    fn forward(
        &self,
        chosen: Tensor<1>,
        rejected: Tensor<1>,
        _: &RewardContext,
    ) -> Result<Tensor<1>, Error> {
        Ok(twice(rejected, chosen))
    }
}

#[test]
fn a_loss_of_ones_own_is_a_loss_like_any_other() {
    let loss = PreferenceLoss::new(Twice).clone();
    assert!(loss.needs().lengths && loss.is_per_pair() && loss.wanted_kl().is_none());
    let estimate = loss.kl(vector(&[1.0, 2.0]), vector(&[0.0, 0.0]));
    assert_eq!(estimate.map(read), Some(vec![3.0]));
    let log_probs = || pairs(vector(&[1.0]), vector(&[3.0]));
    let output = loss.forward(log_probs(), &super::support::context(1));
    assert_eq!(read(output.unwrap().losses), [4.0]);
    let error = loss.forward(log_probs(), &PairContext::default());
    assert_eq!(error.unwrap_err(), Error::MissingLengths { loss: "twice" });

    let unpaired = UnpairedLoss::new(Twice);
    assert!(unpaired.kl(vector(&[1.0]), vector(&[0.0])).is_none());
    let output = unpaired.forward(
        UnpairedLogProbs {
            policy: vector(&[1.0]),
            reference: vector(&[0.5]),
            desirable: vector(&[1.0]).greater_elem(0.0),
        },
        &UnpairedContext::default(),
    );
    assert_eq!(read(output.unwrap().losses), [-1.0]);

    let two = Tensor::<2>::ones([1, 2], (&Device::flex(), DType::F32));
    let scored = ScoredLoss::new(Twice);
    assert_eq!(scored.needs(), Needs::REFERENCE);
    let output = scored.forward(ResponseLogProbs {
        policy: two.clone(),
        reference: two.clone() * 0.5,
        scores: two,
    });
    assert_eq!(read(output.losses), [2.0]);

    let reward = RewardLoss::new(Twice);
    let losses = reward.forward(vector(&[1.0]), vector(&[2.0]), &RewardContext::default());
    assert_eq!(read(losses.unwrap()), [2.0]);
    assert!(!reward.needs_distances());
}

#[test]
fn a_loss_of_the_crate_can_be_given_without_a_configuration_of_all() {
    let kto = KtoConfig::default().init().unwrap();
    let paired = PreferenceLoss::new(kto.clone());
    let unpaired = UnpairedLoss::new(kto);
    assert!(paired.needs().kl && unpaired.needs().kl);
    let mismatched = || (vector(&[-1.0]), vector(&[-2.0]));
    let (policy, reference) = mismatched();
    assert_eq!(paired.kl(policy, reference).map(read), Some(vec![1.0]));
    let (policy, reference) = mismatched();
    assert_eq!(unpaired.kl(policy, reference).map(read), Some(vec![1.0]));
}
