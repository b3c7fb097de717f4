//! SmolLM2-135M-Instruct, a real pretrained model, against what transformers gets from the same folder.
//!
//! Needs `EURUS_SMOLLM2_DIR`, the model's folder with float32 or bfloat16 weights, and the golden values; without them
//! the test says so and passes. With `--nocapture` it prints the largest error of every check and the memory that
//! loading took.

#![allow(clippy::print_stdout, reason = "the errors are the result")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use eurus_models::generate::{Finish, Flow, Generator, Prompt, SamplingParams};
use eurus_models::{Checkpoint, Decoder, ForestBatch, ForestBody, ForestModel, int_tensor, ops};
use eurus_tests::parameters;
use eurus_tests::report::Report;
use eurus_train::log_probs::{node_log_probs, target_log_probs};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use test_support::folders;
use token_forest::{ChatTokenizer, Message, PackedForest, TokenTree};

/// Positions whose logits exist at a time.
const CHUNK: usize = 64;

/// Where the best two logits are closer than this, the reference's own rounding may choose either.
const CLEAR_MARGIN: f64 = 2e-3;

#[derive(Debug, Deserialize)]
struct Golden {
    safetensors_sha256: BTreeMap<String, String>,
    tolerance: BTreeMap<String, f64>,
    tokenize: Vec<Text>,
    prompts: Vec<GoldenPrompt>,
    gradient: Gradient,
}

#[derive(Debug, Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Debug, Deserialize)]
struct GoldenPrompt {
    id: String,
    messages: Vec<Message>,
    chat_text: String,
    input_ids: Vec<u32>,
    completions: Completions<Text>,
    f32: Values,
    bf16: Values,
}

#[derive(Debug, Deserialize)]
struct Completions<T> {
    good: T,
    bad: T,
}

#[derive(Debug, Deserialize)]
struct Values {
    last_top10: Top,
    last_logits_mean: f64,
    last_logits_logsumexp: f64,
    completions: Completions<LogProbs>,
    greedy: Greedy,
}

#[derive(Debug, Deserialize)]
struct Top {
    ids: Vec<usize>,
    logits: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct LogProbs {
    token_logprobs: Vec<f64>,
    sum_logprob: f64,
}

#[derive(Debug, Deserialize)]
struct Greedy {
    max_new_tokens: usize,
    new_ids: Vec<u32>,
    min_top1_margin: f64,
}

/// Of `-(log_prob(good) - 0.5 log_prob(bad))`, with float32 weights.
#[derive(Debug, Deserialize)]
struct Gradient {
    prompt: String,
    loss: f64,
    global_grad_norm: f64,
    grad_norms: BTreeMap<String, f64>,
    grad_probes: BTreeMap<String, Probe>,
}

#[derive(Debug, Deserialize)]
struct Probe {
    at: Vec<usize>,
    value: f64,
}

/// Which of the two sets of weights the folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weights {
    F32,
    Bf16,
}

impl GoldenPrompt {
    fn values(&self, weights: Weights) -> &Values {
        match weights {
            Weights::F32 => &self.f32,
            Weights::Bf16 => &self.bf16,
        }
    }

    /// The prompt with its good completion as node 1 and its bad one as node 2.
    fn tree(&self) -> TokenTree {
        let mut tree = TokenTree::new(self.input_ids.clone(), false);
        tree.push(0, self.completions.good.ids.clone(), true);
        tree.push(0, self.completions.bad.ids.clone(), true);
        tree
    }
}

impl Golden {
    fn tolerance(&self, name: &str) -> Result<f64> {
        let limit = self.tolerance.get(name).copied();
        limit.with_context(|| format!("smollm2.json gives no tolerance `{name}`"))
    }
}

#[test]
fn smollm2_gives_the_values_of_transformers() {
    let Some(golden) = folders::golden() else {
        return;
    };
    let Some(folder) = folders::named_by("EURUS_SMOLLM2_DIR", "SmolLM2 checkpoint") else {
        return;
    };
    let report = check(&golden.join("smollm2.json"), &folder).expect("golden values and model");
    println!("{report}");
    let failures = report.failures();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(golden: &Path, folder: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(golden).with_context(|| golden.display().to_string())?;
    let golden: Golden = serde_json::from_str(&text)?;
    let weights = which_weights(&golden, &folder.join("model.safetensors"))?;
    let mut report = Report::new(format!("SmolLM2-135M-Instruct, {weights:?} weights"));

    let before = eurus_memory::peak_resident_bytes();
    let (model, _) = Checkpoint::new(folder).decoder(&Device::flex())?;
    if let (Some(before), Some(after)) = (before, eurus_memory::peak_resident_bytes()) {
        let of_weights: usize = model.num_params() * size_of::<f32>();
        let mebibytes = |bytes: u64| bytes >> 20;
        report.note(format_args!(
            "loading: peak resident memory {} MiB ({} MiB before); the float32 weights alone are {} MiB, the mapped \
             file {} MiB",
            mebibytes(after),
            mebibytes(before),
            mebibytes(of_weights as u64),
            mebibytes(std::fs::metadata(folder.join("model.safetensors"))?.len()),
        ));
    }

    let tokenizer = ChatTokenizer::from_folder(folder)?;
    check_tokens(&golden, &tokenizer, &mut report)?;
    check_values(&golden, weights, &model, &mut report)?;
    check_greedy(&golden, weights, &model, &tokenizer, &mut report)?;
    if weights == Weights::F32 {
        check_gradient(&golden, &model.train(), &mut report)?;
    } else {
        report.note("the gradient is of float32 weights and was not compared");
    }
    Ok(report)
}

/// The golden values belong to exactly these weights.
fn which_weights(golden: &Golden, path: &Path) -> Result<Weights> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (name, weights) in [("f32", Weights::F32), ("bf16", Weights::Bf16)] {
        if golden.safetensors_sha256.get(name) == Some(&hex) {
            return Ok(weights);
        }
    }
    anyhow::bail!(
        "{}: SHA-256 {hex} is not of the golden weights",
        path.display()
    )
}

fn check_tokens(golden: &Golden, tokenizer: &ChatTokenizer, report: &mut Report) -> Result<()> {
    for Text { text, ids } in &golden.tokenize {
        let got = tokenizer.encode_text(text)?;
        report.same("tokens of texts", format_args!("{text:?}"), &got, ids);
    }
    for prompt in &golden.prompts {
        let chat = tokenizer.template().render(&prompt.messages, true)?;
        report.same("chat template", &prompt.id, &chat, &prompt.chat_text);
        let ids = tokenizer.encode_prompt(&prompt.messages)?;
        report.same("tokens of prompts", &prompt.id, &ids, &prompt.input_ids);
        for completion in [&prompt.completions.good, &prompt.completions.bad] {
            let mut messages = prompt.messages.clone();
            messages.push(Message::assistant(completion.text.clone()));
            let tree = tokenizer.encode_messages(&messages)?;
            let last = tree.nodes.last().context("a conversation has nodes")?;
            report.same(
                "tokens of completions",
                &prompt.id,
                &last.tokens,
                &completion.ids,
            );
        }
    }
    Ok(())
}

/// Logits after the prompts and log-probs of the completions, all prompts and completions in one packed pass.
fn check_values(
    golden: &Golden,
    weights: Weights,
    model: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let device = Device::flex();
    let trees: Vec<TokenTree> = golden.prompts.iter().map(GoldenPrompt::tree).collect();
    let forest = PackedForest::from_trees(&trees)?;
    let ends: Vec<u32> = (0..trees.len())
        .map(|tree| forest.end_of(forest.node_index(tree, 0)))
        .collect();
    let batch = ForestBatch::new(forest, &device);
    let last = model
        .hidden_states(&batch)
        .select(0, int_tensor(&ends, &device));
    let logits = ops::project(last, model.output_weight());
    let vocab = logits.dims()[1];
    let logits: Vec<f32> = logits.into_data().iter().collect();
    let log_probs: Vec<f32> = target_log_probs(model, &batch, CHUNK)
        .into_data()
        .iter()
        .collect();

    let limit = golden.tolerance("logits_abs")?;
    let token_limit = golden.tolerance("token_logprob_abs")?;
    let sum_limit = golden.tolerance("sum_logprob_abs")?;
    for (index, (prompt, logits)) in golden.prompts.iter().zip(logits.chunks(vocab)).enumerate() {
        let expected = prompt.values(weights);
        let top = &expected.last_top10;
        let got = top.ids.iter().map(|&id| logits[id]);
        report.all_close("top-10 logits", &prompt.id, got, &top.logits, limit);
        let least = top.logits.iter().copied().fold(f64::INFINITY, f64::min);
        let likelier = (0..vocab)
            .filter(|id| !top.ids.contains(id) && f64::from(logits[*id]) > least + limit)
            .collect::<Vec<_>>();
        report.same(
            "no other token in the top 10",
            &prompt.id,
            &likelier,
            &Vec::new(),
        );
        let sum = |value: fn(f64) -> f64| -> f64 {
            logits.iter().map(|&logit| value(f64::from(logit))).sum()
        };
        let mean = sum(|logit| logit) / vocab as f64;
        report.close(
            "mean logit",
            &prompt.id,
            mean,
            expected.last_logits_mean,
            limit,
        );
        // The largest logits are about 30, far from overflow in float64.
        let log_sum = sum(f64::exp).ln();
        report.close(
            "log-sum-exp",
            &prompt.id,
            log_sum,
            expected.last_logits_logsumexp,
            limit,
        );

        let completions = &expected.completions;
        for (node, name, expected) in [(1, "good", &completions.good), (2, "bad", &completions.bad)]
        {
            let place = format!("{} {name}", prompt.id);
            let targets = batch
                .forest
                .targets_of(batch.forest.node_index(index, node));
            let got = &log_probs[targets];
            let sum: f64 = got.iter().map(|&log_prob| f64::from(log_prob)).sum();
            let tokens = got.iter().copied();
            report.all_close(
                "token log-probs",
                &place,
                tokens,
                &expected.token_logprobs,
                token_limit,
            );
            report.close("sum log-probs", place, sum, expected.sum_logprob, sum_limit);
        }
    }
    Ok(())
}

fn check_greedy(
    golden: &Golden,
    weights: Weights,
    model: &Decoder,
    tokenizer: &ChatTokenizer,
    report: &mut Report,
) -> Result<()> {
    let (clear, tied): (Vec<&GoldenPrompt>, Vec<&GoldenPrompt>) = golden
        .prompts
        .iter()
        .partition(|prompt| prompt.values(weights).greedy.min_top1_margin > CLEAR_MARGIN);
    for prompt in tied {
        report.note(format_args!(
            "prompt {} has a tie and is not generated",
            prompt.id
        ));
    }
    let most = clear
        .iter()
        .map(|prompt| prompt.values(weights).greedy.max_new_tokens);
    let params = SamplingParams::greedy(most.max().context("no prompt to generate from")?);
    let prompts: Vec<Prompt> = clear
        .iter()
        .map(|prompt| Prompt::new(prompt.input_ids.clone(), 1, 0))
        .collect();
    let generator = Generator::new(model, vec![tokenizer.eos_id()]);
    let samples = generator.generate(&prompts, &params, &mut |_| Flow::Continue)?;
    for (prompt, samples) in clear.iter().zip(samples) {
        let sample = samples
            .into_iter()
            .next()
            .context("one sample was asked for")?;
        let mut tokens = sample.tokens;
        if sample.finish == Finish::Stop {
            tokens.push(tokenizer.eos_id());
        }
        report.same(
            "greedy tokens",
            &prompt.id,
            &tokens,
            &prompt.values(weights).greedy.new_ids,
        );
    }
    Ok(())
}

fn check_gradient(golden: &Golden, model: &Decoder, report: &mut Report) -> Result<()> {
    let expected = &golden.gradient;
    let prompt = golden
        .prompts
        .iter()
        .find(|prompt| prompt.id == expected.prompt);
    let forest = PackedForest::from_trees([&prompt.context("the gradient's prompt")?.tree()])?;
    let device = Device::flex().autodiff();
    let ends = [1, 2].map(|node| forest.node_index(0, node) as u32);
    let batch = ForestBatch::new(forest, &device);
    let sums = node_log_probs(model, &batch, CHUNK).select(0, int_tensor(&ends, &device));
    let loss = (sums.clone().narrow(0, 0, 1) - sums.narrow(0, 1, 1) * 0.5).neg();
    let value = f64::from(loss.clone().into_scalar::<f32>());
    report.close(
        "gradient: loss",
        "pair",
        value,
        expected.loss,
        golden.tolerance("sum_logprob_abs")?,
    );

    let found = parameters::gradients(model, &loss.backward());
    let limit = golden.tolerance("grad_norm_rel")?;
    let norm = parameters::global_norm(&found);
    let error = (norm - expected.global_grad_norm).abs() / expected.global_grad_norm;
    report.error(
        "gradient: global norm",
        format_args!("got {norm}"),
        error,
        limit,
    );
    for (name, &norm) in &expected.grad_norms {
        let got = found.get(name).map_or(f64::NAN, |values| values.norm());
        let place = format!("{name}: got {got}, expected {norm}");
        report.error("gradient: norms", place, (got - norm).abs() / norm, limit);
    }
    for (name, probe) in &expected.grad_probes {
        let values = found
            .get(name)
            .with_context(|| format!("no gradient of {name}"))?;
        let got = values.at(&probe.at).unwrap_or(f64::NAN);
        let place = format!("{name} {:?}: got {got}, expected {}", probe.at, probe.value);
        let error = (got - probe.value).abs() / values.largest();
        report.error("gradient: probes over the largest", place, error, limit);
    }
    Ok(())
}
