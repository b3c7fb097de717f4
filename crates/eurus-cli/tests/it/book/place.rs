//! What the commands of the book find: a tiny model, rows, what came of training it, a server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use test_support::servers::{ChatServer, Reply};

use super::blocks::Chapter;
use crate::common::{LEVEL, Workplace, pair_rows};

/// The address that the book gives of a server.
const ADDRESS: &str = "http://127.0.0.1:8080/v1";

/// What a given name is made by, after what it needs.
struct Recipe {
    name: &'static str,
    needs: &'static [&'static str],
    command: &'static str,
}

const fn by(name: &'static str, needs: &'static [&'static str], command: &'static str) -> Recipe {
    Recipe {
        name,
        needs,
        command,
    }
}

const RECIPES: [Recipe; 20] = [
    by(
        "runs/sft",
        &[],
        "sft --model model --data sft.jsonl --out runs/sft --epochs 60 --trees-per-step 6 --learning-rate 1e-2",
    ),
    by(
        "runs/dpo",
        &["runs/sft"],
        "prefer --model runs/sft --algorithm dpo --data pairs.jsonl --out runs/dpo --epochs 4 --trees-per-step 3 --learning-rate 1e-3",
    ),
    by(
        "runs/kto",
        &["runs/sft"],
        "prefer --model runs/sft --algorithm kto --data pairs.jsonl --out runs/kto --epochs 4 --trees-per-step 3 --learning-rate 1e-3",
    ),
    by(
        "runs/nca",
        &["runs/sft"],
        "prefer --model runs/sft --algorithm nca --data pairs.jsonl --out runs/nca --epochs 4 --trees-per-step 3 --learning-rate 1e-3",
    ),
    by(
        "runs/rm",
        &[],
        "reward --model model --data pairs.jsonl --out runs/rm --epochs 4 --trees-per-step 3 --learning-rate 3e-3",
    ),
    by(
        "trees.jsonl",
        &[],
        "data convert pairs.jsonl --to tree --out trees.jsonl",
    ),
    by(
        "held-out-trees.jsonl",
        &[],
        "data convert pairs.jsonl --to tree --out held-out-trees.jsonl",
    ),
    by(
        "rm.jsonl",
        &["runs/rm", "trees.jsonl"],
        "score --model runs/rm --data trees.jsonl --out rm.jsonl",
    ),
    by(
        "answers.jsonl",
        &["runs/sft", "prompts.jsonl"],
        "generate --model runs/sft --data prompts.jsonl --samples 2 --max-tokens 8 --out answers.jsonl",
    ),
    by(
        "evals/sft-svamp",
        &["runs/sft", "SVAMP.json"],
        "eval run --task svamp --data SVAMP.json --model runs/sft --setting cot --out evals/sft-svamp",
    ),
    by(
        "evals/dpo",
        &["runs/sft", "SVAMP.json"],
        "eval run --task svamp --data SVAMP.json --model runs/sft --setting cot --out evals/dpo",
    ),
    by(
        "evals/kto",
        &["runs/sft", "SVAMP.json"],
        "eval run --task svamp --data SVAMP.json --model runs/sft --setting cot --out evals/kto",
    ),
    by(
        "evals/nca",
        &["runs/sft", "SVAMP.json"],
        "eval run --task svamp --data SVAMP.json --model runs/sft --setting cot --out evals/nca",
    ),
    by(
        "chats.jsonl",
        &[],
        "data convert sft.jsonl --to trl-messages --out chats.jsonl",
    ),
    by(
        "trl-pairs.jsonl",
        &[],
        "data convert pairs.jsonl --to trl-preference-chat --out trl-pairs.jsonl",
    ),
    by(
        "trl-unpaired.jsonl",
        &[],
        "data convert pairs.jsonl --to trl-unpaired-chat --out trl-unpaired.jsonl",
    ),
    by(
        "trl-messages.jsonl",
        &[],
        "data convert sft.jsonl --to trl-messages --out trl-messages.jsonl",
    ),
    by(
        "target/experiments/process_rewards/seed-1/unseen_trees.jsonl",
        &[],
        "data convert pairs.jsonl --to tree --out target/experiments/process_rewards/seed-1/unseen_trees.jsonl",
    ),
    by(
        "target/quickstart/sft",
        &[],
        "sft --model model --data sft.jsonl --out target/quickstart/sft --epochs 60 --trees-per-step 6 --learning-rate 1e-2",
    ),
    by(
        "target/quickstart/dpo",
        &["target/quickstart/sft"],
        "prefer --model target/quickstart/sft --algorithm dpo --data pairs.jsonl --out target/quickstart/dpo",
    ),
];

/// All that may be given, made when it is asked for.
pub struct Stock {
    place: Workplace,
    server: ChatServer,
}

impl Stock {
    pub fn new() -> Result<Self> {
        let place = Workplace::new()?;
        for (name, rows) in written() {
            place.write_rows(name, &rows)?;
        }
        fs::write(place.path("SVAMP.json"), svamp().to_string())?;
        fs::write(
            place.path("quiz.csv"),
            "question,final,kind\nWhat is 2 + 3?,5,Math_CoT\nWhat is 3 + 4?,7,Math_CoT\n",
        )?;
        spoil_models(&place)?;
        fs::write(
            place.path("tests.txt"),
            "How many eggs are in three boxes of a dozen?\n",
        )?;
        let run = format!(
            "[actors]\ncheap = \"small\"\n\n[sampling]\nmax_tokens = 16\n\n[endpoints.small]\ncheckpoint = \"runs/sft\"\n{}",
            sandbox()
        );
        fs::write(place.path("synth.toml"), run)?;
        fs::create_dir_all(place.path("target/quickstart"))?;
        fs::copy(
            place.path("pairs.jsonl"),
            place.path("target/quickstart/pairs.jsonl"),
        )?;
        // Rates where a judge is asked, and answers half of the others right.
        let server = ChatServer::answering(|call| {
            let texts: Vec<String> = (0..call.samples())
                .map(|sample| match call.last_text().contains("[[") {
                    true => format!("Rating: [[{}]]", 1 + sample % 10),
                    false => format!("Step 1: 2 + 3 = 5. Answer: {}", 5 + sample % 2),
                })
                .collect();
            Reply::texts(&texts)
        });
        Ok(Self { place, server })
    }

    /// Copies what a chapter is given into a folder.
    pub fn lay_out(&self, chapter: &Chapter, folder: &Path) -> Result<()> {
        let everywhere = ["model", "pairs.jsonl", "sft.jsonl"].map(str::to_owned);
        for name in everywhere.iter().chain(&chapter.given) {
            self.make(name)?;
            copy(&self.place.path(name), &folder.join(name)).with_context(|| name.clone())?;
        }
        for (name, text) in &chapter.files {
            let mut text = self.with_addresses(text);
            if name == "synth.toml" && !text.contains("[sandbox]") {
                text += &sandbox();
            }
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    fn make(&self, name: &str) -> Result<()> {
        if self.place.path(name).exists() {
            return Ok(());
        }
        let Some(recipe) = RECIPES.iter().find(|it| it.name == name) else {
            bail!("nothing here makes {name}");
        };
        for needed in recipe.needs {
            self.make(needed)?;
        }
        if let Some(folder) = self.place.path(name).parent() {
            fs::create_dir_all(folder)?;
        }
        self.place.succeed(recipe.command)?;
        Ok(())
    }

    /// With the address of a server that is there, and the sandbox of this machine.
    pub fn with_addresses(&self, text: &str) -> String {
        let text = text.replace(ADDRESS, &self.server.base_url);
        match LEVEL.as_str() {
            "full" => text,
            level => text.replace(
                "eurus eval run",
                &format!("eurus eval run --sandbox {level}"),
            ),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name: PathBuf = entry?.file_name().into();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Rows by the names of their files.
fn written() -> Vec<(&'static str, Vec<Value>)> {
    let numbers = [2, 3, 4, 5];
    let asked = |n: &i32| format!("Ann has {n} pens and buys 3. How many pens has she?");
    let prompts = numbers.map(|n| json!({"id": format!("q{n}"), "prompt": asked(&n)}));
    let problems = numbers.map(|n| {
        json!({
            "id": format!("q{n}"), "task": "Math_CoT", "instruction": asked(&n), "answer": n + 3,
            "solutions": [format!("Step 1: {n} + 3 = {}. Answer: {}", n + 3, n + 3)],
        })
    });
    let gsm8k = numbers
        .map(|n| json!({"question": asked(&n), "answer": format!("{n} + 3\n#### {}", n + 3)}));
    let subsets = [
        "alpacaeval-easy",
        "mt-bench-hard",
        "refusals-dangerous",
        "hep-rust",
    ];
    let bench = |(id, subset): (usize, &&str)| json!({"id": id, "subset": subset, "prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"});
    vec![
        ("prompts.jsonl", prompts.to_vec()),
        ("problems.jsonl", problems.to_vec()),
        ("train.jsonl", gsm8k.to_vec()),
        ("held-out.jsonl", pair_rows()[..4].to_vec()),
        (
            "rewardbench.jsonl",
            subsets.iter().enumerate().map(bench).collect(),
        ),
    ]
}

fn svamp() -> Value {
    let row = |n: i32| {
        json!({
            "ID": format!("svamp-{n}"), "Body": format!("Ann has {n} pens and buys 3."),
            "Question": "How many pens has she?", "Answer": f64::from(n + 3), "Type": "Addition",
        })
    };
    (2..5).map(row).collect()
}

/// A model of another architecture, and one whose copy was broken off.
fn spoil_models(place: &Workplace) -> Result<()> {
    for name in ["gpt2", "cut-off"] {
        copy(&place.path("model"), &place.path(name))?;
    }
    let config = fs::read_to_string(place.path("gpt2/config.json"))?;
    fs::write(
        place.path("gpt2/config.json"),
        config.replace("\"llama\"", "\"gpt2\""),
    )?;
    let weights = fs::File::options()
        .write(true)
        .open(place.path("cut-off/model.safetensors"))?;
    Ok(weights.set_len(1000)?)
}

/// The part of a run file that takes the sandbox of this machine.
fn sandbox() -> String {
    format!("\n[sandbox]\nrequire = \"{}\"\n", *LEVEL)
}
