//! Judging the answers of a run, and telling what they come to.

use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::chat::ChatModel;
use eurus::eval::graders::Rules;
use eurus::eval::runs::{
    Episodes, ItemVerdict, Judging, RunFolder, SettingRun, SettingSummary, Summary, grade_answers,
    grade_conversations, published_table, rate_conversations,
};
use eurus::eval::tasks::{Grader, Item, Pythons, Task};
use eurus::eval::terminal;
use eurus::interpreter::{Interpreter, Limits, Protection, Python, Sandbox};
use eurus::models::generate::DecodeWeights;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::kept_judge::KeptJudge;
use crate::generate::ModelAt;
use crate::job::print;
use crate::options::DeviceName;
use crate::usage::UsageError;

const STYLE: &str = "{prefix:.bold} {bar:24.cyan/dim} {pos}/{len} [{elapsed}, left {eta}]";

/// A bar for so many answers.
pub fn bar(answers: usize, what: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::new(answers as u64);
    if let Ok(style) = ProgressStyle::with_template(STYLE) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.with_prefix(what.into())
}

/// How programs of answers are run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Programs of answers")]
pub struct Programs {
    /// Least isolation of the programs in answers: full, degraded-linux, container, or none, for code of your own alone
    #[arg(long, value_name = "LEVEL", default_value = "full", value_parser = level)]
    sandbox: Protection,

    /// The Python interpreter [default: the first on PATH]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Let programs import the interpreter's installed packages, such as numpy for LeetCode
    #[arg(long)]
    packages: bool,
}

fn level(text: &str) -> Result<Protection, String> {
    const LEVELS: [Protection; 4] = [
        Protection::Full,
        Protection::DegradedLinux,
        Protection::Container,
        Protection::None,
    ];
    let known = LEVELS.into_iter().find(|level| level.as_str() == text);
    known.ok_or_else(|| {
        format!("there is no level `{text}`; there are full, degraded-linux, container and none")
    })
}

impl Programs {
    fn start(&self) -> eurus::eval::Result<Interpreter> {
        Ok(Interpreter::start(&self.found()?, Limits::default())?)
    }

    /// Starts an interpreter if a setting of the task needs one, so that a run that cannot be graded costs no answer.
    pub fn check(&self, settings: &[Task]) -> Result<()> {
        match settings.iter().any(|it| it.grader().needs_python()) {
            true => self.start().map(drop).context(SANDBOX),
            false => Ok(()),
        }
    }

    /// What a task of conversations with an interpreter has: nothing for other tasks.
    pub fn episodes(&self, task: &Task, rules: Rules) -> Result<Option<Episodes>> {
        match task.grader() {
            Grader::Mint {} => {
                let python = self.found().context(SANDBOX)?;
                Ok(Some(Episodes { python, rules }))
            }
            _ => Ok(None),
        }
    }

    fn found(&self) -> eurus::eval::Result<Python> {
        let mut sandbox = Sandbox {
            require: self.sandbox,
            in_container: self.sandbox == Protection::Container,
            ..Sandbox::default()
        };
        if self.sandbox == Protection::None {
            sandbox.at_most = Protection::None;
        }
        let mut python: Python = match &self.python {
            Some(path) => Python::at(path)?,
            None => Python::find()?,
        };
        python = python.with_sandbox(sandbox);
        if self.packages {
            python = python.with_site_packages();
        }
        Ok(python)
    }
}

const SANDBOX: &str = "programs of answers are run in a sandbox; `eurus synth doctor` says what this machine gives, and --sandbox none runs them without";

/// The model that rates answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judge")]
pub struct JudgeAt {
    /// The model that rates answers: a checkpoint folder, the name of a model of the hub, or the address of a server
    #[arg(long, value_name = "MODEL")]
    judge: Option<String>,

    /// The judge's name at its server
    #[arg(long, value_name = "NAME")]
    judge_served_name: Option<String>,

    /// The variable of the environment that has the key of the judge's server
    #[arg(long, value_name = "VARIABLE")]
    judge_api_key_env: Option<String>,
}

/// How many answers a judge is asked about at once.
pub const JUDGED_AT_ONCE: usize = 16;

impl JudgeAt {
    /// Refuses a judge where a rule says what is right, and a task without one that wants one.
    pub fn check(&self, task: &Task) -> Result<()> {
        let is_judged = matches!(task.grader(), Grader::Judge {});
        match &self.judge {
            None if is_judged => Err(UsageError::new(format!(
                "a model judges the answers of `{}`; say which with --judge",
                task.name()
            ))
            .into()),
            Some(_) if !is_judged => Err(UsageError::new(format!(
                "--judge has no effect: the answers of `{}` are judged by a rule; leave it out",
                task.name()
            ))
            .into()),
            _ => Ok(()),
        }
    }

    /// The judge, if there is one; a checkpoint computes on this device.
    pub fn open(&self, device: DeviceName) -> Result<Option<Box<dyn ChatModel>>> {
        let Some(model) = &self.judge else {
            return Ok(None);
        };
        let at = ModelAt {
            model: model.clone(),
            served_name: self.judge_served_name.clone(),
            api_key_env: self.judge_api_key_env.clone(),
            concurrency: JUDGED_AT_ONCE,
            max_rows: None,
            weights: DecodeWeights::Exact,
            device,
        };
        Ok(Some(at.open().context("--judge")?.model))
    }
}

/// Judges all answers of a run, writes what they come to, and tells it.
pub fn judge(
    folder: &RunFolder,
    tasks: &[Task],
    rules: Rules,
    notes: Vec<String>,
    programs: &Programs,
    judge: Option<Box<dyn ChatModel>>,
    told: &Told,
) -> Result<()> {
    let record = folder.record()?;
    let mut settings: Vec<(SettingRun, Vec<ItemVerdict>)> = Vec::new();
    let mut summaries = Vec::new();
    let judge = judge.map(|model| KeptJudge::of_run(model, folder.path()));
    let judge = judge.transpose()?;
    for task in tasks {
        let setting = folder.read_setting(task.setting().unwrap_or("answers"))?;
        let model = judge.as_ref().map(|it| it as &dyn ChatModel);
        let verdicts = verdicts(task, &setting, rules, programs, model)?;
        summaries.push(SettingSummary::of(
            &setting.name,
            &setting.items,
            &verdicts,
        )?);
        settings.push((setting, verdicts));
    }
    let mean = |it: &SettingSummary| it.accuracy.map_or(-1.0, |it| it.mean);
    let best = summaries.iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
    let summary = Summary {
        reported: best.context("a task has a setting")?.name.clone(),
        run: record,
        rules,
        notes,
        settings: summaries,
    };
    folder.write_results(&summary, &settings)?;
    judge.map(KeptJudge::finish).transpose()?;
    if let Some(date) = &told.harness {
        folder.write_harness(&summary, &settings, date)?;
    }
    if told.json {
        print(&json!(summary).to_string());
        return Ok(());
    }
    print(&terminal::render(&summary.table()));
    for table in summary.group_tables() {
        print(&format!("\n{}", terminal::render(&table)));
    }
    let published = tasks.first().map_or(&[][..], |task| &task.file().published);
    if let Some(table) = published_table(&summary, published) {
        print(&format!("\n{}", terminal::render(&table)));
    }
    print(&format!(
        "\nreport: {}",
        folder.path().join("report.html").display()
    ));
    Ok(())
}

/// What is told and written besides.
#[derive(Debug, Args)]
pub struct Told {
    /// Write the summary as one JSON object
    #[arg(long)]
    json: bool,

    /// Also write the files of lm-evaluation-harness, with this in their names, such as a date
    #[arg(long, value_name = "DATE")]
    harness: Option<String>,
}

fn verdicts(
    task: &Task,
    setting: &SettingRun,
    rules: Rules,
    programs: &Programs,
    model: Option<&dyn ChatModel>,
) -> Result<Vec<ItemVerdict>> {
    let needs_python = task.grader().needs_python();
    let start = || programs.start();
    let judge = |item: &Item, answer: &str, pythons: Option<Pythons<'_>>| {
        task.grade(item, answer, rules, pythons)
    };
    let cores = available_parallelism().map_or(2, usize::from);
    let bar = bar(setting.answers.len(), format!("grading {}", setting.name));
    let (items, answers, unanswered) = (&setting.items, &setting.answers, &setting.unanswered);
    let on_verdict = || bar.inc(1);
    let episodes = programs.episodes(task, rules)?;
    let verdicts = match (&episodes, model) {
        (Some(episodes), _) => {
            grade_conversations(items, answers, unanswered, episodes, cores, &on_verdict)
        }
        (None, Some(model)) => rate_conversations(
            items,
            answers,
            unanswered,
            model,
            JUDGED_AT_ONCE,
            &on_verdict,
        ),
        (None, None) => grade_answers(
            items,
            answers,
            unanswered,
            &Judging {
                judge: &judge,
                interpreter: needs_python.then_some(&start),
                workers: cores,
            },
            &on_verdict,
        ),
    };
    bar.finish_and_clear();
    verdicts.with_context(|| match needs_python {
        true => SANDBOX,
        false => "grading",
    })
}

/// The settings of a run's task, as they were when it was run.
pub fn tasks_of(folder: &RunFolder) -> Result<Vec<Task>> {
    let record = folder.record()?;
    let task = match &record.task.file {
        Some(file) => Task::read(file)?,
        None => Task::built_in(&record.task.name)?,
    };
    if task.sha256() != record.task.sha256 {
        bail!(
            "{}: the task `{}` is no longer the one that was run (version {} then, {} now); run it again",
            folder.path().display(),
            record.task.name,
            record.task.version,
            task.file().version
        );
    }
    let names = record.settings.iter().map(|it| it.name.as_str());
    let tasks = names.map(|name| match task.settings().is_empty() {
        true => Ok(task.clone()),
        false => task.with_setting(name),
    });
    Ok(tasks.collect::<eurus::eval::Result<_>>()?)
}
