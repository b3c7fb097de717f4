//! `eurus eval grade`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use eurus::eval::graders::Rules;
use eurus::eval::runs::RunFolder;

use super::judging::{JudgeAt, Programs, Told, judge, tasks_of};
use crate::interrupt::{self, Phase};
use crate::options::DeviceName;

pub const EXAMPLES: &str = "\
Examples:
  eurus eval grade evals/kto-svamp --grader fixed
  eurus eval grade evals/kto-leetcode --packages --python venv/bin/python3";

#[derive(Debug, Args)]
pub struct Grade {
    /// Folder of a run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Whose rules: the released code's, or the same without its defects (authors, fixed)
    #[arg(long, value_name = "RULES", default_value_t)]
    grader: Rules,

    #[command(flatten)]
    told: Told,

    #[command(flatten)]
    judge: JudgeAt,

    /// Where a judge that is a checkpoint computes
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,

    #[command(flatten)]
    programs: Programs,
}

impl Grade {
    pub fn run(&self) -> Result<()> {
        let folder = RunFolder::open(&self.run);
        let tasks = tasks_of(&folder)?;
        for task in &tasks {
            self.judge.check(task)?;
        }
        interrupt::enter(Phase::Kept(self.run.clone()));
        let notes = folder.summary().map(|it| it.notes).unwrap_or_default();
        judge(
            &folder,
            &tasks,
            self.grader,
            notes,
            &self.programs,
            self.judge.open(self.device)?,
            &self.told,
        )
    }
}
