//! Scores that are not complete yet, in a file that goes on where it was broken off.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// `NAME.unfinished` beside the result: a line with what scores depend on, then theirs.
pub struct Unfinished {
    path: PathBuf,
    file: File,
    /// Rows that are scored.
    pub rows: usize,
}

impl Unfinished {
    /// Opens the file of a result, or makes it. What is no whole part of `rows_at_once` rows is scored anew, so that the same
    /// rows are computed together as in a run that was never broken off.
    pub fn open(out: &Path, settings: &Value, rows_at_once: usize) -> Result<Self> {
        let mut name = OsString::from(out);
        name.push(".unfinished");
        let path = PathBuf::from(name);
        let problem = || format!("cannot write {}", path.display());
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = options.with_context(problem)?;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut end = reader.read_until(b'\n', &mut line).with_context(problem)?;
        if line.last() != Some(&b'\n') {
            file.set_len(0).with_context(problem)?;
            file.seek(SeekFrom::Start(0)).with_context(problem)?;
            writeln!(file, "{settings}").with_context(problem)?;
            return Ok(Self {
                path,
                file,
                rows: 0,
            });
        }
        check(
            &path,
            &serde_json::from_slice(&line).unwrap_or_default(),
            settings,
        )?;
        let (mut rows, mut whole) = (0, end);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).with_context(problem)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            (rows, end) = (rows + 1, end + read);
            if rows % rows_at_once == 0 {
                whole = end;
            }
        }
        rows -= rows % rows_at_once;
        file.set_len(whole as u64).with_context(problem)?;
        file.seek(SeekFrom::End(0)).with_context(problem)?;
        Ok(Self { path, file, rows })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the lines of some rows.
    pub fn append(&mut self, lines: &[Value]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        self.file
            .write_all(text.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.rows += lines.len();
        Ok(())
    }

    /// Makes the result of it, whole or not at all.
    pub fn finish(mut self, out: &Path) -> Result<()> {
        let folder = match out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let problem = || format!("cannot write {}", out.display());
        let mut result = tempfile::NamedTempFile::new_in(folder).with_context(problem)?;
        self.file.seek(SeekFrom::Start(0)).with_context(problem)?;
        let mut reader = BufReader::new(&self.file);
        reader.skip_until(b'\n').with_context(problem)?;
        std::io::copy(&mut reader.by_ref(), &mut result).with_context(problem)?;
        result.persist(out).with_context(problem)?;
        std::fs::remove_file(&self.path).with_context(problem)?;
        Ok(())
    }
}

/// Refuses a file whose scores depend on something else.
fn check(path: &Path, there: &Value, settings: &Value) -> Result<()> {
    let names = |of: &Value| of.as_object().cloned().unwrap_or_default();
    for (name, _) in names(settings).into_iter().chain(names(there)) {
        if there.get(&name) != settings.get(&name) {
            bail!(
                "{}: the scores so far are of another `{name}`; give the same command again, or remove the file",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_goes_on_with_the_last_whole_part_and_refuses_other_settings() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("scores.jsonl");
        let settings = json!({"beta": 0.1});
        let row = |id: usize| json!({"id": id});
        let mut file = Unfinished::open(&out, &settings, 2)?;
        file.append(&[row(0), row(1)])?;
        file.append(&[row(2)])?;
        write!(file.file, "{{\"id\": 3")?;
        drop(file);
        for (other, name) in [
            (json!({"beta": 0.2}), "beta"),
            (json!({"beta": 0.1, "device": "wgpu"}), "device"),
            (json!({}), "beta"),
        ] {
            let refused = Unfinished::open(&out, &other, 2);
            let message = refused.err().context("other settings")?.to_string();
            assert!(message.contains(&format!("another `{name}`")), "{message}");
        }

        let mut file = Unfinished::open(&out, &settings, 2)?;
        assert_eq!(file.rows, 2);
        file.append(&[row(7)])?;
        assert!(!out.exists());
        file.finish(&out)?;
        let text = std::fs::read_to_string(&out)?;
        assert_eq!(text, "{\"id\":0}\n{\"id\":1}\n{\"id\":7}\n");
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
