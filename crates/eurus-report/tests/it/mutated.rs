//! Files of runs with bytes changed, cut out and doubled: an error or a page, and nothing else.

use std::fs;
use std::path::PathBuf;

use eurus_report::page;
use eurus_report::runs::Runs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixture::*;
use crate::hostile::ensure_harmless;
use crate::results_support::*;

/// Changes some bytes.
fn mutated(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..bytes.len().max(1)).min(bytes.len());
        let to = (at + rng.random_range(0..40)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => drop(bytes.splice(at..at, *b"<script>")),
            4 => drop(bytes.splice(at..at, *b"1e999")),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.random();
                }
            }
        }
    }
    bytes
}

#[test]
fn a_file_with_changed_bytes_is_an_error_or_a_page() {
    let place = tempfile::tempdir().unwrap();
    let trained = preference_run(&place.path().join("run"), &some_steps());
    let evaluated = evaluation(&place.path().join("eval"), &summary("svamp", "m", 20));
    fs::write(evaluated.join("rerank.json"), reranking("rm").to_string()).unwrap();
    let files: Vec<PathBuf> = ["metrics.jsonl", "run.json"]
        .map(|name| trained.join(name))
        .into_iter()
        .chain(["summary.json", "rerank.json"].map(|name| evaluated.join(name)))
        .collect();
    let mut files = files;
    let mut runs = vec![trained, evaluated];
    for (name, printed) in [
        ("pairs.json", of_pairs(&["gsm8k"], 0.4)),
        ("rb.json", of_rewardbench(0.4)),
        ("rb2.json", of_rewardbench2("Math", 0.4)),
        ("autoj.json", of_autoj(0.4)),
        ("mtbench.json", of_mtbench()),
        ("process.json", of_process(&[("dpo.jsonl", "reward")])),
    ] {
        let path = place.path().join(name);
        fs::write(&path, printed.to_string()).unwrap();
        files.push(path.clone());
        runs.push(path);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let mut pages = 0;
    let count = test_support::count("EURUS_MUTATIONS", 240);
    for number in 0..count {
        let file = &files[number % files.len()];
        let whole = fs::read(file).unwrap();
        fs::write(file, mutated(&whole, &mut rng)).unwrap();
        match Runs::open(&runs) {
            Ok(runs) => {
                let html = page::of(&runs, "mutated").to_html().unwrap();
                ensure_harmless(&html, &format!("mutation {number}"));
                // Metrics are read line by line, and the other files as a whole.
                pages += usize::from(file.ends_with("metrics.jsonl"));
            }
            Err(error) => assert!(
                error.to_string().contains("eval") || error.to_string().contains("run"),
                "{error}"
            ),
        }
        fs::write(file, whole).unwrap();
    }
    assert!(
        pages * 2 * files.len() > count,
        "most changes of metrics leave a page: {pages} of {count}"
    );
}
