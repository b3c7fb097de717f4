//! A judge whose judgements are kept until all of a run are there, so that a run that is broken off pays for none twice.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use eurus::chat::{Capability, ChatModel, ChatRequest, Completion, Error};
use eurus::eval::runs::sha256;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The file in a run's folder.
const FILE: &str = "judge.unfinished";

/// A line of it.
#[derive(Serialize, Deserialize)]
struct Judgement {
    /// Digest of the judge and of what it was asked.
    request: String,
    completions: Vec<Completion>,
}

/// The judge, and what it said so far.
pub struct KeptJudge {
    model: Box<dyn ChatModel>,
    path: PathBuf,
    known: HashMap<String, Vec<Completion>>,
    file: Mutex<File>,
}

impl KeptJudge {
    /// Goes on with the file of a run's folder, or begins it. A last line that was cut off is taken away.
    pub fn of_run(model: Box<dyn ChatModel>, run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let problem = || format!("cannot write {}", path.display());
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = options.with_context(problem)?;
        let (mut known, mut whole) = (HashMap::new(), 0);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).with_context(problem)? > 0 {
            let judgement = line.strip_suffix(b"\n");
            let judgement = judgement.map(serde_json::from_slice::<Judgement>);
            let Some(Ok(judgement)) = judgement else {
                break;
            };
            known.insert(judgement.request, judgement.completions);
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole).with_context(problem)?;
        file.seek(SeekFrom::End(0)).with_context(problem)?;
        Ok(Self {
            model,
            path,
            known,
            file: Mutex::new(file),
        })
    }

    /// Removes the file: all judgements have become verdicts.
    pub fn finish(self) -> Result<()> {
        fs::remove_file(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }

    fn keep(&self, judgement: &Judgement) -> eurus::chat::Result<()> {
        let line = json!(judgement).to_string() + "\n";
        // A line is whole or the last one, whatever another thread did while it held the file.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())
            .map_err(|error| Error::Config {
                field: "judge.unfinished",
                problem: format!("{}: cannot be written: {error}", self.path.display()),
            })
    }
}

impl ChatModel for KeptJudge {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn identity(&self) -> String {
        self.model.identity()
    }

    fn can(&self, capability: Capability) -> bool {
        self.model.can(capability)
    }

    fn complete(&self, request: &ChatRequest) -> eurus::chat::Result<Vec<Completion>> {
        let key = sha256([self.identity(), json!(request).to_string()]);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let completions = self.model.complete(request)?;
        let judgement = Judgement {
            request: key,
            completions,
        };
        self.keep(&judgement)?;
        Ok(judgement.completions)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl ChatModel for Counted {
        fn name(&self) -> &str {
            "counted"
        }

        fn complete(&self, request: &ChatRequest) -> eurus::chat::Result<Vec<Completion>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(vec![Completion {
                text: format!("{} messages", request.messages.len()),
                ..Completion::default()
            }])
        }
    }

    #[test]
    fn a_judge_that_goes_on_is_asked_nothing_twice() -> Result<()> {
        let run = tempfile::tempdir()?;
        let asked = Arc::new(AtomicUsize::new(0));
        let judge = || KeptJudge::of_run(Box::new(Counted(asked.clone())), run.path());
        let requests = ["one", "two"].map(|it| ChatRequest::new([eurus::chat::Message::user(it)]));
        let first = judge()?.complete(&requests[0])?;
        let path = run.path().join(FILE);
        let whole = fs::read(&path)?;
        // Cut off in the middle, and before the end of the line alone.
        fs::write(&path, [&whole[..], b"{\"request\": \"cut"].concat())?;
        assert_eq!(judge()?.complete(&requests[0])?, first);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let line = String::from_utf8(whole.clone())?.replace("request\":\"", "request\":\"other ");
        fs::write(&path, [&whole[..], line.trim_end().as_bytes()].concat())?;

        let again = judge()?;
        assert_eq!(again.complete(&requests[0])?, first);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        again.complete(&requests[1])?;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        drop(again);
        let again = judge()?;
        again.complete(&requests[1])?;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        again.finish()?;
        assert_eq!(fs::read_dir(run.path())?.count(), 0);
        Ok(())
    }
}
