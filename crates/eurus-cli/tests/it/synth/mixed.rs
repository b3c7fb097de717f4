//! A run as a user has it: problems of all kinds, a small real model as the cheap actor, stronger ones where it fails, and
//! training on what is exported. `EURUS_MIXED_PROBLEMS` says how many.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_support::count;
use test_support::servers::LlamaServer;

use super::company::company;
use super::site::{RUN, Site, endpoint, total};

/// The model is small: it sees what an answer looks like.
const WORDS: &str = "\
{% if gold == \"asserts\" -%}
Reply with one Python block and nothing else, like this:
```python
def one(x):
    return 1
```
{%- elif gold == \"tests\" -%}
Reply with one Python program and nothing else, like this:
```python
n = int(input())
print(n)
```
{%- elif gold == \"choice\" -%}
Answer in one line that begins with \"The answer is\" and a letter.

Question: Which is a colour? (A) red (B) dog
The answer is A.

Question: Which is a fruit? (A) car (B) apple
The answer is B.
{%- else -%}
Answer in one line that begins with \"The answer is\".

Question: What is 1 + 1?
The answer is 2.

Question: What is 4 + 5?
The answer is 9.
{%- endif %}
";

#[test]
fn a_small_real_model_and_stronger_ones_give_trees_with_every_step_and_programs_train_on_them()
-> Result<()> {
    let Some(small) = LlamaServer::start() else {
        return Ok(());
    };
    let problems = count("EURUS_MIXED_PROBLEMS", 24);
    let strong = company(Duration::ZERO);
    let site = Site::new(problems, &strong.base_url)?;
    std::fs::create_dir(site.path("words"))?;
    site.write("words/actor.j2", WORDS)?;
    let real = endpoint("cheap", &small.base_url, LlamaServer::MODEL).replace(
        "concurrency = 32",
        "concurrency = 2\ntimeout_seconds = 600.0",
    );
    site.edit(&[
        (&endpoint("cheap", &strong.base_url, "cheap"), &real),
        ("seed = 1\n", "seed = 1\nprompts = \"words\"\n"),
        (
            "critic = \"critic\"\n\n[sampling]",
            "critic = \"critic\"\nschemas = []\n\n[sampling]",
        ),
        ("max_tokens = 64", "max_tokens = 48\nstop = [\"\\n\\n\"]"),
    ])?;
    site.ends(RUN, 0, &["next: eurus synth export --store run.db"])?;

    let status = site.status("run.db")?;
    ensure!(
        status["jobs"]["done"] == problems && status["jobs"]["parked"] == 0,
        "{status}"
    );
    for step in [
        "escalated",
        "elicited",
        "fallbacks",
        "pairs",
        "correct",
        "incorrect",
    ] {
        ensure!(total(&status, step) > 0, "nothing was {step}: {status}");
    }
    for (part, endpoint) in ["cheap", "critic", "stronger", "teacher"].iter().zip(
        status["endpoints"]
            .as_array()
            .context("a list")?
            .iter()
            .filter(|it| it["endpoint"] != "incorrect"),
    ) {
        ensure!(
            endpoint["endpoint"] == **part && endpoint["answers"].as_u64() > Some(0),
            "{endpoint}"
        );
    }

    let (mut pairs, mut of_the_real_model) = (0, 0);
    for tree in site.trees("run.db")? {
        let tree: Value = serde_json::from_str(&tree)?;
        for [chosen, rejected] in pairs_of(&tree)? {
            ensure!(
                chosen["verdict"] == "correct" && rejected["verdict"] == "incorrect",
                "{tree}"
            );
            pairs += 1;
            of_the_real_model += usize::from(
                [&chosen, &rejected]
                    .iter()
                    .all(|side| side["actor"] == LlamaServer::MODEL),
            );
        }
    }
    ensure!(
        pairs as u64 == total(&status, "pairs"),
        "{pairs} pairs: {status}"
    );
    println!(
        "{of_the_real_model} of {pairs} pairs are the real model's on both sides, of {problems} problems"
    );
    // Of few problems chance may take half of what is expected.
    let wanted = if problems < 200 {
        problems / 8
    } else {
        problems / 4
    };
    ensure!(
        of_the_real_model >= wanted,
        "{of_the_real_model} of {wanted} pairs are the real model's on both sides"
    );

    site.place.succeed("data validate exported-trees.jsonl")?;
    for kind in ["pairs", "sft"] {
        site.place.succeed(&format!(
            "synth export --store run.db --kind {kind} --out {kind}-of-run.jsonl"
        ))?;
        site.place
            .succeed(&format!("data validate {kind}-of-run.jsonl"))?;
    }
    let train = "--model model --max-steps 1 --trees-per-step 2";
    for data in ["exported-trees.jsonl", "pairs-of-run.jsonl"] {
        let out = format!("preferred-{data}");
        site.place.succeed(&format!(
            "prefer {train} --data {data} --algorithm dpo --out {out}"
        ))?;
        let losses = site.place.losses_of(&out)?;
        ensure!(
            losses.len() == 1 && losses.iter().all(|loss| loss.is_finite()),
            "{losses:?}"
        );
    }
    site.place
        .succeed(&format!("sft {train} --data sft-of-run.jsonl --out tuned"))?;
    let losses = site.place.losses_of("tuned")?;
    ensure!(
        losses.len() == 1 && losses.iter().all(|loss| loss.is_finite()),
        "{losses:?}"
    );
    Ok(())
}

/// The two actions of each pair of a tree.
fn pairs_of(tree: &Value) -> Result<Vec<[&Value; 2]>> {
    let action = |place: &Value| -> Result<&Value> {
        let place = place.as_u64().context("a place")? as usize;
        Ok(&tree["nodes"][place]["content"]["action"])
    };
    let pairs = tree["pairs"].as_array().context("pairs")?.iter();
    pairs
        .map(|pair| Ok([action(&pair["chosen"])?, action(&pair["rejected"])?]))
        .collect()
}
