//! A tiny model folder, rows to train it on, and the program.

// Without signals some of it is not used.
#![cfg_attr(not(unix), allow(dead_code))]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use eurus::burn::tensor::Device;
use eurus::forest::{train_bpe, write_tokenizer_folder};
use eurus::models::{Checkpoint, Decoder, DecoderConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The best isolation of this machine.
pub static LEVEL: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO_BIN_EXE_eurus"))
        .args(["synth", "doctor", "--json"])
        .output();
    let report = output.map(|it| serde_json::from_slice::<Value>(&it.stdout).unwrap_or_default());
    let level = report.unwrap_or_default()["level"]
        .as_str()
        .map(str::to_owned);
    level.unwrap_or_else(|| "none".to_owned())
});

/// A folder with a model, `pairs.jsonl` and `sft.jsonl`. It is removed with the value.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let rows = pair_rows();
        let mut texts: Vec<String> = Vec::new();
        for row in &rows {
            texts.extend([text(&row["chosen"]), text(&row["rejected"])]);
            let messages = row["trajectory"].as_array().context("a list")?;
            texts.extend(messages.iter().map(|message| text(&message["value"])));
        }
        let bpe = train_bpe(&texts, 320, &["<|im_start|>", "<|im_end|>"])?;
        let config = DecoderConfig::llama(bpe.vocab_size(), 32, 2, 2);
        let model = folder.path().join("model");
        let decoder = Decoder::init(&config, 7, &Device::flex());
        Checkpoint::new(&model).write_decoder(&decoder, &config)?;
        write_tokenizer_folder(&model, &bpe)?;

        let place = Self { folder };
        place.write_rows("pairs.jsonl", &rows)?;
        place.write_rows("sft.jsonl", &sft_rows())?;
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write_rows(&self, name: &str, rows: &[Value]) -> Result<()> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Ok(std::fs::write(self.path(name), lines)?)
    }

    /// The program in this folder, with paths relative to it.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eurus"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// What a command that must fail says.
    pub fn refusal(&self, arguments: &str) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(!output.status.success(), "{arguments} was not refused");
        Ok(String::from_utf8(output.stderr)?)
    }

    pub fn run(&self, arguments: &str) -> Result<Output> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        Ok(self.command(&words).output()?)
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub fn succeed(&self, arguments: &str) -> Result<String> {
        let output = self.run(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a command that must succeed, and returns what it says on standard error.
    pub fn told(&self, arguments: &str) -> Result<String> {
        let output = self.run(arguments)?;
        let message = String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{arguments}: {message}");
        Ok(message)
    }

    /// The losses of the steps of a run that wrote to `out`.
    pub fn losses_of(&self, out: &str) -> Result<Vec<f64>> {
        Ok(losses(&events(&self.path(out).join("metrics.jsonl"))?))
    }

    /// The names in this folder, hidden ones included.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = std::fs::read_dir(self.folder.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// A run of the program whose standard error is read line by line.
pub struct Watched {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// What it has said so far.
    pub said: Vec<String>,
}

impl Workplace {
    /// Starts the program.
    pub fn watch(&self, arguments: &str) -> Result<Watched> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let mut child = self
            .command(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().context("piped")?).lines();
        Ok(Watched {
            child,
            lines,
            said: Vec::new(),
        })
    }

    /// The weights of a result.
    pub fn weights(&self, out: &str) -> Result<Vec<u8>> {
        let path = self.path(out).join("model.safetensors");
        std::fs::read(&path).with_context(|| path.display().to_string())
    }
}

impl Watched {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads until it says something.
    pub fn wait_for(&mut self, words: &str) -> Result<()> {
        for line in self.lines.by_ref() {
            let line = line?;
            let found = line.contains(words);
            self.said.push(line);
            if found {
                return Ok(());
            }
        }
        anyhow::bail!("it never said `{words}`:\n{}", self.said.join("\n"))
    }

    /// Stops reading, and waits for its end. Returns the exit code.
    pub fn end_unheard(mut self) -> Result<Option<i32>> {
        drop(self.lines);
        Ok(self.child.wait()?.code())
    }

    /// Ends it without warning.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end. Returns the exit code and all that it said.
    pub fn end(mut self) -> Result<(Option<i32>, String)> {
        for line in self.lines {
            self.said.push(line?);
        }
        Ok((self.child.wait()?.code(), self.said.join("\n")))
    }
}

/// Checks that all of these words are in a message.
pub fn ensure_says(message: &str, all: &[&str]) -> Result<()> {
    for words in all {
        ensure!(message.contains(words), "`{words}` is missing:\n{message}");
    }
    Ok(())
}

/// What f32 sums in another order may change after some steps.
const TOLERANCE: f64 = 1e-6;

/// Checks that the losses of two runs differ by rounding alone.
pub fn ensure_near(a: &[f64], b: &[f64]) -> Result<()> {
    ensure!(a.len() == b.len(), "{} and {} steps", a.len(), b.len());
    for (step, (a, b)) in a.iter().zip(b).enumerate() {
        ensure!((a - b).abs() <= TOLERANCE, "step {}: {a} and {b}", step + 1);
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn user(text: &str) -> Value {
    json!({"from": "user", "value": text})
}

fn assistant(text: &str) -> Value {
    json!({"from": "assistant", "value": text})
}

/// Six problems of two turns each: the rejected action of the first turn is expanded.
pub fn pair_rows() -> Vec<Value> {
    let mut rows = Vec::new();
    for number in 2..8 {
        let question = format!("Tom has {number} bags of 3 apples. How many apples are there?");
        let right = format!(
            "Step 1: {number} * 3 = {}. Answer: {}",
            number * 3,
            number * 3
        );
        let wrong = format!(
            "Step 1: {number} + 3 = {}. Answer: {}",
            number + 3,
            number + 3
        );
        let other = format!("I do not know. Answer: {number}");
        let row = |turn: usize, trajectory: Value, rejected: &str| {
            json!({
                "id": format!("p{number}_2_{turn}"), "parent_id": format!("p{number}"),
                "task": "Math_CoT", "dataset": "toy",
                "trajectory": trajectory, "chosen": right, "rejected": rejected,
            })
        };
        rows.push(row(1, json!([user(&question)]), &wrong));
        let history = [
            user(&question),
            assistant(&wrong),
            user("Your answer is wrong. Read the question again."),
        ];
        rows.push(row(2, json!(history), &other));
    }
    rows
}

/// The chosen actions as answers to their problems.
pub fn sft_rows() -> Vec<Value> {
    let of_turn_one = |row: &&Value| row["trajectory"].as_array().is_some_and(|t| t.len() == 1);
    pair_rows()
        .iter()
        .filter(of_turn_one)
        .map(|row| {
            json!({
                "id": row["id"], "parent_id": row["parent_id"], "task": "Math_CoT", "dataset": "toy",
                "instruction": row["trajectory"][0]["value"], "response": row["chosen"],
            })
        })
        .collect()
}

/// The events of a metrics file, without what a clock and the system measured.
pub fn events(file: &Path) -> Result<Vec<Value>> {
    std::fs::read_to_string(file)?
        .lines()
        .map(|line| {
            let mut event: Value = serde_json::from_str(line)?;
            if let Some(fields) = event.as_object_mut() {
                fields.remove("seconds");
                fields.remove("peak_resident_bytes");
            }
            Ok(event)
        })
        .collect()
}

/// The losses of the steps, in order.
pub fn losses(events: &[Value]) -> Vec<f64> {
    events
        .iter()
        .filter_map(|event| event["loss"].as_f64())
        .collect()
}

/// A run that is at its steps.
pub fn at_steps(place: &Workplace, arguments: &str, title: &str) -> Result<Watched> {
    let mut run = place.watch(arguments)?;
    run.wait_for(&format!("{title} 1/"))?;
    Ok(run)
}
