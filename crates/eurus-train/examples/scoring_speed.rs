//! Scores of answers beside another program: scores the same work once for every line that comes in.
//!
//! `scoring_speed policy|reward FOLDER WORK` reads the file `WORK`, lines `{"prompt": [1, 2], "answers": [[3, 4], [5]]}` of token
//! ids, and for each line with a token budget that comes in tells, as JSON, the seconds it took and the numbers of each answer: its
//! tokens' log-probs, or its reward. `benches/scoring.py` asks it in turn with a padded loop of transformers.

#![allow(
    clippy::print_stdout,
    reason = "the answers are what the program is for"
)]

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::Device;
use eurus_models::{Checkpoint, Decoder, RewardModel};
use eurus_train::TrainingConfig;
use eurus_train::scoring::{node_rewards, node_token_log_probs};
use serde::Deserialize;
use serde_json::json;
use token_forest::TokenTree;

/// A prompt and what was answered.
#[derive(Deserialize)]
struct Row {
    prompt: Vec<u32>,
    answers: Vec<Vec<u32>>,
}

enum Model {
    Policy(Decoder),
    Reward(RewardModel),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder, work] = arguments.as_slice() else {
        return Err("policy or reward, the folder of a checkpoint, a file of work".into());
    };
    let (checkpoint, device) = (Checkpoint::new(folder), Device::flex());
    let model = match what.as_str() {
        "policy" => Model::Policy(checkpoint.decoder(&device)?.0),
        "reward" => Model::Reward(checkpoint.reward_model(&device)?.0),
        other => return Err(format!("{other} is no model; policy and reward are").into()),
    };
    let mut trees = Vec::new();
    for line in std::fs::read_to_string(work)?.lines() {
        let row: Row = serde_json::from_str(line)?;
        let mut tree = TokenTree::new(row.prompt, false);
        for answer in row.answers {
            tree.push(0, answer, true);
        }
        trees.push(tree);
    }
    let longest = trees.iter().map(TokenTree::longest_path_tokens).max();
    for line in std::io::stdin().lock().lines() {
        let settings = TrainingConfig {
            token_budget: line?.trim().parse()?,
            max_path_tokens: longest.unwrap_or(1),
            ..TrainingConfig::default()
        };
        let started = Instant::now();
        // Node by node; the first of a tree is its prompt.
        let scores: Vec<Vec<Vec<f32>>> = match &model {
            Model::Policy(policy) => node_token_log_probs(policy, &trees, &settings)?,
            Model::Reward(reward) => node_rewards(reward, &trees, &settings)?
                .into_iter()
                .map(|nodes| nodes.into_iter().map(|it| vec![it]).collect())
                .collect(),
        };
        let seconds = started.elapsed().as_secs_f64();
        let answers: Vec<&Vec<f32>> = scores.iter().flat_map(|nodes| &nodes[1..]).collect();
        println!("{}", json!({"seconds": seconds, "answers": answers}));
        std::io::stdout().flush()?;
    }
    Ok(())
}
