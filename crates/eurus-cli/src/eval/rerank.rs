//! `eurus eval rerank`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::data::formats::parse_json;
use eurus::data::input;
use eurus::eval::metrics::Bootstrap;
use eurus::eval::report::Report;
use eurus::eval::reranking::{Candidate, Candidates};
use eurus::eval::runs::RunFolder;
use eurus::eval::terminal;
use serde_json::{Value, json};

use crate::job::print;

pub const EXAMPLES: &str = "\
Candidates of an item are ordered by log-prob, the likeliest first, as the paper's table 9 has it; without log-probs by their
number. Scores are what `eurus score` wrote of `SETTING/answers.jsonl`, or rows with id, sample and a number.

Examples:
  eurus eval rerank evals/sft-svamp
  eurus eval rerank evals/sft-svamp --scores rm.jsonl --scores dpo.jsonl --field implicit_reward";

/// The scorer that orders candidates.
const LOG_PROB: &str = "log-prob";

#[derive(Debug, Args)]
pub struct Rerank {
    /// Folder of a run with several samples
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Scores of the answers; may be given several times
    #[arg(long, value_name = "FILE")]
    scores: Vec<PathBuf>,

    /// The field that has the score [default: reward]
    #[arg(
        long,
        value_name = "FIELD",
        default_value = "reward",
        requires = "scores"
    )]
    field: String,

    /// The setting [default: the one that is reported]
    #[arg(long, value_name = "NAME")]
    setting: Option<String>,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

impl Rerank {
    pub fn run(&self) -> Result<()> {
        let folder = RunFolder::open(&self.run);
        let summary = folder.summary()?;
        let setting = self.setting.clone().unwrap_or(summary.reported);
        let run = folder.read_setting(&setting)?;
        let verdicts = folder.verdicts(&setting)?;
        let verdicts: HashMap<(&str, usize), _> = verdicts
            .iter()
            .map(|it| ((it.id.as_str(), it.sample), it))
            .collect();
        let mut names = vec![LOG_PROB.to_owned()];
        let mut scores = Vec::new();
        for path in &self.scores {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            names.push(format!("{name} ({})", self.field));
            scores.push(read_scores(path, &self.field)?);
        }
        let mut candidates = Candidates::new(names)?;
        let mut fewest = usize::MAX;
        for item in &run.items {
            let answers = run.answers.iter().filter(|it| it.id == item.id);
            let mut of_item = Vec::new();
            for answer in answers {
                let key = (answer.id.as_str(), answer.sample);
                let verdict = verdicts.get(&key).with_context(|| {
                    format!(
                        "sample {} of {} has no verdict; grade the run again",
                        key.1, key.0
                    )
                })?;
                // Without log-probs the order of the samples stands for it.
                let mut of_answer = vec![answer.log_prob.unwrap_or(-(answer.sample as f64))];
                for (scores, path) in scores.iter().zip(&self.scores) {
                    let score = scores.get(&(answer.id.clone(), answer.sample));
                    of_answer.push(*score.with_context(|| {
                        format!(
                            "{}: no score of sample {} of {}",
                            path.display(),
                            key.1,
                            key.0
                        )
                    })?);
                }
                of_item.push(Candidate {
                    answer: verdict.grade.extracted.clone(),
                    correct: verdict.grade.is_correct(),
                    scores: of_answer,
                });
            }
            if !of_item.is_empty() {
                fewest = fewest.min(of_item.len());
                candidates.add_problem(of_item)?;
            }
        }
        if candidates.problems().is_empty() {
            bail!("{}: there are no answers", self.run.display());
        }
        let ns: Vec<usize> = std::iter::successors(Some(1), |n| Some(2 * n))
            .take_while(|&n| n <= fewest)
            .collect();
        let curve = candidates.curve(LOG_PROB, &ns, &Bootstrap::default())?;
        let caption = format!("Reranking of {}, {setting}", self.run.display());
        let mut report = Report::new(&caption);
        report
            .table(curve.table(&caption))
            .figure(curve.figure(&caption));
        let page = folder.path().join("rerank.html");
        report.write(&page)?;
        folder.write_reranking(&curve)?;
        match self.json {
            true => print(&json!(curve).to_string()),
            false => {
                print(&terminal::render(&curve.table(&caption)));
                print(&format!("report: {}", page.display()));
            }
        }
        Ok(())
    }
}

/// The scores of a file by item and sample.
fn read_scores(path: &Path, field: &str) -> Result<HashMap<(String, usize), f64>> {
    let mut scores = HashMap::new();
    for row in input::read(vec![path.to_owned()], parse_json::<Value>) {
        let row = row.map_err(|rejected| eurus::data::Error::from(*rejected))?;
        let place = || format!("{} of {}", row.location.place, row.location.file.display());
        let id = row.value["id"].as_str();
        let id = id.with_context(|| format!("{}: no field `id`", place()))?;
        let sample = row.value["sample"].as_u64().unwrap_or_default() as usize;
        let Some(score) = row.value[field].as_f64() else {
            let fields: Vec<&String> = row
                .value
                .as_object()
                .into_iter()
                .flatten()
                .map(|it| it.0)
                .collect();
            bail!(
                "{}: `{field}` is no number; the row has {fields:?}, say which with --field",
                place()
            );
        };
        if scores.insert((id.to_owned(), sample), score).is_some() {
            bail!("{}: sample {sample} of {id} has a score already", place());
        }
    }
    Ok(scores)
}
