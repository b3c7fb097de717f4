//! `eurus recipe run`: the steps of a recipe one after the other, each a child process of this program.
//!
//! A child, because a step is a command as a user would type it: what it keeps of its process (memory, interrupts, the options it
//! remembers) is gone with it, and what ends it unforeseen does not end the walk without a word.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use eurus::recipes::record::{Change, Decision, Record, put_aside, write_recipe};
use eurus::recipes::{Recipe, Stage, Step, Work};
use tempfile::NamedTempFile;

use super::alone::{Alone, StepFailed};
use super::chosen::{Chosen, Folders};
use super::missing;
use crate::interrupt::{self, Interrupted, Phase, child};
use crate::invocation;

pub const EXAMPLES: &str = "\
A step is skipped if its command, the files that it reads and the version of the program are those of the last time; why another \
is run is said. What a step had made before is put aside, not removed. A run that was ended, by whatever, goes on with the \
same command. Beside each result lies the recipe that it was made with (.recipe.toml), and what is known of its inputs \
(.step.json).

Examples:
  eurus recipe run small-eurus --out runs/small
  eurus recipe run small-eurus --set preference.beta=0.3 --out runs/small
  eurus recipe run eurus-7b-kto --mixtures data --benchmarks benchmarks --out runs/kto";

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    chosen: Chosen,

    #[command(flatten)]
    folders: Folders,
}

impl Run {
    pub fn run(&self) -> Result<()> {
        let recipe = self.chosen.find()?;
        let places = self.folders.places();
        let steps = recipe.steps(&places);
        missing::refuse(&recipe, &places)?;
        let _alone = Alone::in_folder(&self.folders.out)?;
        interrupt::enter(Phase::Kept(self.folders.out.clone()));
        for step in &steps {
            done(&recipe, step, &steps, &self.folders.out)?;
            if interrupt::state().exit_code.is_some() {
                return Err(interrupted_after(step));
            }
        }
        crate::job::print(&summary(&recipe, &steps));
        Ok(())
    }
}

/// Does a step, unless it is done.
fn done(recipe: &Recipe, step: &Step, steps: &[Step], folder: &Path) -> Result<()> {
    let mut record = Record::of(step, steps, env!("CARGO_PKG_VERSION"))
        .with_context(|| format!("step {}", step.name))?;
    match record.decide(step)? {
        Decision::Skip => {
            tell!("{}: nothing has changed", step.name);
            return Ok(());
        }
        Decision::Begin => tell!("{}: begins", step.name),
        Decision::GoOn if step.output.exists() && !step.work.is_benchmark() => {
            written(|| record.finish(step))?;
            tell!("{}: was done when the run ended", step.name);
            return Ok(());
        }
        Decision::GoOn => tell!("{}: goes on", step.name),
        Decision::Again(changes) => {
            let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
            tell!("{}: runs again: {}", step.name, changes.join("; "));
            if let Some(moved) = written(|| put_aside(step))? {
                tell!("{}: what was there is {} now", step.name, moved.display());
            }
        }
    }
    written(|| {
        record.begin(step)?;
        write_recipe(recipe, step)
    })?;
    carried_out(step, folder)?;
    written(|| record.finish(step))
}

/// Writes something that an interrupt must not cut in two.
fn written<T>(write: impl FnOnce() -> eurus::recipes::Result<T>) -> Result<T> {
    let _interrupts_wait = interrupt::state();
    Ok(write()?)
}

/// Runs the command of a step to its end.
fn carried_out(step: &Step, folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("this program's own file is not found")?;
    let mut command = Command::new(program);
    command.args(step.work.words());
    if step.work.is_training() && step.snapshots().exists() {
        command.arg("--resume");
    }
    let printed = match &step.work {
        Work::Printed(_) => Some(Printed::beside(&step.output)?),
        _ => None,
    };
    if let Some(printed) = &printed {
        command.stdout(printed.stdout()?);
    }
    let ended = child::run(command, folder).with_context(|| format!("step {}", step.name))?;
    if ended.success() {
        return printed.map_or(Ok(()), |printed| printed.keep(&step.output));
    }
    if interrupt::state().exit_code.is_some() {
        return Err(interrupted_after(step));
    }
    let (exit_code, how) = match ended.code() {
        Some(code) => (code, format!("with exit code {code}")),
        None => (1, "without one: a signal ended it".to_owned()),
    };
    Err(StepFailed {
        exit_code: u8::try_from(exit_code).unwrap_or(1),
        message: format!(
            "step {} ended {how}; what it said stands above. What is done is kept; go on with:\n  {}",
            step.name,
            invocation::again()
        ),
    }
    .into())
}

fn interrupted_after(step: &Step) -> anyhow::Error {
    tell!(
        "interrupted at step {}; what is done is kept. Go on with:\n  {}",
        step.name,
        invocation::again()
    );
    Interrupted::now().into()
}

/// What a command prints, on the way to a file.
struct Printed(NamedTempFile);

impl Printed {
    fn beside(output: &Path) -> Result<Self> {
        let folder = output.parent().unwrap_or(Path::new("."));
        let problem = || format!("{}: cannot write there", folder.display());
        fs::create_dir_all(folder).with_context(problem)?;
        let mut hidden = tempfile::Builder::new();
        hidden.prefix(".eurus-");
        let file = interrupt::temporary(|| hidden.tempfile_in(folder), NamedTempFile::path)
            .with_context(problem)?;
        Ok(Self(file))
    }

    fn stdout(&self) -> Result<File> {
        Ok(self.0.as_file().try_clone()?)
    }

    fn keep(self, output: &Path) -> Result<()> {
        if self.0.as_file().metadata()?.len() == 0 {
            bail!("{}: the command printed nothing", output.display());
        }
        let path = self.0.path().to_owned();
        self.0
            .persist(output)
            .with_context(|| format!("{}: cannot be written", output.display()))?;
        interrupt::state().keep(&path);
        Ok(())
    }
}

fn summary(recipe: &Recipe, steps: &[Step]) -> String {
    let mut lines = vec![format!(
        "{}: all {} steps are done",
        recipe.name(),
        steps.len()
    )];
    let last = steps.iter().filter(|step| step.stage != Stage::Practice);
    lines.extend(last.map(|step| format!("  {}  {}", step.name, step.output.display())));
    lines.join("\n")
}
