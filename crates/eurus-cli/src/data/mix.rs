//! `eurus data mix`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use eurus::data::formats::Format;
use eurus::data::input;
use eurus::data::mix::{Amount, Manifest, Mixed, Mixture, Preset, Source};

use super::convert::Notes;
use super::files::bytes_of;
use super::progress::Progress;
use super::rows::{Invalid, Out, Rejects, check_new, count};
use crate::score_by::ScoreBy;
use crate::usage::UsageError;
use crate::{interrupt, job};

pub const EXAMPLES: &str = "\
Presets (the paper's mixtures) and their sources:
  eurus-7b-sft      ultrainteract all, ultrachat 32k, sharegpt 30k, openorca 50k
  eurus-70b-sft     ultrainteract all, ultrachat 63k, sharegpt 30k, openorca 70k
  eurus-preference  ultrainteract all, ultrafeedback all pairs
  eurus-rm-7b       ultrainteract all, augmented all, ultrafeedback all pairs,
                    ultrasafety one pair an instruction

Amounts: all, 32000, 32k, 50% (of that source), ratio:3 (in proportion to other ratios, as much as \
there is).

The manifest beside the mixture has the digests of all files and, for every row, which row of \
which source it is; --repeat makes the same mixture from it.

Examples:
  eurus data mix --preset eurus-7b-sft --seed 1 --out sft-mix.jsonl \\
    --source ultrainteract=sft.parquet --source 'ultrachat=uc/*.jsonl' \\
    --source sharegpt=sharegpt.json --source openorca=orca.parquet

  eurus data mix --source a=a.jsonl --take a=ratio:2 --source b=b.jsonl --take b=ratio:1 \\
    --to trl-messages --out mix.jsonl

  eurus data mix --repeat mix.jsonl.manifest.json --out again.jsonl";

#[derive(Debug, Args)]
pub struct Mix {
    /// A mixture of the paper
    #[arg(long, value_name = "PRESET", help_heading = "Mixture")]
    preset: Option<Preset>,

    /// A source: NAME=FILES, where FILES is a path or pattern; may be given several times, also for one name
    #[arg(long = "source", value_name = "NAME=FILES", help_heading = "Mixture")]
    sources: Vec<String>,

    /// How much of a source [default: all, or what the preset says]
    #[arg(long = "take", value_name = "NAME=AMOUNT", help_heading = "Mixture")]
    takes: Vec<String>,

    /// At most so many rows of one instruction, drawn at random
    #[arg(
        long = "per-instruction",
        value_name = "NAME=N",
        help_heading = "Mixture"
    )]
    per_instruction: Vec<String>,

    /// Seed of what is drawn and of the order
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Mixture")]
    seed: u64,

    /// Take rows of a source again if it has fewer than its amount
    #[arg(long, help_heading = "Mixture")]
    allow_repeats: bool,

    /// Make the mixture of this manifest again
    #[arg(
        long,
        value_name = "MANIFEST",
        help_heading = "Mixture",
        conflicts_with_all = ["preset", "sources", "takes", "per_instruction", "seed", "allow_repeats", "skip_invalid", "score_by", "to"]
    )]
    repeat: Option<PathBuf>,

    #[command(flatten)]
    invalid: Invalid,

    #[command(flatten)]
    score_by: ScoreBy,

    /// Format to write [default: what the preset says; needed without one]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    to: Option<Format>,

    #[command(flatten)]
    out: Out,

    /// File for the manifest [default: the name of --out with .manifest.json]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    manifest: Option<PathBuf>,
}

impl Mix {
    pub fn run(&self) -> Result<()> {
        check_new(&self.out.out, "--out", self.out.overwrite)?;
        let path = self.manifest.clone().unwrap_or_else(|| {
            let mut name = self.out.out.clone().into_os_string();
            name.push(".manifest.json");
            name.into()
        });
        check_new(&path, "--manifest", self.out.overwrite)?;
        let mut rejects = Rejects::new(&self.invalid, self.out.overwrite)?;
        let mixed = match &self.repeat {
            Some(old) => {
                let old = Manifest::read(old)?;
                let files = old.sources.iter().flat_map(|source| &source.files);
                let files: Vec<PathBuf> = files.map(|file| file.path.clone()).collect();
                let progress = Progress::new("mix", bytes_of(&files));
                let out = self.out.create(old.format.parse()?)?;
                let mixed = Mixture::repeat_to(&old, out, progress.read_bytes())?;
                drop(progress);
                if mixed.manifest.sha256 != old.sha256 {
                    bail!(
                        "{}: the rows differ from those of the manifest (SHA-256 {} instead of {}); was it made by another release?",
                        self.out.out.display(),
                        mixed.manifest.sha256,
                        old.sha256
                    );
                }
                mixed
            }
            None => {
                let mut mixture = self.mixture()?;
                for source in &mut mixture.sources {
                    source.format = source.find_format()?;
                }
                let formats = mixture.sources.iter().filter_map(|source| source.format);
                self.score_by.of_formats(&formats.collect::<Vec<_>>())?;
                let files = mixture.sources.iter().flat_map(|source| &source.files);
                let files: Vec<PathBuf> = files.cloned().collect();
                // Rows are counted, then gathered.
                let progress = Progress::new("mix", 2 * bytes_of(&files));
                let out = self.out.create(mixture.format)?;
                let read = progress.read_bytes();
                mixture.write_to(out, read, |rejected| rejects.add(rejected))?
            }
        };
        let Mixed { manifest, rows } = mixed;
        let described = manifest.seal(&path)?;
        let rejects = rejects.seal()?;
        // One after the other: whoever is killed has both or none.
        let left_out = interrupt::written(&self.out.out, || {
            let left_out = rejects.name()?;
            rows.name()?;
            described.name()?;
            Ok(left_out)
        })?;
        job::print(&format!(
            "{} rows ({}) in {}, manifest in {}{left_out}",
            count(manifest.order.len() as u64),
            manifest.format,
            self.out.out.display(),
            path.display()
        ));
        for source in &manifest.sources {
            let mut notes = String::new();
            let numbers = [source.without_rows, source.doubtful];
            for (number, kind) in numbers.into_iter().zip(Notes::KINDS) {
                if number > 0 {
                    notes += &format!("; {} {kind}", count(number));
                }
            }
            job::print(&format!(
                "  {}: {} of {} rows ({}){notes}",
                source.name,
                count(source.taken),
                count(source.available),
                source.amount
            ));
        }
        Ok(())
    }

    fn mixture(&self) -> Result<Mixture> {
        let mut files: Vec<(String, Vec<PathBuf>)> = Vec::new();
        for source in &self.sources {
            let (name, pattern) = named(source, "--source NAME=FILES")?;
            let found = input::expand([pattern])?;
            match files.iter_mut().find(|(known, _)| known == name) {
                Some((_, files)) => files.extend(found),
                None => files.push((name.to_owned(), found)),
            }
        }
        let mut mixture = match (self.preset, self.to) {
            (Some(preset), _) => preset.mixture(files, self.seed)?,
            (None, Some(format)) if !files.is_empty() => Mixture {
                format,
                sources: files
                    .into_iter()
                    .map(|(name, files)| Source::new(name, files, Amount::All))
                    .collect(),
                seed: self.seed,
                repeats: false,
            },
            (None, _) => {
                let message = "give --preset, or --source NAME=FILES and --to FORMAT, or --repeat";
                return Err(UsageError::new(message).into());
            }
        };
        mixture.repeats = self.allow_repeats;
        mixture.format = self.to.unwrap_or(mixture.format);
        for source in &mut mixture.sources {
            source.score_by = self.score_by.source();
        }
        for take in &self.takes {
            let (name, amount) = named(take, "--take NAME=AMOUNT")?;
            source(&mut mixture, name, "--take")?.amount =
                amount.parse().map_err(UsageError::new)?;
        }
        for most in &self.per_instruction {
            let (name, most) = named(most, "--per-instruction NAME=N")?;
            let number = most.parse().map_err(|_| {
                UsageError::new(format!("--per-instruction: `{most}` is no number"))
            })?;
            source(&mut mixture, name, "--per-instruction")?.per_instruction = Some(number);
        }
        Ok(mixture)
    }
}

/// The two sides of `NAME=VALUE`.
fn named<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
        _ => Err(UsageError::new(format!("`{text}` is not of the form {form}")).into()),
    }
}

fn source<'a>(mixture: &'a mut Mixture, name: &str, option: &str) -> Result<&'a mut Source> {
    let known: Vec<String> = mixture
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect();
    mixture
        .sources
        .iter_mut()
        .find(|source| source.name == name)
        .ok_or_else(|| {
            let known = known.join(", ");
            UsageError::new(format!(
                "{option}: there is no source `{name}`; there are {known}"
            ))
            .into()
        })
}
