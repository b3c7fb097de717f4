//! Problems of one's own, from a file.

use std::path::Path;

use answer_equality::extract;
use anyhow::{Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use ultrainteract::decontaminate::Decontaminator;
use ultrainteract::formats::parse_json;
use ultrainteract::{Task, input};
use ultrainteract_synth::word_problems::WordProblem;
use ultrainteract_synth::{Gold, Problem};

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
    /// MATH has it in the solution alone.
    #[serde(
        default,
        alias = "Answer",
        alias = "expected_answer",
        alias = "ground_truth"
    )]
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
        alias = "type",
        alias = "subject",
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

impl Default for Answer {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A problem of a file.
#[derive(Debug, Clone)]
pub struct Given {
    /// As it is posed.
    pub problem: Problem,
    /// The question alone.
    pub question: String,
    /// What its data set calls its kind; empty if it does not.
    pub kind: String,
}

/// Problems that all is judged on, and others that have no eight words in a row with any of these.
pub struct Split {
    /// What all is judged on.
    pub unseen: Vec<Given>,
    /// What may be trained on.
    pub others: Vec<Given>,
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

/// Problems from JSONL or a JSON array, compressed or not. `ask` says how to answer: it follows each question, or
/// has it where it says `{question}`.
///
/// # Errors
///
/// When the file cannot be read, a record has no question or answer, or there is none.
pub fn read(path: &Path, ask: &str) -> Result<Vec<Given>> {
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
            Answer::Text(text) if text.is_empty() => extract(&record.solution).unwrap_or_default(),
            // GSM8K's answers end with "#### 18".
            Answer::Text(text) => extract(text).unwrap_or_else(|| text.trim().to_owned()),
        };
        let number = problems.len() + 1;
        ensure!(
            !ground_truth.is_empty(),
            "record {number} of {} has no answer",
            path.display()
        );
        let rationale = record.rationale(&ground_truth);
        let is_program = rationale.starts_with("```");
        let problem = Problem {
            id: format!("problem-{number:05}"),
            instruction: posed(question.trim(), ask),
            task: if is_program {
                Task::MathPot
            } else {
                Task::MathCot
            },
            gold: Gold::Answer(ground_truth),
            solutions: Vec::from_iter((!rationale.is_empty()).then_some(rationale)),
            dataset: "given".to_owned(),
        };
        problems.push(Given {
            problem,
            question: question.trim().to_owned(),
            kind: record.kind,
        });
    }
    ensure!(!problems.is_empty(), "{} has no records", path.display());
    Ok(problems)
}

/// Splits the problems of a file, in an order of the seed's.
///
/// # Errors
///
/// As for [`read`]; also when there are no others.
pub fn split(path: &Path, ask: &str, unseen: usize, seed: u64) -> Result<Split> {
    let mut problems = read(path, ask)?;
    problems.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let others = problems.split_off(unseen.min(problems.len()));
    let questions = problems.iter().map(|it| &it.question);
    let index = Decontaminator::new(questions, Decontaminator::DEFAULT_N)?;
    let count = others.len();
    let others: Vec<Given> = others
        .into_iter()
        .filter(|it| index.find(&it.question).is_none())
        .collect();
    println!(
        "{:>18}  {} unseen; of {count} others {} are left out, which share eight words in a row with one of them",
        "Problems",
        problems.len(),
        count - others.len()
    );
    ensure!(
        !others.is_empty(),
        "{} has no problems beside the {unseen} unseen ones",
        path.display()
    );
    Ok(Split {
        unseen: problems,
        others,
    })
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
            r#"{"problem":"1 + 1?","solution":"So $\\boxed{2}$.","type":"Algebra"}"#,
        );
        std::fs::write(&path, text).unwrap();
        let read = read(&path, "Box it.").unwrap();
        let truth = |index: usize| read[index].problem.ground_truth().unwrap();
        assert_eq!(read[0].problem.instruction, "How many? Box it.");
        assert_eq!(truth(0), "3");
        assert_eq!(
            read[1].problem.instruction,
            "Tom has 5 pens. How many? Box it."
        );
        assert_eq!(truth(1), "5");
        assert_eq!(posed("1?", "Say: {question} Now."), "Say: 1? Now.");
        assert_eq!(read[1].kind, "Sum");
        let rationale = |index: usize| read[index].problem.rationale().unwrap();
        let steps = "It is 2 + 1 = 3.\nAnswer:\n\\boxed{3}";
        assert_eq!(rationale(0), steps);
        assert_eq!(rationale(1), "```python\nprint(8 - 3)\n```");
        assert_eq!(rationale(2), "So $\\boxed{2}$.");
        assert_eq!(truth(2), "2");
        assert_eq!(read[2].kind, "Algebra");
    }

    #[test]
    fn a_record_without_an_answer_is_refused_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        std::fs::write(&path, r#"{"question":"How many?"}"#).unwrap();
        let error = format!("{:#}", read(&path, "").unwrap_err());
        assert!(
            error.contains("record 1") && error.contains("no answer"),
            "{error}"
        );
    }

    #[test]
    fn what_may_be_trained_on_shares_no_eight_words_with_what_is_judged_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        let story = "one two three four five six seven eight";
        let rows: Vec<String> = (0..40)
            .map(|index| {
                let question = match index % 2 {
                    0 => format!("{story} {index}?"),
                    _ => format!("What is {index} and {index}?"),
                };
                serde_json::json!({ "question": question, "answer": index.to_string() }).to_string()
            })
            .collect();
        std::fs::write(&path, rows.join("\n")).unwrap();
        let split = split(&path, "Say it.", 10, 1).unwrap();
        assert_eq!(split.unseen.len(), 10);
        assert!(split.unseen.iter().any(|it| it.question.starts_with(story)));
        assert!(
            split
                .others
                .iter()
                .all(|it| !it.question.starts_with(story))
        );
        assert!(split.others.len() > 10);
    }
}
