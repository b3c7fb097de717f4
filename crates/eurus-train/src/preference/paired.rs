//! Losses over pairs.

use burn::tensor::Tensor;
use pref_losses::stats::PairSums;
use pref_losses::{Needs, PairContext, PairLengths, PairLogProbs, PairStats, PreferenceLoss};
use token_forest::LabelKind;

use super::objective::{ForestLosses, ForestResponses, ResponseLoss, StepContext};
use crate::Result;
use crate::events::{Event, StepProgress};
use crate::run::StepStats;

/// The columns of chosen and rejected responses.
fn two<C: Clone>(columns: &[C]) -> [C; 2] {
    [columns[0].clone(), columns[1].clone()]
}

impl StepStats for PairStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

impl ResponseLoss for PreferenceLoss {
    type Stats = PairStats;
    type Sums = PairSums;

    const KIND: LabelKind = LabelKind::Pair;

    fn needs(&self) -> Needs {
        self.needs()
    }

    fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        self.kl(policy, reference)
    }

    fn of_forest(
        &self,
        responses: ForestResponses<'_>,
        step: &StepContext,
    ) -> Result<ForestLosses<PairSums>> {
        let [policy_chosen, policy_rejected] = two(&responses.policy);
        let [reference_chosen, reference_rejected] = two(&responses.reference);
        let [chosen, rejected] = two(&responses.lengths);
        let log_probs = PairLogProbs {
            policy_chosen,
            policy_rejected,
            reference_chosen,
            reference_rejected,
        };
        let context = PairContext {
            lengths: Some(PairLengths { chosen, rejected }),
            kl: step.kl.clone(),
            reward_shift: step.reward_shift,
            mean_chosen_tokens: Some(step.mean_first_tokens),
        };
        let output = self.forward(log_probs.clone(), &context)?;
        let mut sums = PairSums::of(&output, &log_probs);
        if let Some(kl) = &step.kl {
            sums = sums.with_kl(kl);
        }
        Ok(ForestLosses {
            sums,
            terms: vec![
                (
                    "the policy's log-prob of the chosen response",
                    log_probs.policy_chosen,
                ),
                (
                    "the policy's log-prob of the rejected response",
                    log_probs.policy_rejected,
                ),
                ("the loss", output.losses.clone()),
            ],
            losses: output.losses,
        })
    }

    fn merge_sums(a: PairSums, b: PairSums) -> PairSums {
        a.merge(b)
    }

    fn read(sums: PairSums) -> PairStats {
        sums.read()
    }

    fn mean_loss(stats: &PairStats) -> f64 {
        stats.loss
    }

    fn rewards(stats: &PairStats) -> (f64, f64) {
        let pairs = stats.pairs as f64;
        let sum = pairs * (stats.chosen_reward + stats.rejected_reward);
        (sum, 2.0 * pairs)
    }

    fn watched(stats: &PairStats) -> Option<PairStats> {
        Some(*stats)
    }

    fn event(progress: StepProgress, pairs: PairStats) -> Event {
        Event::Preference { progress, pairs }
    }
}
