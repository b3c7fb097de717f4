//! What cannot be: one message with place and remedy, before anything is asked for.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_support::servers::ChatServer;

use super::company::company;
use super::puzzles::rows;
use super::site::{RUN, Site};

/// A place with a server that nobody should ask.
pub struct Unasked {
    pub site: Site,
    pub server: ChatServer,
}

impl Unasked {
    pub fn new() -> Result<Self> {
        let server = company(Duration::ZERO);
        Ok(Self {
            site: Site::new(6, &server.base_url)?,
            server,
        })
    }

    /// Runs what must fail with this code and these words, and ask nothing.
    pub fn refuses(&self, arguments: &str, code: i32, words: &[&str]) -> Result<String> {
        let ended = self.site.ends(arguments, code, words)?;
        ensure!(
            self.server.calls().is_empty(),
            "{arguments} asked: {ended:?}"
        );
        Ok(ended.said)
    }
}

fn line(id: &str, rest: Value) -> Value {
    let mut row = json!({"id": id, "task": "Math_CoT", "instruction": "What is 1 + 1?"});
    for (key, value) in rest.as_object().into_iter().flatten() {
        row[key.as_str()] = value.clone();
    }
    row
}

/// Seven lines, of which the first is a problem.
fn bad_lines() -> Vec<u8> {
    let lines = [
        line("good", json!({"answer": "2"})),
        line("good", json!({"answer": "2"})),
        line("unanswered", json!({})),
        line(
            "chosen",
            json!({"choices": ["red", "green"], "answer": "gren"}),
        ),
        line("task", json!({"answer": "2", "task": "Math_CoD"})),
        line("key", json!({"anwser": "2"})),
    ];
    let mut text = lines.map(|line| format!("{line}\n")).concat().into_bytes();
    text.extend_from_slice(b"{\"id\": \"bytes\", \"task\": \"Logic\", \"instruction\": \"\xff\xfe\", \"answer\": \"2\"}\n");
    text.extend_from_slice(b"{\"id\": \"cut off\", \"task\": \n");
    text
}

#[test]
fn every_bad_line_is_named_at_once_with_its_place_and_what_to_do() -> Result<()> {
    let place = Unasked::new()?;
    place.site.write("problems.jsonl", bad_lines())?;
    let said = place.refuses(
        RUN,
        1,
        &[
            "7 records are no problems; repair what is named, or leave them out with --skip-invalid",
            "row 2 of problems.jsonl: `id` is `good`, which row 1 of problems.jsonl has already; give every problem its own",
            "row 3 of problems.jsonl: nothing says what is right; give `answer`",
            "row 4 of problems.jsonl: `answer` is `gren`, which is none of `choices`; write a choice, its letter (A to B), or \
             its number from 1; did you mean `green`?",
            "row 5 of problems.jsonl: `task`: ",
            "did you mean `Math_CoT`?",
            "row 6 of problems.jsonl: unknown key `anwser`; did you mean `answer`?",
            "row 7 of problems.jsonl: ",
            "UTF-8",
            "row 8 of problems.jsonl: ",
        ],
    )?;
    ensure!(said.matches("error:").count() == 1, "{said}");
    ensure!(!place.site.path("run.db").exists(), "a store was made");
    Ok(())
}

#[test]
fn bad_lines_that_are_left_out_are_written_down_with_their_reasons_and_the_others_are_built()
-> Result<()> {
    let server = company(Duration::ZERO);
    let site = Site::new(1, &server.base_url)?;
    site.write("problems.jsonl", bad_lines())?;
    site.ends(
        &format!("{RUN} --skip-invalid rejects.jsonl"),
        0,
        &["7 problems are left out, see rejects.jsonl"],
    )?;
    let rejects = site.read("rejects.jsonl")?;
    ensure!(rejects.lines().count() == 7, "{rejects}");
    for (number, reject) in rejects.lines().enumerate() {
        let reject: Value = serde_json::from_str(reject)?;
        let location = format!("row {} of problems.jsonl", number + 2);
        ensure!(reject["location"] == location.as_str(), "{reject}");
        ensure!(
            reject["reason"].as_str().is_some_and(|it| !it.is_empty()),
            "{reject}"
        );
    }
    ensure!(site.status("run.db")?["jobs"]["done"] == 1);
    Ok(())
}

#[test]
fn a_dry_run_writes_down_what_it_leaves_out() -> Result<()> {
    let place = Unasked::new()?;
    place.site.write("problems.jsonl", bad_lines())?;
    place.refuses(
        &format!("{RUN} --dry-run --skip-invalid rejects.jsonl"),
        0,
        &["7 problems are left out, see rejects.jsonl"],
    )?;
    let rejects = place.site.read("rejects.jsonl")?;
    ensure!(rejects.lines().count() == 7, "{rejects}");
    Ok(())
}

#[test]
fn solutions_that_fail_are_named_at_once_with_their_lines_and_can_be_left_out() -> Result<()> {
    let place = Unasked::new()?;
    let mut lines = rows(12);
    // A sum, a function and a program.
    lines[2]["solutions"] = json!(["Step 1: Guess.\nAnswer:\n\\boxed{1000}"]);
    lines[4]["solutions"] = json!(["def add_9(x):\n    return x"]);
    lines[5]["solutions"] = json!(["print(int(input()) +)"]);
    place.site.place.write_rows("problems.jsonl", &lines)?;
    place.refuses(
        RUN,
        1,
        &[
            "the annotated solutions of 3 problems fail",
            "row 3 of problems.jsonl, `p2`: its solution answers `1000`, and the answer is ",
            "row 5 of problems.jsonl, `p4`: its solution fails: ",
            "row 6 of problems.jsonl, `p5`: its solution is no Python: ",
            "--skip-invalid REJECTS",
        ],
    )?;
    ensure!(!place.site.path("run.db").exists(), "a store was made");
    Ok(())
}

#[test]
fn a_problem_file_that_is_empty_or_not_there_is_named() -> Result<()> {
    let place = Unasked::new()?;
    place.site.write("problems.jsonl", "")?;
    place.refuses(
        RUN,
        1,
        &["problems.jsonl: there is no problem in it; write one JSON object a line"],
    )?;
    std::fs::remove_file(place.site.path("problems.jsonl"))?;
    place.refuses(RUN, 1, &["problems.jsonl", "No such file"])?;
    Ok(())
}

#[test]
fn a_run_file_that_cannot_be_is_told_with_the_nearest_name() -> Result<()> {
    let place = Unasked::new()?;
    let whole = place.site.read("synth.toml")?;
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "stronger = [\"stronger\"]",
            "stronger = [\"strongr\"]",
            &[
                "synth.toml: `actors.stronger` is `strongr`, and there is no [endpoints.strongr]; did you mean `stronger`?",
            ],
        ),
        (
            "round = 2",
            "ruond = 2",
            &[
                "synth.toml: ",
                "line 6",
                "unknown field `ruond`",
                "did you mean `round`?",
            ],
        ),
        (
            "concurrency = 32",
            "concurency = 32",
            &[
                "synth.toml: ",
                "unknown field `concurency`",
                "did you mean `concurrency`?",
            ],
        ),
        (
            "max_turns = 2",
            "max_turns = 0",
            &["synth.toml: ", "max_turns"],
        ),
        (
            "seed = 1\n",
            "seed = 1\nbudget = 3.0\n",
            &["there is a `budget`, and [endpoints.cheap] has no `prices` to count against it"],
        ),
        ("[trees]", "[trees", &["synth.toml: ", "line 17"]),
    ];
    for (from, to, words) in cases {
        place.site.edit(&[(from, to)])?;
        place.refuses(RUN, 1, words)?;
        place.site.write("synth.toml", &whole)?;
    }
    std::fs::remove_file(place.site.path("synth.toml"))?;
    place.refuses(RUN, 1, &["synth.toml: cannot be read: No such file"])?;
    ensure!(!place.site.path("run.db").exists(), "a store was made");
    Ok(())
}

#[test]
fn a_key_that_is_not_set_is_named_with_its_endpoint() -> Result<()> {
    let place = Unasked::new()?;
    place.site.edit(&[(
        "model = \"critic\"\n",
        "model = \"critic\"\napi_key_env = \"EURUS_NO_SUCH_KEY\"\n",
    )])?;
    place.refuses(
        RUN,
        1,
        &[
            "[endpoints.critic]",
            "environment variable `EURUS_NO_SUCH_KEY` is not set",
            "export the API key",
        ],
    )?;
    ensure!(!place.site.path("run.db").exists(), "a store was made");
    Ok(())
}

#[test]
fn a_prompt_with_an_unknown_variable_or_name_is_refused_with_those_that_there_are() -> Result<()> {
    let place = Unasked::new()?;
    place
        .site
        .edit(&[("seed = 1\n", "seed = 1\nprompts = \"words\"\n")])?;
    place.refuses(RUN, 1, &["prompt words cannot be read: No such file"])?;
    std::fs::create_dir(place.site.path("words"))?;
    place
        .site
        .write("words/actor.j2", "Solve it by {{ shema }}.")?;
    place.refuses(
        RUN,
        1,
        &["prompt words/actor.j2 uses the variable `shema`, which it does not have; it has task, dataset, schema"],
    )?;
    place.site.write("words/actor.j2", "Solve it {% if %}.")?;
    place.refuses(RUN, 1, &["prompt words/actor.j2 is no template: "])?;
    std::fs::rename(
        place.site.path("words/actor.j2"),
        place.site.path("words/actr.j2"),
    )?;
    place.refuses(
        RUN,
        1,
        &["prompt words/actr.j2 is not a template of tree construction; did you mean actor.j2?"],
    )?;
    Ok(())
}

#[test]
fn a_dry_run_asks_nothing_and_makes_no_store() -> Result<()> {
    let place = Unasked::new()?;
    place.site.ends(&format!("{RUN} --dry-run"), 0, &[])?;
    ensure!(
        !place.site.path("run.db").exists(),
        "a dry run made a store"
    );
    ensure!(place.server.calls().is_empty(), "a dry run asked");
    Ok(())
}
