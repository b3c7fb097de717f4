//! Language models: logits, log-probs, hidden states and gradients.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eurus_models::layers::load_balancing_loss;
use eurus_models::{Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel, ops};
use eurus_tests::report::Report;
use eurus_train::log_probs::target_log_probs;

use super::gradients::{self, Section};
use super::rows::{Row, by_row, pack};
use super::schema::{Case, Top};
use super::subject::Subject;
use super::{packed_trees, rows, training};

/// Positions whose logits exist at a time: few, so that every batch has several chunks.
pub const CHUNK: usize = 7;

pub fn check(
    subject: &Subject,
    model: &Decoder,
    config: &DecoderConfig,
    report: &mut Report,
) -> Result<()> {
    for case in &subject.expected.cases {
        check_case(subject, model, case, report).with_context(|| format!("case {}", case.id))?;
    }
    check_hidden(subject, model.model.clone(), config, "logits_abs", report)?;
    check_router(subject, model, report)?;
    let trainable = model.clone().train();
    if let Some(expected) = &subject.expected.grad_sum_logprob {
        let batch = expected
            .batch
            .as_deref()
            .context("grad_sum_logprob names no batch")?;
        let batch_rows = subject.rows_of(batch)?;
        let device = Device::flex().autodiff();
        let loss = negative_log_prob(&trainable, &batch_rows, &device)?;
        let section = Section {
            check: "gradient of log-prob",
            place: batch,
            stored: "grad_sum_logprob",
            expected,
            tolerance: &subject.expected.tolerance,
        };
        gradients::check(subject, &section, &trainable, loss, report)?;
    }
    packed_trees::check_log_probs(subject, &trainable, report)?;
    training::check_language_model(subject, model, report)
}

/// Minus the log-prob of all counted tokens.
pub fn negative_log_prob(model: &Decoder, rows: &[Row], device: &Device) -> Result<Tensor<1>> {
    let batch = ForestBatch::new(pack(rows)?, device);
    Ok(target_log_probs(model, &batch, CHUNK).sum().neg())
}

pub fn check_case(
    subject: &Subject,
    model: &Decoder,
    case: &Case,
    report: &mut Report,
) -> Result<()> {
    let tolerance = &subject.expected.tolerance;
    let rows = rows::rows(case);
    let forest = pack(&rows)?;
    let positions: Vec<u32> = rows.iter().flat_map(|row| row.positions.clone()).collect();
    report.same("positions", &case.id, &forest.positions, &positions);

    let batch = ForestBatch::new(forest, &Device::flex());
    let logits = ops::project(model.hidden_states(&batch), model.output_weight());
    let vocab = logits.dims()[1];
    let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let per_row = by_row(&logits, &rows, |row| row.tokens.len() * vocab);
    let limit = tolerance.of("logits_abs")?;
    let expected = subject.per_token(case, "logits");
    if expected.is_none() {
        report.note(format_args!(
            "case {}: no logits are stored, only the largest",
            case.id
        ));
    }
    for (row, (got, expected)) in per_row
        .iter()
        .zip(expected.into_iter().flatten())
        .enumerate()
    {
        for (token, (got, expected)) in got.chunks(vocab).zip(expected).enumerate() {
            let place = format!("{} row {row} token {token}", case.id);
            report.all_close("logits", place, got.iter().copied(), expected, limit);
        }
    }
    for (row, (got, top)) in per_row
        .iter()
        .zip(case.last_top5.iter().flatten())
        .enumerate()
    {
        let last = &got[got.len() - vocab..];
        check_top(&format!("{} row {row}", case.id), last, top, limit, report);
    }

    let log_probs: Vec<f32> = target_log_probs(model, &batch, CHUNK)
        .into_data()
        .iter()
        .collect();
    let per_row = by_row(&log_probs, &rows, Row::counted_tokens);
    let token_limit = tolerance.of("token_logprob_abs")?;
    let sum_limit = tolerance.of("sum_logprob_abs")?;
    let tokens = case
        .token_logprobs_f64
        .as_ref()
        .context("no token_logprobs_f64")?;
    let sums = case
        .sum_logprob_f64
        .as_ref()
        .context("no sum_logprob_f64")?;
    for (row, got) in per_row.iter().enumerate() {
        let place = format!("{} row {row}", case.id);
        report.all_close(
            "token log-probs",
            &place,
            got.iter().copied(),
            &tokens[row],
            token_limit,
        );
        let sum: f64 = got.iter().map(|&log_prob| f64::from(log_prob)).sum();
        report.close("sum log-probs", &place, sum, sums[row], sum_limit);
    }
    if let Some(expected) = case.mean_ce_loss_f64 {
        let sum: f64 = log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
        let mean = -sum / log_probs.len() as f64;
        report.close(
            "cross-entropy",
            &case.id,
            mean,
            expected,
            tolerance.of("loss_abs")?,
        );
    }
    Ok(())
}

/// The likeliest tokens have the expected logits and no other token is likelier.
pub fn check_top(place: &str, logits: &[f32], top: &Top, limit: f64, report: &mut Report) {
    let got: Vec<f32> = top.ids.iter().map(|&id| logits[id]).collect();
    report.all_close("top logits", place, got, &top.logits_f64, limit);
    let least = top.logits_f64.iter().copied().fold(f64::INFINITY, f64::min);
    let likelier = |(id, &logit): (usize, &f32)| {
        (!top.ids.contains(&id) && f64::from(logit) > least + limit).then_some(id)
    };
    let likelier: Vec<usize> = logits.iter().enumerate().filter_map(likelier).collect();
    report.same(
        "top logits",
        format_args!("{place}, likelier tokens"),
        &likelier,
        &Vec::new(),
    );
}

/// The load-balancing loss of a mixture of experts. The reference was computed in f32, so its own error counts too.
fn check_router(subject: &Subject, model: &Decoder, report: &mut Report) -> Result<()> {
    let Some(mixture) = &subject.expected.mixtral else {
        return Ok(());
    };
    let limit = subject.expected.tolerance.of("logits_abs")?;
    let rows = subject.rows_of("ragged_right")?;
    let output = model
        .model
        .forward(&ForestBatch::new(pack(&rows)?, &Device::flex()));
    let loss = load_balancing_loss(&output.routing).context("no layer has a router")?;
    report.close(
        "load-balancing loss",
        "ragged_right",
        f64::from(loss.into_scalar::<f32>()),
        mixture.router_aux_loss_ragged_right,
        limit,
    );
    Ok(())
}

/// Hidden states after every layer. The library gives them after the last norm only, so a body cut after layer `i` is
/// compared with the norm of what is expected there.
pub fn check_hidden(
    subject: &Subject,
    body: eurus_models::layers::Body,
    config: &DecoderConfig,
    limit: &str,
    report: &mut Report,
) -> Result<()> {
    let limit = subject.expected.tolerance.of(limit)?;
    for case in &subject.expected.cases {
        let stored = |what: &str| subject.stored.contains_key(&format!("{}.{what}", case.id));
        if !stored("hidden.0") {
            continue;
        }
        let rows = rows::rows(case);
        let batch = ForestBatch::new(pack(&rows)?, &Device::flex());
        let mut compare = |what: &str, got: Tensor<2>, expected: Vec<Vec<f64>>| {
            let width = got.dims()[1];
            let got: Vec<f32> = got.into_data().iter::<f32>().collect();
            for (token, (got, expected)) in got.chunks(width).zip(expected).enumerate() {
                let place = format!("{}.{what} token {token}", case.id);
                report.all_close(
                    "hidden states",
                    place,
                    got.iter().copied(),
                    &expected,
                    limit,
                );
            }
        };
        let expected = |what: &str| -> Result<Vec<Vec<f64>>> {
            let states = subject
                .per_token(case, what)
                .with_context(|| what.to_owned())?;
            Ok(states.into_iter().flatten().map(<[f64]>::to_vec).collect())
        };
        let embedded = body
            .embed_tokens
            .weight
            .val()
            .select(0, batch.tokens.clone());
        compare("hidden.0", embedded, expected("hidden.0")?);
        let weight: Vec<f32> = body.norm.weight.val().into_data().iter::<f32>().collect();
        for layers in 1..=config.layers {
            let mut part = body.clone();
            part.layers.truncate(layers);
            let what = format!("hidden.{layers}");
            let states = expected(&what)?;
            let normed = states
                .iter()
                .map(|x| norm(x, &weight, config.rms_norm_epsilon));
            compare(&what, part.forward(&batch).hidden, normed.collect());
        }
        compare(
            "hidden.final",
            body.forward(&batch).hidden,
            expected("hidden.final")?,
        );
    }
    Ok(())
}

fn norm(x: &[f64], weight: &[f32], epsilon: f64) -> Vec<f64> {
    let mean = x.iter().map(|value| value * value).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / (mean + epsilon).sqrt();
    x.iter()
        .zip(weight)
        .map(|(value, &weight)| value * scale * f64::from(weight))
        .collect()
}
