//! `eurus eval process`: rewards of every turn against the verdicts of trees.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use eurus::eval::Table;
use eurus::eval::analyses::process_rewards::{
    ProcessRewardReport, ProcessScores, RewardField, comparison_table, evaluate_process_rewards,
    response_table, turn_table,
};
use eurus::eval::report::Report;
use eurus::eval::terminal;
use serde_json::{Map, Value, json};

use super::write_page;
use crate::data::check_new;
use crate::job::print;

pub const EXAMPLES: &str = "\
A policy that learned from preferences has a reward of every turn: beta times its log-ratio to its reference (arXiv 2412.01981). \
Told are its AUC against the verdicts, over all turns, among answers to one history and by turn; whether the least reward is at \
the first wrong turn; and sum, mean, minimum and last reward as rewards of whole responses. What `eurus score` wrote of trees has \
all that is needed. Rows from elsewhere, such as steps that people judged, have
  {\"id\": \"t1\", \"nodes\": [{\"name\": \"1\", \"verdict\": \"correct\", \"reward\": 0.2},
                         {\"name\": \"2\", \"parent\": \"1\", \"verdict\": \"incorrect\", \"reward\": -0.4, \"tokens\": 31}]}

Examples:
  eurus score --policy runs/dpo --reference runs/sft --beta 0.1 --data trees.jsonl --out dpo.jsonl
  eurus eval process dpo.jsonl
  eurus eval process dpo.jsonl kto.jsonl nca.jsonl rm.jsonl --out process.html
  eurus eval process dpo.jsonl --field log_prob --json";

/// `eurus eval process`.
#[derive(Debug, Args)]
pub struct Process {
    /// What `eurus score` wrote of trees; several files are told side by side
    #[arg(value_name = "SCORES", required = true)]
    scores: Vec<PathBuf>,

    /// The reward [default: `implicit_reward` and `reward`, those that there are]
    #[arg(long, value_enum, value_name = "FIELD")]
    field: Option<Field>,

    /// Leave out turns that no model wrote on its own: annotated solutions, and those that were elicited with one
    #[arg(long)]
    sampled_only: bool,

    /// File for a page with the tables
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the page if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Field {
    /// A policy's log-ratio times beta
    ImplicitReward,
    /// A reward model's
    Reward,
    /// A policy's log-prob, which rewards what is likely
    LogProb,
}

impl From<Field> for RewardField {
    fn from(field: Field) -> Self {
        match field {
            Field::ImplicitReward => Self::ImplicitReward,
            Field::Reward => Self::Reward,
            Field::LogProb => Self::LogProb,
        }
    }
}

/// One reward of one file, judged.
struct Judged {
    name: String,
    field: RewardField,
    path: PathBuf,
    not_scored: usize,
    report: ProcessRewardReport,
}

impl Process {
    pub fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_new(out, "--out", self.overwrite)?;
        }
        let mut judged = Vec::new();
        for path in &self.scores {
            judged.extend(self.judge(path)?);
        }
        let tables = tables(&judged);
        let page = match &self.out {
            None => None,
            Some(out) => {
                let mut report = Report::new("Rewards of turns");
                for table in &tables {
                    report.table(table.clone());
                }
                Some(write_page(&report, out)?)
            }
        };
        if self.json {
            let rewards = judged.iter().map(Judged::to_json);
            print(&json!({"rewards": rewards.collect::<Vec<_>>()}).to_string());
            return Ok(());
        }
        let texts: Vec<String> = tables.iter().map(terminal::render).collect();
        print(&texts.join("\n\n"));
        page.iter().for_each(|page| print(page));
        Ok(())
    }

    /// The rewards of a file that are wanted.
    fn judge(&self, path: &Path) -> Result<Vec<Judged>> {
        let mut scores = ProcessScores::read(path)?;
        if self.sampled_only {
            scores = scores.sampled_only();
        }
        let there = scores.fields();
        let wanted: Vec<RewardField> = match self.field {
            Some(field) => vec![field.into()],
            // What is likely is no reward unless it is asked for.
            None => [RewardField::ImplicitReward, RewardField::Reward]
                .into_iter()
                .filter(|field| there.contains(field))
                .collect(),
        };
        let names: Vec<&str> = there.iter().map(|field| field.as_str()).collect();
        let missing = wanted.iter().find(|field| !there.contains(field));
        if let Some(field) = missing {
            bail!(
                "{}: no turn has `{field}`; the file has {names:?}, say which with --field",
                path.display()
            );
        }
        if wanted.is_empty() {
            bail!(
                "{}: no turn has `implicit_reward` or `reward`, the file has {names:?}; score the trees with --reference or with a \
                 reward model (--model), or say --field",
                path.display()
            );
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let judge = |field: RewardField| {
            let trees = scores.trees(field)?;
            let report = evaluate_process_rewards(&trees);
            Ok(Judged {
                name: format!("{stem} ({field})"),
                field,
                path: path.to_owned(),
                not_scored: scores.not_scored(),
                report: report.with_context(|| path.display().to_string())?,
            })
        };
        wanted.into_iter().map(judge).collect()
    }
}

impl Judged {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("file".to_owned(), json!(self.path.display().to_string()));
        fields.insert("field".to_owned(), json!(self.field));
        fields.insert("not_scored".to_owned(), json!(self.not_scored));
        fields.insert("report".to_owned(), json!(self.report));
        Value::Object(fields)
    }
}

fn tables(judged: &[Judged]) -> [Table; 3] {
    let named = || judged.iter().map(|it| (it.name.as_str(), &it.report));
    let mut all = comparison_table("Rewards of turns against their verdicts.", named());
    for it in judged.iter().filter(|it| it.not_scored > 0) {
        all = all.note(format!(
            "{}: {} turns were too long to score and are left out.",
            it.path.display(),
            it.not_scored
        ));
    }
    [
        all,
        turn_table("By turn.", named()),
        response_table(
            "As rewards of whole responses, against the last verdict.",
            named(),
        ),
    ]
}
