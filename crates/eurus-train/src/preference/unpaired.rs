//! Losses over responses that have a verdict each.

use burn::tensor::{Bool, Tensor};
use pref_losses::stats::UnpairedSums;
use pref_losses::{
    Needs, PairStats, UnpairedContext, UnpairedLogProbs, UnpairedLoss, UnpairedStats,
};
use token_forest::{Label, LabelKind};

use super::objective::{ForestLosses, ForestResponses, ResponseLoss, StepContext};
use crate::Result;
use crate::events::{Event, StepProgress};
use crate::run::StepStats;

impl StepStats for UnpairedStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

impl ResponseLoss for UnpairedLoss {
    type Stats = UnpairedStats;
    type Sums = UnpairedSums;

    const KIND: LabelKind = LabelKind::Verdict;

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
    ) -> Result<ForestLosses<UnpairedSums>> {
        let verdicts: Vec<bool> = responses
            .groups
            .iter()
            .map(|group| group.label == Label::Verdict { desirable: true })
            .collect();
        let policy = responses.policy[0].clone();
        let log_probs = UnpairedLogProbs {
            desirable: Tensor::<1, Bool>::from_data(verdicts.as_slice(), &policy.device()),
            reference: responses.reference[0].clone(),
            policy,
        };
        let context = UnpairedContext {
            kl: step.kl.clone(),
            reward_shift: step.reward_shift,
        };
        let output = self.forward(log_probs.clone(), &context)?;
        let mut sums = UnpairedSums::of(&output, &log_probs);
        if let Some(kl) = &step.kl {
            sums = sums.with_kl(kl);
        }
        Ok(ForestLosses {
            sums,
            terms: vec![
                ("the policy's log-prob", log_probs.policy),
                ("the loss", output.losses.clone()),
            ],
            losses: output.losses,
        })
    }

    fn merge_sums(a: UnpairedSums, b: UnpairedSums) -> UnpairedSums {
        a.merge(b)
    }

    fn read(sums: UnpairedSums) -> UnpairedStats {
        sums.read()
    }

    fn mean_loss(stats: &UnpairedStats) -> f64 {
        stats.loss
    }

    fn rewards(stats: &UnpairedStats) -> (f64, f64) {
        let sum = stats.desirable as f64 * stats.desirable_reward
            + stats.undesirable() as f64 * stats.undesirable_reward;
        (sum, stats.responses as f64)
    }

    fn watched(stats: &UnpairedStats) -> Option<PairStats> {
        let margin = stats.margin()?;
        Some(PairStats {
            pairs: stats.desirable.min(stats.undesirable()),
            loss: stats.loss,
            chosen_reward: stats.desirable_reward,
            rejected_reward: stats.undesirable_reward,
            margin,
            chosen_log_prob: stats.desirable_log_prob,
            rejected_log_prob: stats.undesirable_log_prob,
            kl: stats.kl,
            ..PairStats::default()
        })
    }

    fn event(progress: StepProgress, responses: UnpairedStats) -> Event {
        Event::Unpaired {
            progress,
            responses,
        }
    }
}
