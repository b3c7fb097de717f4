//! The numbers every preference trainer logs.
//!
//! Sums stay on the device and are read once, so a step of many micro-batches waits for the device
//! once and its means are exact over the whole step.

use burn::tensor::{DType, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::pairs::{PairLogProbs, PairOutput, assert_len};
use crate::responses::{ResponseLogProbs, ResponseOutput};
use crate::unpaired::{UnpairedLogProbs, UnpairedOutput};

/// Means over the pairs of a step.
///
/// All are 0 when there was no pair (`pairs` is 0 then).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PairStats {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean loss.
    pub loss: f64,
    /// Mean reward of chosen responses: `beta * (policy - reference)`, in nats times beta. Starts
    /// at 0. If it falls without end, the policy is unlearning the chosen responses.
    pub chosen_reward: f64,
    /// Mean reward of rejected responses. Starts at 0 and should fall.
    pub rejected_reward: f64,
    /// `chosen_reward - rejected_reward`. Should rise.
    pub margin: f64,
    /// Share of pairs whose chosen reward is strictly above the rejected one, 0 to 1. Is 0 at the
    /// very start (all ties), should rise above 0.5.
    pub accuracy: f64,
    /// Mean log-prob of chosen responses under the policy, in nats per response.
    pub chosen_log_prob: f64,
    /// Mean log-prob of rejected responses under the policy, in nats per response.
    pub rejected_log_prob: f64,
    /// Mean KL estimate in nats, for losses that have one.
    pub kl: Option<f64>,
}

impl PairStats {
    /// Means over the pairs of both, each pair counted once.
    pub fn merge(self, other: Self) -> Self {
        let mean = weighted_mean(self.pairs, other.pairs);
        Self {
            pairs: self.pairs + other.pairs,
            loss: mean(self.loss, other.loss),
            chosen_reward: mean(self.chosen_reward, other.chosen_reward),
            rejected_reward: mean(self.rejected_reward, other.rejected_reward),
            margin: mean(self.margin, other.margin),
            accuracy: mean(self.accuracy, other.accuracy),
            chosen_log_prob: mean(self.chosen_log_prob, other.chosen_log_prob),
            rejected_log_prob: mean(self.rejected_log_prob, other.rejected_log_prob),
            kl: match (self.kl, other.kl) {
                (Some(a), Some(b)) => Some(mean(a, b)),
                (a, b) => a.or(b),
            },
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

/// Sums behind [`PairStats`], on the device.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::stats::PairSums;
/// use pref_losses::{DpoConfig, PairLogProbs};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = PairLogProbs {
///     policy_chosen: Tensor::from_floats([-10.0, -20.0], &device),
///     policy_rejected: Tensor::from_floats([-14.0, -16.0], &device),
///     reference_chosen: Tensor::from_floats([-12.0, -18.0], &device),
///     reference_rejected: Tensor::from_floats([-12.0, -18.0], &device),
/// };
/// let output = DpoConfig::new().with_beta(0.5).init()?.forward(log_probs.clone());
/// let stats = PairSums::of(&output, &log_probs).read();
/// assert_eq!((stats.pairs, stats.accuracy, stats.chosen_reward), (2, 0.5, 0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PairSums {
    sums: Tensor<1>,
    pairs: usize,
    kl: Estimates,
}

impl PairSums {
    /// Sums over one batch, without gradient.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs` (their lengths differ).
    pub fn of(output: &PairOutput, log_probs: &PairLogProbs) -> Self {
        let pairs = log_probs.len();
        assert_len("losses", &output.losses, "log_probs", pairs);
        let wins = wins(&output.chosen_rewards, &output.rejected_rewards);
        let columns = [
            &output.losses,
            &output.chosen_rewards,
            &output.rejected_rewards,
            &wins,
            &log_probs.policy_chosen,
            &log_probs.policy_rejected,
        ];
        Self {
            sums: sums(&columns),
            pairs,
            kl: None,
        }
    }

    /// Adds the KL estimate `[1]` that the batch was computed with.
    pub fn with_kl(mut self, kl: &Tensor<1>) -> Self {
        assert_len("kl", kl, "a KL estimate", 1);
        self.kl = Some((plain(kl), 1));
        self
    }

    /// Sums over two batches of the same device.
    pub fn merge(self, other: Self) -> Self {
        Self {
            sums: self.sums + other.sums,
            pairs: self.pairs + other.pairs,
            kl: merge_estimates(self.kl, other.kl),
        }
    }

    /// Waits for the device and returns the means.
    pub fn read(self) -> PairStats {
        let (values, kl) = read_with_kl(self.sums, self.kl);
        let mean = |index: usize| values[index] / self.pairs.max(1) as f64;
        PairStats {
            pairs: self.pairs,
            loss: mean(0),
            chosen_reward: mean(1),
            rejected_reward: mean(2),
            margin: mean(1) - mean(2),
            accuracy: mean(3),
            chosen_log_prob: mean(4),
            rejected_log_prob: mean(5),
            kl,
        }
    }
}

/// Means over the responses of a step that have a verdict each and are in no pair. A mean over nothing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UnpairedStats {
    /// Number of responses.
    pub responses: usize,
    /// How many of them are desirable.
    pub desirable: usize,
    /// Mean loss of all responses.
    pub loss: f64,
    /// Mean reward of desirable responses: `beta * (policy - reference)`, in nats times beta. Starts at 0. If it falls
    /// without end, the policy is unlearning them.
    pub desirable_reward: f64,
    /// Mean reward of undesirable responses. Starts at 0 and should fall.
    pub undesirable_reward: f64,
    /// Mean log-prob of desirable responses under the policy, in nats per response.
    pub desirable_log_prob: f64,
    /// Mean log-prob of undesirable responses under the policy, in nats per response.
    pub undesirable_log_prob: f64,
    /// Mean KL estimate in nats, for losses that have one.
    pub kl: Option<f64>,
}

impl UnpairedStats {
    /// How many responses are not desirable.
    pub fn undesirable(&self) -> usize {
        self.responses - self.desirable
    }

    /// `desirable_reward - undesirable_reward`, which should rise; `None` where one of the two has no response.
    pub fn margin(&self) -> Option<f64> {
        let both = self.desirable > 0 && self.undesirable() > 0;
        both.then_some(self.desirable_reward - self.undesirable_reward)
    }

    /// Means over the responses of both, each counted once.
    pub fn merge(self, other: Self) -> Self {
        let of_all = weighted_mean(self.responses, other.responses);
        let of_desirable = weighted_mean(self.desirable, other.desirable);
        let of_undesirable = weighted_mean(self.undesirable(), other.undesirable());
        Self {
            responses: self.responses + other.responses,
            desirable: self.desirable + other.desirable,
            loss: of_all(self.loss, other.loss),
            desirable_reward: of_desirable(self.desirable_reward, other.desirable_reward),
            undesirable_reward: of_undesirable(self.undesirable_reward, other.undesirable_reward),
            desirable_log_prob: of_desirable(self.desirable_log_prob, other.desirable_log_prob),
            undesirable_log_prob: of_undesirable(
                self.undesirable_log_prob,
                other.undesirable_log_prob,
            ),
            kl: match (self.kl, other.kl) {
                (Some(a), Some(b)) => Some(of_all(a, b)),
                (a, b) => a.or(b),
            },
        }
    }
}

/// Sums behind [`UnpairedStats`], on the device.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Bool, Device, Tensor};
/// use pref_losses::stats::UnpairedSums;
/// use pref_losses::{BcoConfig, UnpairedContext, UnpairedLogProbs, UnpairedLossConfig};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = UnpairedLogProbs {
///     policy: Tensor::from_floats([-9.0, -20.0, -8.0], &device),
///     reference: Tensor::from_floats([-10.0, -18.0, -11.0], &device),
///     desirable: Tensor::<1, Bool>::from_data([true, false, true], &device),
/// };
/// let loss = UnpairedLossConfig::Bco(BcoConfig::new().with_beta(0.5)).init()?;
/// let output = loss.forward(log_probs.clone(), &UnpairedContext::default())?;
/// let stats = UnpairedSums::of(&output, &log_probs).read();
/// assert_eq!((stats.responses, stats.desirable), (3, 2));
/// assert_eq!((stats.desirable_reward, stats.undesirable_reward), (1.0, -1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct UnpairedSums {
    sums: Tensor<1>,
    responses: usize,
    kl: Estimates,
}

impl UnpairedSums {
    /// Sums over one batch, without gradient.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs` (their lengths differ).
    pub fn of(output: &UnpairedOutput, log_probs: &UnpairedLogProbs) -> Self {
        let responses = log_probs.policy.dims()[0];
        assert_len("losses", &output.losses, "log_probs", responses);
        let rewards = plain(&output.rewards);
        let policy = plain(&log_probs.policy);
        let undesirable = log_probs.desirable.clone().bool_not();
        let desirable = policy.ones_like().mask_fill(undesirable.clone(), 0.0);
        // Numbers of the other verdict are set to 0, not multiplied by it: one that is not finite would stay.
        let of_desirable = |values: &Tensor<1>| values.clone().mask_fill(undesirable.clone(), 0.0);
        let of_undesirable =
            |values: &Tensor<1>| values.clone().mask_fill(log_probs.desirable.clone(), 0.0);
        let columns = [
            &output.losses,
            &of_desirable(&rewards),
            &of_undesirable(&rewards),
            &of_desirable(&policy),
            &of_undesirable(&policy),
            &desirable,
        ];
        Self {
            sums: sums(&columns),
            responses,
            kl: None,
        }
    }

    /// Adds the KL estimate `[1]` that the batch was computed with.
    pub fn with_kl(mut self, kl: &Tensor<1>) -> Self {
        assert_len("kl", kl, "a KL estimate", 1);
        self.kl = Some((plain(kl), 1));
        self
    }

    /// Sums over two batches of the same device.
    pub fn merge(self, other: Self) -> Self {
        Self {
            sums: self.sums + other.sums,
            responses: self.responses + other.responses,
            kl: merge_estimates(self.kl, other.kl),
        }
    }

    /// Waits for the device and returns the means.
    pub fn read(self) -> UnpairedStats {
        let (values, kl) = read_with_kl(self.sums, self.kl);
        let mean = |index: usize, count: usize| values[index] / count.max(1) as f64;
        let desirable = values[5] as usize;
        let undesirable = self.responses - desirable;
        UnpairedStats {
            responses: self.responses,
            desirable,
            loss: mean(0, self.responses),
            desirable_reward: mean(1, desirable),
            undesirable_reward: mean(2, undesirable),
            desirable_log_prob: mean(3, desirable),
            undesirable_log_prob: mean(4, undesirable),
            kl,
        }
    }
}

/// Means over the prompts of a step, each with K scored responses. All are 0 when there was none.
///
/// The best response of a prompt is the one with the highest score, the first of several.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoredStats {
    /// Number of prompts.
    pub prompts: usize,
    /// Number of responses.
    pub responses: usize,
    /// Mean loss of a prompt.
    pub loss: f64,
    /// Mean reward of best responses: `beta * (policy - reference)`, in nats times beta. Starts at 0.
    pub best_reward: f64,
    /// Mean over the prompts of the mean reward of all other responses. Starts at 0.
    pub other_reward: f64,
    /// `best_reward - other_reward`. Should rise.
    pub margin: f64,
    /// Share of prompts whose best response has a reward strictly above all others, 0 to 1.
    pub accuracy: f64,
    /// Mean log-prob of best responses under the policy, in nats per response.
    pub best_log_prob: f64,
    /// The same of the others, each prompt counted once.
    pub other_log_prob: f64,
}

impl ScoredStats {
    /// Means over the prompts of both, each prompt counted once.
    pub fn merge(self, other: Self) -> Self {
        let mean = weighted_mean(self.prompts, other.prompts);
        Self {
            prompts: self.prompts + other.prompts,
            responses: self.responses + other.responses,
            loss: mean(self.loss, other.loss),
            best_reward: mean(self.best_reward, other.best_reward),
            other_reward: mean(self.other_reward, other.other_reward),
            margin: mean(self.margin, other.margin),
            accuracy: mean(self.accuracy, other.accuracy),
            best_log_prob: mean(self.best_log_prob, other.best_log_prob),
            other_log_prob: mean(self.other_log_prob, other.other_log_prob),
        }
    }
}

/// Sums behind [`ScoredStats`], on the device.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pref_losses::{NcaKConfig, ResponseLogProbs, ScoredLossConfig, ScoredSums};
///
/// # fn main() -> Result<(), pref_losses::Error> {
/// let device = Device::flex();
/// let log_probs = ResponseLogProbs {
///     policy: Tensor::from_floats([[-3.0, -3.0, -5.0]], &device),
///     reference: Tensor::from_floats([[-3.0, -4.0, -4.0]], &device),
///     scores: Tensor::from_floats([[0.0, 2.0, 1.0]], &device),
/// };
/// let loss = ScoredLossConfig::NcaK(NcaKConfig::new().with_beta(1.0)).init()?;
/// let stats = ScoredSums::of(&loss.forward(log_probs.clone()), &log_probs).read();
/// assert_eq!((stats.prompts, stats.responses), (1, 3));
/// // The second response has the highest score; the rewards are 0, 1 and -1.
/// assert_eq!((stats.best_reward, stats.other_reward, stats.accuracy), (1.0, -0.5, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ScoredSums {
    sums: Tensor<1>,
    prompts: usize,
    responses: usize,
}

impl ScoredSums {
    /// Sums over one batch, without gradient.
    ///
    /// # Panics
    ///
    /// If `output` does not belong to `log_probs`, or there is no response per prompt.
    pub fn of(output: &ResponseOutput, log_probs: &ResponseLogProbs) -> Self {
        let [prompts, responses] = log_probs.scores.dims();
        assert_len("losses", &output.losses, "log_probs", prompts);
        let plain = |tensor: &Tensor<2>| tensor.clone().inner().cast(DType::F32);
        let [rewards, policy, scores] =
            [&output.rewards, &log_probs.policy, &log_probs.scores].map(plain);
        let best = scores.argmax(1);
        let best_of = |values: &Tensor<2>| values.clone().gather(1, best.clone());
        let others = responses.saturating_sub(1).max(1) as f64;
        let others_of =
            |values: &Tensor<2>| (values.clone().sum_dim(1) - best_of(values)).div_scalar(others);
        let places = Tensor::<1, Int>::arange(0..responses as i64, &best.device());
        let is_best = places.reshape([1, responses]).equal(best.clone());
        let next = rewards.clone().mask_fill(is_best, f32::NEG_INFINITY);
        let lost = best_of(&rewards).greater(next.max_dim(1)).bool_not();
        let wins = best_of(&rewards).ones_like().mask_fill(lost, 0.0);
        let column = |values: Tensor<2>| values.squeeze_dim::<1>(1);
        Self {
            sums: sums(&[
                &output.losses,
                &column(best_of(&rewards)),
                &column(others_of(&rewards)),
                &column(wins),
                &column(best_of(&policy)),
                &column(others_of(&policy)),
            ]),
            prompts,
            responses: prompts * responses,
        }
    }

    /// Sums over two batches of the same device.
    pub fn merge(self, other: Self) -> Self {
        Self {
            sums: self.sums + other.sums,
            prompts: self.prompts + other.prompts,
            responses: self.responses + other.responses,
        }
    }

    /// Waits for the device and returns the means.
    pub fn read(self) -> ScoredStats {
        let values = read(self.sums);
        let mean = |index: usize| values[index] / self.prompts.max(1) as f64;
        ScoredStats {
            prompts: self.prompts,
            responses: self.responses,
            loss: mean(0),
            best_reward: mean(1),
            other_reward: mean(2),
            margin: mean(1) - mean(2),
            accuracy: mean(3),
            best_log_prob: mean(4),
            other_log_prob: mean(5),
        }
    }
}

/// Means over the pairs of a step of a reward model. All are 0 when there was no pair.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardStats {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean loss.
    pub loss: f64,
    /// Mean reward of chosen responses. With a direct-reward term it should be above 0.
    pub chosen_reward: f64,
    /// Mean reward of rejected responses. With a direct-reward term it should be below 0.
    pub rejected_reward: f64,
    /// `chosen_reward - rejected_reward`. Should rise.
    pub margin: f64,
    /// Share of pairs whose chosen reward is strictly above the rejected one, 0 to 1.
    pub accuracy: f64,
}

impl RewardStats {
    /// Means over the pairs of both, each pair counted once.
    pub fn merge(self, other: Self) -> Self {
        let mean = weighted_mean(self.pairs, other.pairs);
        Self {
            pairs: self.pairs + other.pairs,
            loss: mean(self.loss, other.loss),
            chosen_reward: mean(self.chosen_reward, other.chosen_reward),
            rejected_reward: mean(self.rejected_reward, other.rejected_reward),
            margin: mean(self.margin, other.margin),
            accuracy: mean(self.accuracy, other.accuracy),
        }
    }
}

/// Sums behind [`RewardStats`], on the device.
#[derive(Debug, Clone)]
pub struct RewardSums {
    sums: Tensor<1>,
    pairs: usize,
}

impl RewardSums {
    /// Sums over one batch, without gradient.
    ///
    /// # Shapes
    ///
    /// - losses, chosen, rejected: `[pairs]`
    ///
    /// # Panics
    ///
    /// If the tensors differ in length.
    pub fn of(losses: &Tensor<1>, chosen: &Tensor<1>, rejected: &Tensor<1>) -> Self {
        let pairs = losses.dims()[0];
        assert_len("chosen", chosen, "losses", pairs);
        assert_len("rejected", rejected, "losses", pairs);
        let wins = wins(chosen, rejected);
        Self {
            sums: sums(&[losses, chosen, rejected, &wins]),
            pairs,
        }
    }

    /// Sums over two batches of the same device.
    pub fn merge(self, other: Self) -> Self {
        Self {
            sums: self.sums + other.sums,
            pairs: self.pairs + other.pairs,
        }
    }

    /// Waits for the device and returns the means.
    pub fn read(self) -> RewardStats {
        let values = read(self.sums);
        let mean = |index: usize| values[index] / self.pairs.max(1) as f64;
        RewardStats {
            pairs: self.pairs,
            loss: mean(0),
            chosen_reward: mean(1),
            rejected_reward: mean(2),
            margin: mean(1) - mean(2),
            accuracy: mean(3),
        }
    }
}

/// 1 where chosen is strictly above rejected, else 0.
fn wins(chosen: &Tensor<1>, rejected: &Tensor<1>) -> Tensor<1> {
    let chosen = plain(chosen);
    let lost = chosen.clone().greater(plain(rejected)).bool_not();
    chosen.ones_like().mask_fill(lost, 0.0)
}

fn sums(columns: &[&Tensor<1>]) -> Tensor<1> {
    Tensor::cat(
        columns.iter().map(|column| plain(column).sum()).collect(),
        0,
    )
}

/// The tensor in f32, out of any graph.
fn plain(tensor: &Tensor<1>) -> Tensor<1> {
    tensor.clone().inner().cast(DType::F32)
}

/// The sum of some KL estimates, and how many they are.
type Estimates = Option<(Tensor<1>, usize)>;

fn merge_estimates(a: Estimates, b: Estimates) -> Estimates {
    match (a, b) {
        (Some((a, m)), Some((b, n))) => Some((a + b, m + n)),
        (a, b) => a.or(b),
    }
}

/// The sums, and the mean KL estimate; the device is waited for once.
fn read_with_kl(sums: Tensor<1>, kl: Estimates) -> (Vec<f64>, Option<f64>) {
    let mut columns = vec![sums];
    let estimates = kl.map(|(kl, estimates)| {
        columns.push(kl);
        estimates
    });
    let mut values = read(Tensor::cat(columns, 0));
    let kl = estimates.and_then(|estimates| Some(values.pop()? / estimates as f64));
    (values, kl)
}

fn read(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
