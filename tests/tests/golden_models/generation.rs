//! Greedy generation with the key/value cache.

use anyhow::{Context, Result};
use burn::tensor::Device;
use eurus_models::generate::{Continuation, Finish, Flow, Generator, Prompt, SamplingParams};
use eurus_models::{Decoder, ForestBatch};
use eurus_tests::report::Report;
use eurus_train::log_probs::target_log_probs;
use token_forest::{PackedForest, TokenTree};

use super::language_model::CHUNK;
use super::schema::Generated;
use super::subject::Subject;

pub fn check(subject: &Subject, model: &Decoder, report: &mut Report) -> Result<()> {
    let Some(generate) = &subject.expected.generate else {
        return Ok(());
    };
    // Where two tokens are closer than the logits may be off, either may be chosen.
    let margin = 2.0 * subject.expected.tolerance.of("logits_abs")?;
    let (clear, tied): (Vec<&Generated>, Vec<&Generated>) = generate
        .rows
        .iter()
        .partition(|row| row.min_top1_margin_f64 > margin);
    if !tied.is_empty() {
        report.note(format_args!(
            "{} prompts have ties and are not generated",
            tied.len()
        ));
    }
    let params = SamplingParams::greedy(generate.max_new_tokens);
    let prompts: Vec<Prompt> = clear.iter().map(|row| prompt(row)).collect();
    let together =
        Generator::new(model, Vec::new()).generate(&prompts, &params, &mut |_| Flow::Continue)?;
    for (row, samples) in clear.iter().zip(&together) {
        let place = format!("prompt of {} tokens", row.prompt_ids.len());
        let continuation = samples.first().context("one sample was asked for")?;
        report.same("greedy tokens", &place, &continuation.tokens, &row.new_ids);
        report.same(
            "greedy tokens",
            &place,
            &continuation.finish,
            &Finish::Length,
        );
        check_log_probs(subject, model, row, continuation, report)?;

        let Some(stop) = &row.stop_example else {
            continue;
        };
        let alone = Generator::new(model, vec![stop.eos_token_id]);
        let samples = alone.generate(&[prompt(row)], &params, &mut |_| Flow::Continue)?;
        let continuation = samples.first().and_then(|samples| samples.first());
        let continuation = continuation.context("one sample was asked for")?;
        // The reference counts the stop token among the new ones.
        let mut tokens = continuation.tokens.clone();
        tokens.push(stop.eos_token_id);
        report.same("greedy up to a stop token", &place, &tokens, &stop.new_ids);
        report.same(
            "greedy up to a stop token",
            &place,
            &continuation.finish,
            &Finish::Stop,
        );
        let counted = continuation.log_probs.len();
        report.same(
            "greedy up to a stop token",
            &place,
            &counted,
            &stop.new_ids.len(),
        );
    }
    Ok(())
}

fn prompt(row: &Generated) -> Prompt {
    Prompt::new(row.prompt_ids.clone(), 1, 0)
}

/// The log-probs noted down while decoding are those of a pass without cache.
fn check_log_probs(
    subject: &Subject,
    model: &Decoder,
    row: &Generated,
    continuation: &Continuation,
    report: &mut Report,
) -> Result<()> {
    let mut tree = TokenTree::new(row.prompt_ids.clone(), false);
    tree.push(0, continuation.tokens.clone(), true);
    let batch = ForestBatch::new(PackedForest::from_trees([&tree])?, &Device::flex());
    let packed: Vec<f64> = target_log_probs(model, &batch, CHUNK)
        .into_data()
        .iter()
        .collect();
    let limit = subject.expected.tolerance.of("token_logprob_abs")?;
    let place = format!("prompt of {} tokens", row.prompt_ids.len());
    let decoded = continuation.log_probs.iter().copied();
    report.all_close("log-probs while decoding", place, decoded, &packed, limit);
    Ok(())
}
