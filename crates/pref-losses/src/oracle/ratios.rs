//! Log-probs of pairs, and what is made of them before the loss.

use ndarray::{Array1, ArrayView1, Zip};

/// Log-probs of both responses of each pair under policy and reference, in nats, summed over the
/// response. All four `[pairs]`.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    /// `log p_policy(chosen | prompt)`.
    pub policy_chosen: ArrayView1<'a, f64>,
    /// `log p_policy(rejected | prompt)`.
    pub policy_rejected: ArrayView1<'a, f64>,
    /// `log p_reference(chosen | prompt)`.
    pub reference_chosen: ArrayView1<'a, f64>,
    /// `log p_reference(rejected | prompt)`.
    pub reference_rejected: ArrayView1<'a, f64>,
}

impl Pairs<'_> {
    /// `policy - reference` of both responses.
    ///
    /// # Panics
    ///
    /// If the four arrays differ in length.
    pub fn log_ratios(&self) -> LogRatios {
        LogRatios::new(
            difference(self.policy_chosen, self.reference_chosen),
            difference(self.policy_rejected, self.reference_rejected),
        )
    }
}

/// The scores of each pair that a loss sees: `a` of the chosen response and `b` of the rejected
/// one. Both `[pairs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRatios {
    /// `a`.
    pub chosen: Array1<f64>,
    /// `b`.
    pub rejected: Array1<f64>,
}

impl LogRatios {
    /// From log-ratios that are known already.
    ///
    /// # Panics
    ///
    /// If the two arrays differ in length.
    pub fn new(chosen: Array1<f64>, rejected: Array1<f64>) -> Self {
        assert_same_len(chosen.len(), rejected.len());
        Self { chosen, rejected }
    }

    /// Log-probs of the policy alone, as the losses without a reference model use them (CPO, SimPO,
    /// SLiC).
    ///
    /// # Panics
    ///
    /// If the two arrays differ in length.
    pub fn without_reference(chosen: ArrayView1<f64>, rejected: ArrayView1<f64>) -> Self {
        Self::new(chosen.to_owned(), rejected.to_owned())
    }

    /// Divides by the number of tokens of each response; an empty one counts as 1.
    ///
    /// # Panics
    ///
    /// If the arrays differ in length.
    pub fn per_token(&self, chosen: ArrayView1<f64>, rejected: ArrayView1<f64>) -> Self {
        let divided = |ratios: &Array1<f64>, tokens: ArrayView1<f64>| {
            Zip::from(ratios)
                .and(tokens)
                .map_collect(|ratio, n| ratio / n.max(1.0))
        };
        Self {
            chosen: divided(&self.chosen, chosen),
            rejected: divided(&self.rejected, rejected),
        }
    }

    /// Applies `score` to every entry.
    pub fn map(&self, score: impl Fn(f64) -> f64) -> Self {
        Self {
            chosen: self.chosen.mapv(&score),
            rejected: self.rejected.mapv(&score),
        }
    }

    /// The implicit rewards `beta a` and `beta b`.
    pub fn rewards(&self, beta: f64) -> (Array1<f64>, Array1<f64>) {
        (&self.chosen * beta, &self.rejected * beta)
    }

    /// `loss(a, b)` of each pair.
    pub fn each(&self, loss: impl Fn(f64, f64) -> f64) -> Array1<f64> {
        Zip::from(&self.chosen)
            .and(&self.rejected)
            .map_collect(|&a, &b| loss(a, b))
    }
}

/// Share of pairs whose chosen reward is strictly above the rejected one; NaN for no pair.
pub fn accuracy(chosen: ArrayView1<f64>, rejected: ArrayView1<f64>) -> f64 {
    assert_same_len(chosen.len(), rejected.len());
    let wins = chosen.iter().zip(rejected).filter(|(c, r)| c > r).count();
    wins as f64 / chosen.len() as f64
}

/// Mean of `chosen - rejected`; NaN for no pair.
pub fn margin(chosen: ArrayView1<f64>, rejected: ArrayView1<f64>) -> f64 {
    difference(chosen, rejected).sum() / chosen.len() as f64
}

pub(super) fn difference(left: ArrayView1<f64>, right: ArrayView1<f64>) -> Array1<f64> {
    assert_same_len(left.len(), right.len());
    &left - &right
}

/// Lengths 1 and n would broadcast silently.
pub(super) fn assert_same_len(left: usize, right: usize) {
    assert!(
        left == right,
        "arrays of {left} and {right} entries: there must be one entry per pair in each"
    );
}
