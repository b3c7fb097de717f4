//! Responses with a verdict that need not be paired: what goes in, what comes out.

use burn::tensor::{Bool, Tensor};

use crate::pairs::{assert_len, log_ratio};

/// Responses with a verdict each.
///
/// # Shapes
///
/// All three: `[responses]`.
#[derive(Debug, Clone)]
pub struct UnpairedLogProbs {
    /// `log p_policy(response | prompt)`, summed over tokens.
    pub policy: Tensor<1>,
    /// `log p_reference(response | prompt)`, summed over tokens.
    pub reference: Tensor<1>,
    /// True where the response is desirable.
    pub desirable: Tensor<1, Bool>,
}

/// Losses and implicit rewards in input order, both `[responses]` and f32.
#[derive(Debug, Clone)]
pub struct UnpairedOutput {
    /// One loss per response, with gradient.
    pub losses: Tensor<1>,
    /// `beta * (policy - reference)`, without gradient.
    pub rewards: Tensor<1>,
}

/// Inputs that some unpaired losses need beside log-probs. The default has nothing.
#[derive(Debug, Clone, Default)]
pub struct UnpairedContext {
    /// The KL estimate `[1]` of [`Kto`](crate::Kto), from [`VerdictLoss::kl`](crate::VerdictLoss::kl).
    pub kl: Option<Tensor<1>>,
    /// The shift delta of [`Bco`](crate::Bco): the running mean of rewards that the caller keeps.
    /// Default 0.
    pub reward_shift: f64,
}

impl UnpairedLogProbs {
    /// `policy - reference`, after a look at all three lengths.
    pub(crate) fn log_ratios(&self) -> Tensor<1> {
        let responses = self.policy.dims()[0];
        assert_len("reference", &self.reference, "policy", responses);
        let verdicts = self.desirable.dims()[0];
        assert!(
            verdicts == responses,
            "`desirable` has {verdicts} entries, `policy` has {responses}: they must agree"
        );
        log_ratio(self.policy.clone(), self.reference.clone())
    }
}
