//! Judging the answers of a run, and telling what they come to.

use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::eval::graders::Rules;
use eurus::eval::runs::{
    ItemVerdict, Judging, RunFolder, SettingRun, SettingSummary, Summary, grade_answers,
    published_table,
};
use eurus::eval::tasks::{Item, Pythons, Task};
use eurus::eval::terminal;
use eurus::interpreter::{Interpreter, Limits, Protection, Python, Sandbox};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::job::print;

const STYLE: &str = "{prefix:.bold} {bar:24.cyan/dim} {pos}/{len} [{elapsed}, left {eta}]";

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
        Ok(Interpreter::start(&python, Limits::default())?)
    }
}

/// Judges all answers of a run, writes what they come to, and tells it.
pub fn judge(
    folder: &RunFolder,
    tasks: &[Task],
    rules: Rules,
    notes: Vec<String>,
    programs: &Programs,
    told: &Told,
) -> Result<()> {
    let record = folder.record()?;
    let mut settings: Vec<(SettingRun, Vec<ItemVerdict>)> = Vec::new();
    let mut summaries = Vec::new();
    for task in tasks {
        let setting = folder.read_setting(task.setting().unwrap_or("answers"))?;
        let verdicts = verdicts(task, &setting, rules, programs)?;
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
    if let Some(date) = &told.harness_date {
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
#[derive(Debug, Default)]
pub struct Told {
    pub json: bool,
    /// The files of lm-evaluation-harness are written, with this in their names.
    pub harness_date: Option<String>,
}

fn verdicts(
    task: &Task,
    setting: &SettingRun,
    rules: Rules,
    programs: &Programs,
) -> Result<Vec<ItemVerdict>> {
    let needs_python = task.grader().needs_python();
    let start = || programs.start();
    let judge = |item: &Item, answer: &str, pythons: Option<Pythons<'_>>| {
        task.grade(item, answer, rules, pythons)
    };
    let cores = available_parallelism().map_or(2, usize::from);
    let bar = ProgressBar::new(setting.answers.len() as u64);
    if let Ok(style) = ProgressStyle::with_template(STYLE) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(format!("grading {}", setting.name));
    let verdicts = grade_answers(
        &setting.items,
        &setting.answers,
        &setting.unanswered,
        &Judging {
            judge: &judge,
            interpreter: needs_python.then_some(&start),
            workers: cores,
        },
        &|| bar.inc(1),
    );
    bar.finish_and_clear();
    verdicts.with_context(|| match needs_python {
        true => "programs of answers are run in a sandbox; `eurus synth doctor` says what this machine gives, and --sandbox none runs them without",
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
