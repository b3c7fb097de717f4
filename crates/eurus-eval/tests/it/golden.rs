//! Values of the reference implementation of pass@k.
//!
//! The files lie outside the repository, in the folder that `EURUS_GOLDEN_DIR` names. Without
//! them these tests say so and pass.

use eurus_eval::metrics::{mean_pass_at_k, pass_at_k};
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
