//! Mixtures of data sets: so much of this and that, drawn and shuffled from a seed, with a manifest
//! that makes the same rows in the same order again.
//!
//! A [`Mixture`] has named sources with an [`Amount`] each. Every source may have its own format;
//! rows are converted to the mixture's. A row without a data set gets the source's name as one.
//! Memory is some dozen bytes a row that is taken; the rows themselves wait in a temporary file.
//!
//! The [`Manifest`] lists, for every row of the mixture, the source and the number of the row in it,
//! beside the digests of all files. [`Mixture::repeat`] makes the same mixture from it and says so
//! if a file has changed.
//!
//! ```
//! use ultrainteract::formats::Format;
//! use ultrainteract::mix::{Amount, Mixture, Source};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let at = |name: &str| folder.path().join(name);
//! # let lines = |question: &str| (0..50).map(|n| format!(r#"{{"question": "{question} {n}", "response": "ok"}}"#) + "\n").collect::<String>();
//! # std::fs::write(at("a.jsonl"), lines("first")).unwrap();
//! # std::fs::write(at("b.jsonl"), lines("second")).unwrap();
//! let mixture = Mixture {
//!     format: Format::TrlMessages,
//!     sources: vec![
//!         Source::new("a", vec![at("a.jsonl")], Amount::Count(20)),
//!         Source::new("b", vec![at("b.jsonl")], Amount::Share(0.5)),
//!     ],
//!     seed: 1,
//!     repeats: false,
//! };
//! let manifest = mixture.write(&at("mixture.jsonl"), &Default::default())?;
//! assert_eq!(manifest.order.len(), 45);
//! let again = Mixture::repeat(&manifest, &at("again.jsonl"), &Default::default())?;
//! assert_eq!(again.sha256, manifest.sha256);
//! # Ok::<(), ultrainteract::Error>(())
//! ```

mod manifest;
mod preset;
mod run;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use manifest::{Manifest, ManifestFile, ManifestSource};
pub use preset::Preset;
pub use run::Mixed;

use crate::Error;
use crate::example::ScoreSource;
use crate::formats::Format;

/// How much of a source is taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Amount {
    /// Every row.
    All,
    /// So many rows.
    Count(usize),
    /// This share of the rows: 0.5 is half of them.
    Share(f64),
    /// In proportion to the other sources that have a ratio, and as many as that allows without
    /// taking a row twice.
    Ratio(f64),
}

impl FromStr for Amount {
    type Err = Error;

    /// `all`, `32000`, `32k`, `50%` or `ratio:3`.
    ///
    /// ```
    /// use ultrainteract::mix::Amount;
    /// assert_eq!("32k".parse::<Amount>()?, Amount::Count(32_000));
    /// assert_eq!("2.5%".parse::<Amount>()?, Amount::Share(0.025));
    /// assert!("some".parse::<Amount>().is_err());
    /// # Ok::<(), ultrainteract::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Error> {
        let positive = |text: &str| {
            let number: Option<f64> = text.parse().ok();
            number.filter(|number| number.is_finite() && *number > 0.0)
        };
        let amount = if text == "all" {
            Some(Amount::All)
        } else if let Some(percent) = text.strip_suffix('%') {
            positive(percent).map(|percent| Amount::Share(percent / 100.0))
        } else if let Some(ratio) = text.strip_prefix("ratio:") {
            positive(ratio).map(Amount::Ratio)
        } else if let Some(thousands) = text.strip_suffix(['k', 'K']) {
            let rows = thousands.parse::<usize>().ok();
            rows.and_then(|rows| rows.checked_mul(1000))
                .map(Amount::Count)
        } else {
            text.parse().ok().map(Amount::Count)
        };
        amount.ok_or_else(|| Error::AmountName {
            found: text.to_string(),
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::All => f.write_str("all"),
            Amount::Count(count) => count.fmt(f),
            Amount::Share(share) => write!(f, "{}%", share * 100.0),
            Amount::Ratio(ratio) => write!(f, "ratio:{ratio}"),
        }
    }
}

/// A data set of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name in the manifest, and the data set of rows that name none.
    pub name: String,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// Their format; found out if not given.
    pub format: Option<Format>,
    /// How much of it.
    pub amount: Amount,
    /// At most so many rows of one instruction, drawn at random, before the amount is looked at:
    /// the paper takes one pair for each instruction of UltraSafety. Of consequence where a record
    /// makes several rows, which trees and rankings do.
    pub per_instruction: Option<usize>,
    /// Which scores of its rankings count.
    pub score_by: ScoreSource,
}

impl Source {
    /// A source whose format is found out.
    pub fn new(name: impl Into<String>, files: Vec<PathBuf>, amount: Amount) -> Self {
        Self {
            name: name.into(),
            files,
            format: None,
            amount,
            per_instruction: None,
            score_by: ScoreSource::default(),
        }
    }

    /// Its format: the one given, or that of its first file that has a record; `None` if none has.
    ///
    /// # Errors
    ///
    /// As for [`Format::of_file`].
    pub fn find_format(&self) -> Result<Option<Format>, Error> {
        let mut format = self.format;
        for file in &self.files {
            if format.is_none() {
                format = Format::of_file(file)?;
            }
        }
        Ok(format)
    }
}

/// A mixture to be made: its sources, format and seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Format of the mixture.
    pub format: Format,
    /// The sources of the mixture.
    pub sources: Vec<Source>,
    /// Seed of what is drawn and of the order.
    pub seed: u64,
    /// Whether a source may be taken more than once to reach its amount. Every row is then taken
    /// equally often, give or take one.
    pub repeats: bool,
}
