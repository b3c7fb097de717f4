//! `eurus eval rm`: reward models on published benchmarks and on pairs.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use clap::{ArgGroup, Args, ValueEnum};
use eurus::chat::Message as ChatMessage;
use eurus::data::Message;
use eurus::data::example::Example;
use eurus::data::formats::{Format, JsonlWriter, parse_json};
use eurus::data::input;
use eurus::eval::Table;
use eurus::eval::reward_benches::pairs::{self, ScoredPair};
use eurus::eval::reward_benches::rated::{RatingsFile, rate_responses};
use eurus::eval::reward_benches::{Response, Rewards, autoj, mtbench, rewardbench, rewardbench2};
use eurus::eval::reward_model::PairLengths;
use eurus::eval::terminal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::judging::{JUDGED_AT_ONCE, JudgeAt, bar};
use crate::data::check_new;
use crate::hub_data;
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::job::print;
use crate::options::DeviceName;
use crate::prompts;
use crate::score::Score;

pub const EXAMPLES: &str = "\
With --model the responses are scored at once. With --judge a chat model rates each from 1 to 10. --ratings keeps what either gives \
as it comes, and the same command goes on where it was broken off. Other scores come in two steps: --responses writes what is to be \
scored, `eurus score` scores it, and --scores judges.

Examples:
  eurus eval rm rewardbench --data rewardbench.jsonl --model runs/rm
  eurus eval rm pairs --data held-out.jsonl --model runs/rm
  eurus eval rm rewardbench --data rewardbench.jsonl --judge http://127.0.0.1:8080/v1 --judge-served-name big --ratings big.jsonl
  eurus eval rm pairs --data held-out.jsonl --responses responses.jsonl
  eurus score --policy runs/dpo --reference runs/sft --data responses.jsonl --out scores.jsonl
  eurus eval rm pairs --data held-out.jsonl --scores scores.jsonl --field implicit_reward";

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("by").required(true).args(["model", "judge", "scores", "responses"])))]
pub struct RewardModels {
    /// The benchmark
    #[arg(value_name = "BENCH")]
    bench: Bench,

    /// Its data: JSON rows as they are published, one a line or in an array, compressed or not, or Parquet;
    /// or data of the hub as organization/name[@revision][/file]
    #[arg(long, value_name = "PATH")]
    data: PathBuf,

    /// Reward model: a folder, or a model of the hub
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,

    /// What `eurus score` wrote of the responses
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,

    /// The field that has the score
    #[arg(long, value_enum, default_value_t = Field::Reward, requires = "scores")]
    field: Field,

    /// Write the responses that are to be scored to this file, and judge nothing
    #[arg(long, value_name = "FILE")]
    responses: Option<PathBuf>,

    #[command(flatten)]
    judge: JudgeAt,

    /// Where a checkpoint computes
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,

    /// The file that rewards of the model, or ratings of the judge, are kept in
    #[arg(long, value_name = "FILE")]
    ratings: Option<PathBuf>,

    /// Seed of the judge's requests
    #[arg(long, value_name = "N", default_value_t = 0, requires = "judge")]
    seed: u64,

    /// Write one JSON object
    #[arg(long, conflicts_with = "responses")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// RewardBench: pairs in four sections
    Rewardbench,
    /// RewardBench 2: the best of four, and ties
    Rewardbench2,
    /// AutoJ: pairs with ties, by scenario
    Autoj,
    /// MT-Bench's votes of people
    Mtbench,
    /// Pairs of any format that `eurus data` reads
    Pairs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Field {
    /// A reward model's
    Reward,
    /// A policy's log-ratio times beta
    ImplicitReward,
}

impl RewardModels {
    pub fn run(&self) -> Result<()> {
        let bench = Data::read(self.bench, &hub_data::file(&self.data)?)?;
        if let Some(path) = &self.responses {
            check_new(path, "--responses", false)?;
            let count = write(&bench.responses()?, path)?;
            print(&format!("{count} responses in {}", path.display()));
            return Ok(());
        }
        let (value, table) = match (&self.scores, &self.model) {
            (Some(scores), _) => bench.judged(&self.rewards(scores)?)?,
            (None, Some(model)) => {
                let folder = interrupt::temporary(tempfile::tempdir, TempDir::path)?;
                let asked = folder.path().join("responses.jsonl");
                write(&bench.responses()?, &asked)?;
                let (scores, lasts) = match &self.ratings {
                    Some(path) => (path.clone(), true),
                    None => (folder.path().join("scores.jsonl"), false),
                };
                if scores.exists() {
                    bail!(
                        "{}: the rewards (--ratings) are whole, of whatever model; judge by them with --scores in place of --model, or name \
                         another file",
                        scores.display()
                    );
                }
                let score = Score::of_conversations(model, &asked, &scores, lasts, self.device);
                score.run_quietly()?;
                bench.judged(&self.rewards(&scores)?)?
            }
            (None, None) => bench.judged(&self.rated(&bench.responses()?)?)?,
        };
        match self.json {
            true => print(&value.to_string()),
            false => print(&terminal::render(&table)),
        }
        Ok(())
    }

    /// What the judge gives the responses.
    fn rated(&self, responses: &[Response]) -> Result<Rewards> {
        let Some(judge) = self.judge.open(self.device)? else {
            bail!("give a reward model (--model), a judge (--judge) or scores (--scores)");
        };
        let folder = interrupt::temporary(tempfile::tempdir, TempDir::path)?;
        let path = match &self.ratings {
            Some(path) => path.clone(),
            None => folder.path().join("ratings.jsonl"),
        };
        if self.ratings.is_some() {
            interrupt::enter(Phase::Answers(path.display().to_string()));
        }
        let mut file = RatingsFile::open(&path, self.device.recorded())?;
        let rated = file.rated().clone();
        let bar = bar(responses.len(), "rating");
        bar.inc(rated.len() as u64);
        let mut not_rated = 0;
        let ended = rate_responses(
            judge.as_ref(),
            responses,
            &rated,
            self.seed,
            JUDGED_AT_ONCE,
            &mut |row| {
                bar.inc(1);
                not_rated += usize::from(row.not_rated.is_some());
                file.append(&row)
            },
        );
        bar.finish_and_clear();
        if interrupt::answers_stop().load(Ordering::Relaxed) {
            tell!(
                "interrupted; the ratings so far are kept in {}. Go on with:\n  {}",
                path.display(),
                invocation::again()
            );
            return Err(Interrupted::now().into());
        }
        if self.ratings.is_some() {
            interrupt::enter(Phase::Written(path.clone()));
        }
        ended?;
        if not_rated > 0 {
            tell!(
                "{not_rated} responses have no rating, since the judgement holds none; they rank below all others"
            );
        }
        Ok(Rewards::read(&path)?)
    }

    fn rewards(&self, path: &Path) -> Result<Rewards> {
        Ok(match self.field {
            Field::Reward => Rewards::read(path)?,
            Field::ImplicitReward => Rewards::read_field(path, "implicit_reward")?,
        })
    }
}

/// A benchmark's data.
enum Data {
    RewardBench(Vec<rewardbench::Item>),
    RewardBench2(Vec<rewardbench2::Item>),
    AutoJ(Vec<autoj::Item>),
    MtBench(PathBuf, Vec<mtbench::Vote>),
    Pairs(Vec<Pair>),
}

/// A pair of any format.
struct Pair {
    scored: ScoredPair,
    chosen: Vec<ChatMessage>,
    rejected: Vec<ChatMessage>,
}

impl Data {
    fn read(bench: Bench, path: &Path) -> Result<Self> {
        Ok(match bench {
            Bench::Rewardbench => Self::RewardBench(rewardbench::read(path)?),
            Bench::Rewardbench2 => Self::RewardBench2(rewardbench2::read(path)?),
            Bench::Autoj => Self::AutoJ(autoj::read(path)?),
            Bench::Mtbench => Self::MtBench(path.to_owned(), mtbench::Vote::read(path)?),
            Bench::Pairs => Self::Pairs(read_pairs(path)?),
        })
    }

    /// What is to be scored.
    fn responses(&self) -> Result<Vec<Response>> {
        Ok(match self {
            Self::RewardBench(items) => items.iter().flat_map(|it| it.responses()).collect(),
            Self::RewardBench2(items) => items.iter().flat_map(|it| it.responses()).collect(),
            Self::AutoJ(items) => items.iter().flat_map(|it| it.to_score()).collect(),
            Self::MtBench(path, _) => mtbench::read_responses(path)?,
            Self::Pairs(pairs) => pairs
                .iter()
                .flat_map(|pair| {
                    [("chosen", &pair.chosen), ("rejected", &pair.rejected)].map(
                        |(side, messages)| Response {
                            id: format!("{}/{side}", pair.scored.id),
                            messages: messages.clone(),
                        },
                    )
                })
                .collect(),
        })
    }

    /// What rewards come to.
    fn judged(&self, rewards: &Rewards) -> Result<(Value, Table)> {
        Ok(match self {
            Self::RewardBench(items) => {
                let scored = items.iter().map(|it| it.scored(rewards));
                let report = rewardbench::evaluate(&scored.collect::<Result<Vec<_>, _>>()?)?;
                (json!(report), report.table("RewardBench"))
            }
            Self::RewardBench2(items) => {
                let scored = items.iter().map(|it| it.scored(rewards));
                let report = rewardbench2::evaluate(&scored.collect::<Result<Vec<_>, _>>()?)?;
                (json!(report), report.table("RewardBench 2"))
            }
            Self::AutoJ(items) => {
                let scored = items.iter().map(|it| it.scored(rewards));
                let swept = autoj::sweep(&scored.collect::<Result<Vec<_>, _>>()?)?;
                let caption = format!("AutoJ, ties up to a difference of {}", swept.best_threshold);
                (json!(swept), swept.best.table(caption))
            }
            Self::MtBench(_, votes) => {
                let judge = mtbench::vote_by_rewards(votes, rewards, 0.0)?;
                let report = mtbench::agreement(votes, &judge)?;
                (
                    json!(report),
                    report.table("Agreement with MT-Bench's votes"),
                )
            }
            Self::Pairs(pairs) => {
                let scored = pairs.iter().map(|pair| {
                    Ok(ScoredPair {
                        chosen: rewards.get(&format!("{}/chosen", pair.scored.id))?,
                        rejected: rewards.get(&format!("{}/rejected", pair.scored.id))?,
                        ..pair.scored.clone()
                    })
                });
                let report = pairs::evaluate(&scored.collect::<eurus::eval::Result<Vec<_>>>()?)?;
                (json!(report), report.table("Pairs"))
            }
        })
    }
}

/// Writes conversations as rows that `eurus score` reads.
fn write(responses: &[Response], path: &Path) -> Result<usize> {
    let mut writer = JsonlWriter::create(path)?;
    for response in responses {
        writer.write(response)?;
    }
    Ok(writer.finish()?)
}

fn read_pairs(path: &Path) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for row in input::read(vec![path.to_owned()], pair) {
        let mut pair = row
            .map_err(|rejected| eurus::data::Error::from(*rejected))?
            .value;
        if pair.scored.id.is_empty() {
            pair.scored.id = format!("row-{}", pairs.len() + 1);
        }
        pairs.push(pair);
    }
    if pairs.is_empty() {
        bail!("{}: there is no pair", path.display());
    }
    Ok(pairs)
}

fn pair(record: &[u8]) -> Result<Pair, eurus::data::Error> {
    let value: Value = parse_json(record)?;
    let problem = "is no pair; rows with a chosen and a rejected answer are wanted";
    let no_pair = || eurus::data::Error::malformed("the row", problem);
    let format = Format::of_record(&value).ok_or_else(no_pair)?;
    let example = format.parse(record)?;
    let (chosen, rejected) = match &example {
        Example::Pair(row) => (
            vec![Message::assistant(&row.chosen)],
            vec![Message::assistant(&row.rejected)],
        ),
        Example::Preference(row) => (row.chosen.clone(), row.rejected.clone()),
        _ => return Err(no_pair()),
    };
    let prompt = example.prompt();
    let length = |answer: &[Message]| answer.iter().map(|it| it.content.chars().count()).sum();
    let with = |answer: &[Message]| -> Result<Vec<ChatMessage>, eurus::data::Error> {
        let all = prompt.iter().chain(answer).cloned();
        all.map(prompts::message).collect()
    };
    let origin = example.origin();
    Ok(Pair {
        scored: ScoredPair {
            id: origin.id.unwrap_or_default(),
            subset: origin.dataset,
            turn: Some(prompt.iter().filter(|it| it.role.asks()).count()),
            chosen: 0.0,
            rejected: 0.0,
            lengths: Some(PairLengths {
                chosen: length(&chosen),
                rejected: length(&rejected),
            }),
        },
        chosen: with(&chosen)?,
        rejected: with(&rejected)?,
    })
}
