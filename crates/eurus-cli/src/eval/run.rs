//! `eurus eval run`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use eurus::eval::runs::RunFolder;
use eurus::eval::tasks::Task;

use super::drawing::{self, Draws, asked, record};
use super::judging::{JudgeAt, Programs, Told, judge};
use super::task::{self, TaskData};
use crate::generate::ModelAt;
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;

pub const EXAMPLES: &str = "\
Answers and verdicts are files of their own: `eurus eval grade` judges the answers again without a model. The same command goes
on where it was broken off; what is drawn depends on --seed and the items alone.

Examples:
  eurus eval run --task svamp --data SVAMP.json --model runs/kto --out evals/kto-svamp
  eurus eval run --task humaneval --data HumanEval.jsonl.gz --model runs/kto --samples 16 --limit 20 --out evals/kto-humaneval
  eurus eval run --task mtbench --data question.jsonl --model runs/kto --judge http://127.0.0.1:8080/v1 --out evals/kto-mtbench
  eurus eval run --task own.toml --model http://127.0.0.1:8080/v1 --served-name big --out evals/big-own";

#[derive(Debug, Args)]
pub struct Run {
    /// A built-in task, or a task file (.toml)
    #[arg(long, value_name = "TASK")]
    task: String,

    #[command(flatten)]
    data: TaskData,

    #[command(flatten)]
    pub model: ModelAt,

    /// Folder for the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// One setting alone, such as cot or pot [default: all; the better one is reported]
    #[arg(long, value_name = "NAME")]
    setting: Option<String>,

    /// Answers to each item
    #[arg(long, value_name = "N", default_value_t = 1)]
    samples: usize,

    /// Seed of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The first items alone
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    #[command(flatten)]
    told: Told,

    #[command(flatten)]
    judge: JudgeAt,

    #[command(flatten)]
    programs: Programs,
}

impl Run {
    pub fn run(&self) -> Result<()> {
        let task = task::find(&self.task)?;
        let draws = Draws {
            samples: self.samples,
            seed: self.seed,
            limit: self.limit,
        };
        let settings = self.settings(&task)?;
        let mut loaded = Vec::new();
        for setting in &settings {
            self.judge.check(setting)?;
            loaded.push(self.data.load(setting)?);
        }
        let mut notes: Vec<String> = loaded.iter().filter_map(|it| it.note()).collect();
        notes.dedup();
        self.programs.check(&settings)?;
        let opened = self.model.open()?;
        let tokenizer = opened.tokenizer.as_ref();
        let all = settings.iter().zip(loaded);
        let all = all.map(|(task, items)| asked(task.clone(), items, tokenizer, draws));
        let all = all.collect::<Result<Vec<_>>>()?;
        let asked = all.first().map_or(0, |it| it.items.items.len());
        let available = all.first().map_or(0, |it| it.available);
        if asked < available {
            notes.push(format!("the first {asked} of {available} items alone"));
        }
        let is_file = Path::new(&self.task)
            .extension()
            .is_some_and(|it| it == "toml");
        let file = is_file.then(|| PathBuf::from(&self.task));
        let record = record(&all, file, &self.model.model, &opened, draws)?;
        let folder = RunFolder::create(&self.out, &record)?;
        interrupt::enter(Phase::Answers(self.out.display().to_string()));
        for asked in &all {
            let episodes = self.programs.episodes(&asked.task, self.data.rules())?;
            let Some(drawn) = drawing::draw(&folder, asked, &opened, episodes.as_ref())? else {
                tell!(
                    "interrupted; the answers so far are kept in {}. Go on with:\n  {}",
                    self.out.display(),
                    invocation::again()
                );
                return Err(Interrupted::now().into());
            };
            if let Some(failed) = drawn.failed.iter().find(|it| it.may_pass) {
                bail!(
                    "{} items of `{}` were not answered, the first: {}: {}; what was is kept, and the same command asks for the rest",
                    drawn.failed.len(),
                    asked.name(),
                    failed.id,
                    failed.reason
                );
            }
        }
        interrupt::enter(Phase::Kept(self.out.clone()));
        judge(
            &folder,
            &settings,
            self.data.rules(),
            notes,
            &self.programs,
            self.judge.open(self.model.device)?,
            &self.told,
        )
    }

    fn settings(&self, task: &Task) -> Result<Vec<Task>> {
        if let Some(name) = &self.setting {
            return Ok(vec![task.with_setting(name)?]);
        }
        match task.settings() {
            names if names.is_empty() => Ok(vec![task.clone()]),
            names => {
                let each = names.into_iter().map(|name| task.with_setting(name));
                Ok(each.collect::<eurus::eval::Result<_>>()?)
            }
        }
    }
}
