//! Cases that look at tokens or hidden states beside a loss of pairs.

use ndarray::{Array1, Array2, Array3, Axis, Ix2, s};
use pref_losses::oracle::{self, LogRatios};

use super::case::{Case, Values};
use super::losses::{is_per_token, mean, pair_losses, reduced, rewards};

/// A response of each pair, token by token.
struct Response {
    policy: Array2<f64>,
    reference: Array2<f64>,
    mask: Array2<bool>,
    /// `log sum_v p(v)^2`, where the loss weighs pairs.
    squares: Option<Array2<f64>>,
}

impl Response {
    fn counts(&self) -> Array1<usize> {
        oracle::part_counts(self.mask.view())
    }

    fn weights(&self) -> Array1<f64> {
        let squares = self.squares.as_ref().expect("sums of squares");
        oracle::wpo_weights(self.policy.view(), squares.view(), self.mask.view())
    }

    /// Log-ratio of the response, with `alpha` for tokens beyond the shared ones.
    fn ratio(&self, shared: &Array1<usize>, alpha: f64) -> Array1<f64> {
        let sum = |tokens: &Array2<f64>| {
            oracle::length_desensitized(tokens.view(), self.mask.view(), shared.view(), alpha)
        };
        sum(&self.policy) - sum(&self.reference)
    }
}

pub fn token_pairs(case: &Case<'_>) -> Values {
    let responses = |case: &Case<'_>| {
        ["chosen", "rejected"].map(|side| {
            let squares = format!("{side}_log_sum_sq");
            Response {
                policy: case.matrix(&format!("policy_{side}_tokens")),
                reference: case.matrix(&format!("ref_{side}_tokens")),
                mask: case.flags(&format!("{side}_mask")),
                squares: case.has("inputs", &squares).then(|| case.matrix(&squares)),
            }
        })
    };
    values(case, &responses(case), &responses(&case.unmoved()))
}

pub fn end_to_end(case: &Case<'_>) -> Values {
    let responses = |case: &Case<'_>| {
        let mut labels = case.ids("input_ids");
        labels.zip_mut_with(&case.flags::<Ix2>("mask"), |label, &counts| {
            if !counts {
                *label = -100;
            }
        });
        let scores =
            |logits: &Array3<f64>| oracle::next_token_log_probs(logits.view(), labels.view());
        let logits = case.cube("logits");
        let (policy, mask) = scores(&logits);
        let (reference, _) = scores(&case.cube("ref_logits"));
        let squares = oracle::token_log_sum_squares(logits.slice(s![.., ..-1, ..]));
        let pairs = policy.nrows() / 2;
        [0..pairs, pairs..2 * pairs].map(|rows| {
            let rows = s![rows, ..];
            Response {
                policy: policy.slice(rows).to_owned(),
                reference: reference.slice(rows).to_owned(),
                mask: mask.slice(rows).to_owned(),
                squares: Some(squares.slice(rows).to_owned()),
            }
        })
    };
    values(case, &responses(case), &responses(&case.unmoved()))
}

/// Weights are constants: those of the case as it is.
fn values(
    case: &Case<'_>,
    [chosen, rejected]: &[Response; 2],
    [fixed_chosen, fixed_rejected]: &[Response; 2],
) -> Values {
    let [c, r] = [chosen.counts(), rejected.counts()];
    let shared = Array1::from_iter(c.iter().zip(&r).map(|(c, r)| *c.min(r)));
    let alpha = case.config_or("ld_alpha", 1.0);
    let ratios = LogRatios::new(chosen.ratio(&shared, alpha), rejected.ratio(&shared, alpha));
    let (chosen_rewards, rejected_rewards) = ratios.rewards(case.config("beta"));
    let is_capped = case.loss().contains("capped");
    let loss = if is_capped {
        "cdpo"
    } else {
        case.choice("loss_type")
    };
    let scores = if is_per_token(loss) {
        let [c, r] = [c, r].map(|counts| counts.mapv(|count| count as f64));
        ratios.per_token(c.view(), r.view())
    } else {
        ratios
    };
    let losses = pair_losses(case, loss, &scores);
    let mut rest = rewards(chosen_rewards, rejected_rewards);
    if !case.loss().contains("wpo") {
        return reduced(losses, rest);
    }
    let [chosen, rejected] = [fixed_chosen.weights(), fixed_rejected.weights()];
    let mut weights = &chosen * &rejected;
    if is_capped {
        weights.mapv_inplace(|weight| weight.min(1.0));
    }
    let losses = losses * &weights;
    rest.push(("chosen_weights", chosen));
    rest.push(("rejected_weights", rejected));
    rest.push(("weights", weights));
    reduced(losses, rest)
}

/// Bradley-Terry with weights that are constants.
pub fn weighted_rewards(case: &Case<'_>) -> Values {
    let distances = |case: &Case<'_>| {
        let apart = case.matrix("chosen_hidden") - case.matrix("rejected_hidden");
        apart.map_axis(Axis(1), |row| row.dot(&row).sqrt())
    };
    let [chosen, rejected] = ["chosen", "rejected"].map(|side| {
        if case.has("inputs", "score_weight") {
            let hidden = case.matrix(&format!("{side}_hidden"));
            hidden.dot(&case.vector("score_weight"))
        } else {
            case.vector(&format!("{side}_rewards"))
        }
    });
    let fixed = distances(&case.unmoved());
    let (average, epsilon) = (case.config("ema"), case.config("eps"));
    let (c, r) = (chosen.view(), rejected.view());
    let losses = oracle::norm_bt(c, r, fixed.view(), average, epsilon);
    let plain = oracle::bradley_terry(c, r, None);
    let decay = case.config("ema_decay");
    let next = decay * average + (1.0 - decay) * mean(&fixed);
    let mut rest = rewards(chosen, rejected);
    rest.push(("bt_losses", plain));
    rest.push((
        "weights",
        fixed.mapv(|distance| average / (distance + epsilon)),
    ));
    rest.push(("distances", fixed));
    rest.push(("ema_next", Array1::from_elem(1, next)));
    reduced(losses, rest)
}
