//! Frequencies that depend on lengths: `rope_cases.json`, in the folders that have it.
//!
//! One tree takes one set, by its longest path (`by_tree` there); a row of a batch is a tree (`by_row`). What a longest row
//! or tree decides for all of them (`by_batch`, `by_forest`) is compared by giving every tree that length.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eurus_models::generate::{Flow, Generator, Prompt, SamplingParams};
use eurus_models::rope::Frequencies;
use eurus_models::{Decoder, DecoderConfig, ForestBatch};
use eurus_tests::report::Report;
use eurus_train::log_probs::{node_log_probs, target_log_probs};
use serde::Deserialize;
use token_forest::{PackedForest, TokenTree};

use super::gradients::{self, Section};
use super::language_model::CHUNK;
use super::loading::close_frequencies;
use super::packed_trees::Forest;
use super::schema::{Gradient, Node, Tolerance};
use super::subject::{self, Subject};

#[derive(Deserialize)]
struct RopeCases {
    by_length: Vec<OfLength>,
    batch: Batch,
    forest: Trees,
    calls: Calls,
    generate_across: Across,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
struct OfLength {
    length: usize,
    inv_freq_f64: Vec<f64>,
}

#[derive(Deserialize)]
struct Batch {
    input_ids: Vec<Vec<u32>>,
    attention_mask: Vec<Vec<u8>>,
    by_batch: Decided,
    by_row: Decided,
}

#[derive(Deserialize)]
struct Decided {
    lengths: Vec<u32>,
    token_logprobs_f64: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Trees {
    trees: Vec<Tree>,
    loss: Loss,
}

#[derive(Deserialize)]
struct Tree {
    nodes: Vec<Node>,
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    path: Vec<usize>,
    /// Per way of deciding.
    lengths: BTreeMap<String, u32>,
    token_logprobs_f64: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Loss {
    /// `[tree][branch]`
    weights: Vec<Vec<f64>>,
    by_forest: Gradient,
    by_tree: Gradient,
}

#[derive(Deserialize)]
struct Calls {
    stream: Vec<u32>,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    tokens: usize,
    decided_by: usize,
    sum_logprob_f64: f64,
}

#[derive(Deserialize)]
struct Across {
    prompt_ids: Vec<u32>,
    no_cache: Continued,
}

#[derive(Deserialize)]
struct Continued {
    new_ids: Vec<u32>,
    logprobs_f64: Vec<f64>,
}

pub fn check(
    subject: &Subject,
    model: &Decoder,
    config: &DecoderConfig,
    report: &mut Report,
) -> Result<()> {
    let path = subject.folder.join("rope_cases.json");
    if !path.is_file() {
        return Ok(());
    }
    let cases: RopeCases = subject::json(&path)?;
    let frequencies = Frequencies::new(config);
    for expected in &cases.by_length {
        let got = frequencies.of_length(expected.length);
        let place = format!("{} tokens", expected.length);
        close_frequencies(&place, &got, &expected.inv_freq_f64, report);
    }
    check_batch(&cases, model, report)?;
    check_forest(subject, &cases, &model.clone().train(), report)?;
    check_calls(&cases, model, &frequencies, report)?;
    check_generation(&cases, model, report)
}

/// Log-probs of all tokens but the first of every row, each row with the length that it is given or its own.
fn rows_log_probs(model: &Decoder, rows: &[Vec<u32>], lengths: Option<&[u32]>) -> Result<Vec<f32>> {
    let trees: Vec<TokenTree> = rows
        .iter()
        .map(|row| TokenTree::new(row.clone(), true))
        .collect();
    let mut forest = PackedForest::from_trees(&trees)?;
    if let Some(lengths) = lengths {
        forest.longest_paths = lengths.to_vec();
    }
    let batch = ForestBatch::new(forest, &Device::flex());
    let log_probs = target_log_probs(model, &batch, CHUNK);
    Ok(log_probs.into_data().iter().collect())
}

fn check_batch(cases: &RopeCases, model: &Decoder, report: &mut Report) -> Result<()> {
    let batch = &cases.batch;
    let real = |(ids, mask): (&Vec<u32>, &Vec<u8>)| {
        let tokens = ids.iter().zip(mask).filter(|&(_, &mask)| mask == 1);
        tokens.map(|(&id, _)| id).collect::<Vec<u32>>()
    };
    let rows: Vec<Vec<u32>> = batch
        .input_ids
        .iter()
        .zip(&batch.attention_mask)
        .map(real)
        .collect();
    let own: Vec<u32> = rows.iter().map(|row| row.len() as u32).collect();
    report.same("rope: rows", "lengths", &own, &batch.by_row.lengths);
    let limit = cases.tolerance.of("token_logprob_abs")?;
    for (way, lengths, decided) in [
        ("by row", None, &batch.by_row),
        (
            "by batch",
            Some(batch.by_batch.lengths.as_slice()),
            &batch.by_batch,
        ),
    ] {
        let got = rows_log_probs(model, &rows, lengths)?;
        let expected = decided.token_logprobs_f64.concat();
        report.all_close("rope: rows", way, got, &expected, limit);
    }
    Ok(())
}

fn check_forest(
    subject: &Subject,
    cases: &RopeCases,
    model: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let device = Device::flex().autodiff();
    let trees = &cases.forest.trees;
    let limit = cases.tolerance.of("token_logprob_abs")?;
    for way in ["by_tree", "by_forest"] {
        let mut forest = Forest::new(trees.iter().map(|tree| tree.nodes.as_slice()))?;
        let of_tree = |tree: &Tree| -> Result<u32> {
            let branch = tree.branches.first().context("a tree without branches")?;
            branch.lengths.get(way).copied().context("no such length")
        };
        let lengths = trees.iter().map(of_tree).collect::<Result<Vec<u32>>>()?;
        match way {
            "by_tree" => {
                let own = &forest.packed.longest_paths;
                report.same("rope: trees", "longest paths", own, &lengths);
            }
            _ => forest.packed.longest_paths = lengths,
        }
        let batch = forest.batch(&device);
        let log_probs = target_log_probs(model, &batch, CHUNK);
        let tokens: Vec<f32> = log_probs.into_data().iter().collect();
        let mut weights = vec![0.0; forest.packed.node_count()];
        for (index, (tree, of_branches)) in trees.iter().zip(&cases.forest.loss.weights).enumerate()
        {
            for (branch, &weight) in tree.branches.iter().zip(of_branches) {
                let mut path = Vec::new();
                for &id in &branch.path {
                    let node = forest.node(index, id)?;
                    path.extend_from_slice(&tokens[forest.packed.targets_of(node)]);
                    let is_in_loss = tree.nodes.iter().any(|node| node.id == id && node.in_loss);
                    if is_in_loss {
                        weights[node] += weight as f32;
                    }
                }
                let expected = branch.token_logprobs_f64.get(way).context("no such way")?;
                report.all_close("rope: trees", way, path, expected, limit);
            }
        }
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device);
        let loss = (node_log_probs(model, &batch, CHUNK) * weights).sum().neg();
        let section = Section {
            check: "rope: trees",
            place: way,
            stored: "rope_cases",
            expected: match way {
                "by_tree" => &cases.forest.loss.by_tree,
                _ => &cases.forest.loss.by_forest,
            },
            tolerance: &cases.tolerance,
        };
        gradients::check(subject, &section, model, loss, report)?;
    }
    Ok(())
}

/// Calls of one model, one after the other. The reference remembers greater lengths; here a call is as if it were alone.
fn check_calls(
    cases: &RopeCases,
    model: &Decoder,
    frequencies: &Frequencies,
    report: &mut Report,
) -> Result<()> {
    let limit = cases.tolerance.of("sum_logprob_abs")?;
    for (index, call) in cases.calls.calls.iter().enumerate() {
        let row = cases.calls.stream[..call.tokens].to_vec();
        if !frequencies.are_shared([call.tokens, call.decided_by]) {
            report.note(format_args!(
                "call {index}: the reference takes the frequencies of {} tokens for {}",
                call.decided_by, call.tokens
            ));
            continue;
        }
        let got = rows_log_probs(model, &[row], None)?;
        let sum = got.into_iter().map(f64::from).sum();
        let place = format!("{index}, {} tokens", call.tokens);
        report.close("rope: calls", place, sum, call.sum_logprob_f64, limit);
    }
    Ok(())
}

/// Greedy tokens over the end of the original context: every one as a pass over the whole text gives it.
fn check_generation(cases: &RopeCases, model: &Decoder, report: &mut Report) -> Result<()> {
    let Across {
        prompt_ids,
        no_cache,
    } = &cases.generate_across;
    let prompt = Prompt::new(prompt_ids.clone(), 2, 0);
    let params = SamplingParams::greedy(no_cache.new_ids.len());
    let all =
        Generator::new(model, Vec::new()).generate(&[prompt], &params, &mut |_| Flow::Continue)?;
    let limit = cases.tolerance.of("token_logprob_abs")?;
    for continuation in all.iter().flatten() {
        let tokens = &continuation.tokens;
        report.same("rope: generation", "tokens", tokens, &no_cache.new_ids);
        let log_probs = continuation.log_probs.iter().copied();
        let expected = &no_cache.logprobs_f64;
        report.all_close("rope: generation", "log-probs", log_probs, expected, limit);
    }
    Ok(())
}
