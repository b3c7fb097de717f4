//! The reference solutions of HumanEval and MBPP.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use code_interpreter::asserts::{AssertTests, judge_in_one_process};
use code_interpreter::{Limits, Pool, Python, Verdict, asserts};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::support::limits;

/// A problem with its reference solution.
struct Published {
    name: String,
    solution: String,
    asserts: AssertTests,
}

fn open(name: &str) -> Option<impl Read> {
    let file = test_support::folders::data()?.join("eval").join(name);
    match File::open(&file) {
        Ok(file) => Some(GzDecoder::new(file)),
        Err(_) => {
            test_support::skip(format_args!("no rows {}", file.display()));
            None
        }
    }
}

#[derive(Deserialize)]
struct HumanEval {
    task_id: String,
    prompt: String,
    entry_point: String,
    canonical_solution: String,
    test: String,
}

impl HumanEval {
    fn asserts(&self) -> AssertTests {
        AssertTests {
            // The prompt has helpers that tests use, and a stub of what is asked for.
            code: format!(
                "{}\n{}\ncheck({})",
                self.prompt, self.test, self.entry_point
            ),
            entry_point: self.entry_point.clone(),
        }
    }
}

fn humaneval_rows() -> Option<Vec<HumanEval>> {
    let lines = BufReader::new(open("humaneval/HumanEval.jsonl.gz")?).lines();
    Some(
        lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect(),
    )
}

fn humaneval() -> Option<Vec<Published>> {
    let publish = |row: HumanEval| Published {
        solution: row.prompt.clone() + &row.canonical_solution,
        asserts: row.asserts(),
        name: row.task_id,
    };
    Some(humaneval_rows()?.into_iter().map(publish).collect())
}

fn mbpp() -> Option<Vec<Published>> {
    #[derive(Deserialize)]
    struct Row {
        task_id: usize,
        code: String,
        test_imports: Vec<String>,
        test_list: Vec<String>,
    }
    let rows: Vec<Row> = serde_json::from_reader(open("mbpp/new_mbpp.json.gz")?).unwrap();
    let read = |row: Row| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let used: Vec<&str> = row.test_list[0].split(|c| !is_word(c)).collect();
        let mut defined = row.code.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("def ")?.split_once('(')?;
            Some(name.trim())
        });
        let entry_point = defined
            .rfind(|name| used.contains(name))
            .unwrap()
            .to_owned();
        let lines: Vec<&str> = row
            .test_imports
            .iter()
            .chain(&row.test_list)
            .map(String::as_str)
            .collect();
        Published {
            name: format!("MBPP/{}", row.task_id),
            asserts: AssertTests {
                code: lines.join("\n"),
                entry_point,
            },
            solution: row.code,
        }
    };
    Some(rows.into_iter().map(read).collect())
}

/// Those that are not judged correct, with what is said of them, and how many were judged.
fn exceptions(problems: Option<Vec<Published>>) -> Option<(usize, Vec<(String, Verdict)>)> {
    let problems = problems?;
    let pool = Pool::start(&Python::find().unwrap(), limits(), 4).unwrap();
    let results = pool
        .map_pairs(&problems, |tests, candidate, problem| {
            asserts::judge(tests, candidate, &problem.solution, &problem.asserts)
        })
        .unwrap();
    let named = problems.iter().zip(results).map(|(problem, result)| {
        assert!(!result.one_process);
        (problem.name.clone(), result.verdict)
    });
    Some((
        problems.len(),
        named.filter(|(_, verdict)| !verdict.is_correct()).collect(),
    ))
}

#[test]
fn the_reference_solutions_of_humaneval_are_correct() {
    let Some((judged, wrong)) = exceptions(humaneval()) else {
        return;
    };
    assert_eq!(judged, 164);
    assert_eq!(wrong, []);
}

#[test]
fn the_reference_solutions_of_mbpp_are_correct() {
    let Some((judged, wrong)) = exceptions(mbpp()) else {
        return;
    };
    assert_eq!(judged, 399);
    // They return what `re.match` does, of which the tests ask no more than whether it is true.
    let object = |name: &str, function: &str| {
        let reason = format!("`{function}` returned a value of type `Match`");
        (name.to_owned(), Verdict::Unjudged { reason })
    };
    let cannot_cross = [
        object("MBPP/737", "check_str"),
        object("MBPP/787", "text_match_three"),
        object("MBPP/794", "text_starta_endb"),
    ];
    assert_eq!(wrong, cannot_cross);
}

#[test]
fn in_one_process_with_the_tests_every_reference_solution_is_correct() {
    let (Some(mut problems), Some(more)) = (humaneval(), mbpp()) else {
        return;
    };
    problems.extend(more);
    let pool = Pool::start(&Python::find().unwrap(), limits(), 2).unwrap();
    let results = pool
        .map(&problems, |interpreter, problem| {
            judge_in_one_process(interpreter, &problem.solution, &problem.asserts)
        })
        .unwrap();
    for (problem, result) in problems.iter().zip(&results) {
        assert!(result.one_process);
        assert_eq!(result.verdict, Verdict::Correct, "{}", problem.name);
    }
}

/// What a row of recorded verdicts is about.
#[derive(Deserialize)]
struct Recorded {
    task_id: String,
    label: String,
    completion: Option<String>,
    completion_template: Option<String>,
    verdict: Passed,
}

#[derive(Deserialize)]
struct Passed {
    passed: bool,
}

#[test]
fn verdicts_on_completions_of_humaneval_are_those_that_its_authors_program_gave() {
    let (Some(recorded), Some(problems)) = (
        test_support::folders::golden_file("eval/code_humaneval.jsonl"),
        humaneval_rows(),
    ) else {
        return;
    };
    let lines = BufReader::new(File::open(recorded).unwrap()).lines();
    let rows: Vec<Recorded> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(rows.len(), 67);
    let limits = Limits {
        // As theirs.
        wall: Duration::from_secs(3),
        ..limits()
    };
    let pool = Pool::start(&Python::find().unwrap(), limits, 4).unwrap();
    let results = pool
        .map_pairs(&rows, |tests, candidate, row| {
            let problem = problems
                .iter()
                .find(|problem| problem.task_id == row.task_id)
                .unwrap();
            let canonical = &problem.canonical_solution;
            let lines = problem.prompt.lines();
            let head = lines.rev().find(|line| line.starts_with("def ")).unwrap();
            let redefined = format!("def  {}\n{canonical}", &head[4..]);
            let completion = match (&row.completion, &row.completion_template, &*row.label) {
                (Some(completion), _, _) => completion.clone(),
                (_, Some(template), _) => template.replace("{{canonical_solution}}", canonical),
                (_, _, "canonical_body") => canonical.clone(),
                (_, _, "canonical_redefined") => redefined,
                (_, _, "mutated_not") => redefined.replacen("return", "return not", 1),
                (_, _, label) => panic!("no completion for {label}"),
            };
            let solution = problem.prompt.clone() + &completion;
            let asserts = problem.asserts();
            let apart = asserts::judge(tests, candidate, &solution, &asserts)?;
            Ok((
                apart.verdict,
                judge_in_one_process(tests, &solution, &asserts)?.verdict,
            ))
        })
        .unwrap();
    for (row, (apart, together)) in rows.iter().zip(results) {
        let name = format!("{} {}: {apart}, {together}", row.task_id, row.label);
        assert_eq!(apart.is_correct(), row.verdict.passed, "{name}");
        assert_eq!(together.is_correct(), row.verdict.passed, "{name}");
        // What they call failed for want of a package says nothing about the solution.
        let unjudged = matches!(apart, Verdict::Unjudged { .. });
        assert_eq!(unjudged, row.label == "import_psutil", "{name}");
    }
}
