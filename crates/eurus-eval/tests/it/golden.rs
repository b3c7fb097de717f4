//! Values of the reference implementations: pass@k and reranking.
//!
//! The files lie outside the repository, in the folder that `EURUS_GOLDEN_DIR` names. Without
//! them these tests say so and pass.

use std::collections::BTreeMap;

use eurus_eval::metrics::{mean_pass_at_k, pass_at_k};
use eurus_eval::reranking::{Candidate, Candidates, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use test_support::folders;

/// The reference multiplies where we add logarithms; both are in f64.
const TOLERANCE: f64 = 1e-12;

fn golden<T: DeserializeOwned>(name: &str) -> Option<Vec<T>> {
    folders::golden_rows(&format!("eval/{name}"), |line| serde_json::from_str(line))
}

#[derive(Deserialize)]
struct PassAtK {
    id: String,
    n: Value,
    c: Value,
    k: usize,
    verdict: Value,
}

#[test]
fn pass_at_k_equals_the_reference() {
    let Some(rows) = golden::<PassAtK>("pass_at_k.jsonl") else {
        return;
    };
    for row in rows {
        let close = |ours: f64, theirs: &Value| {
            let theirs = theirs.as_f64().unwrap();
            assert!(
                (ours - theirs).abs() < TOLERANCE,
                "{}: {ours} instead of {theirs}",
                row.id
            );
        };
        let Some(samples) = row.n.as_array() else {
            let (n, c) = (
                row.n.as_u64().unwrap() as usize,
                row.c.as_u64().unwrap() as usize,
            );
            close(pass_at_k(n, c, row.k).unwrap(), &row.verdict);
            continue;
        };
        let problems: Vec<(usize, usize)> = samples
            .iter()
            .zip(row.c.as_array().unwrap())
            .map(|(n, c)| (n.as_u64().unwrap() as usize, c.as_u64().unwrap() as usize))
            .collect();
        close(
            mean_pass_at_k(&problems, row.k).unwrap().mean,
            &row.verdict["mean"],
        );
        for (index, &(n, c)) in problems.iter().enumerate() {
            close(
                pass_at_k(n, c, row.k).unwrap(),
                &row.verdict["per_problem"][index],
            );
        }
    }
}

#[derive(Deserialize)]
struct Reranking {
    id: String,
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

#[derive(Deserialize)]
struct Expected {
    top_logits: f64,
    best_of_n: f64,
    best_of_n_samples: Vec<usize>,
    self_consistency: f64,
    self_consistency_answers: Vec<String>,
    pass_at_n: f64,
    reward_weighted_vote_answers: Vec<String>,
}

#[test]
fn reranking_equals_the_reference_for_every_n() {
    let Some(rows) = golden::<Reranking>("reranking.jsonl") else {
        return;
    };
    for row in rows {
        let mut by_problem: BTreeMap<usize, Vec<&Completion>> = BTreeMap::new();
        for completion in &row.completions {
            by_problem
                .entry(completion.idx)
                .or_default()
                .push(completion);
        }
        // The sample's number travels as a third score, to tell which candidate was chosen.
        let mut all = Candidates::new(["log-probability", "reward", "sample"]).unwrap();
        for completions in by_problem.values() {
            let candidate = |c: &&Completion| Candidate {
                answer: Some(c.extracted_output.clone()),
                correct: c.correctness,
                scores: vec![c.logprobs, c.reward, c.sample as f64],
            };
            all.add_problem(completions.iter().map(candidate).collect())
                .unwrap();
        }
        for (&n, expected) in &row.verdict {
            let place = format!("{} at N = {n}", row.id);
            let top = all.top("log-probability", n).unwrap();
            let report = top.report().unwrap();
            let accuracy = |method: &Method, theirs: f64| {
                let ours = report.accuracy(method).unwrap().mean;
                assert!(
                    (ours - theirs).abs() < TOLERANCE,
                    "{place}, {method}: {ours} instead of {theirs}"
                );
            };
            let chosen = |method: &Method| -> Vec<&Candidate> {
                let choices = top.choices(method).unwrap();
                choices
                    .iter()
                    .zip(top.problems())
                    .map(|(choice, candidates)| &candidates[choice.unwrap()])
                    .collect()
            };
            let answers = |method: &Method| -> Vec<String> {
                chosen(method)
                    .into_iter()
                    .map(|candidate| candidate.answer.clone().unwrap())
                    .collect()
            };

            accuracy(&Method::best_of_n("log-probability"), expected.top_logits);
            accuracy(&Method::best_of_n("reward"), expected.best_of_n);
            let samples: Vec<usize> = chosen(&Method::best_of_n("reward"))
                .iter()
                .map(|candidate| candidate.scores[2] as usize)
                .collect();
            assert_eq!(samples, expected.best_of_n_samples, "{place}");
            accuracy(&Method::SelfConsistency, expected.self_consistency);
            assert_eq!(
                answers(&Method::SelfConsistency),
                expected.self_consistency_answers,
                "{place}"
            );
            assert_eq!(
                answers(&Method::weighted_vote("reward")),
                expected.reward_weighted_vote_answers,
                "{place}"
            );
            accuracy(&Method::PassAtN, expected.pass_at_n);
        }
    }
}
