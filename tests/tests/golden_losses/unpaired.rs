//! KTO and its kin over responses with a verdict.

use burn::tensor::Tensor;
use pref_losses::{
    KlEstimate, KtoConfig, PairContext, PairLogProbs, PreferenceLossConfig, UnpairedApoZeroConfig,
    UnpairedContext, UnpairedLogProbs, UnpairedLossConfig,
};

use super::case::{Case, gradient, read};
use super::comparison::Run;

pub fn kto_config(case: &Case<'_>, kl: KlEstimate) -> Result<KtoConfig, String> {
    Ok(KtoConfig {
        beta: case.number("beta")?,
        desirable_weight: case.setting("desirable_weight").unwrap_or(1.0),
        undesirable_weight: case.setting("undesirable_weight").unwrap_or(1.0),
        kl,
    })
}

fn kl_estimate(case: &Case<'_>) -> KlEstimate {
    match case.loss() {
        "kto_trl" => KlEstimate::Mean,
        "kto_halos" => KlEstimate::NonZeroMean,
        _ => KlEstimate::Zero,
    }
}

fn config(case: &Case<'_>) -> Result<UnpairedLossConfig, String> {
    let kto = kto_config(case, kl_estimate(case))?;
    Ok(if kto.kl == KlEstimate::Zero {
        UnpairedLossConfig::ApoZero(UnpairedApoZeroConfig {
            beta: kto.beta,
            desirable_weight: kto.desirable_weight,
            undesirable_weight: kto.undesirable_weight,
        })
    } else {
        UnpairedLossConfig::Kto(kto)
    })
}

/// Unpaired, and once more from pairs where there are as many of one kind as of the other.
pub fn run(case: &Case<'_>) -> Result<Vec<Run>, String> {
    let loss = config(case)?.init().map_err(|error| error.to_string())?;
    let policy = case.leaf::<1>("policy");
    let reference = case.input::<1>("ref");
    let kl = if loss.needs().kl {
        loss.kl(case.input("policy_kl"), case.input("ref_kl"))
    } else {
        None
    };
    let log_probs = UnpairedLogProbs {
        policy: policy.clone(),
        reference: reference.clone(),
        desirable: case.flags("labels"),
    };
    let context = UnpairedContext {
        kl: kl.clone(),
        ..UnpairedContext::default()
    };
    let output = loss
        .forward(log_probs, &context)
        .map_err(|error| error.to_string())?;
    let rewards = if case.loss() == "kto_halos" {
        output.rewards.div_scalar(case.number("beta")?)
    } else {
        output.rewards
    };
    let reduced = output.losses.clone().mean();
    let mut values = vec![
        ("loss", read(&reduced)),
        ("losses", read(&output.losses)),
        ("rewards", read(&rewards)),
    ];
    if let Some(kl) = &kl {
        values.push(("kl", read(kl)));
    }
    let grads = vec![("policy", gradient(&policy, &reduced.backward()))];
    let mut runs = vec![Run { values, grads }];
    runs.extend(run_from_pairs(case, &reference, kl)?);
    Ok(runs)
}

fn run_from_pairs(
    case: &Case<'_>,
    reference: &Tensor<1>,
    kl: Option<Tensor<1>>,
) -> Result<Option<Run>, String> {
    let labels = case.array("labels");
    let rows = |wanted: f64| -> Vec<i32> {
        (0..labels.len())
            .filter(|&row| labels[row] == wanted)
            .map(|row| row as i32)
            .collect()
    };
    let (chosen, rejected) = (rows(1.0), rows(0.0));
    if chosen.len() != rejected.len() {
        return Ok(None);
    }
    let pick = |from: &Tensor<1>, rows: &[i32]| {
        let rows = Tensor::from_data(rows, case.device);
        from.clone().select(0, rows)
    };
    let policy = case.leaf::<1>("policy");
    let loss = PreferenceLossConfig::Kto(kto_config(case, kl_estimate(case))?)
        .init()
        .map_err(|error| error.to_string())?;
    let log_probs = PairLogProbs {
        policy_chosen: pick(&policy, &chosen),
        policy_rejected: pick(&policy, &rejected),
        reference_chosen: pick(reference, &chosen),
        reference_rejected: pick(reference, &rejected),
    };
    let context = PairContext {
        kl,
        ..PairContext::default()
    };
    let output = loss
        .forward(log_probs, &context)
        .map_err(|error| error.to_string())?;
    let reduced = output.losses.mean();
    Ok(Some(Run {
        values: vec![("loss", read(&reduced))],
        grads: vec![("policy", gradient(&policy, &reduced.backward()))],
    }))
}
