//! Which scores of rankings count.

use anyhow::Result;
use clap::Args;
use eurus::data::example::ScoreSource;
use eurus::data::formats::Format;

use crate::usage::UsageError;

/// The choice of scores.
#[derive(Debug, Args)]
pub struct ScoreBy {
    /// Scores of ranked answers that say which is better: `overall`, or `fine-grained`, the means of the ratings by aspect.
    /// In releases of UltraFeedback some overall scores of 10 should be 1; such rows are warned about [default: overall]
    #[arg(long, value_name = "SCORES", help_heading = "Input")]
    score_by: Option<ScoreSource>,
}

impl ScoreBy {
    /// The scores that count.
    pub fn source(&self) -> ScoreSource {
        self.score_by.unwrap_or_default()
    }

    /// The scores that count in files of these formats.
    pub fn of_formats(&self, formats: &[Format]) -> Result<ScoreSource> {
        let ranked =
            |format: &Format| matches!(format, Format::UltraFeedback | Format::UltraSafety);
        self.check(formats.iter().any(ranked))?;
        Ok(self.source())
    }

    /// Refuses the choice where no record has several answers.
    pub fn check(&self, has_rankings: bool) -> Result<()> {
        match self.score_by {
            Some(source) if !has_rankings => Err(UsageError::new(format!(
                "--score-by {source} has no effect: no record is a ranking of several answers; leave it out"
            ))
            .into()),
            _ => Ok(()),
        }
    }
}
