//! Problems of one's own, from a file.

use std::path::Path;

use anyhow::{Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use ultrainteract::action_text::final_answer;
use ultrainteract::formats::parse_json;
use ultrainteract::{Schema, Task, input};
use ultrainteract_synth::Problem;
use ultrainteract_synth::word_problems::WordProblem;

/// What follows a question unless something else is given.
pub const ASK: &str =
    "Think step by step. At the end write the answer, a number, as \\boxed{number}.";

/// Where `ask` has the question; without it `ask` follows the question.
const QUESTION: &str = "{question}";

/// The problems alone.
pub fn problems_of(words: &[WordProblem]) -> Vec<Problem> {
    words.iter().map(|word| word.problem.clone()).collect()
}

/// A record of a data set of word problems, as GSM8K, GSM-Plus, SVAMP or MATH write them.
#[derive(Deserialize)]
struct Record {
    #[serde(alias = "Question", alias = "problem", alias = "instruction")]
    question: String,
    /// SVAMP tells the story apart from the question.
    #[serde(default, alias = "Body")]
    body: String,
    #[serde(alias = "Answer", alias = "expected_answer", alias = "ground_truth")]
    answer: Answer,
    /// SVAMP's solution.
    #[serde(default, alias = "Equation")]
    equation: String,
    /// MATH's and GSM-Plus's.
    #[serde(default)]
    solution: String,
    #[serde(
        default,
        alias = "Type",
        alias = "perturbation_type",
        alias = "dataset"
    )]
    kind: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Number(f64),
    Text(String),
}

impl Record {
    /// The solution that the data set has, as an action: a program that prints SVAMP's equation, or the text of GSM8K or MATH
    /// with a boxed answer. Empty if there is none.
    fn rationale(&self, ground_truth: &str) -> String {
        if !self.equation.is_empty() {
            // "( 76.0 - 25.0 )"
            let equation = self.equation.replace(".0 ", " ");
            let equation = equation.trim();
            let inner = equation
                .strip_prefix('(')
                .and_then(|it| it.strip_suffix(')'));
            let bare = inner.filter(|inner| !inner.contains(['(', ')']));
            return format!("```python\nprint({})\n```", bare.unwrap_or(equation).trim());
        }
        let text = match &self.answer {
            Answer::Text(text) if self.solution.is_empty() => text,
            _ => &self.solution,
        };
        let steps = text.split("####").next().unwrap_or_default().trim();
        if steps.is_empty() || steps == ground_truth {
            return String::new();
        }
        // GSM8K has the sums once more, for a calculator: <<16-3-4=9>>.
        let mut spoken = String::new();
        for (index, part) in steps.split("<<").enumerate() {
            let rest = part.split_once(">>").map_or(part, |(_, rest)| rest);
            spoken += if index == 0 { part } else { rest };
        }
        match spoken.contains("\\boxed") {
            true => spoken,
            false => format!("{spoken}\nAnswer:\n\\boxed{{{ground_truth}}}"),
        }
    }
}

/// Problems with their kinds, from JSONL or a JSON array, compressed or not. `ask` says how to answer: it follows each question, or
/// has it where it says `{question}`.
///
/// # Errors
///
/// When the file cannot be read, a record has no question or answer, or there is none.
pub fn read(path: &Path, ask: &str) -> Result<Vec<(Problem, String)>> {
    let mut problems = Vec::new();
    for row in input::read(vec![path.to_owned()], parse_json::<Record>) {
        let record = row.map_err(|rejected| rejected.error)?.value;
        let story = record.body.trim();
        let pause = if story.is_empty() || story.ends_with(['.', '?', '!', ',']) {
            " "
        } else {
            ". "
        };
        let question = format!("{story}{pause}{}", record.question.trim());
        let ground_truth = match &record.answer {
            Answer::Number(number) => number.to_string(),
            // GSM8K's answers end with "#### 18".
            Answer::Text(text) => final_answer(text).unwrap_or_else(|| text.trim().to_owned()),
        };
        let number = problems.len() + 1;
        ensure!(
            !ground_truth.is_empty(),
            "record {number} of {} has an empty answer",
            path.display()
        );
        let rationale = record.rationale(&ground_truth);
        let is_program = rationale.starts_with("```");
        let problem = Problem {
            id: format!("problem-{number:05}"),
            instruction: posed(question.trim(), ask),
            ground_truth,
            rationale,
            task: if is_program {
                Task::MathPot
            } else {
                Task::MathCot
            },
            schema: match is_program {
                true => Schema::ModularProgramming,
                false => Schema::ChainOfThought,
            },
            dataset: "given".to_owned(),
        };
        problems.push((problem, record.kind));
    }
    ensure!(!problems.is_empty(), "{} has no records", path.display());
    Ok(problems)
}

/// The problems of a file in an order of the seed's.
///
/// # Errors
///
/// As for [`read`].
pub fn shuffled(path: &Path, ask: &str, seed: u64) -> Result<Vec<(Problem, String)>> {
    let mut problems = read(path, ask)?;
    problems.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    Ok(problems)
}

/// `ask` with the question where it has `{question}`, else behind it.
fn posed(question: &str, ask: &str) -> String {
    match ask.contains(QUESTION) {
        true => ask.replace(QUESTION, question),
        false => format!("{question} {ask}").trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_read_as_their_data_sets_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        let text = concat!(
            r#"{"question":"How many?","answer":"It is 2 + 1 = <<2+1=3>>3.\n#### 3"}"#,
            "\n",
            r#"{"ID":"chal-1","Body":"Tom has 5 pens","Question":"How many?","Answer":5.0,"Type":"Sum","#,
            r#""Equation":"( 8.0 - 3.0 )"}"#,
            "\n",
            r#"{"problem":"1 + 1?","solution":"So $\\boxed{2}$.","expected_answer":"2"}"#,
        );
        std::fs::write(&path, text).unwrap();
        let read = read(&path, "Box it.").unwrap();
        assert_eq!(read[0].0.instruction, "How many? Box it.");
        assert_eq!(read[0].0.ground_truth, "3");
        assert_eq!(read[1].0.instruction, "Tom has 5 pens. How many? Box it.");
        assert_eq!(read[1].0.ground_truth, "5");
        assert_eq!(posed("1?", "Say: {question} Now."), "Say: 1? Now.");
        assert_eq!(read[1].1, "Sum");
        let rationale = |index: usize| read[index].0.rationale.as_str();
        let steps = "It is 2 + 1 = 3.\nAnswer:\n\\boxed{3}";
        assert_eq!(rationale(0), steps);
        assert_eq!(rationale(1), "```python\nprint(8 - 3)\n```");
        assert_eq!(rationale(2), "So $\\boxed{2}$.");
    }

    #[test]
    fn a_record_without_an_answer_is_refused_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        std::fs::write(&path, r#"{"question":"How many?"}"#).unwrap();
        let error = format!("{:#}", read(&path, "").unwrap_err());
        assert!(
            error.contains("row 1") && error.contains("answer"),
            "{error}"
        );
    }
}
