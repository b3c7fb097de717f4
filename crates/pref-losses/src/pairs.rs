//! Inputs and outputs of paired losses.

use burn::tensor::{DType, Tensor};

/// Log-probabilities of the two responses of each pair, under the policy and under the reference.
///
/// Natural logarithms, **summed** over the tokens of the response (the prompt does not count).
/// Reference values never get a gradient; losses without a reference do not look at them (see
/// [`PairLogProbs::without_reference`]). Any float dtype; losses compute in f32.
///
/// # Shapes
///
/// All four: `[pairs]`.
#[derive(Debug, Clone)]
pub struct PairLogProbs {
    /// `log p_policy(chosen | prompt)`.
    pub policy_chosen: Tensor<1>,
    /// `log p_policy(rejected | prompt)`.
    pub policy_rejected: Tensor<1>,
    /// `log p_reference(chosen | prompt)`.
    pub reference_chosen: Tensor<1>,
    /// `log p_reference(rejected | prompt)`.
    pub reference_rejected: Tensor<1>,
}

/// Number of tokens of the two responses of each pair, as float tensors.
///
/// # Shapes
///
/// Both: `[pairs]`.
#[derive(Debug, Clone)]
pub struct PairLengths {
    /// Tokens of the chosen response.
    pub chosen: Tensor<1>,
    /// Tokens of the rejected response.
    pub rejected: Tensor<1>,
}

/// Losses and implicit rewards of a batch of pairs, all `[pairs]` and f32.
///
/// The caller reduces, usually with `losses.mean()`.
#[derive(Debug, Clone)]
pub struct PairOutput {
    /// One loss per pair, with gradient.
    pub losses: Tensor<1>,
    /// Implicit reward of the chosen response, without gradient:
    /// `beta * (log p_policy - log p_reference)`. Losses without a reference say what they report.
    pub chosen_rewards: Tensor<1>,
    /// Implicit reward of the rejected response, without gradient.
    pub rejected_rewards: Tensor<1>,
}

/// One value for each of the two responses, f32: log-ratios, or log-probs of the policy.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub chosen: Tensor<1>,
    pub rejected: Tensor<1>,
}

impl PairLogProbs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.policy_chosen.dims()[0]
    }

    /// True when there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Log-probs for losses without a reference; its place is taken by zeros.
    pub fn without_reference(policy_chosen: Tensor<1>, policy_rejected: Tensor<1>) -> Self {
        Self {
            reference_chosen: policy_chosen.zeros_like().detach(),
            reference_rejected: policy_rejected.zeros_like().detach(),
            policy_chosen,
            policy_rejected,
        }
    }

    /// `policy - reference`.
    pub(crate) fn log_ratios(self) -> Pair {
        let pairs = self.len();
        // Shapes `[1]` and `[pairs]` would broadcast silently.
        for (name, tensor) in [
            ("policy_rejected", &self.policy_rejected),
            ("reference_chosen", &self.reference_chosen),
            ("reference_rejected", &self.reference_rejected),
        ] {
            assert_len(name, tensor, "policy_chosen", pairs);
        }
        Pair {
            chosen: log_ratio(self.policy_chosen, self.reference_chosen),
            rejected: log_ratio(self.policy_rejected, self.reference_rejected),
        }
    }

    /// The policy's log-probs alone.
    pub(crate) fn policy(self) -> Pair {
        let pairs = self.len();
        assert_len(
            "policy_rejected",
            &self.policy_rejected,
            "policy_chosen",
            pairs,
        );
        Pair {
            chosen: self.policy_chosen.cast(DType::F32),
            rejected: self.policy_rejected.cast(DType::F32),
        }
    }
}

impl PairLengths {
    /// The numbers of tokens as divisors: f32, constant, at least 1.
    ///
    /// An empty response has a log-prob of 0, and 0 it stays per token.
    pub(crate) fn counts(self, other: &str, pairs: usize) -> Pair {
        assert_len("lengths.chosen", &self.chosen, other, pairs);
        assert_len("lengths.rejected", &self.rejected, other, pairs);
        let count = |length: Tensor<1>| length.cast(DType::F32).detach().clamp_min(1.0);
        Pair {
            chosen: count(self.chosen),
            rejected: count(self.rejected),
        }
    }
}

impl Pair {
    pub fn len(&self) -> usize {
        self.chosen.dims()[0]
    }

    pub fn map(&self, function: impl Fn(&Tensor<1>) -> Tensor<1>) -> Self {
        Self {
            chosen: function(&self.chosen),
            rejected: function(&self.rejected),
        }
    }

    /// Divides each value by its response's number of tokens.
    pub fn per_token(self, lengths: PairLengths) -> Self {
        let counts = lengths.counts("policy_chosen", self.len());
        self.divided_by(counts)
    }

    pub fn divided_by(self, divisors: Self) -> Self {
        Self {
            chosen: self.chosen / divisors.chosen,
            rejected: self.rejected / divisors.rejected,
        }
    }

    /// The values times beta, without gradient: the rewards to report.
    pub fn rewards(&self, beta: f64) -> (Tensor<1>, Tensor<1>) {
        (
            self.chosen.clone().detach().mul_scalar(beta),
            self.rejected.clone().detach().mul_scalar(beta),
        )
    }

    /// `chosen - rejected`.
    pub fn difference(self) -> Tensor<1> {
        self.chosen - self.rejected
    }
}

impl PairOutput {
    pub(crate) fn new(losses: Tensor<1>, rewards: (Tensor<1>, Tensor<1>)) -> Self {
        Self {
            losses,
            chosen_rewards: rewards.0,
            rejected_rewards: rewards.1,
        }
    }
}

/// `policy - reference` in f32; the reference is a constant.
pub(crate) fn log_ratio<const D: usize>(policy: Tensor<D>, reference: Tensor<D>) -> Tensor<D> {
    policy.cast(DType::F32) - reference.cast(DType::F32).detach()
}

pub(crate) fn assert_len(name: &str, tensor: &Tensor<1>, other: &str, expected: usize) {
    let len = tensor.dims()[0];
    assert!(
        len == expected,
        "`{name}` has {len} entries, `{other}` has {expected}: they must agree"
    );
}
