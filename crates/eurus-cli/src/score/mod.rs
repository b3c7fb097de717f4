//! `eurus score`: what a reward model says of answers, and what the log-ratio of a policy to its reference says.

mod forest;
mod items;
mod lines;
mod scorers;
mod steps;
mod unfinished;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use eurus::data::input;
use eurus::train::TrainingConfig;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::data::check_new;
use crate::interrupt::{self, Interrupted, Phase};
use crate::job::print;
use crate::options::DeviceName;
use crate::{invocation, local_model};
use forest::{Forest, Place};
use items::{Item, Prompts, Shape};
use lines::line;
use scorers::Scorers;
use unfinished::Unfinished;

pub const EXAMPLES: &str = "\
Scored are the answers of conversations, pairs, rankings and trees in every format that `eurus data` reads, and answers of
`eurus generate` with the prompts that they were drawn for. A line of the output, by what was asked for:
  {\"id\": \"sum\", \"sample\": 0, \"reward\": 1.3}
  {\"id\": \"p1\", \"chosen\": {\"reward\": 0.8}, \"rejected\": {\"reward\": -0.2}}
  {\"id\": \"t1\", \"nodes\": [{\"name\": \"3\", \"parent\": \"1\", \"verdict\": \"correct\", \"source\": \"sampled\", \"tokens\": 41,
     \"reward\": 0.1, \"log_prob\": -9.1, \"log_ratio\": 2.0, \"implicit_reward\": 0.2}]}
`tokens`, the length of an answer with its end, stands in every line. `eurus eval process` holds rewards of trees against verdicts.

The implicit reward of a policy that learned from preferences is beta times the logarithm of its probability over that of its
reference: it makes a reward model of every step (arXiv 2412.01981). Answers to one prompt are computed as one tree.

Examples:
  eurus score --model runs/rm --data answers.jsonl --prompts problems.jsonl --out scores.jsonl
  eurus score --model runs/rm --data trees.jsonl --each-turn --out scores.jsonl
  eurus score --policy runs/dpo --reference runs/sft --beta 0.1 --data pairs.jsonl --each-step --out scores.jsonl";

const STYLE: &str = "{prefix:.bold} {spinner} {pos} {msg} [{elapsed}]";

/// Rows that are computed together; what they share is computed once. An interrupt waits for them.
const ROWS_AT_ONCE: usize = 64;

/// How many answers that cannot be scored are named.
const MOST_NAMED: usize = 10;

/// `eurus score`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("by").required(true).multiple(true).args(["model", "policy"])))]
pub struct Score {
    /// Reward model: a folder, or a model of the hub
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Policy, whose implicit reward is told
    #[arg(long, value_name = "MODEL")]
    policy: Option<PathBuf>,

    /// What the policy learned from: its reference
    #[arg(
        long,
        value_name = "MODEL",
        requires = "policy",
        conflicts_with = "no_reference"
    )]
    reference: Option<PathBuf>,

    /// Tell the policy's log-prob alone
    #[arg(long, requires = "policy")]
    no_reference: bool,

    /// Factor of the log-ratio
    #[arg(long, value_name = "BETA", default_value_t = 0.1)]
    beta: f64,

    /// Files with answers, patterns in quotes, or data of the hub as organization/name[@revision][/file]
    #[arg(long, required = true, num_args = 1.., value_name = "FILES")]
    data: Vec<String>,

    /// The data that answers of `eurus generate` were drawn for, or the `items.jsonl` of a run of `eurus eval`
    #[arg(long, num_args = 1.., value_name = "FILES")]
    prompts: Vec<String>,

    /// File for the scores, one row a line. What is scored so far lies beside it, in NAME.unfinished
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    overwrite: bool,

    /// Score every turn of the assistant, and not the last alone
    #[arg(long)]
    each_turn: bool,

    /// Tell the implicit reward of each "Step k:" of the answer, and the least of them
    #[arg(long, requires = "policy")]
    each_step: bool,

    /// The first rows alone
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Tokens that go through the model at once: the knob for memory
    #[arg(long, value_name = "N", default_value_t = TrainingConfig::default().token_budget)]
    token_budget: usize,

    /// A template in place of the model's own: a file, or the name of one that comes along
    #[arg(long, value_name = "NAME|FILE")]
    chat_template: Option<String>,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,

    /// The result is of use to another command alone: an interrupt keeps nothing of it
    #[arg(skip)]
    is_temporary: bool,
}

/// What was scored, and what could not be.
#[derive(Default)]
struct Counts {
    answers: usize,
    refused: Vec<String>,
}

impl Score {
    /// A reward model's scores of conversations, from a file to a file, for a command that goes on with them. `lasts`: an
    /// interrupt keeps those that are done.
    pub fn of_conversations(
        model: &Path,
        data: &Path,
        out: &Path,
        lasts: bool,
        device: DeviceName,
    ) -> Self {
        Self {
            model: Some(model.to_owned()),
            policy: None,
            reference: None,
            no_reference: false,
            beta: 1.0,
            data: vec![data.display().to_string()],
            prompts: Vec::new(),
            out: out.to_owned(),
            overwrite: false,
            each_turn: false,
            each_step: false,
            limit: None,
            token_budget: TrainingConfig::default().token_budget,
            chat_template: None,
            device,
            is_temporary: !lasts,
        }
    }

    pub fn run(&self) -> Result<()> {
        print(&self.run_quietly()?);
        Ok(())
    }

    /// Scores, and returns what there is to tell of it.
    pub fn run_quietly(&self) -> Result<String> {
        if self.policy.is_some() && self.reference.is_none() && !self.no_reference {
            bail!(
                "--policy without --reference has no log-ratio; give what it learned from, or say --no-reference for its log-probs"
            );
        }
        check_new(&self.out, "--out", self.overwrite)?;
        let files = crate::hub_data::expand(&self.data)?;
        let samples = files.iter().any(|file| items::has_samples(file));
        let prompts = match (samples, self.prompts.is_empty()) {
            (true, true) => bail!(
                "{}: answers of `eurus generate`; give the data that they were drawn for with --prompts",
                files[0].display()
            ),
            (false, false) => bail!(
                "--prompts has no effect: {} has no answers of `eurus generate`; leave it out",
                files[0].display()
            ),
            (true, false) => Some(Prompts::read(&files, &self.prompts)?),
            (false, true) => None,
        };
        let scorers = Scorers::load(self)?;
        let settings = self.settings(&scorers, &files)?;
        let mut unfinished = Unfinished::open(&self.out, &settings, ROWS_AT_ONCE)?;
        if !self.is_temporary {
            interrupt::enter(Phase::Answers(unfinished.path().display().to_string()));
        }
        let stop = interrupt::answers_stop();
        let kept = unfinished.rows;
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_prefix("rows");
        bar.inc(kept as u64);
        let mut counts = Counts::default();
        let rows = items::read(files, prompts).take(self.limit.unwrap_or(usize::MAX));
        let mut rows = rows.skip(kept);
        loop {
            let chunk = rows
                .by_ref()
                .take(ROWS_AT_ONCE)
                .collect::<Result<Vec<Item>>>()?;
            if chunk.is_empty() {
                break;
            }
            bar.inc(chunk.len() as u64);
            unfinished.append(&self.score(&scorers, chunk, &mut counts)?)?;
            bar.set_message(format!("{} answers", counts.answers));
            if stop.load(Ordering::Relaxed) {
                bar.finish_and_clear();
                tell!(
                    "interrupted; the scores of {} rows are kept in {}. Go on with:\n  {}",
                    HumanCount(unfinished.rows as u64),
                    unfinished.path().display(),
                    invocation::again()
                );
                return Err(Interrupted::now().into());
            }
        }
        bar.finish_and_clear();
        let written = unfinished.rows;
        match self.is_temporary {
            true => unfinished.finish(&self.out)?,
            false => interrupt::written(&self.out, || unfinished.finish(&self.out))?,
        }
        for refused in counts.refused.iter().take(MOST_NAMED) {
            tell!("not scored: {refused}");
        }
        if counts.refused.len() > MOST_NAMED {
            tell!("not scored: {} more", counts.refused.len() - MOST_NAMED);
        }
        let there = match kept {
            0 => String::new(),
            kept => format!("; {} rows were there", HumanCount(kept as u64)),
        };
        Ok(format!(
            "{} rows in {}, {} answers scored{there}",
            HumanCount(written as u64),
            self.out.display(),
            HumanCount(counts.answers as u64),
        ))
    }

    /// What scores depend on.
    fn settings(&self, scorers: &Scorers, files: &[PathBuf]) -> Result<Value> {
        let prompts = input::expand(&self.prompts)?;
        let mut settings = json!({
            "models": scorers.fingerprints,
            "beta": self.beta,
            "data": local_model::fingerprint_of(files)?,
            "prompts": local_model::fingerprint_of(&prompts)?,
            "each_turn": self.each_turn,
            "each_step": self.each_step,
            "token_budget": self.token_budget,
            "chat_template": self.chat_template,
            "limit": self.limit,
        });
        if let Some(device) = self.device.recorded() {
            settings["device"] = json!(device);
        }
        Ok(settings)
    }

    /// The lines of some rows.
    fn score(
        &self,
        scorers: &Scorers,
        items: Vec<Item>,
        counts: &mut Counts,
    ) -> Result<Vec<Value>> {
        let mut forest = Forest::default();
        let mut places: Vec<Vec<Result<Place, String>>> = Vec::new();
        for item in &items {
            let placed = item
                .answers
                .iter()
                .map(|answer| forest.place(scorers, &answer.messages));
            places.push(placed.collect());
        }
        let scored = forest.score(scorers)?;
        let mut lines = Vec::with_capacity(items.len());
        for (item, places) in items.into_iter().zip(places) {
            let mut scores = Vec::new();
            for (answer, place) in item.answers.iter().zip(places) {
                let score = match place {
                    Ok(place) => {
                        counts.answers += 1;
                        self.of_answer(scorers, &scored, &place)
                    }
                    Err(problem) => {
                        let name = match item.shape {
                            Shape::One => item.head["id"].to_string(),
                            _ => format!("{} of {}", answer.name, item.head["id"]),
                        };
                        counts.refused.push(format!("{name}: {problem}"));
                        Map::from_iter([("not_scored".to_owned(), json!(problem))])
                    }
                };
                let known = answer.known.clone().into_iter();
                scores.push((answer.name.clone(), known.chain(score).collect()));
            }
            lines.push(line(item.head, item.shape, scores));
        }
        Ok(lines)
    }
}
