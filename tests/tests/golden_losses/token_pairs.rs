//! Losses over pairs that look at tokens: WPO's weights, LD-DPO's sums.

use burn::tensor::{Bool, Int, Tensor};
use pref_losses::linear_log_probs::linear_log_probs_with_squares;
use pref_losses::log_probs::log_weights;
use pref_losses::log_probs::{
    IGNORE_INDEX, next_token_log_probs, token_counts, token_log_sum_squares,
};
use pref_losses::{
    LdDpoConfig, PairContext, PairLengths, PairLogWeights, PairOutput, PairParts,
    PreferenceLossConfig, PreferenceSums, ResponseParts, WpoConfig,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;
use super::configs;

/// A response of each pair, token by token.
struct Response {
    tokens: ResponseParts,
    /// `log sum_v p(v)^2` of the policy, where the loss weighs pairs.
    log_sum_squares: Option<Tensor<2>>,
}

impl Response {
    fn log_weights(&self) -> Result<Tensor<1>, String> {
        let squares = self.log_sum_squares.clone().ok_or("no sums of squares")?;
        let ResponseParts { policy, mask, .. } = self.tokens.clone();
        Ok(log_weights(policy, squares, mask))
    }
}

/// A case whose inputs are log-probs of tokens.
pub fn run(case: &Case<'_>) -> Result<Run, String> {
    let chosen = case.leaf::<2>("policy_chosen_tokens");
    let rejected = case.leaf::<2>("policy_rejected_tokens");
    let response = |policy: &Tensor<2>, side: &str| {
        let squares = format!("{side}_log_sum_sq");
        Response {
            tokens: ResponseParts {
                policy: policy.clone(),
                reference: case.input(&format!("ref_{side}_tokens")),
                mask: case.flags(&format!("{side}_mask")),
            },
            log_sum_squares: case
                .has("inputs", &squares)
                .then(|| case.input(squares.as_str())),
        }
    };
    let (values, loss) = values(
        case,
        response(&chosen, "chosen"),
        response(&rejected, "rejected"),
    )?;
    let gradients = loss.backward();
    let grads = vec![
        ("policy_chosen_tokens", gradient(&chosen, &gradients)),
        ("policy_rejected_tokens", gradient(&rejected, &gradients)),
    ];
    Ok(Run { values, grads })
}

/// A case whose inputs are logits: once from them, once through the linear operation.
pub fn run_end_to_end(case: &Case<'_>) -> Result<Vec<Run>, String> {
    [from_logits, from_hidden_states]
        .into_iter()
        .map(|scores| {
            let logits = case.leaf::<3>("logits");
            let (policy, mask, log_sum_squares) = scores(case, logits.clone());
            let (reference, ..) = scores(case, case.input("ref_logits"));
            let pairs = logits.dims()[0] / 2;
            let response = |start: usize| Response {
                tokens: ResponseParts {
                    policy: policy.clone().narrow(0, start, pairs),
                    reference: reference.clone().narrow(0, start, pairs),
                    mask: mask.clone().narrow(0, start, pairs),
                },
                log_sum_squares: Some(log_sum_squares.clone().narrow(0, start, pairs)),
            };
            let (values, loss) = values(case, response(0), response(pairs))?;
            let grads = vec![("logits", gradient(&logits, &loss.backward()))];
            Ok(Run { values, grads })
        })
        .collect()
}

/// What is compared with the file, and the reduced loss.
type Outcome = (Vec<(&'static str, Vec<f64>)>, Tensor<1>);

type Scores = (Tensor<2>, Tensor<2, Bool>, Tensor<2>);

/// The ids that count, and `IGNORE_INDEX` elsewhere.
fn labels(case: &Case<'_>) -> Tensor<2, Int> {
    let ignored = case.flags::<2>("mask").bool_not();
    case.ints("input_ids").mask_fill(ignored, IGNORE_INDEX)
}

/// Log-probs of the tokens after the first, which of them count, and the policy's own expectation.
fn from_logits(case: &Case<'_>, logits: Tensor<3>) -> Scores {
    let [_, tokens, _] = logits.dims();
    let (log_probs, mask) = next_token_log_probs(logits.clone(), labels(case));
    let squares = token_log_sum_squares(logits.narrow(1, 0, tokens - 1));
    (log_probs, mask, squares)
}

/// The same, the logits being hidden states and the weight the identity.
fn from_hidden_states(case: &Case<'_>, logits: Tensor<3>) -> Scores {
    let [sequences, tokens, vocab] = logits.dims();
    let labels = labels(case).narrow(1, 1, tokens - 1);
    let ignored = labels.clone().lower_elem(0);
    let places = sequences * (tokens - 1);
    let hidden = logits.narrow(1, 0, tokens - 1).reshape([places, vocab]);
    let targets = labels.mask_fill(ignored.clone(), 0).reshape([places]);
    let weight = Tensor::<2>::eye(vocab, case.device);
    let (log_probs, squares) = linear_log_probs_with_squares(hidden, weight, targets, 3);
    let square = [sequences, tokens - 1];
    (
        log_probs.reshape(square),
        ignored.bool_not(),
        squares.reshape(square),
    )
}

/// Runs the loss, with what the case asks for around it.
fn values(case: &Case<'_>, chosen: Response, rejected: Response) -> Result<Outcome, String> {
    let alpha = case.setting("ld_alpha").unwrap_or(1.0);
    let desensitized = LdDpoConfig {
        alpha,
        loss: Box::new(configs::paired(case)?),
    };
    let mut config = PreferenceLossConfig::LdDpo(desensitized.clone());
    let mut values = Vec::new();
    let mut log_weights = None;
    if case.loss().contains("wpo") {
        let cap = case.loss().contains("capped").then_some(1.0);
        let weighted = WpoConfig {
            cap,
            loss: Box::new(config),
        };
        let of_pairs = PairLogWeights {
            chosen: chosen.log_weights()?,
            rejected: rejected.log_weights()?,
        };
        let wpo = weighted.init().map_err(|error| error.to_string())?;
        let [of_chosen, of_rejected] = [&of_pairs.chosen, &of_pairs.rejected];
        values.extend([
            ("weights", read(&wpo.weights(&of_pairs))),
            ("chosen_weights", read(&of_chosen.clone().exp())),
            ("rejected_weights", read(&of_rejected.clone().exp())),
        ]);
        log_weights = Some(of_pairs);
        config = PreferenceLossConfig::Wpo(weighted);
    }
    let lengths = |of: &Response| token_counts(of.tokens.mask.clone());
    let context = PairContext {
        lengths: Some(PairLengths {
            chosen: lengths(&chosen),
            rejected: lengths(&rejected),
        }),
        tokens: Some(PairParts {
            chosen: chosen.tokens.clone(),
            rejected: rejected.tokens.clone(),
        }),
        log_weights,
        ..PairContext::default()
    };
    let sums = LdDpoConfig {
        alpha: 1.0,
        ..desensitized
    }
    .init();
    let sums = sums.map_err(|error| error.to_string())?;
    let log_probs = sums.log_probs(chosen.tokens, rejected.tokens);
    let output: PairOutput = config
        .init()
        .and_then(|loss| loss.forward(log_probs.clone(), &context))
        .map_err(|error| error.to_string())?;
    let stats = PreferenceSums::of_pairs(&output, &log_probs).read();
    let reduced = output.losses.clone().mean();
    values.extend([
        ("loss", read(&reduced)),
        ("losses", read(&output.losses)),
        ("chosen_rewards", read(&output.chosen_rewards)),
        ("rejected_rewards", read(&output.rejected_rewards)),
        ("reward_accuracy", stats.accuracy.into_iter().collect()),
        ("reward_margin", vec![stats.margin]),
    ]);
    Ok((values, reduced))
}
