//! A loss as the trainer sees it: over pairs, over single responses, or over several scored ones.

use burn::tensor::{Bool, Tensor, TensorData};
use pref_losses::{
    Needs, PairContext, PairLengths, PairLogProbs, PairLogWeights, PairParts, PreferenceLoss,
    PreferenceLossConfig, PreferenceSums, ResponseLogProbs, ResponseParts, ScoredLoss,
    ScoredLossConfig, UnpairedContext, UnpairedLogProbs, UnpairedLoss, UnpairedLossConfig,
};
use serde::{Deserialize, Serialize};
use token_forest::{Group, Label, LabelKind};

use crate::Result;

/// A loss that [`PreferenceTrainer`](crate::PreferenceTrainer) takes, by what its groups are.
#[derive(Debug, Clone)]
pub enum ResponseLoss {
    /// Over pairs.
    Pairs(PreferenceLoss),
    /// Over single responses with a verdict each.
    Verdicts(UnpairedLoss),
    /// Over several scored responses to a prompt.
    Scores(ScoredLoss),
}

/// A [`ResponseLoss`] as it is written down: `{"preference": {"type": "dpo", "beta": 0.1}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseLossConfig {
    /// Over pairs.
    Preference(PreferenceLossConfig),
    /// Over single responses with a verdict each.
    Unpaired(UnpairedLossConfig),
    /// Over several scored responses to a prompt.
    Scored(ScoredLossConfig),
}

impl ResponseLossConfig {
    /// The name of the loss, as in its serialized `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preference(config) => config.name(),
            Self::Unpaired(config) => config.name(),
            Self::Scored(config) => config.name(),
        }
    }

    /// Makes the loss.
    ///
    /// # Errors
    ///
    /// When a setting is outside its range.
    pub fn init(&self) -> Result<ResponseLoss> {
        Ok(match self {
            Self::Preference(config) => ResponseLoss::Pairs(config.init()?),
            Self::Unpaired(config) => ResponseLoss::Verdicts(config.init()?),
            Self::Scored(config) => ResponseLoss::Scores(config.init()?),
        })
    }
}

impl From<PreferenceLoss> for ResponseLoss {
    fn from(loss: PreferenceLoss) -> Self {
        Self::Pairs(loss)
    }
}

impl From<UnpairedLoss> for ResponseLoss {
    fn from(loss: UnpairedLoss) -> Self {
        Self::Verdicts(loss)
    }
}

impl From<ScoredLoss> for ResponseLoss {
    fn from(loss: ScoredLoss) -> Self {
        Self::Scores(loss)
    }
}

impl From<&PreferenceLossConfig> for ResponseLossConfig {
    fn from(config: &PreferenceLossConfig) -> Self {
        Self::Preference(config.clone())
    }
}

impl From<&UnpairedLossConfig> for ResponseLossConfig {
    fn from(config: &UnpairedLossConfig) -> Self {
        Self::Unpaired(config.clone())
    }
}

impl From<&ScoredLossConfig> for ResponseLossConfig {
    fn from(config: &ScoredLossConfig) -> Self {
        Self::Scored(config.clone())
    }
}

/// The responses of a forest's groups of one size by their place in the group, `[groups]` each.
pub(super) struct ForestResponses<'a> {
    /// Log-probs under the policy, with gradient.
    pub policy: Vec<Tensor<1>>,
    /// Log-probs under the reference.
    pub reference: Vec<Tensor<1>>,
    /// Target tokens.
    pub lengths: Vec<Tensor<1>>,
    /// The responses token by token, if the loss looks at that.
    pub tokens: Option<Vec<ResponseParts>>,
    /// The trajectories turn by turn, if the loss looks at that.
    pub turns: Option<Vec<ResponseParts>>,
    /// Logarithms of the policy's own weights, if the loss looks at them.
    pub log_weights: Option<Vec<Tensor<1>>>,
    /// The groups, whose labels say what is known of them.
    pub groups: Vec<&'a Group>,
}

/// Values of a step that a loss depends on beyond the forest.
#[derive(Debug, Clone, Default)]
pub(super) struct StepContext {
    /// The KL estimate `[1]` of the step.
    pub kl: Option<Tensor<1>>,
    /// Mean reward of the responses of all steps before.
    pub reward_shift: f64,
    /// Mean target tokens of the step's first responses.
    pub mean_first_tokens: f64,
}

/// The losses of a forest's groups.
pub(super) struct ForestLosses {
    /// `[groups]`, with gradient.
    pub losses: Tensor<1>,
    /// The sums that statistics are read from.
    pub sums: PreferenceSums,
    /// Terms to look at if the loss is not finite, in the order in which it comes about: name and values `[groups]`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl ResponseLoss {
    /// The kind of groups that the loss learns from.
    pub fn kind(&self) -> LabelKind {
        match self {
            Self::Pairs(_) => LabelKind::Pair,
            Self::Verdicts(_) => LabelKind::Verdict,
            Self::Scores(_) => LabelKind::Scores,
        }
    }

    /// The inputs that the loss looks at beside the policy's log-probs.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Pairs(loss) => loss.needs(),
            Self::Verdicts(loss) => loss.needs(),
            Self::Scores(loss) => loss.needs(),
        }
    }

    /// The KL estimate `[1]` from log-probs of mismatched completions, for losses that need one.
    pub(super) fn kl(&self, policy: Tensor<1>, reference: Tensor<1>) -> Option<Tensor<1>> {
        match self {
            Self::Pairs(loss) => loss.kl(policy, reference),
            Self::Verdicts(loss) => loss.kl(policy, reference),
            Self::Scores(_) => None,
        }
    }

    /// The losses of a forest's groups of one size.
    pub(super) fn of_forest(
        &self,
        responses: ForestResponses<'_>,
        step: &StepContext,
    ) -> Result<ForestLosses> {
        let losses = match self {
            Self::Pairs(loss) => of_pairs(loss, responses, step)?,
            Self::Verdicts(loss) => of_verdicts(loss, responses, step)?,
            Self::Scores(loss) => of_scores(loss, responses),
        };
        Ok(match &step.kl {
            Some(kl) => ForestLosses {
                sums: losses.sums.with_kl(kl),
                ..losses
            },
            None => losses,
        })
    }
}

/// The columns of chosen and rejected responses.
fn two<C: Clone>(columns: &[C]) -> [C; 2] {
    [columns[0].clone(), columns[1].clone()]
}

fn two_parts(columns: &[ResponseParts]) -> PairParts {
    let [chosen, rejected] = two(columns);
    PairParts { chosen, rejected }
}

fn of_pairs(
    loss: &PreferenceLoss,
    responses: ForestResponses<'_>,
    step: &StepContext,
) -> Result<ForestLosses> {
    let [policy_chosen, policy_rejected] = two(&responses.policy);
    let [reference_chosen, reference_rejected] = two(&responses.reference);
    let [chosen, rejected] = two(&responses.lengths);
    let log_probs = PairLogProbs {
        policy_chosen,
        policy_rejected,
        reference_chosen,
        reference_rejected,
    };
    let log_weights = responses.log_weights.as_deref().map(two);
    let context = PairContext {
        lengths: Some(PairLengths { chosen, rejected }),
        kl: step.kl.clone(),
        reward_shift: step.reward_shift,
        mean_chosen_tokens: Some(step.mean_first_tokens),
        tokens: responses.tokens.as_deref().map(two_parts),
        turns: responses.turns.as_deref().map(two_parts),
        log_weights: log_weights.map(|[chosen, rejected]| PairLogWeights { chosen, rejected }),
    };
    let output = loss.forward(log_probs.clone(), &context)?;
    Ok(ForestLosses {
        sums: PreferenceSums::of_pairs(&output, &log_probs),
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

fn of_verdicts(
    loss: &UnpairedLoss,
    responses: ForestResponses<'_>,
    step: &StepContext,
) -> Result<ForestLosses> {
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
    let output = loss.forward(log_probs.clone(), &context)?;
    Ok(ForestLosses {
        sums: PreferenceSums::of_verdicts(&output, &log_probs),
        terms: vec![
            ("the policy's log-prob", log_probs.policy),
            ("the loss", output.losses.clone()),
        ],
        losses: output.losses,
    })
}

fn of_scores(loss: &ScoredLoss, responses: ForestResponses<'_>) -> ForestLosses {
    let scores_of = |group: &&Group| match &group.label {
        Label::Scores(scores) => scores.clone(),
        _ => Vec::new(),
    };
    let scores: Vec<f32> = responses.groups.iter().flat_map(scores_of).collect();
    // Responses by their place, `[prompts]` each, as `[prompts, responses]`.
    let policy: Tensor<2> = Tensor::stack(responses.policy, 1);
    let scores = TensorData::new(scores, policy.dims());
    let log_probs = ResponseLogProbs {
        reference: Tensor::stack(responses.reference, 1),
        scores: Tensor::from_data(scores, &policy.device()),
        policy,
    };
    let output = loss.forward(log_probs.clone());
    let policy_sum = log_probs.policy.clone().sum_dim(1).squeeze_dim(1);
    ForestLosses {
        sums: PreferenceSums::of_scores(&output, &log_probs),
        terms: vec![
            ("the sum of the policy's log-probs", policy_sum),
            ("the loss", output.losses.clone()),
        ],
        losses: output.losses,
    }
}
