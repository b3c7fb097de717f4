//! `eurus data show`.

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::rebuild;
use eurus::data::show;

use super::files::Files;
use crate::job;

pub const EXAMPLES: &str = "\
Marks: ✓ correct, ✗ incorrect, ? unjudged; + chosen and - rejected in a pair; > what came back.

Examples:
  eurus data show trees.jsonl
  eurus data show pairs.parquet --id d1f094e0 --width 120";

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    files: Files,

    /// Show problems whose id begins with this [default: the first ones]
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// The most trees to show
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: usize,

    /// Columns to draw in
    #[arg(long, value_name = "N", default_value_t = show::DEFAULT_WIDTH)]
    width: usize,
}

impl Show {
    pub fn run(&self) -> Result<()> {
        let input = self.files.open()?;
        let mut shown = 0;
        for problem in rebuild::problems(input.paths, input.format, input.limits)? {
            let problem = problem?;
            let wanted = |tree: &&eurus::data::PreferenceTree| {
                self.id
                    .as_ref()
                    .is_none_or(|id| tree.id().starts_with(id.as_str()))
            };
            for tree in problem.trees.iter().filter(wanted) {
                if shown == self.count {
                    return Ok(());
                }
                if shown > 0 {
                    job::print("");
                }
                job::print(show::render(tree, self.width).trim_end());
                shown += 1;
            }
            // What is not shown need not be valid, but nothing is hidden where it stops the search.
            if let Some(rejected) = problem.rejected.into_iter().next() {
                tell!("left out: {}", rejected.error);
            }
        }
        if shown == 0 {
            match &self.id {
                Some(id) => bail!("there is no problem whose id begins with `{id}`"),
                None => bail!("there is no tree in these files"),
            }
        }
        Ok(())
    }
}
