//! The numbers every preference trainer logs.
//!
//! Sums stay on the device and are read once, so a step of many micro-batches waits for the device
//! once and its means are exact over the whole step.

use burn::tensor::{Bool, DType, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::pairs::{PairLogProbs, PairOutput, assert_len};
use crate::responses::{ResponseLogProbs, ResponseOutput};
use crate::unpaired::{UnpairedLogProbs, UnpairedOutput};

/// Means over the preferences of a step, whatever they are: pairs, responses with a verdict each, or prompts with several
/// scored responses.
///
/// *Chosen* are the better responses of pairs, the desirable ones of those with a verdict, and of a prompt's scored ones that
/// with the highest score, the first of several. *Rejected* are all others. A mean over nothing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PreferenceStats {
    /// Number of pairs, of responses with a verdict, or of prompts with scored ones: what the loss is a mean over.
    pub groups: usize,
    /// Number of chosen responses.
    pub chosen: usize,
    /// Number of rejected responses.
    pub rejected: usize,
    /// Mean loss of a group.
    pub loss: f64,
    /// Mean reward of chosen responses. Of a policy it is `beta * (policy - reference)`, in nats times beta, and starts at 0;
    /// if it falls without end, the policy is unlearning the chosen responses. Of a reward model with a direct-reward term it
    /// should be above 0.
    pub chosen_reward: f64,
    /// Mean reward of rejected responses. Should fall; with a direct-reward term it should be below 0.
    pub rejected_reward: f64,
    /// `chosen_reward - rejected_reward`, which should rise; 0 where there are none of one of the two.
    pub margin: f64,
    /// Share of groups whose chosen response has a reward strictly above all its rejected ones, 0 to 1. Is 0 for a policy that
    /// is the reference yet (all ties), and should rise above 0.5. `None` for responses with a verdict, which stand alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean log-prob of chosen responses under the policy, in nats per response; `None` for reward models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_log_prob: Option<f64>,
    /// Mean log-prob of rejected responses under the policy, in nats per response; `None` for reward models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_log_prob: Option<f64>,
    /// Mean KL estimate in nats, for losses that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
}

impl PreferenceStats {
    /// Means over the groups of both, each counted once.
    pub fn merge(self, other: Self) -> Self {
        let of_groups = weighted_mean(self.groups, other.groups);
        let of_chosen = weighted_mean(self.chosen, other.chosen);
        let of_rejected = weighted_mean(self.rejected, other.rejected);
        Self {
            groups: self.groups + other.groups,
            chosen: self.chosen + other.chosen,
            rejected: self.rejected + other.rejected,
            loss: of_groups(self.loss, other.loss),
            chosen_reward: of_chosen(self.chosen_reward, other.chosen_reward),
            rejected_reward: of_rejected(self.rejected_reward, other.rejected_reward),
            margin: 0.0,
            accuracy: of_known(self.accuracy, other.accuracy, &of_groups),
            chosen_log_prob: of_known(self.chosen_log_prob, other.chosen_log_prob, &of_chosen),
            rejected_log_prob: of_known(
                self.rejected_log_prob,
                other.rejected_log_prob,
                &of_rejected,
            ),
            kl: of_known(self.kl, other.kl, &of_groups),
        }
        .with_margin()
    }

    /// The numbers by the names under which they are logged, without counts and the loss; those that are not known are left
    /// out.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let known = [
            (
                "chosen_reward",
                (self.chosen > 0).then_some(self.chosen_reward),
            ),
            (
                "rejected_reward",
                (self.rejected > 0).then_some(self.rejected_reward),
            ),
            ("margin", self.has_both().then_some(self.margin)),
            ("accuracy", self.accuracy),
            (
                "chosen_log_prob",
                self.chosen_log_prob.filter(|_| self.chosen > 0),
            ),
            (
                "rejected_log_prob",
                self.rejected_log_prob.filter(|_| self.rejected > 0),
            ),
            ("kl", self.kl),
        ];
        let known = known.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Whether there are both chosen and rejected responses.
    pub fn has_both(&self) -> bool {
        self.chosen > 0 && self.rejected > 0
    }

    fn with_margin(self) -> Self {
        Self {
            margin: match self.has_both() {
                true => self.chosen_reward - self.rejected_reward,
                false => 0.0,
            },
            ..self
        }
    }
}

/// The mean over `m` and `n` values whose means are given. A side without values has no say.
fn weighted_mean(m: usize, n: usize) -> impl Fn(f64, f64) -> f64 {
    move |a, b| match (m, n) {
        (_, 0) => a,
        (0, _) => b,
        (m, n) => (a * m as f64 + b * n as f64) / (m + n) as f64,
    }
}

/// The mean of what both sides know, or what one of them does.
fn of_known(a: Option<f64>, b: Option<f64>, mean: impl Fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(mean(a, b)),
        (a, b) => a.or(b),
    }
}

/// Sums behind [`PreferenceStats`], on the device. All are without gradient.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::PreferenceSums;
/// use pref_losses::{
///     BcoConfig, DpoConfig, NcaKConfig, PairLogProbs, ResponseLogProbs, ScoredLossConfig,
///     UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
/// };
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let pairs = PairLogProbs {
///     policy_chosen: Tensor::from_floats([-10.0, -20.0], &device),
///     policy_rejected: Tensor::from_floats([-14.0, -16.0], &device),
///     reference_chosen: Tensor::from_floats([-12.0, -18.0], &device),
///     reference_rejected: Tensor::from_floats([-12.0, -18.0], &device),
/// };
/// let output = DpoConfig { beta: 0.5, ..DpoConfig::default() }.init()?.forward(pairs.clone());
/// let stats = PreferenceSums::of_pairs(&output, &pairs).read();
/// assert_eq!((stats.groups, stats.accuracy, stats.chosen_reward), (2, Some(0.5), 0.0));
///
/// let judged = UnpairedLogProbs {
///     policy: Tensor::from_floats([-9.0, -20.0, -8.0], &device),
///     reference: Tensor::from_floats([-10.0, -18.0, -11.0], &device),
///     desirable: Tensor::<1, Bool>::from_data([true, false, true], &device),
/// };
/// let loss = UnpairedLossConfig::Bco(BcoConfig { beta: 0.5 }).init()?;
/// let output = loss.forward(judged.clone(), &UnpairedContext::default())?;
/// let stats = PreferenceSums::of_verdicts(&output, &judged).read();
/// assert_eq!((stats.groups, stats.chosen, stats.accuracy), (3, 2, None));
/// assert_eq!((stats.chosen_reward, stats.rejected_reward), (1.0, -1.0));
///
/// let scored = ResponseLogProbs {
///     policy: Tensor::from_floats([[-3.0, -3.0, -5.0]], &device),
///     reference: Tensor::from_floats([[-3.0, -4.0, -4.0]], &device),
///     scores: Tensor::from_floats([[0.0, 2.0, 1.0]], &device),
/// };
/// let loss = ScoredLossConfig::NcaK(NcaKConfig { beta: 1.0, ..NcaKConfig::default() }).init()?;
/// let stats = PreferenceSums::of_scores(&loss.forward(scored.clone()), &scored).read();
/// // The second response has the highest score; the rewards are 0, 1 and -1.
/// assert_eq!((stats.groups, stats.rejected, stats.accuracy), (1, 2, Some(1.0)));
/// assert_eq!((stats.chosen_reward, stats.rejected_reward), (1.0, -0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PreferenceSums {
    /// In the order of [`Column`].
    sums: Tensor<1>,
    groups: usize,
    responses: usize,
    has_accuracy: bool,
    has_log_probs: bool,
    kl: Option<(Tensor<1>, usize)>,
}

/// The columns that are summed.
enum Column {
    Loss,
    ChosenReward,
    RejectedReward,
    Wins,
    ChosenLogProb,
    RejectedLogProb,
    Chosen,
}

impl PreferenceSums {
    /// Sums over pairs.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs` (their lengths differ).
    pub fn of_pairs(output: &PairOutput, log_probs: &PairLogProbs) -> Self {
        let pairs = log_probs.len();
        assert_len("losses", &output.losses, "log_probs", pairs);
        Self::compared(
            &output.losses,
            [&output.chosen_rewards, &output.rejected_rewards],
            Some([&log_probs.policy_chosen, &log_probs.policy_rejected]),
        )
    }

    /// Sums over the pairs of a reward model.
    ///
    /// # Shapes
    ///
    /// - losses, chosen, rejected: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn of_rewards(losses: &Tensor<1>, chosen: &Tensor<1>, rejected: &Tensor<1>) -> Self {
        let pairs = losses.dims()[0];
        assert_len("chosen", chosen, "losses", pairs);
        assert_len("rejected", rejected, "losses", pairs);
        Self::compared(losses, [chosen, rejected], None)
    }

    fn compared(
        losses: &Tensor<1>,
        rewards: [&Tensor<1>; 2],
        log_probs: Option<[&Tensor<1>; 2]>,
    ) -> Self {
        let losses = plain(losses);
        let [chosen, rejected] = rewards.map(plain);
        let has_log_probs = log_probs.is_some();
        let zeros = losses.zeros_like();
        let [of_chosen, of_rejected] =
            log_probs.map_or_else(|| [zeros.clone(), zeros], |values| values.map(plain));
        let pairs = losses.dims()[0];
        Self {
            sums: sums([
                &losses,
                &chosen,
                &rejected,
                &ones_where(chosen.clone().greater(rejected.clone()), &losses),
                &of_chosen,
                &of_rejected,
                &losses.ones_like(),
            ]),
            groups: pairs,
            responses: 2 * pairs,
            has_accuracy: true,
            has_log_probs,
            kl: None,
        }
    }

    /// Sums over responses with a verdict each.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs` (their lengths differ).
    pub fn of_verdicts(output: &UnpairedOutput, log_probs: &UnpairedLogProbs) -> Self {
        let responses = log_probs.policy.dims()[0];
        assert_len("losses", &output.losses, "log_probs", responses);
        let [losses, rewards, policy] =
            [&output.losses, &output.rewards, &log_probs.policy].map(plain);
        let chosen = log_probs.desirable.clone();
        let rejected = chosen.clone().bool_not();
        // Numbers of the other verdict are set to 0, not multiplied by it: one that is not finite would stay.
        let only = |values: &Tensor<1>, others: &Tensor<1, Bool>| {
            values.clone().mask_fill(others.clone(), 0.0)
        };
        let zeros = losses.zeros_like();
        Self {
            sums: sums([
                &losses,
                &only(&rewards, &rejected),
                &only(&rewards, &chosen),
                &zeros,
                &only(&policy, &rejected),
                &only(&policy, &chosen),
                &ones_where(chosen.clone(), &losses),
            ]),
            groups: responses,
            responses,
            has_accuracy: false,
            has_log_probs: true,
            kl: None,
        }
    }

    /// Sums over prompts with several scored responses.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs`, or there is no response per prompt.
    pub fn of_scores(output: &ResponseOutput, log_probs: &ResponseLogProbs) -> Self {
        let [prompts, responses] = log_probs.scores.dims();
        assert_len("losses", &output.losses, "log_probs", prompts);
        let plain_rows = |tensor: &Tensor<2>| tensor.clone().inner().cast(DType::F32);
        let [rewards, policy, scores] =
            [&output.rewards, &log_probs.policy, &log_probs.scores].map(plain_rows);
        let best = scores.argmax(1);
        let column = |values: Tensor<2>| values.squeeze_dim::<1>(1);
        let best_of = |values: &Tensor<2>| column(values.clone().gather(1, best.clone()));
        let others_of = |values: &Tensor<2>| column(values.clone().sum_dim(1)) - best_of(values);
        let places = Tensor::<1, Int>::arange(0..responses as i64, &best.device());
        let is_best = places.reshape([1, responses]).equal(best.clone());
        let next = column(
            rewards
                .clone()
                .mask_fill(is_best, f32::NEG_INFINITY)
                .max_dim(1),
        );
        let losses = plain(&output.losses);
        Self {
            sums: sums([
                &losses,
                &best_of(&rewards),
                &others_of(&rewards),
                &ones_where(best_of(&rewards).greater(next), &losses),
                &best_of(&policy),
                &others_of(&policy),
                &losses.ones_like(),
            ]),
            groups: prompts,
            responses: prompts * responses,
            has_accuracy: true,
            has_log_probs: true,
            kl: None,
        }
    }

    /// Adds the KL estimate `[1]` that the batch was computed with.
    pub fn with_kl(mut self, kl: &Tensor<1>) -> Self {
        assert_len("kl", kl, "a KL estimate", 1);
        self.kl = Some((plain(kl), 1));
        self
    }

    /// Sums over two batches of the same device and of one kind.
    pub fn merge(self, other: Self) -> Self {
        Self {
            sums: self.sums + other.sums,
            groups: self.groups + other.groups,
            responses: self.responses + other.responses,
            kl: match (self.kl, other.kl) {
                (Some((a, m)), Some((b, n))) => Some((a + b, m + n)),
                (a, b) => a.or(b),
            },
            ..self
        }
    }

    /// Waits for the device, once, and returns the means.
    pub fn read(self) -> PreferenceStats {
        let mut columns = vec![self.sums];
        let estimates = self.kl.map(|(kl, estimates)| {
            columns.push(kl);
            estimates as f64
        });
        let values: Vec<f64> = Tensor::cat(columns, 0).into_data().iter::<f64>().collect();
        let mean = |column: Column, count: usize| values[column as usize] / count.max(1) as f64;
        let chosen = values[Column::Chosen as usize] as usize;
        let rejected = self.responses - chosen;
        let of_policy = |mean| self.has_log_probs.then_some(mean);
        PreferenceStats {
            groups: self.groups,
            chosen,
            rejected,
            loss: mean(Column::Loss, self.groups),
            chosen_reward: mean(Column::ChosenReward, chosen),
            rejected_reward: mean(Column::RejectedReward, rejected),
            margin: 0.0,
            accuracy: self.has_accuracy.then(|| mean(Column::Wins, self.groups)),
            chosen_log_prob: of_policy(mean(Column::ChosenLogProb, chosen)),
            rejected_log_prob: of_policy(mean(Column::RejectedLogProb, rejected)),
            kl: estimates.map(|estimates| values[Column::Chosen as usize + 1] / estimates),
        }
        .with_margin()
    }
}

/// 1 where a condition holds, else 0, beside `like`.
fn ones_where(condition: Tensor<1, Bool>, like: &Tensor<1>) -> Tensor<1> {
    like.zeros_like().mask_fill(condition, 1.0)
}

/// The sums of all columns.
fn sums(columns: [&Tensor<1>; 7]) -> Tensor<1> {
    Tensor::cat(columns.map(|column| column.clone().sum()).to_vec(), 0)
}

/// The tensor in f32, out of any graph.
fn plain(tensor: &Tensor<1>) -> Tensor<1> {
    tensor.clone().inner().cast(DType::F32)
}
