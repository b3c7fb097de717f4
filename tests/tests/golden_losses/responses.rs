//! Losses over K responses with scores.

use pref_losses::{NcaKConfig, ResponseLogProbs, ResponseOutput};

use super::case::{Case, gradient, read};
use super::comparison::Run;

pub fn run(case: &Case<'_>) -> Run {
    let policy = case.leaf::<2>("policy");
    let config = NcaKConfig {
        beta: case.setting("beta").expect("beta"),
        temperature: case.setting("temperature").unwrap_or(1.0),
        first_bonus: case.setting("first_bonus").unwrap_or(0.0),
    };
    let log_probs = ResponseLogProbs {
        policy: policy.clone(),
        reference: case.input("ref"),
        scores: case.input("scores"),
    };
    let ResponseOutput { losses, rewards } = match case.loss() {
        "nca_k" => config.init_nca().expect("a valid case").forward(log_probs),
        _ => config
            .init_info_nca()
            .expect("a valid case")
            .forward(log_probs),
    };
    let reduced = losses.clone().mean();
    let values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&losses)),
        ("rewards", read(&rewards)),
    ];
    Run {
        values,
        grads: vec![("policy", gradient(&policy, &reduced.backward()))],
    }
}
