//! A folder with a run file and problems, and the program in it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::company::PARTS;
use super::puzzles;
use crate::common::{LEVEL, Workplace, ensure_says};

pub const RUN: &str = "synth run --config synth.toml --data problems.jsonl --store run.db";

/// A line of every endpoint.
const CONCURRENCY: &str = "concurrency = 32\n";

/// A place for runs.
pub struct Site {
    pub place: Workplace,
}

/// What a program that has ended left: its exit code and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub said: String,
}

/// A run file: `actors` decides, then the endpoints of all parts at one server.
pub fn run_file(base_url: &str) -> String {
    let mut text = format!(
        "seed = 1\n\n[actors]\ncheap = \"cheap\"\nsamples = 4\nround = 2\nstronger = [\"stronger\"]\nstronger_samples = 2\n\
         incorrect = [\"incorrect\"]\nincorrect_samples = 2\nteacher = \"teacher\"\ncritic = \"critic\"\n\n\
         [sampling]\nmax_tokens = 64\n\n[trees]\nmax_turns = 2\n\n[sandbox]\nrequire = \"{}\"\ninterpreters = 2\n\n\
         [run]\ntrees_in_flight = 6\nlease_seconds = 5.0\n",
        *LEVEL
    );
    for part in PARTS {
        text += &endpoint(part, base_url, part);
    }
    text
}

/// The table of an endpoint, which waits little.
pub fn endpoint(name: &str, base_url: &str, model: &str) -> String {
    format!(
        "\n[endpoints.{name}]\nbase_url = \"{base_url}\"\nmodel = \"{model}\"\n{CONCURRENCY}\
         retry = {{ first_wait_seconds = 0.01, longest_wait_seconds = 0.1 }}\n"
    )
}

impl Site {
    /// A place with so many problems, for a server with all parts.
    pub fn new(problems: usize, base_url: &str) -> Result<Self> {
        let place = Workplace::new()?;
        place.write_rows("problems.jsonl", &puzzles::rows(problems))?;
        let site = Self { place };
        site.write("synth.toml", run_file(base_url))?;
        Ok(site)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
        Ok(std::fs::write(self.path(name), text)?)
    }

    pub fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.path(name)).context(name.to_owned())
    }

    /// Replaces words of the run file, which must be there.
    pub fn edit(&self, changes: &[(&str, &str)]) -> Result<()> {
        let mut text = self.read("synth.toml")?;
        for (from, to) in changes {
            ensure!(text.contains(from), "`{from}` is not in the run file");
            text = text.replace(from, to);
        }
        self.write("synth.toml", text)
    }

    /// Adds a line to the table of every endpoint.
    pub fn edit_endpoints(&self, line: &str) -> Result<()> {
        self.edit(&[(CONCURRENCY, &format!("{CONCURRENCY}{line}\n"))])
    }

    /// The program, with these words.
    pub fn command(&self, arguments: &str) -> Command {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        self.place.command(&words)
    }

    /// Starts the program; what it says is kept until its end.
    pub fn start(&self, arguments: &str) -> Result<Child> {
        spawn(self.command(arguments))
    }

    /// Starts the program with a variable of its environment set.
    pub fn start_with(&self, arguments: &str, variable: &str, value: &str) -> Result<Child> {
        let mut command = self.command(arguments);
        command.env(variable, value);
        spawn(command)
    }

    pub fn run(&self, arguments: &str) -> Result<Ended> {
        end(self.start(arguments)?)
    }

    /// Runs what must end with this code and say these words.
    pub fn ends(&self, arguments: &str, code: i32, words: &[&str]) -> Result<Ended> {
        let ended = self.run(arguments)?;
        ended
            .ensure(code, words)
            .with_context(|| arguments.to_owned())?;
        Ok(ended)
    }

    pub fn status(&self, store: &str) -> Result<Value> {
        let told = self
            .place
            .succeed(&format!("synth status --json --store {store}"))?;
        Ok(serde_json::from_str(&told)?)
    }

    /// The trees of a store, as lines in the order of their problems.
    pub fn trees(&self, store: &str) -> Result<Vec<String>> {
        let out = self.path("exported-trees.jsonl");
        if out.exists() {
            std::fs::remove_file(&out)?;
        }
        self.place.succeed(&format!(
            "synth export --store {store} --out exported-trees.jsonl"
        ))?;
        let mut lines: Vec<String> = std::fs::read_to_string(&out)?
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        Ok(lines)
    }
}

/// Starts a program; what it says is kept until its end.
pub fn spawn(mut command: Command) -> Result<Child> {
    Ok(command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?)
}

/// Waits for the end of a program.
pub fn end(child: Child) -> Result<Ended> {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output()?;
    Ok(Ended {
        code: status.code(),
        out: String::from_utf8(stdout)?,
        said: String::from_utf8(stderr)?,
    })
}

impl Ended {
    pub fn ensure(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(
            self.code == Some(code),
            "{:?} is not {code}:\n{}\n{}",
            self.code,
            self.out,
            self.said
        );
        ensure_says(&self.said, words)
    }
}

/// The sum of a count over all turns.
pub fn total(status: &Value, count: &str) -> u64 {
    let turns = status["turns"].as_array().into_iter().flatten();
    turns
        .filter_map(|turn| turn["counts"][count].as_u64())
        .sum()
}

/// The actions of a tree.
pub fn actions(tree: &Value) -> impl Iterator<Item = &Value> {
    let nodes = tree["nodes"].as_array().into_iter().flatten();
    nodes.filter_map(|node| node["content"].get("action"))
}
