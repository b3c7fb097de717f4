//! `eurus data`, as a user runs it.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with two small trees as pair rows.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Self {
            folder: tempfile::tempdir()?,
        };
        place.write("pairs.jsonl", &pair_rows())?;
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, rows: &[Value]) -> Result<()> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Ok(std::fs::write(self.path(name), lines)?)
    }

    fn lines(&self, name: &str) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.path(name)).with_context(|| name.to_owned())?;
        let lines = text.lines().map(|line| Ok(serde_json::from_str(line)?));
        lines.collect()
    }

    /// `eurus data` with these words.
    fn run(&self, arguments: &str) -> Result<Output> {
        Ok(Command::new(env!("CARGO_BIN_EXE_eurus"))
            .arg("data")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()?)
    }

    fn succeed(&self, arguments: &str) -> Result<String> {
        let output = self.run(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The message of a command that must fail with this exit code, once, leaving nothing behind.
    fn refused(&self, code: i32, arguments: &str) -> Result<String> {
        let before = self.names()?;
        let output = self.run(arguments)?;
        let message = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(code), "{arguments}: {message}");
        ensure!(!message.contains("panicked"), "{message}");
        ensure!(
            message.matches("error: ").count() == 1,
            "one message: {message}"
        );
        ensure!(self.names()? == before, "left behind: {:?}", self.names()?);
        Ok(message)
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = std::fs::read_dir(self.folder.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// Three problems of two turns each: the rejected action of the first turn is expanded.
fn pair_rows() -> Vec<Value> {
    let user = |text: &str| json!({"from": "user", "value": text});
    let mut rows = Vec::new();
    for number in 2..5 {
        let question =
            format!("Tom has {number} bags of three apples and eats one. How many are left?");
        let wrong = format!("Answer: {}", number + 3);
        let row = |turn: usize, trajectory: Value, chosen: &str, rejected: &str| {
            json!({"id": format!("p{number}_2_{turn}"), "parent_id": format!("p{number}"),
                "task": "Math_CoT", "dataset": "toy", "trajectory": trajectory, "chosen": chosen, "rejected": rejected})
        };
        let first = format!("Three times {number} less one. Answer: {}", 3 * number - 1);
        rows.push(row(1, json!([user(&question)]), &first, &wrong));
        let history = json!([user(&question), {"from": "assistant", "value": wrong}, user("Your answer is wrong.")]);
        let second = format!("Again. Answer: {}", 3 * number - 1);
        rows.push(row(2, history, &second, "I do not know."));
    }
    rows
}

#[test]
fn rows_become_trees_and_come_back_the_same_in_every_kind_of_file() -> Result<()> {
    let place = Place::new()?;
    let said = place.succeed("convert pairs.jsonl --to tree --out trees.jsonl.zst")?;
    ensure!(
        said.contains("3 rows (tree) of 3 trees in trees.jsonl.zst"),
        "{said}"
    );
    for (from, to) in [
        ("trees.jsonl.zst", "a.parquet"),
        ("a.parquet", "b.jsonl.gz"),
        ("b.jsonl.gz", "c.jsonl"),
    ] {
        place.succeed(&format!("convert {from} --to pair --out {to}"))?;
    }
    ensure!(place.lines("c.jsonl")? == pair_rows());
    place.succeed("convert c.jsonl --to trl-preference-chat --out trl.parquet")?;
    place.succeed("convert trl.parquet --to pair --out d.jsonl")?;
    ensure!(place.lines("d.jsonl")? == pair_rows());
    Ok(())
}

#[test]
fn statistics_in_three_layouts() -> Result<()> {
    let place = Place::new()?;
    let text = place.succeed("stats pairs.jsonl")?;
    ensure!(
        text.contains("Table 1") && text.contains("Table 7"),
        "{text}"
    );
    ensure!(text.contains("Tokens are estimates"), "{text}");
    let markdown = place.succeed("stats pairs.jsonl --layout markdown")?;
    ensure!(
        markdown.contains("| Math | yes | no | 3 | - | 3 |"),
        "{markdown}"
    );
    let tables: Value = serde_json::from_str(&place.succeed("stats pairs.jsonl --layout json")?)?;
    let total = &tables["table1"]["total"];
    ensure!(total["pairs"] == 6 && total["correct_answers"] == 6 && total["instructions"] == 3);
    Ok(())
}

#[test]
fn valid_files_are_said_to_be_and_violations_are_listed_with_their_place() -> Result<()> {
    let place = Place::new()?;
    let said = place.succeed("validate pairs.jsonl")?;
    ensure!(said.contains("6 records (pair), all valid"), "{said}");
    let mut rows = pair_rows();
    rows[1]["chosen"] = json!(" ");
    rows[1]["task"] = json!("Chess");
    rows[4]["rejected"] = rows[4]["chosen"].clone();
    place.write("bad.jsonl", &rows)?;
    let output = place.run("validate bad.jsonl")?;
    let (said, error) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    ensure!(output.status.code() == Some(1));
    for line in [
        "row 2 of bad.jsonl: field `task`: unknown task `Chess`",
        "row 2 of bad.jsonl: field `chosen` is empty",
        "row 5 of bad.jsonl: field `rejected` equals field `chosen`",
    ] {
        ensure!(
            said.lines().any(|said| said.starts_with(line)),
            "{line} is missing in {said}"
        );
    }
    ensure!(
        error.contains("3 violations in 6 records (pair), 2 of which are invalid"),
        "{error}"
    );
    Ok(())
}

#[test]
fn invalid_records_stop_a_command_or_are_set_aside() -> Result<()> {
    let place = Place::new()?;
    let mut rows = pair_rows();
    rows[2]["chosen"] = json!(5);
    place.write("pairs.jsonl", &rows)?;
    for command in [
        "pairs pairs.jsonl --out x.jsonl",
        "stats pairs.jsonl",
        "convert pairs.jsonl --to trl-unpaired-chat --out x.jsonl",
        "mix --source ui=pairs.jsonl --to trl-preference-chat --out x.jsonl",
    ] {
        let message = place.refused(1, command)?;
        for word in ["row 3 of pairs.jsonl", "`chosen`", "--skip-invalid"] {
            ensure!(message.contains(word), "{word} is missing in {message}");
        }
    }
    let said = place.succeed("pairs pairs.jsonl --out x.jsonl --skip-invalid bad.jsonl")?;
    ensure!(
        said.contains(
            "5 rows (pair) of 3 trees in x.jsonl; 1 invalid records left out, see bad.jsonl"
        ),
        "{said}"
    );
    let rejects = place.lines("bad.jsonl")?;
    ensure!(
        rejects.len() == 1 && rejects[0]["place"] == "row 3" && rejects[0]["file"] == "pairs.jsonl"
    );
    ensure!(
        rejects[0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("`chosen`"))
    );
    let record: Value = serde_json::from_str(rejects[0]["record"].as_str().context("a text")?)?;
    ensure!(record == rows[2]);
    Ok(())
}

#[test]
fn the_papers_derivations() -> Result<()> {
    let place = Place::new()?;
    place.succeed("pairs pairs.jsonl --out same.jsonl")?;
    ensure!(place.lines("same.jsonl")? == pair_rows());
    place.succeed("pairs pairs.jsonl --kind flat --out flat.jsonl")?;
    let flat = place.lines("flat.jsonl")?;
    ensure!(flat.len() == 6 && flat[1]["parent_id"] == "p2/2");
    place.succeed("pairs pairs.jsonl --kind unpaired --out kto.jsonl")?;
    let labels: Vec<bool> = place
        .lines("kto.jsonl")?
        .iter()
        .filter_map(|row| row["label"].as_bool())
        .collect();
    ensure!(labels.len() == 12 && labels.iter().filter(|label| **label).count() == 6);

    place.succeed("sft pairs.jsonl --out sft.jsonl")?;
    ensure!(place.lines("sft.jsonl")?.len() == 6);
    place.succeed("sft pairs.jsonl --select trajectories --out chats.jsonl")?;
    let chats = place.lines("chats.jsonl")?;
    ensure!(
        chats.len() == 6
            && chats[1]["messages"]
                .as_array()
                .is_some_and(|said| said.len() == 4)
    );

    place.succeed("augment pairs.jsonl --out a.jsonl --seed 4")?;
    place.succeed("augment pairs.jsonl --out b.jsonl --seed 4")?;
    let augmented = place.lines("a.jsonl")?;
    ensure!(augmented == place.lines("b.jsonl")?);
    ensure!(augmented.len() == 6, "two turns make two matches");
    ensure!(augmented.iter().all(|row| {
        row["trajectory"]
            .as_array()
            .is_some_and(|said| said.len() == 1)
    }));
    Ok(())
}

#[test]
fn a_mixture_leaves_invalid_records_out_every_time_it_is_made() -> Result<()> {
    let place = Place::new()?;
    let mut rows = pair_rows();
    rows[2]["chosen"] = json!(5);
    place.write("pairs.jsonl", &rows)?;
    let said = place.succeed(
        "mix --source ui=pairs.jsonl --to trl-preference-chat --out mix.jsonl --skip-invalid bad.jsonl",
    )?;
    ensure!(
        said.contains("; 1 invalid records left out, see bad.jsonl"),
        "{said}"
    );
    ensure!(place.lines("mix.jsonl")?.len() == 5 && place.lines("bad.jsonl")?.len() == 1);
    place.succeed("mix --repeat mix.jsonl.manifest.json --out again.jsonl")?;
    ensure!(place.lines("again.jsonl")? == place.lines("mix.jsonl")?);
    Ok(())
}

#[test]
fn a_mixture_is_made_again_from_its_manifest() -> Result<()> {
    let place = Place::new()?;
    place.succeed("sft pairs.jsonl --out sft.jsonl")?;
    let orca: Vec<Value> = (0..40)
        .map(|n| json!({"id": n.to_string(), "system_prompt": "", "question": format!("q {n}"), "response": "r"}))
        .collect();
    place.write("orca.jsonl", &orca)?;
    let said = place.succeed(
        "mix --source ui=sft.jsonl --source orca=orca.jsonl --take orca=10 --to trl-messages --seed 3 --out mix.jsonl",
    )?;
    ensure!(
        said.contains("16 rows (trl-messages) in mix.jsonl"),
        "{said}"
    );
    ensure!(said.contains("orca: 10 of 40 rows"), "{said}");
    place.succeed("mix --repeat mix.jsonl.manifest.json --out again.jsonl")?;
    ensure!(place.lines("again.jsonl")? == place.lines("mix.jsonl")?);
    let datasets = place.lines("mix.jsonl")?;
    ensure!(
        datasets
            .iter()
            .filter(|row| row["dataset"] == "orca")
            .count()
            == 10
    );

    let message = place.refused(
        1,
        "mix --preset eurus-7b-sft --source ultrainteract=sft.jsonl --out x.jsonl",
    )?;
    ensure!(message.contains("`ultrachat` is missing"), "{message}");
    for wrong in [
        "mix --source ui=sft.jsonl --out x.jsonl",
        "mix --source ui --to sft --out x.jsonl",
        "mix --source ui=sft.jsonl --take ui=some --to sft --out x.jsonl",
        "mix --source ui=sft.jsonl --take other=3 --to sft --out x.jsonl",
    ] {
        place.refused(2, wrong)?;
    }
    Ok(())
}

#[test]
fn test_problems_are_removed_and_reported() -> Result<()> {
    let place = Place::new()?;
    let tests = [
        json!({"question": "Tom has 3 bags of three apples and eats one. How many are left?"}),
        json!({"question": "How many bags has Ann of three apples and eats one of them?"}),
    ];
    place.write("test.jsonl", &tests)?;
    let command = "decontaminate pairs.jsonl --against test.jsonl --report removed.jsonl --out";
    let said = place.succeed(&format!("{command} clean.jsonl --ngram 0"))?;
    ensure!(
        said.contains("4 rows kept in clean.jsonl, 2 removed") && said.contains("substring: 2"),
        "{said}"
    );
    let removed = place.lines("removed.jsonl")?;
    ensure!(removed[0]["location"] == "row 3 of pairs.jsonl" && removed[0]["id"] == "p3_2_1");
    ensure!(removed[0]["test"] == "row 1 of test.jsonl" && removed[0]["rule"] == "substring");
    ensure!(
        place
            .lines("clean.jsonl")?
            .iter()
            .all(|row| row["parent_id"] != "p3")
    );

    // "bags of three apples and eats one how" is an 8-gram of all.
    let said = place.succeed(&format!("{command} none.jsonl --overwrite"))?;
    ensure!(
        said.contains("0 rows kept in none.jsonl, 6 removed") && said.contains("n-gram: 4"),
        "{said}"
    );
    Ok(())
}

#[test]
fn trees_are_drawn() -> Result<()> {
    let place = Place::new()?;
    let drawn = place.succeed("show pairs.jsonl --id p3 --width 60")?;
    ensure!(
        drawn.starts_with("p3 · Math_CoT · toy · 2 turns · 2 pairs\n"),
        "{drawn}"
    );
    ensure!(
        drawn.contains("├─ 1 ✓+ Three times 3") && drawn.contains("2 ✗- I do not know."),
        "{drawn}"
    );
    let message = place.refused(1, "show pairs.jsonl --id nobody")?;
    ensure!(message.contains("nobody"), "{message}");
    Ok(())
}

#[test]
fn files_and_formats_that_do_not_fit_are_named() -> Result<()> {
    let place = Place::new()?;
    place.write("odd.jsonl", &[json!({"a": 1, "b": 2})])?;
    place.write("empty.jsonl", &[])?;
    place.write("chat.jsonl", &[json!({"question": "a", "response": "b"})])?;
    std::fs::write(place.path("cut.parquet"), "PAR1 and no more")?;
    for (arguments, words) in [
        (
            "stats nowhere.jsonl",
            vec!["`nowhere.jsonl` does not exist"],
        ),
        ("stats *.csv", vec!["`*.csv` matches no file"]),
        (
            "stats odd.jsonl",
            vec!["odd.jsonl", "`a`, `b`", "trl-preference"],
        ),
        ("stats empty.jsonl", vec!["empty.jsonl", "no record"]),
        ("stats cut.parquet", vec!["cut.parquet", "Parquet"]),
        (
            "stats pairs.jsonl chat.jsonl",
            vec!["`openorca`", "`pair`", "--format"],
        ),
        (
            "sft chat.jsonl --out x.jsonl",
            vec!["`openorca` has no trees"],
        ),
        (
            "convert chat.jsonl --to pair --out x.jsonl",
            vec!["row 1 of chat.jsonl", "`pair` cannot hold", "no preference"],
        ),
        (
            "convert pairs.jsonl --to tree --out x.parquet",
            vec!["x.parquet", "no fixed type"],
        ),
        (
            "convert pairs.jsonl --to pair --out chat.jsonl",
            vec!["chat.jsonl", "--overwrite"],
        ),
        (
            "convert pairs.jsonl --to pair --out no/x.jsonl",
            vec!["no/x.jsonl"],
        ),
        (
            "decontaminate pairs.jsonl --against odd.jsonl --out x.jsonl",
            vec!["row 1 of odd.jsonl", "instruction"],
        ),
    ] {
        let message = place.refused(1, arguments)?;
        for word in words {
            ensure!(
                message.contains(word),
                "{arguments}: `{word}` is missing in {message}"
            );
        }
    }
    for arguments in [
        "stats",
        "convert pairs.jsonl --to nothing --out x",
        "nothing",
    ] {
        let output = place.run(arguments)?;
        ensure!(output.status.code() == Some(2), "{arguments}");
    }
    Ok(())
}

#[test]
fn help_shows_an_example_of_every_command() -> Result<()> {
    let place = Place::new()?;
    ensure!(place.succeed("--help")?.contains("trl-unpaired-chat"));
    for command in [
        "stats",
        "validate",
        "convert",
        "pairs",
        "sft",
        "augment",
        "mix",
        "decontaminate",
        "show",
    ] {
        let help = place.succeed(&format!("{command} --help"))?;
        ensure!(
            help.contains("Example") && help.contains(&format!("eurus data {command} ")),
            "{help}"
        );
    }
    Ok(())
}
