//! The files of `tests/cases`, a folder for each kind of form, and what is said of them and made of them.

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub const OF_A_STEP: &str = "--max-steps 1 --learning-rate 1e-5 --out out --overwrite";

/// The model, and the files of a folder.
pub fn place_with(folder: &str) -> Result<Workplace> {
    let place = Workplace::new()?;
    let cases = format!("{}/tests/cases/{folder}", env!("CARGO_MANIFEST_DIR"));
    for file in std::fs::read_dir(&cases).with_context(|| cases.clone())? {
        let file = file?;
        std::fs::copy(file.path(), place.path(&file.file_name().to_string_lossy()))?;
    }
    Ok(place)
}

/// The rows that a file becomes in another format.
pub fn converted(place: &Workplace, file: &str, to: &str) -> Result<Vec<Value>> {
    place.succeed(&format!(
        "data convert {file} --to {to} --out converted.jsonl --overwrite"
    ))?;
    lines(place, "converted.jsonl")
}

pub fn lines(place: &Workplace, file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(place.path(file))?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

pub fn told_of(place: &Workplace, command: &str, file: &str, says: &[&str]) -> Result<()> {
    let run = format!("{command} --model model --data {file} {OF_A_STEP}");
    ensure_says(&place.told(&run)?, says).map_err(|it| it.context(file.to_owned()))
}

/// What `validate` says of a file that has violations.
pub fn violations(place: &Workplace, file: &str) -> Result<String> {
    let output = place.run(&format!("data validate {file}"))?;
    ensure!(
        output.status.code() == Some(1),
        "{file}: {:?}",
        output.status
    );
    Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
}

pub fn says(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

pub const ASKED: &str = "Which of 0 and 3 is larger?";

/// Every one of these files has six preferences of the same texts; a system message stands before some.
pub fn ensure_preferences(rows: &[Value], before: &[Value]) -> Result<()> {
    ensure!(rows.len() == 6, "{} rows", rows.len());
    for (n, row) in rows.iter().enumerate() {
        let mut prompt = before.to_vec();
        prompt.push(says(
            "user",
            &format!("Which of {n} and {} is larger?", n + 3),
        ));
        ensure!(row["prompt"] == json!(prompt), "{row}");
        let answer = |n: usize| json!([says("assistant", &format!("{n} is larger."))]);
        ensure!(row["chosen"] == answer(n + 3), "{row}");
        ensure!(row["rejected"] == answer(n), "{row}");
    }
    Ok(())
}

/// The loss of the only step of a run.
pub fn ensure_first_loss(place: &Workplace, expected: f64) -> Result<()> {
    let losses = place.losses_of("out")?;
    // As it is printed in f32.
    ensure_near(&losses, &[f64::from(expected as f32)])
}

pub const PREFER: &str = "prefer --algorithm dpo";
