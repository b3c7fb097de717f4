//! Choosing among sampled answers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use eurus_eval::reranking::{Candidate, Candidates, Method, VoteWeights};
use serde::Deserialize;
use serde_json::Value;

use super::family::{GoldenGrader, Judged};

pub fn graders() -> Vec<GoldenGrader> {
    vec![GoldenGrader::exact(
        "top-N by logprob; best-of-N; majority vote; pass@N",
        every_n,
    )]
}

#[derive(Deserialize)]
struct Row {
    completions: Vec<Completion>,
    verdict: BTreeMap<usize, Expected>,
}

#[derive(Deserialize)]
struct Completion {
    idx: usize,
    sample: usize,
    logprobs: f64,
    reward: f64,
    extracted_output: String,
    correctness: bool,
}

/// What the reference found at one N.
#[derive(Debug, Deserialize)]
struct Expected {
    top_logits: f64,
    best_of_n: f64,
    best_of_n_samples: Vec<usize>,
    self_consistency: f64,
    self_consistency_answers: Vec<String>,
    pass_at_n: f64,
    reward_weighted_vote_answers: Vec<String>,
}

fn every_n(row: &Value) -> Result<Judged> {
    let row = Row::deserialize(row)?;
    let candidates = candidates(&row.completions)?;
    for (&n, expected) in &row.verdict {
        let top = candidates.top("log-prob", n)?;
        let differs = differences(&top, expected)?;
        if !differs.is_empty() {
            return Ok(Judged::Differs(format!("N = {n}: {}", differs.join("; "))));
        }
    }
    Ok(Judged::Agrees)
}

/// The number of the sample travels as a third score, to tell which candidate was chosen.
fn candidates(completions: &[Completion]) -> Result<Candidates> {
    let mut by_problem: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
    for completion in completions {
        let candidate = Candidate {
            answer: Some(completion.extracted_output.clone()),
            correct: completion.correctness,
            scores: vec![
                completion.logprobs,
                completion.reward,
                completion.sample as f64,
            ],
        };
        by_problem
            .entry(completion.idx)
            .or_default()
            .push(candidate);
    }
    let mut all = Candidates::new(["log-prob", "reward", "sample"])?;
    for candidates in by_problem.into_values() {
        all.add_problem(candidates)?;
    }
    Ok(all)
}

fn differences(top: &Candidates, expected: &Expected) -> Result<Vec<String>> {
    // The reference weighs an answer by the sum of its raw rewards.
    let raw_vote = Method::WeightedVote {
        scorer: "reward".to_owned(),
        weights: VoteWeights::Score,
    };
    let best = Method::best_of_n("reward");
    let accuracies = [
        (Method::best_of_n("log-prob"), expected.top_logits),
        (best.clone(), expected.best_of_n),
        (Method::SelfConsistency, expected.self_consistency),
        (Method::PassAtN, expected.pass_at_n),
    ];
    let mut differs = Vec::new();
    for (method, right) in accuracies {
        let credits = top.credits(&method)?;
        ensure!(!credits.is_empty(), "a row without problems");
        let got = credits.iter().sum::<f64>() / credits.len() as f64;
        if got != right {
            differs.push(format!("{method}: got {got}, right is {right}"));
        }
    }
    let samples: Vec<usize> = chosen(top, &best)?
        .iter()
        .map(|candidate| candidate.scores[2] as usize)
        .collect();
    if samples != expected.best_of_n_samples {
        differs.push(format!("{best}: chose {samples:?}"));
    }
    for (method, right) in [
        (Method::SelfConsistency, &expected.self_consistency_answers),
        (raw_vote, &expected.reward_weighted_vote_answers),
    ] {
        let candidates = chosen(top, &method)?;
        let answers = candidates.iter().map(|c| c.answer.clone());
        let answers: Vec<String> = answers.map(Option::unwrap_or_default).collect();
        if answers != *right {
            differs.push(format!("{method}: got {answers:?}, right is {right:?}"));
        }
    }
    Ok(differs)
}

fn chosen<'a>(top: &'a Candidates, method: &Method) -> Result<Vec<&'a Candidate>> {
    let choices = top.choices(method)?;
    let pairs = choices.iter().zip(top.problems());
    pairs
        .map(|(choice, candidates)| Ok(&candidates[choice.context("nothing was chosen")?]))
        .collect()
}
