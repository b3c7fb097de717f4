//! Losses from rewards and log-probs.

use burn::tensor::Tensor;
use pref_losses::{
    BradleyTerryConfig, DpoConfig, HingeConfig, IpoConfig, KlEstimate, KtoConfig, LabelSmoothing,
    Ldr, NcaConfig, NcaKConfig, PairLengths, PairLogProbs, PairOutput, PairSums, ResponseLogProbs,
    ResponseOutput, RewardSums, UltraInteractRewardConfig, UnpairedLogProbs,
};

use crate::case::{Case, Run, grad, read};
use crate::tokens;

pub fn run(case: &Case<'_>) -> Vec<Run> {
    let loss = case.loss();
    match loss {
        _ if loss.starts_with("rm_") => vec![reward(case, loss)],
        "dpo" | "cdpo" | "robust" | "ipo" | "ipo_sum" | "hinge" | "nca_pair" | "sigmoid_norm" => {
            vec![pair(case, loss)]
        }
        "nca_k" | "infonca_k" => vec![responses(case, loss)],
        "kto_trl" | "kto_halos" | "kto_apo_zero_unpaired" => kto(case, loss),
        "token_logps" => vec![
            tokens::tokens(case),
            tokens::linear_tokens(case, false),
            tokens::linear_tokens(case, true),
        ],
        "batch_logps" | "sft_ce" => vec![tokens::causal(case, loss)],
        "e2e_dpo" => tokens::end_to_end_pairs(case).into_iter().collect(),
        "e2e_kto" => vec![tokens::end_to_end_kto(case)],
        _ => panic!("{}: unknown loss {loss}", case.name()),
    }
}

fn reward(case: &Case<'_>, loss: &str) -> Run {
    let chosen = case.leaf::<1>("chosen_rewards");
    let rejected = case.leaf::<1>("rejected_rewards");
    let (c, r) = (chosen.clone(), rejected.clone());
    let plain = BradleyTerryConfig::new().init().unwrap();
    let both = UltraInteractRewardConfig::new().init().unwrap();
    let losses = match loss {
        "rm_bt" if case.has("inputs", "margin") => {
            plain.forward_with_margin(c, r, case.input("margin"))
        }
        "rm_bt" => plain.forward(c, r),
        "rm_bt_centered" => BradleyTerryConfig::new()
            .with_center_coefficient(case.config("center_coef"))
            .init()
            .unwrap()
            .forward(c, r),
        "rm_ldr" => Ldr.forward(c, r),
        "rm_ultrainteract" => both.forward(c, r),
        "rm_ultrainteract_mixed" => both.forward_mixed(c, r, case.flags("is_ultrainteract")),
        _ => panic!("unknown loss {loss}"),
    };
    let reduced = losses.clone().mean();
    // The file's per-pair losses leave the centering penalty out.
    let per_pair = if loss == "rm_bt_centered" {
        plain.forward(chosen.clone(), rejected.clone())
    } else {
        losses
    };
    let mut values = vec![("loss", read(&reduced)), ("losses", read(&per_pair))];
    if case.has("expected", "reward_accuracy") {
        let stats = RewardSums::of(&per_pair, &chosen, &rejected).read();
        values.push(("reward_accuracy", vec![stats.accuracy]));
        values.push(("reward_margin", vec![stats.margin]));
    }
    let gradients = reduced.backward();
    let grads = vec![
        ("chosen_rewards", grad(&chosen, &gradients)),
        ("rejected_rewards", grad(&rejected, &gradients)),
    ];
    Run { values, grads }
}

pub fn pair_loss(
    case: &Case<'_>,
    loss: &str,
    log_probs: PairLogProbs,
    lengths: Option<PairLengths>,
) -> PairOutput {
    let beta = case.config("beta");
    let dpo = DpoConfig::new().with_beta(beta);
    match loss {
        "dpo" | "sigmoid" => dpo.init().unwrap().forward(log_probs),
        "cdpo" | "robust" => {
            let smoothing = if loss == "cdpo" {
                LabelSmoothing::Conservative
            } else {
                LabelSmoothing::Robust
            };
            let dpo = dpo
                .with_label_smoothing(case.config("label_smoothing"))
                .with_smoothing(smoothing);
            dpo.init().unwrap().forward(log_probs)
        }
        "sigmoid_norm" => dpo
            .init()
            .unwrap()
            .forward_per_token(log_probs, lengths.unwrap()),
        "ipo_sum" => IpoConfig::new()
            .with_beta(beta)
            .init()
            .unwrap()
            .forward(log_probs),
        "ipo" => IpoConfig::new()
            .with_beta(beta)
            .init()
            .unwrap()
            .forward_per_token(log_probs, lengths.unwrap()),
        "hinge" => HingeConfig::new()
            .with_beta(beta)
            .init()
            .unwrap()
            .forward(log_probs),
        "nca_pair" => NcaConfig::new()
            .with_beta(beta)
            .init()
            .unwrap()
            .forward(log_probs),
        _ => panic!("unknown loss {loss}"),
    }
}

fn pair(case: &Case<'_>, loss: &str) -> Run {
    let policy_chosen = case.leaf::<1>("policy_chosen");
    let policy_rejected = case.leaf::<1>("policy_rejected");
    let log_probs = PairLogProbs {
        policy_chosen: policy_chosen.clone(),
        policy_rejected: policy_rejected.clone(),
        reference_chosen: case.input("ref_chosen"),
        reference_rejected: case.input("ref_rejected"),
    };
    let lengths = case.has("inputs", "chosen_len").then(|| PairLengths {
        chosen: case.input("chosen_len"),
        rejected: case.input("rejected_len"),
    });
    let output = pair_loss(case, loss, log_probs.clone(), lengths);
    let mut values = pair_values(&output);
    if case.has("expected", "reward_accuracy") {
        let stats = PairSums::of(&output, &log_probs).read();
        values.push(("reward_accuracy", vec![stats.accuracy]));
        values.push(("reward_margin", vec![stats.margin]));
    }
    let gradients = output.losses.mean().backward();
    let grads = vec![
        ("policy_chosen", grad(&policy_chosen, &gradients)),
        ("policy_rejected", grad(&policy_rejected, &gradients)),
    ];
    Run { values, grads }
}

pub fn pair_values(output: &PairOutput) -> Vec<(&'static str, Vec<f64>)> {
    vec![
        ("loss", read(&output.losses.clone().mean())),
        ("losses", read(&output.losses)),
        ("chosen_rewards", read(&output.chosen_rewards)),
        ("rejected_rewards", read(&output.rejected_rewards)),
    ]
}

fn responses(case: &Case<'_>, loss: &str) -> Run {
    let policy = case.leaf::<2>("policy");
    let config = NcaKConfig::new()
        .with_beta(case.config("beta"))
        .with_temperature(case.config("temperature"))
        .with_first_bonus(case.config("first_bonus"));
    let log_probs = ResponseLogProbs {
        policy: policy.clone(),
        reference: case.input("ref"),
        scores: case.input("scores"),
    };
    let ResponseOutput { losses, rewards } = match loss {
        "nca_k" => config.init_nca().unwrap().forward(log_probs),
        _ => config.init_info_nca().unwrap().forward(log_probs),
    };
    let reduced = losses.clone().mean();
    let values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&losses)),
        ("rewards", read(&rewards)),
    ];
    Run {
        values,
        grads: vec![("policy", grad(&policy, &reduced.backward()))],
    }
}

pub fn kto_config(case: &Case<'_>, kl: KlEstimate) -> pref_losses::Kto {
    let config = KtoConfig::new().with_beta(case.config("beta")).with_kl(kl);
    config
        .with_desirable_weight(case.config("desirable_weight"))
        .with_undesirable_weight(case.config("undesirable_weight"))
        .init()
        .unwrap()
}

/// Unpaired, and once more from pairs where the case was made from pairs.
fn kto(case: &Case<'_>, loss: &str) -> Vec<Run> {
    let kto = kto_config(
        case,
        match loss {
            "kto_trl" => KlEstimate::Mean,
            "kto_halos" => KlEstimate::NonZeroMean,
            _ => KlEstimate::Zero,
        },
    );
    let policy = case.leaf::<1>("policy");
    let reference = case.input::<1>("ref");
    let mismatched = if case.has("inputs", "policy_kl") {
        "_kl"
    } else {
        ""
    };
    let kl = kto.kl(
        case.input(&format!("policy{mismatched}")),
        case.input(&format!("ref{mismatched}")),
    );
    let log_probs = UnpairedLogProbs {
        policy: policy.clone(),
        reference: reference.clone(),
        desirable: case.flags("labels"),
    };
    let output = kto.forward(log_probs, kl.clone());
    let scale = if loss == "kto_halos" {
        1.0 / case.config("beta")
    } else {
        1.0
    };
    let rewards: Vec<f64> = read(&output.rewards)
        .iter()
        .map(|reward| reward * scale)
        .collect();
    let mut values = vec![
        ("loss", read(&output.losses.clone().mean())),
        ("losses", read(&output.losses)),
        ("rewards", rewards),
    ];
    if case.has("expected", "kl") {
        values.push(("kl", read(&kl)));
    }
    let gradients = output.losses.mean().backward();
    let mut runs = vec![Run {
        values,
        grads: vec![("policy", grad(&policy, &gradients))],
    }];

    let labels = case.array("inputs", "labels");
    let rows = |wanted: f64| -> Vec<i32> {
        (0..labels.len())
            .filter(|&i| labels[i] == wanted)
            .map(|i| i as i32)
            .collect()
    };
    let (chosen, rejected) = (rows(1.0), rows(0.0));
    if chosen.len() == rejected.len() {
        let pick = |from: &Tensor<1>, rows: &[i32]| {
            from.clone()
                .select(0, Tensor::from_data(rows, &case.device))
        };
        let policy = case.leaf::<1>("policy");
        let output = kto.forward_pairs(
            PairLogProbs {
                policy_chosen: pick(&policy, &chosen),
                policy_rejected: pick(&policy, &rejected),
                reference_chosen: pick(&reference, &chosen),
                reference_rejected: pick(&reference, &rejected),
            },
            kl,
        );
        let reduced = output.losses.mean();
        let values = vec![("loss", read(&reduced))];
        runs.push(Run {
            values,
            grads: vec![("policy", grad(&policy, &reduced.backward()))],
        });
    }
    runs
}
