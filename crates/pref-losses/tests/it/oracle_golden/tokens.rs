//! Cases that start at logits.

use ndarray::{Array1, Array2, ArrayView3, Axis, Ix2};
use pref_losses::oracle::{self, LogRatios};

use super::case::{Case, Values};
use super::losses::{cpo, is_per_token, kto_weights, pair_losses, plus, reduced};

fn sequences(case: &Case<'_>, log_probs: &Array2<f64>, mask: &Array2<bool>) -> Values {
    let sums = oracle::sequence_sums(log_probs.view(), mask.view());
    let means = oracle::sequence_means(log_probs.view(), mask.view());
    let objective = match case.choice("objective") {
        "sum" => &sums,
        "mean" => &means,
        other => panic!("{}: unknown objective {other}", case.name()),
    };
    vec![
        ("loss", vec![objective.sum() / objective.len() as f64]),
        ("seq_logps_sum", sums.to_vec()),
        ("seq_logps_mean", means.to_vec()),
        ("token_logps", log_probs.iter().copied().collect()),
    ]
}

pub fn aligned(case: &Case<'_>) -> Values {
    let (logits, targets) = (case.cube("logits"), case.ids("token_labels"));
    let log_probs = oracle::token_log_probs(logits.view(), targets.view());
    check_linear(&logits.view(), &targets, &log_probs);
    sequences(case, &log_probs, &case.flags("mask"))
}

/// With the logits as hidden states and the identity as weight, the linear form is the same.
fn check_linear(logits: &ArrayView3<f64>, targets: &Array2<i64>, want: &Array2<f64>) {
    let identity = Array2::eye(logits.dim().2);
    for (row, logits) in logits.axis_iter(Axis(0)).enumerate() {
        let got = oracle::linear_log_probs(logits, identity.view(), targets.row(row));
        assert_eq!(got, want.row(row));
    }
}

pub fn causal(case: &Case<'_>) -> Values {
    let (logits, labels) = (case.cube("logits"), case.ids("token_labels"));
    let (log_probs, mask) = oracle::next_token_log_probs(logits.view(), labels.view());
    sequences(case, &log_probs, &mask)
}

pub fn cross_entropy(case: &Case<'_>) -> Values {
    let (logits, labels) = (case.cube("logits"), case.ids("token_labels"));
    let (log_probs, mask) = oracle::next_token_log_probs(logits.view(), labels.view());
    let tokens = case
        .has("config", "num_items_in_batch")
        .then(|| case.config("num_items_in_batch") as usize);
    let loss = oracle::cross_entropy(log_probs.view(), mask.view(), tokens);
    vec![("loss", vec![loss])]
}

/// Scored tokens of each row: log-probs and which of them the mask counts.
struct Scored {
    log_probs: Array2<f64>,
    mask: Array2<bool>,
}

impl Scored {
    /// From the case's arrays of these names.
    fn new(case: &Case<'_>, logits: &str, ids: &str, mask: &str) -> Self {
        let mut labels = case.ids(ids);
        labels.zip_mut_with(&case.flags::<Ix2>(mask), |label, &counts| {
            if !counts {
                *label = -100;
            }
        });
        let (log_probs, mask) =
            oracle::next_token_log_probs(case.cube(logits).view(), labels.view());
        Self { log_probs, mask }
    }

    fn sums(&self) -> Array1<f64> {
        oracle::sequence_sums(self.log_probs.view(), self.mask.view())
    }

    fn means(&self) -> Array1<f64> {
        oracle::sequence_means(self.log_probs.view(), self.mask.view())
    }

    fn lengths(&self) -> Array1<f64> {
        self.mask
            .map_axis(Axis(1), |row| row.iter().filter(|&&m| m).count() as f64)
    }

    /// Cross-entropy over the tokens of the chosen rows, the first half.
    fn chosen_cross_entropy(&self) -> f64 {
        let half = self.mask.nrows() / 2;
        let (log_probs, mask) = (
            self.log_probs.view().split_at(Axis(0), half).0,
            self.mask.view().split_at(Axis(0), half).0,
        );
        oracle::cross_entropy(log_probs, mask, None)
    }
}

/// Chosen rows come first.
fn split(rows: &Array1<f64>) -> LogRatios {
    let (chosen, rejected) = rows.view().split_at(Axis(0), rows.len() / 2);
    LogRatios::without_reference(chosen, rejected)
}

pub fn end_to_end_pairs(case: &Case<'_>) -> Values {
    let loss = case.choice("loss_type");
    let policy = Scored::new(case, "logits", "input_ids", "mask");
    let reference = Scored::new(case, "ref_logits", "input_ids", "mask");
    let ratios = split(&(policy.sums() - reference.sums()));
    let (chosen, rejected) = ratios.rewards(case.config("beta"));
    let lengths = split(&policy.lengths());
    let losses = if is_per_token(loss) {
        let ratios = ratios.per_token(lengths.chosen.view(), lengths.rejected.view());
        pair_losses(case, loss, &ratios)
    } else {
        pair_losses(case, loss, &ratios)
    };
    let rest = vec![("chosen_rewards", chosen), ("rejected_rewards", rejected)];
    reduced(losses, rest)
}

fn policy_log_probs(log_probs: LogRatios) -> Vec<(&'static str, Array1<f64>)> {
    vec![
        ("chosen_logps", log_probs.chosen),
        ("rejected_logps", log_probs.rejected),
    ]
}

pub fn end_to_end_cpo(case: &Case<'_>) -> Values {
    let loss = case.choice("loss_type");
    let scored = Scored::new(case, "logits", "input_ids", "mask");
    let log_probs = if matches!(loss, "ipo" | "simpo") {
        split(&scored.means())
    } else {
        split(&scored.sums())
    };
    let losses = cpo(case, loss, &log_probs);
    let weight = case.config("cpo_alpha");
    // The reference reports no likelihood term where it has no weight.
    let nll = if weight == 0.0 {
        0.0
    } else {
        scored.chosen_cross_entropy()
    };
    let mut values = reduced(losses, policy_log_probs(log_probs));
    values.push(("nll", vec![nll]));
    plus(values, weight * nll)
}

/// The likelihood term counts the prompt too.
pub fn end_to_end_orpo(case: &Case<'_>) -> Values {
    let means = split(&Scored::new(case, "logits", "input_ids", "mask").means());
    let whole = Scored::new(case, "logits", "input_ids", "attention_mask");
    let nll = whole.chosen_cross_entropy();
    let losses = oracle::orpo(&means) * case.config("beta");
    let mut values = reduced(losses, policy_log_probs(means));
    values.push(("nll", vec![nll]));
    plus(values, nll)
}

pub fn end_to_end_kto(case: &Case<'_>) -> Values {
    let sums = |logits: &str, prefix: &str| {
        let (ids, mask) = (format!("{prefix}input_ids"), format!("{prefix}mask"));
        Scored::new(case, logits, &ids, &mask).sums()
    };
    let ratios = sums("logits", "") - sums("ref_logits", "");
    let mismatched = sums("kl_logits", "kl_") - sums("ref_kl_logits", "kl_");
    let kl = oracle::mean_kl(mismatched.view());
    let losses = oracle::kto(
        ratios.view(),
        case.flags("labels").view(),
        kl,
        case.config("beta"),
        kto_weights(case),
    );
    reduced(losses, vec![("kl", Array1::from_elem(1, kl))])
}
