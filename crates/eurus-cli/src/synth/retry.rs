//! `eurus synth retry`: problems that failed are tried again.

use anyhow::Result;
use clap::Args;
use eurus::synth::store::Retry as Which;

use super::StoreAt;
use crate::job::print;

pub const EXAMPLES: &str = "\
`eurus synth status` lists the reasons. What was answered is kept: a problem goes on where it failed, at the next \
`eurus synth run`.

Examples:
  eurus synth retry --store synth.db
  eurus synth retry --store synth.db --reason 'too long'
  eurus synth retry --store synth.db --id sum --id ants";

/// `eurus synth retry`.
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    store: StoreAt,

    /// Those that failed for this reason [default: all]
    #[arg(long, conflicts_with = "id")]
    reason: Option<String>,

    /// These problems; may be given more than once
    #[arg(long)]
    id: Vec<String>,
}

impl Retry {
    pub fn run(&self) -> Result<()> {
        let store = self.store.open_existing()?;
        let which = match &self.reason {
            Some(reason) => Which::Reason(reason),
            None if self.id.is_empty() => Which::All,
            None => Which::Ids(&self.id),
        };
        let retried = store.retry(which)?;
        print(&format!(
            "{retried} problems wait to be tried again; go on with `eurus synth run`"
        ));
        Ok(())
    }
}
