//! What `eurus eval rm` and `eurus eval process` print with `--json`, without running them.

use eurus_eval::analyses::process_rewards::{JudgedTree, JudgedTurn, evaluate_process_rewards};
use eurus_eval::reward_benches::autoj::{self, Group, Label};
use eurus_eval::reward_benches::mtbench::{self, Vote, Winner};
use eurus_eval::reward_benches::pairs::{self, ScoredPair};
use eurus_eval::reward_benches::rewardbench::{self, SUBSETS};
use eurus_eval::reward_benches::rewardbench2::{self, ScoredItem};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Scores of a pair, the right one first, the higher the better they are told apart.
fn scores(random: &mut ChaCha8Rng, skill: f64) -> (f64, f64) {
    (skill + random.random::<f64>(), random.random())
}

fn scored_pairs(subsets: &[&str], skill: f64) -> Vec<ScoredPair> {
    let mut random = ChaCha8Rng::seed_from_u64(24);
    let pairs = subsets
        .iter()
        .flat_map(|subset| (0..30).map(move |number| (*subset, number)));
    let pair = |(subset, number): (&str, usize)| {
        let (chosen, rejected) = scores(&mut random, skill);
        ScoredPair {
            id: format!("{subset}-{number}"),
            subset: Some(subset.to_owned()),
            turn: Some(1 + number % 2),
            chosen,
            rejected,
            lengths: None,
        }
    };
    pairs.map(pair).collect()
}

pub fn of_pairs(subsets: &[&str], skill: f64) -> Value {
    json!(pairs::evaluate(&scored_pairs(subsets, skill)).unwrap())
}

pub fn of_rewardbench(skill: f64) -> Value {
    let subsets = SUBSETS.map(|(name, _, _)| name);
    json!(rewardbench::evaluate(&scored_pairs(&subsets, skill)).unwrap())
}

pub fn of_rewardbench2(subset: &str, skill: f64) -> Value {
    let mut random = ChaCha8Rng::seed_from_u64(25);
    let item = |id: String, subset: &str, num_correct: usize, scores: Vec<f64>| ScoredItem {
        id,
        subset: subset.to_owned(),
        num_correct,
        scores,
    };
    let mut items: Vec<ScoredItem> = (0..40)
        .map(|number| {
            let scores =
                (0..4).map(|it| f64::from(u8::from(it == 0)) * skill + random.random::<f64>());
            item(number.to_string(), subset, 1, scores.collect())
        })
        .collect();
    for number in 0..5 {
        items.push(item(format!("ref:{number}"), "Ties", 1, vec![1.0, 0.5]));
        items.push(item(
            format!("tied:{number}"),
            "Ties",
            2,
            vec![1.0, 0.9, 0.2],
        ));
    }
    json!(rewardbench2::evaluate(&items).unwrap())
}

pub fn of_autoj(skill: f64) -> Value {
    let mut random = ChaCha8Rng::seed_from_u64(26);
    let pairs: Vec<autoj::ScoredPair> = (0..160)
        .map(|number| {
            let (first, second) = scores(&mut random, skill);
            autoj::ScoredPair {
                group: Group::ALL[number % 8],
                label: if number % 7 == 0 {
                    Label::Tie
                } else {
                    Label::First
                },
                first,
                second,
            }
        })
        .collect();
    json!(autoj::sweep(&pairs).unwrap())
}

pub fn of_mtbench() -> Value {
    let vote = |question: usize, winner, judge: &str| Vote {
        question,
        turn: 1 + question % 2,
        model_a: "alpaca".to_owned(),
        model_b: "vicuna".to_owned(),
        winner,
        judge: judge.to_owned(),
    };
    let people: Vec<Vote> = (0..40)
        .flat_map(|it| {
            let other = if it % 5 == 0 {
                Winner::Tie
            } else {
                Winner::ModelB
            };
            [
                vote(it, Winner::ModelB, "expert_1"),
                vote(it, other, "expert_2"),
            ]
        })
        .collect();
    let judge: Vec<Vote> = (0..40)
        .map(|it| {
            let winner = if it % 3 == 0 {
                Winner::ModelA
            } else {
                Winner::ModelB
            };
            vote(it, winner, "reward")
        })
        .collect();
    json!(mtbench::agreement(&people, &judge).unwrap())
}

/// Rewards of the turns of trees, of as many files.
pub fn of_process(files: &[(&str, &str)]) -> Value {
    let of_file = |(number, (file, field)): (usize, &(&str, &str))| {
        let mut random = ChaCha8Rng::seed_from_u64(number as u64);
        let trees: Vec<JudgedTree> = (0..30)
            .map(|tree| {
                let mut turn = |name: &str, parent, correct: bool| JudgedTurn {
                    name: name.to_owned(),
                    parent,
                    reward: f64::from(u8::from(correct)) * 0.3 + random.random::<f64>(),
                    correct: Some(correct),
                    tokens: Some(20 + random.random_range(0..30)),
                };
                JudgedTree {
                    id: tree.to_string(),
                    turns: vec![
                        turn("1", None, false),
                        turn("2", None, true),
                        turn("4", Some(0), tree % 2 == 0),
                    ],
                }
            })
            .collect();
        let report = evaluate_process_rewards(&trees).unwrap();
        json!({"file": file, "field": field, "not_scored": number, "report": report})
    };
    let rewards: Vec<Value> = files.iter().enumerate().map(of_file).collect();
    json!({"rewards": rewards})
}
