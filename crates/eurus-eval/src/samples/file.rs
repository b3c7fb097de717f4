//! The file of samples.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{PromptToAnswer, Sample};
use crate::error::{Error, Result};
use crate::files::{read_json, read_lines, write_json, write_lines};

/// A file of samples that grows line by line. Beside it, `NAME.run.json` says what the samples depend on.
#[derive(Debug)]
pub struct SampleFile {
    path: PathBuf,
    file: File,
    samples: BTreeMap<(String, usize), Sample>,
}

impl SampleFile {
    /// Makes a file, or goes on with one that was made with the same settings. A last line that was not written to its end
    /// is cut off.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSettings`] for a file of other settings, [`Error::DuplicateSample`], and when a file cannot be read or
    /// written.
    pub fn open(path: impl Into<PathBuf>, settings: &Value) -> Result<Self> {
        let path = path.into();
        let beside = settings_path(&path);
        match path.exists() && beside.exists() {
            true => {
                let had: Value = read_json(&beside)?;
                if let Some((field, had, wanted)) = first_difference(&had, settings) {
                    return Err(Error::OtherSettings {
                        path: beside,
                        field,
                        had,
                        wanted,
                    });
                }
            }
            false if path.exists() => {
                return Err(Error::NoSettings { path, beside });
            }
            false => write_json(&beside, settings)?,
        }
        let failed = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        cut_torn_line(&mut file).map_err(failed)?;
        let mut samples = BTreeMap::new();
        for (index, sample) in read_lines::<Sample>(&path)?.into_iter().enumerate() {
            let key = (sample.id.clone(), sample.sample);
            if samples.insert(key, sample).is_some() {
                return Err(Error::DuplicateSample {
                    path,
                    line: index + 1,
                });
            }
        }
        Ok(Self {
            path,
            file,
            samples,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many samples it has.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The numbers of the samples that a prompt lacks.
    pub fn missing(&self, prompt: &PromptToAnswer) -> Vec<usize> {
        let mut key = (prompt.id.clone(), 0);
        let mut missing = Vec::new();
        for sample in 0..prompt.request.samples {
            key.1 = sample;
            if !self.samples.contains_key(&key) {
                missing.push(sample);
            }
        }
        missing
    }

    /// Adds a sample, which is in the file when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::LogProbNotFinite`], and when the file cannot be written, such as on a full disk: what was added before is
    /// there.
    pub fn append(&mut self, sample: Sample) -> Result<()> {
        if let Some(value) = sample.log_prob.filter(|it| !it.is_finite()) {
            return Err(Error::LogProbNotFinite {
                id: sample.id,
                sample: sample.sample,
                value,
            });
        }
        let failed = |source| Error::Write {
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(&sample).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.samples
            .insert((sample.id.clone(), sample.sample), sample);
        Ok(())
    }

    /// Puts the samples in the order of the prompts, so that the file is the same however it came to be, and returns them.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; it stays as it was.
    pub fn finish(self, prompts: &[PromptToAnswer]) -> Result<Vec<Sample>> {
        let places: HashMap<&str, usize> = prompts
            .iter()
            .enumerate()
            .map(|(place, prompt)| (prompt.id.as_str(), place))
            .collect();
        let mut samples: Vec<Sample> = self.samples.into_values().collect();
        samples.sort_by_key(|it| (places.get(it.id.as_str()).copied(), it.sample));
        write_lines(&self.path, &samples)?;
        Ok(samples)
    }
}

/// `NAME.run.json` beside `NAME.jsonl`.
fn settings_path(path: &Path) -> PathBuf {
    path.with_extension("run.json")
}

/// Cuts off what follows the last line break, and stands at the end.
fn cut_torn_line(file: &mut File) -> io::Result<()> {
    const BLOCK: u64 = 1 << 16;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        io::Read::read_exact(file, &mut block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end))?;
    Ok(())
}

/// The first place where two settings differ, and both values there.
pub(crate) fn first_difference(had: &Value, wanted: &Value) -> Option<(String, String, String)> {
    difference(had, wanted, "")
}

fn difference(had: &Value, wanted: &Value, at: &str) -> Option<(String, String, String)> {
    let (Value::Object(left), Value::Object(right)) = (had, wanted) else {
        return (had != wanted).then(|| (at.to_owned(), had.to_string(), wanted.to_string()));
    };
    let names = left
        .keys()
        .chain(right.keys().filter(|it| !left.contains_key(*it)));
    names.into_iter().find_map(|name| {
        let place = match at {
            "" => name.clone(),
            at => format!("{at}.{name}"),
        };
        difference(&had[name], &wanted[name], &place)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_of_settings_is_named_with_its_place() {
        let had = json!({"a": 1, "b": {"c": [1], "d": 2}});
        let wanted = json!({"a": 1, "b": {"c": [1], "d": 3}, "e": true});
        let found = difference(&had, &wanted, "").unwrap();
        assert_eq!(found, ("b.d".into(), "2".into(), "3".into()));
        assert_eq!(difference(&had, &had, ""), None);
        let found = difference(&json!({}), &json!({"e": true}), "").unwrap();
        assert_eq!(found, ("e".into(), "null".into(), "true".into()));
    }
}
