//! Makes a mixture: counts, draws, gathers, shuffles, writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rand::seq::SliceRandom;
use rand::seq::index::sample;
use sha2::{Digest, Sha256};

use super::manifest::{VERSION, hex};
use super::{Amount, Manifest, ManifestFile, ManifestSource, Mixture, Source};
use crate::derive::augment::generator;
use crate::example::Example;
use crate::formats::Format;
use crate::input::{self, ReadBytes, Rejected};
use crate::output::{Output, Sealed};
use crate::{Error, Result};

/// A mixture that is written, and whose file has no name yet.
#[derive(Debug)]
pub struct Mixed {
    /// What it was made of.
    pub manifest: Manifest,
    /// The file of its rows.
    pub rows: Sealed,
}

impl Mixture {
    /// Writes the mixture and returns what it was made of. `read_bytes` counts what is read: twice
    /// the size of the files.
    ///
    /// # Errors
    ///
    /// A source cannot be read, has a bad record, cannot be written in the mixture's format, or has
    /// fewer rows than asked for; or the disk refuses. Nothing is written then.
    pub fn write(&self, out: &Path, read_bytes: &ReadBytes) -> Result<Manifest> {
        let out = Output::create(out, self.format)?;
        let mixed = self.write_to(out, read_bytes, |rejected| Err(rejected.error))?;
        mixed.rows.name()?;
        Ok(mixed.manifest)
    }

    /// As [`write`](Self::write), to an output that was started before, in the mixture's format, and that has no name yet
    /// when this returns. Bad records are handed to `on_invalid`; those that it takes are left out, and their number
    /// is in the manifest.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), but for bad records, where it is what `on_invalid` says; or the
    /// output has another format.
    pub fn write_to<E: From<Error>>(
        &self,
        out: Output,
        read_bytes: &ReadBytes,
        mut on_invalid: impl FnMut(Rejected) -> Result<(), E>,
    ) -> Result<Mixed, E> {
        check_format(&out, self.format)?;
        let mut sources = self
            .sources
            .iter()
            .map(|source| Resolved::new(source, self))
            .collect::<Result<Vec<_>>>()?;
        let available = sources
            .iter_mut()
            .map(|source| source.count(read_bytes, &mut on_invalid))
            .collect::<Result<Vec<u64>, E>>()?;
        let taken = self.amounts(&available)?;
        let mut order: Vec<(u32, u64)> = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            // A generator for each source: what is drawn of one does not depend on the others.
            let mut random = generator(self.seed, &format!("draw {}", source.name));
            let (rows, wanted) = (available[index] as usize, taken[index] as usize);
            let whole = wanted.checked_div(rows).unwrap_or(0);
            for row in 0..rows as u64 {
                order.extend(std::iter::repeat_n((index as u32, row), whole));
            }
            let rest = sample(&mut random, rows, wanted - whole * rows);
            order.extend(rest.into_iter().map(|row| (index as u32, row as u64)));
        }
        // Sorted first, so that the order depends on what was drawn and not on how.
        order.sort_unstable();
        order.shuffle(&mut generator(self.seed, "order"));

        let (sha256, rows) = gather(&sources, &order, out, read_bytes)?;
        let sources = self.sources.iter().zip(&sources).enumerate();
        let manifest = Manifest {
            version: VERSION,
            format: self.format.to_string(),
            seed: self.seed,
            sha256,
            sources: sources
                .map(|(index, (source, resolved))| {
                    Ok(ManifestSource {
                        name: source.name.clone(),
                        files: source
                            .files
                            .iter()
                            .map(|file| ManifestFile::of(file))
                            .collect::<Result<_>>()?,
                        format: resolved.format.to_string(),
                        amount: source.amount,
                        per_instruction: source.per_instruction,
                        available: available[index],
                        score_by: source.score_by,
                        invalid: resolved.invalid,
                        without_rows: resolved.without_rows,
                        doubtful: resolved.doubtful,
                        taken: taken[index],
                    })
                })
                .collect::<Result<_>>()?,
            order,
        };
        Ok(Mixed { manifest, rows })
    }

    /// Writes the mixture of a manifest again.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); and a file is not the one that the manifest was made with.
    pub fn repeat(manifest: &Manifest, out: &Path, read_bytes: &ReadBytes) -> Result<Manifest> {
        let out = Output::create(out, manifest.format.parse()?)?;
        let mixed = Self::repeat_to(manifest, out, read_bytes)?;
        mixed.rows.name()?;
        Ok(mixed.manifest)
    }

    /// As [`repeat`](Self::repeat), to an output that was started before, in the mixture's format, and that has no name yet
    /// when this returns.
    ///
    /// # Errors
    ///
    /// As [`repeat`](Self::repeat); or the output has another format.
    pub fn repeat_to(manifest: &Manifest, out: Output, read_bytes: &ReadBytes) -> Result<Mixed> {
        check_format(&out, manifest.format.parse()?)?;
        let mut sources = Vec::new();
        for source in &manifest.sources {
            for file in &source.files {
                if ManifestFile::of(&file.path)?.sha256 != file.sha256 {
                    return Err(Error::Mixture {
                        source_name: source.name.clone(),
                        reason: format!(
                            "has another {} than when the manifest was made; its SHA-256 was {}",
                            file.path.display(),
                            file.sha256
                        ),
                    });
                }
            }
            sources.push(Source {
                name: source.name.clone(),
                files: source.files.iter().map(|file| file.path.clone()).collect(),
                format: Some(source.format.parse()?),
                amount: source.amount,
                per_instruction: source.per_instruction,
                score_by: source.score_by,
            });
        }
        let mixture = Mixture {
            format: manifest.format.parse()?,
            sources,
            seed: manifest.seed,
            repeats: true,
        };
        let resolved = mixture
            .sources
            .iter()
            .zip(&manifest.sources)
            .map(|(source, old)| {
                let mut resolved = Resolved::new(source, &mixture)?;
                resolved.invalid = old.invalid;
                Ok(resolved)
            })
            .collect::<Result<Vec<_>>>()?;
        let (sha256, rows) = gather(&resolved, &manifest.order, out, read_bytes)?;
        let manifest = Manifest {
            sha256,
            ..manifest.clone()
        };
        Ok(Mixed { manifest, rows })
    }

    /// Rows to take of every source.
    fn amounts(&self, available: &[u64]) -> Result<Vec<u64>> {
        let ratios = self.sources.iter().zip(available);
        let scale = ratios
            .filter_map(|(source, &rows)| match source.amount {
                Amount::Ratio(ratio) => Some(rows as f64 / ratio),
                _ => None,
            })
            .fold(f64::INFINITY, f64::min);
        let wanted = |(source, &rows): (&Source, &u64)| {
            let count = match source.amount {
                Amount::All => rows,
                Amount::Count(count) => count as u64,
                Amount::Share(share) => (share * rows as f64).round() as u64,
                // The addend keeps rounding from taking a row of the source that sets the scale.
                Amount::Ratio(ratio) => (((scale * ratio) + 1e-9).floor() as u64).min(rows),
            };
            if count > rows && !(self.repeats && rows > 0) {
                return Err(Error::Mixture {
                    source_name: source.name.clone(),
                    reason: format!(
                        "has {rows} rows and {count} are asked for; take fewer, or allow repeats"
                    ),
                });
            }
            Ok(count)
        };
        self.sources.iter().zip(available).map(wanted).collect()
    }
}

/// A source with its format, and how its records become rows.
struct Resolved {
    source: Source,
    format: Format,
    target: Format,
    seed: u64,
    /// Bad records, which have no number among the rows.
    invalid: u64,
    /// Records that give no row.
    without_rows: u64,
    /// Records with a score that the ratings beside it contradict.
    doubtful: u64,
}

/// The rows of a record, each a line.
type Lines = Vec<Vec<u8>>;

impl Resolved {
    fn new(source: &Source, mixture: &Mixture) -> Result<Self> {
        Ok(Self {
            source: source.clone(),
            format: source.find_format()?.ok_or_else(|| Error::Mixture {
                source_name: source.name.clone(),
                reason: "has no row".to_string(),
            })?,
            target: mixture.format,
            seed: mixture.seed,
            invalid: 0,
            without_rows: 0,
            doubtful: 0,
        })
    }

    /// The rows of all records, in order.
    fn rows<T: Send + 'static>(
        &self,
        read_bytes: &ReadBytes,
        of_record: impl Fn(Lines, bool) -> T + Send + Sync + 'static,
    ) -> input::Records<T> {
        let (format, target, seed) = (self.format, self.target, self.seed);
        let (name, most) = (self.source.name.clone(), self.source.per_instruction);
        let score_by = self.source.score_by;
        let parse = move |record: &[u8]| {
            let mut example = format.parse(record)?;
            example.score_by(score_by);
            let doubtful = example.doubtful_score().is_some();
            let mut lines = encode(named(example, &name), target)?;
            if let Some(most) = most
                && lines.len() > most
            {
                // By the record's text, so that neither order nor threads matter.
                let mut random =
                    generator(seed, &format!("{name} {}", hex(&Sha256::digest(record))));
                let mut kept = sample(&mut random, lines.len(), most).into_vec();
                kept.sort_unstable();
                lines = kept
                    .into_iter()
                    .map(|index| std::mem::take(&mut lines[index]))
                    .collect();
            }
            Ok(of_record(lines, doubtful))
        };
        input::read_counting(self.source.files.clone(), parse, read_bytes.clone())
    }

    /// Counts the rows, and the records that `on_invalid` lets pass.
    fn count<E>(
        &mut self,
        read_bytes: &ReadBytes,
        on_invalid: &mut impl FnMut(Rejected) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut rows = 0;
        for record in self.rows(read_bytes, |lines, doubtful| (lines.len(), doubtful)) {
            match record {
                Ok(record) => {
                    let (lines, doubtful) = record.value;
                    rows += lines as u64;
                    self.without_rows += u64::from(lines == 0);
                    self.doubtful += u64::from(doubtful);
                }
                Err(rejected) => {
                    self.invalid += rejected.records();
                    on_invalid(*rejected)?;
                }
            }
        }
        Ok(rows)
    }
}

/// The example, with the source's name for its data set if it has none.
fn named(mut example: Example, name: &str) -> Example {
    match &mut example {
        Example::Conversation(row) => &mut row.origin.dataset,
        Example::Completion(row) => &mut row.origin.dataset,
        Example::Preference(row) => &mut row.origin.dataset,
        Example::Unpaired(row) => &mut row.origin.dataset,
        Example::Ranking(row) => &mut row.source,
        Example::Tree(_) | Example::Pair(_) | Example::Sft(_) => return example,
    }
    .get_or_insert_with(|| name.to_string());
    example
}

fn encode(example: Example, target: Format) -> Result<Lines> {
    let mut bytes = Vec::new();
    target.encode(&example, &mut bytes)?;
    Ok(bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect())
}

fn check_format(out: &Output, format: Format) -> Result<()> {
    if out.format() == format {
        return Ok(());
    }
    Err(Error::NotHeld {
        format: out.format().as_str(),
        what: "mixture",
        why: format!("the mixture is of `{format}`"),
    })
}

/// Writes the rows of `order` and returns the digest of their lines, and the file.
fn gather(
    sources: &[Resolved],
    order: &[(u32, u64)],
    mut output: Output,
    read_bytes: &ReadBytes,
) -> Result<(String, Sealed)> {
    let mut stored = Stored::new()?;
    for (index, source) in sources.iter().enumerate() {
        let mut wanted: Vec<u64> = order
            .iter()
            .filter(|(of, _)| *of as usize == index)
            .map(|(_, row)| *row)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut wanted = wanted.into_iter().peekable();
        let mut row = 0;
        for record in source.rows(read_bytes, |lines, _| lines) {
            let record = match record {
                Ok(record) => record,
                // Known from the count, or from the manifest's.
                Err(_) if source.invalid > 0 => continue,
                Err(rejected) => return Err(rejected.error),
            };
            for line in record.value {
                if wanted.next_if_eq(&row).is_some() {
                    stored.add((index as u32, row), &line)?;
                }
                row += 1;
            }
        }
        if wanted.next().is_some() {
            return Err(Error::Mixture {
                source_name: source.source.name.clone(),
                reason: format!("has {row} rows, fewer than when it was counted"),
            });
        }
    }
    let mut rows = stored.finish()?;
    let mut hash = Sha256::new();
    for row in order {
        let line = rows.read(row)?;
        hash.update(&line);
        output.write_lines(&line, 1)?;
    }
    Ok((hex(&hash.finalize()), output.seal()?))
}

/// Lines in a temporary file.
struct Stored {
    file: BufWriter<File>,
    end: u64,
    places: HashMap<(u32, u64), (u64, u32)>,
}

/// Lines that are read in any order.
struct Readable {
    file: File,
    places: HashMap<(u32, u64), (u64, u32)>,
}

impl Stored {
    fn new() -> Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile().map_err(Error::temporary)?),
            end: 0,
            places: HashMap::new(),
        })
    }

    fn add(&mut self, row: (u32, u64), line: &[u8]) -> Result<()> {
        self.file.write_all(line).map_err(Error::temporary)?;
        self.places.insert(row, (self.end, line.len() as u32));
        self.end += line.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<Readable> {
        let file = self.file.into_inner();
        Ok(Readable {
            file: file.map_err(|error| Error::temporary(error.into_error()))?,
            places: self.places,
        })
    }
}

impl Readable {
    fn read(&mut self, row: &(u32, u64)) -> Result<Vec<u8>> {
        let Some(&(start, bytes)) = self.places.get(row) else {
            return Err(Error::Mixture {
                source_name: format!("number {}", row.0),
                reason: format!("has no row {}", row.1),
            });
        };
        let mut line = vec![0; bytes as usize];
        self.file
            .seek(SeekFrom::Start(start))
            .map_err(Error::temporary)?;
        self.file.read_exact(&mut line).map_err(Error::temporary)?;
        Ok(line)
    }
}
