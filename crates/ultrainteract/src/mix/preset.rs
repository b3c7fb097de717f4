//! The paper's mixtures by name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Amount, Mixture, Source};
use crate::formats::Format;
use crate::{Error, Result};

/// A mixture of the paper (arXiv 2404.02078, Section 3 and Appendix B).
///
/// | preset | sources |
/// | --- | --- |
/// | `eurus-7b-sft` | `ultrainteract` all, `ultrachat` 32k, `sharegpt` 30k, `openorca` 50k |
/// | `eurus-70b-sft` | `ultrainteract` all, `ultrachat` 63k, `sharegpt` 30k, `openorca` 70k |
/// | `eurus-preference` | `ultrainteract` all, `ultrafeedback` all pairs |
/// | `eurus-rm-7b` | `ultrainteract` all, `augmented` all, `ultrafeedback` all pairs, `ultrasafety` one pair an instruction |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// SFT of the 7B model.
    Eurus7bSft,
    /// SFT of the 70B model.
    Eurus70bSft,
    /// Preference learning.
    EurusPreference,
    /// The reward model.
    EurusRm7b,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 4] = [
        Preset::Eurus7bSft,
        Preset::Eurus70bSft,
        Preset::EurusPreference,
        Preset::EurusRm7b,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Eurus7bSft => "eurus-7b-sft",
            Preset::Eurus70bSft => "eurus-70b-sft",
            Preset::EurusPreference => "eurus-preference",
            Preset::EurusRm7b => "eurus-rm-7b",
        }
    }

    /// The sources with their amounts.
    pub fn amounts(self) -> &'static [(&'static str, Amount)] {
        match self {
            Preset::Eurus7bSft => &[
                ("ultrainteract", Amount::All),
                ("ultrachat", Amount::Count(32_000)),
                ("sharegpt", Amount::Count(30_000)),
                ("openorca", Amount::Count(50_000)),
            ],
            Preset::Eurus70bSft => &[
                ("ultrainteract", Amount::All),
                ("ultrachat", Amount::Count(63_000)),
                ("sharegpt", Amount::Count(30_000)),
                ("openorca", Amount::Count(70_000)),
            ],
            Preset::EurusPreference => &[
                ("ultrainteract", Amount::All),
                ("ultrafeedback", Amount::All),
            ],
            Preset::EurusRm7b => &[
                ("ultrainteract", Amount::All),
                ("augmented", Amount::All),
                ("ultrafeedback", Amount::All),
                ("ultrasafety", Amount::All),
            ],
        }
    }

    /// The format that the mixture has unless told otherwise.
    pub fn format(self) -> Format {
        match self {
            Preset::Eurus7bSft | Preset::Eurus70bSft => Format::TrlMessages,
            Preset::EurusPreference | Preset::EurusRm7b => Format::TrlPreferenceChat,
        }
    }

    /// The mixture of these files.
    ///
    /// # Errors
    ///
    /// A source of the preset has no files, or there are files for another source.
    pub fn mixture(self, files: Vec<(String, Vec<PathBuf>)>, seed: u64) -> Result<Mixture> {
        let amounts = self.amounts();
        if let Some((name, _)) = files
            .iter()
            .find(|(name, _)| amounts.iter().all(|(known, _)| known != name))
        {
            let known: Vec<&str> = amounts.iter().map(|(name, _)| *name).collect();
            return Err(Error::Mixture {
                source_name: name.clone(),
                reason: format!("is none of preset {self}, which has {}", known.join(", ")),
            });
        }
        let sources = amounts.iter().map(|&(name, amount)| {
            let mine = files.iter().filter(|(given, _)| given == name);
            let paths: Vec<PathBuf> = mine.flat_map(|(_, paths)| paths.clone()).collect();
            if paths.is_empty() {
                return Err(Error::Mixture {
                    source_name: name.to_string(),
                    reason: format!("is missing; preset {self} needs files for it"),
                });
            }
            let mut source = Source::new(name, paths, amount);
            source.per_instruction = (name == "ultrasafety").then_some(1);
            Ok(source)
        });
        Ok(Mixture {
            format: self.format(),
            sources: sources.collect::<Result<_>>()?,
            seed,
            repeats: false,
        })
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Preset::ALL
            .into_iter()
            .find(|preset| preset.as_str() == name)
            .ok_or_else(|| Error::Mixture {
                source_name: name.to_string(),
                reason: format!(
                    "is no preset; known are {}",
                    Preset::ALL.map(Preset::as_str).join(", ")
                ),
            })
    }
}
