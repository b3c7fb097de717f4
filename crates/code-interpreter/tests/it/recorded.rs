//! Cells that MINT's tool, which is IPython, has run: the same code must show the same here.
#![allow(clippy::print_stdout)] // the list of what differs, with its cause

use std::io::{BufRead, BufReader};

use code_interpreter::{Execution, Interpreter, Limits, Pool, Python, Status};
use flate2::read::GzDecoder;
use serde_json::Value;

/// A cell of an episode and what was observed, without the surrounding words.
struct Recorded {
    code: String,
    shown: String,
}

/// The cells of each episode, in order. A turn that proposes a solution runs nothing.
fn episodes(path: &std::path::Path) -> Vec<(String, Vec<Recorded>)> {
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let texts = |name: &str| -> Vec<String> {
                let list = row[name].as_array().unwrap().iter();
                list.map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            let turns = texts("assistant_turns");
            let observations = texts("user_turns_after_first");
            let cells = turns.iter().zip(&observations);
            let cells = cells.filter_map(|(turn, observed)| recorded(turn, observed));
            (row["id"].as_str().unwrap().to_owned(), cells.collect())
        })
        .collect()
}

fn recorded(turn: &str, observed: &str) -> Option<Recorded> {
    if turn.contains("<solution>") {
        return None;
    }
    // All that a turn wants run is one cell.
    let blocks = turn.split("<execute>").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|rest| rest.split_once("</execute>"))
        .map(|(code, _)| code.trim())
        .collect();
    if blocks.is_empty() {
        return None;
    }
    let observed = observed.strip_prefix("Observation:\n")?;
    let (shown, _) = observed.rsplit_once("\nYou have ")?;
    Some(Recorded {
        code: blocks.join("\n"),
        shown: trimmed(shown),
    })
}

/// Line ends and the space after a message that is empty were lost in the recording.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Why a cell cannot show the same here, if there is a reason that is not this crate's.
fn cause(shown: &Execution, recorded: &Recorded) -> &'static str {
    let missing =
        matches!(&shown.status, Status::Exception { kind, .. } if kind == "ModuleNotFoundError");
    if missing && !recorded.shown.contains("ModuleNotFoundError") {
        "a package that is not installed here"
    } else if recorded.shown.contains("File <") {
        "frames of a library, under the path and in the version of that machine"
    } else if matches!(shown.status, Status::TimedOut | Status::NotRun) {
        "it, or a cell before it, ran into the limit of time, which was 30 s there"
    } else if recorded
        .shown
        .ends_with("integer division or modulo by zero")
    {
        "another version of Python says `integer modulo by zero`"
    } else if recorded.shown.contains("SyntaxError: ") && shown.output.contains("SyntaxError: ") {
        "another version of Python marks another part of the line"
    } else {
        "unexplained"
    }
}

#[test]
fn recorded_cells_show_what_ipython_has_shown() {
    let Some(path) = test_support::folders::golden_file("eval/mint_recorded_eurus7b_kto.jsonl.gz")
    else {
        return;
    };
    let mut python = Python::find().unwrap().with_site_packages();
    // Most cells import it; a quarter of a second each time.
    let with_sympy = python.clone().with_preload(["sympy"]);
    let lack = Interpreter::start(&with_sympy, Limits::default()).err();
    if lack.is_none() {
        python = with_sympy;
    }
    let pool = Pool::start(&python, Limits::default(), 2).unwrap();
    let episodes = episodes(&path);
    let jobs: Vec<Vec<String>> = episodes
        .iter()
        .map(|(_, cells)| cells.iter().map(|cell| cell.code.clone()).collect())
        .collect();
    let runs = pool.run_all(&jobs).unwrap();
    let (mut outputs, mut equal_outputs) = (0, 0);
    let (mut tracebacks, mut equal_tracebacks) = (0, 0);
    let mut own = (0, 0);
    let mut differing = Vec::new();
    for ((id, cells), executions) in episodes.iter().zip(&runs) {
        for (cell, shown) in cells.iter().zip(executions) {
            let equal = trimmed(shown.render()) == cell.shown;
            let why = cause(shown, cell);
            if cell.shown.contains("Traceback (most recent call last)") {
                tracebacks += 1;
                equal_tracebacks += usize::from(equal);
                if why == "unexplained" {
                    own = (own.0 + 1, own.1 + usize::from(equal));
                }
            } else {
                outputs += 1;
                equal_outputs += usize::from(equal);
            }
            if !equal {
                differing.push(format!(
                    "{id}: {why}\n--- recorded\n{}\n--- here\n{}\n",
                    cell.shown,
                    shown.render()
                ));
            }
        }
    }
    println!("{}", differing.join("\n"));
    println!(
        "outputs: {equal_outputs} of {outputs} equal; tracebacks: {equal_tracebacks} of {tracebacks}, \
         without library frames {} of {}",
        own.1, own.0
    );
    let unexplained = differing
        .iter()
        .filter(|text| text.contains(": unexplained\n"));
    assert_eq!(unexplained.count(), 0);
    assert!(outputs > 0 && own.0 > 0);
    assert!(10 * own.1 >= 9 * own.0, "{} of {}", own.1, own.0);
    // However good their reasons, few may differ: one that holds for all would hide what broke.
    if let Some(lack) = lack {
        return test_support::skip(format_args!("without sympy most cells differ: {lack}"));
    }
    let enough = |equal: usize, of: usize, percent: usize| {
        assert!(100 * equal >= percent * of, "{equal} of {of}");
    };
    enough(equal_outputs, outputs, 92);
    enough(equal_tracebacks, tracebacks, 75);
}
