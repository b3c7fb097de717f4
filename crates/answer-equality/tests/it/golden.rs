//! The verdicts of the paper's released graders.
//!
//! The files lie outside the repository, in the folder that `EURUS_GOLDEN_DIR` names. Without them these tests say so and
//! pass.

use std::collections::BTreeMap;
use std::io::Write;

use answer_equality::{Comparison, Rule, Tolerance, authors, compare, extract};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use test_support::folders;

/// The share of rows on which we must say what the authors' graders say.
const AGREEMENT: f64 = 0.97;

fn golden<T: DeserializeOwned>(name: &str) -> Option<Vec<T>> {
    folders::golden_rows(&format!("eval/{name}"), |line| serde_json::from_str(line))
}

/// A row with the authors' verdict and ours, without and with their tolerances.
struct Judged {
    id: String,
    what: String,
    theirs: bool,
    exact: Comparison,
    tolerant: Comparison,
}

impl Judged {
    /// The tolerance of theirs that made it right for them.
    fn decided_by_tolerance(&self) -> Option<Rule> {
        let by = self.tolerant.by.filter(|by| by.is_tolerance());
        by.filter(|_| self.theirs && !self.exact.equal)
    }
}

fn say(line: &str) {
    // Past the test harness, which swallows what a passing test prints.
    writeln!(std::io::stderr().lock(), "{line}").expect("standard error is open");
}

/// Prints how far we agree, and gives the shares of rows: those that no tolerance decides, and all with tolerances.
fn agreement(name: &str, rows: &[Judged]) -> (f64, f64) {
    let mut by_rule: BTreeMap<Rule, Vec<&str>> = BTreeMap::new();
    let mut plain = Vec::new();
    for row in rows {
        match row.decided_by_tolerance() {
            Some(rule) => by_rule.entry(rule).or_default().push(&row.id),
            None => plain.push(row),
        }
    }
    let exact = plain
        .iter()
        .filter(|it| it.exact.equal == it.theirs)
        .count();
    let tolerant = rows
        .iter()
        .filter(|it| it.tolerant.equal == it.theirs)
        .count();
    let shares = (
        exact as f64 / plain.len() as f64,
        tolerant as f64 / rows.len() as f64,
    );
    say(&format!(
        "\n{name}: {exact} of {} without a tolerance ({:.2} %), with tolerances {tolerant} of {} ({:.2} %)",
        plain.len(),
        100.0 * shares.0,
        rows.len(),
        100.0 * shares.1,
    ));
    for (rule, ids) in &by_rule {
        say(&format!(
            "  {} rows are right by {rule:?} alone: {}",
            ids.len(),
            ids.join(" ")
        ));
    }
    for row in rows {
        let exact = row.exact.equal != row.theirs && row.decided_by_tolerance().is_none();
        let tolerant = row.tolerant.equal != row.theirs;
        if exact || tolerant {
            let which = match (exact, tolerant) {
                (true, true) => "both",
                (true, false) => "without",
                _ => "with",
            };
            say(&format!(
                "  {which}: theirs is {}, ours is not: {} {} ({:?}, {:?})",
                row.theirs, row.id, row.what, row.exact.by, row.tolerant.by
            ));
        }
    }
    shares
}

#[derive(Deserialize)]
struct Evaluated {
    id: String,
    model_output: String,
    ground_truth: String,
    verdict: Verdict,
}

#[derive(Deserialize)]
struct Verdict {
    correct: bool,
}

#[test]
fn answers_to_math_are_judged_as_by_the_authors() {
    let Some(rows) = golden::<Evaluated>("math_evaluate.jsonl") else {
        return;
    };
    let by_their_rules = |row: &Evaluated| {
        let given = authors::match_answer(&row.model_output);
        let grade = |tolerance| authors::grade(&given, &row.ground_truth, &tolerance);
        Judged {
            id: row.id.clone(),
            what: format!("{given:?} against {:?}", row.ground_truth),
            theirs: row.verdict.correct,
            exact: grade(Tolerance::exact()),
            tolerant: grade(Tolerance::authors()),
        }
    };
    let judged: Vec<Judged> = rows.iter().map(by_their_rules).collect();
    let shares = agreement("math_evaluate by the authors' rules", &judged);
    assert!(shares.0 >= AGREEMENT && shares.1 >= AGREEMENT, "{shares:?}");
}

/// The share of rows right for them that must be right by this crate's own rules; the others are theirs to explain.
const KEPT: f64 = 0.95;

#[test]
fn what_the_authors_accept_is_equal_by_our_own_rules() {
    let Some(rows) = golden::<Evaluated>("math_evaluate.jsonl") else {
        return;
    };
    let (mut right, mut kept, mut same, mut all) = (0, 0, 0, 0);
    let mut lost = Vec::new();
    for row in &rows {
        let theirs = authors::match_answer(&row.model_output);
        let by = authors::grade(&theirs, &row.ground_truth, &Tolerance::authors()).by;
        if row.verdict.correct && by.is_some_and(Rule::is_tolerance) {
            continue;
        }
        let given = extract(&row.model_output).unwrap_or_else(|| row.model_output.clone());
        let ours = compare(&given, &row.ground_truth, &Tolerance::default()).equal;
        all += 1;
        same += usize::from(ours == row.verdict.correct);
        if row.verdict.correct {
            right += 1;
            kept += usize::from(ours);
            if !ours {
                lost.push(format!(
                    "  {} {given:?} against {:?}",
                    row.id, row.ground_truth
                ));
            }
        }
    }
    let share = kept as f64 / right as f64;
    say(&format!(
        "\nmath_evaluate by our own rules, exact: {kept} of {right} that are right for the authors without a tolerance \
         ({:.2} %), the same verdict on {same} of {all} ({:.2} %); not equal by ours:\n{}",
        100.0 * share,
        100.0 * same as f64 / all as f64,
        lost.join("\n")
    ));
    assert!(share >= KEPT, "{share}");
}

#[derive(Deserialize)]
struct Mint {
    id: String,
    grader: String,
    reference: Option<Value>,
    answer: Option<String>,
    prompt_options: Option<String>,
    verdict: Value,
}

/// The text of an option: "Options: A ) 6 , B ) 121".
fn option<'a>(options: &'a str, letter: &str) -> &'a str {
    let label = format!("{} ) ", letter.to_uppercase());
    let after = options.split_once(&label).map_or("", |(_, after)| after);
    after.split(" , ").next().unwrap_or(after).trim()
}

#[test]
fn answers_to_mint_are_judged_as_by_the_authors() {
    let Some(rows) = golden::<Mint>("mint_graders.jsonl") else {
        return;
    };
    let judged: Vec<Judged> = rows
        .into_iter()
        .filter_map(|row| {
            let theirs = row.verdict.as_bool()?;
            let answer = row.answer.expect("a verdict has an answer");
            let reference = match row.reference.expect("a verdict has a reference") {
                Value::String(text) => text,
                Value::Bool(true) => "True".into(),
                Value::Bool(false) => "False".into(),
                other => other.to_string(),
            };
            let (truth, tolerance) = match row.grader.as_str() {
                "ReasoningTask.success" => (reference, Tolerance::authors_mint()),
                "MultipleChoiceTask.success" => {
                    let options = row.prompt_options.expect("a choice has options");
                    let text = option(&options, &reference);
                    (format!("({reference}) {text}"), Tolerance::authors_mint())
                }
                "TheoremqaTask.success" => (reference, Tolerance::authors_theorem_qa()),
                other => panic!("no rule for the grader {other}"),
            };
            let given = extract(&answer).unwrap_or(answer);
            Some(Judged {
                id: row.id,
                what: format!("{given:?} against {truth:?}"),
                theirs,
                exact: compare(&given, &truth, &Tolerance::default()),
                tolerant: compare(&given, &truth, &tolerance),
            })
        })
        .collect();
    let shares = agreement("mint_graders", &judged);
    assert!(shares.0 >= AGREEMENT && shares.1 >= AGREEMENT, "{shares:?}");
}

#[derive(Deserialize)]
struct Extraction {
    id: String,
    grader: String,
    response: String,
    verdict: Value,
}

#[test]
fn answers_are_extracted_as_by_the_authors() {
    let Some(rows) = golden::<Extraction>("answer_extraction.jsonl") else {
        return;
    };
    let rows: Vec<Extraction> = rows
        .into_iter()
        .filter(|row| row.grader == "eurus.match_answer")
        .collect();
    let differing = rows.iter().filter_map(|row| {
        let ours = authors::match_answer(&row.response);
        let theirs = row.verdict["extracted"].as_str()?;
        (ours != theirs).then(|| format!("{}: {theirs:?}, ours is {ours:?}", row.id))
    });
    let differing: Vec<String> = differing.collect();
    say(&format!(
        "\nmatch_answer: {} of {} differ",
        differing.len(),
        rows.len()
    ));
    assert!(
        !rows.is_empty() && differing.is_empty(),
        "{}",
        differing.join("\n")
    );
}

#[derive(Deserialize)]
struct Normalized {
    id: String,
    grader: String,
    answer: Option<String>,
    verdict: Value,
}

#[test]
fn normal_forms_are_those_of_the_authors() {
    let Some(rows) = golden::<Normalized>("math_normalizers.jsonl") else {
        return;
    };
    let (mut all, mut differing) = (0, Vec::new());
    for row in &rows {
        let form = match row.grader.as_str() {
            "mathd.normalize_answer" => authors::mathd_form,
            "prm800k._normalize" => authors::prm800k_form,
            _ => continue,
        };
        let (Some(answer), Some(theirs)) = (&row.answer, row.verdict.as_str()) else {
            continue;
        };
        all += 1;
        let ours = form(answer);
        if ours != theirs {
            differing.push(format!(
                "{}: {answer:?} is {theirs:?}, ours is {ours:?}",
                row.id
            ));
        }
    }
    say(&format!(
        "\nnormal forms: {} of {all} differ\n{}",
        differing.len(),
        differing.join("\n")
    ));
    assert!(differing.len() as f64 <= (1.0 - AGREEMENT) * f64::from(all));
}
