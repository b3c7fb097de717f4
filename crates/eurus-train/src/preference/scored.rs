//! Losses over several scored responses to a prompt.

use burn::tensor::{Tensor, TensorData};
use pref_losses::{Needs, PairStats, ResponseLogProbs, ScoredLoss, ScoredStats, ScoredSums};
use token_forest::{Group, Label, LabelKind};

use super::objective::{ForestLosses, ForestResponses, ResponseLoss, StepContext};
use crate::Result;
use crate::events::{Event, StepProgress};
use crate::run::StepStats;

impl StepStats for ScoredStats {
    fn merge(self, other: Self) -> Self {
        self.merge(other)
    }
}

/// Responses by their place, `[prompts]` each, as `[prompts, responses]`.
fn side_by_side(columns: Vec<Tensor<1>>) -> Tensor<2> {
    Tensor::stack(columns, 1)
}

impl ResponseLoss for ScoredLoss {
    type Stats = ScoredStats;
    type Sums = ScoredSums;

    const KIND: LabelKind = LabelKind::Scores;

    fn needs(&self) -> Needs {
        self.needs()
    }

    fn kl(&self, _policy: Tensor<1>, _reference: Tensor<1>) -> Option<Tensor<1>> {
        None
    }

    fn of_forest(
        &self,
        responses: ForestResponses<'_>,
        _step: &StepContext,
    ) -> Result<ForestLosses<ScoredSums>> {
        let scores_of = |group: &&Group| match &group.label {
            Label::Scores(scores) => scores.clone(),
            _ => Vec::new(),
        };
        let scores: Vec<f32> = responses.groups.iter().flat_map(scores_of).collect();
        let policy = side_by_side(responses.policy);
        let scores = TensorData::new(scores, policy.dims());
        let log_probs = ResponseLogProbs {
            reference: side_by_side(responses.reference),
            scores: Tensor::from_data(scores, &policy.device()),
            policy,
        };
        let output = self.forward(log_probs.clone());
        let policy_sum = log_probs.policy.clone().sum_dim(1).squeeze_dim(1);
        Ok(ForestLosses {
            sums: ScoredSums::of(&output, &log_probs),
            terms: vec![
                ("the sum of the policy's log-probs", policy_sum),
                ("the loss", output.losses.clone()),
            ],
            losses: output.losses,
        })
    }

    fn merge_sums(a: ScoredSums, b: ScoredSums) -> ScoredSums {
        a.merge(b)
    }

    fn read(sums: ScoredSums) -> ScoredStats {
        sums.read()
    }

    fn mean_loss(stats: &ScoredStats) -> f64 {
        stats.loss
    }

    fn rewards(_stats: &ScoredStats) -> (f64, f64) {
        // No loss over scored responses is shifted by them.
        (0.0, 0.0)
    }

    fn watched(stats: &ScoredStats) -> Option<PairStats> {
        Some(PairStats {
            pairs: stats.prompts,
            loss: stats.loss,
            chosen_reward: stats.best_reward,
            rejected_reward: stats.other_reward,
            margin: stats.margin,
            accuracy: stats.accuracy,
            chosen_log_prob: stats.best_log_prob,
            rejected_log_prob: stats.other_log_prob,
            kl: None,
        })
    }

    fn event(progress: StepProgress, prompts: ScoredStats) -> Event {
        Event::Scored { progress, prompts }
    }
}
