//! A trained model whose result cannot be written: no error after training costs the training.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, Result};
use eurus::models::WeightType;

use crate::interrupt::{self, Phase};
use crate::invocation;
use crate::space;

/// The longest pause between two attempts to write a result.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether an error says that there is no room for more.
pub fn is_lack_of_space(error: &Error) -> bool {
    let kinds = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    let mut kinds = kinds.map(io::Error::kind);
    kinds.any(|kind| {
        matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    })
}

/// What to do about an error for want of room, unless its message ends with a command that goes on.
pub fn remedy(error: &Error, message: &str) -> Option<String> {
    if !(is_lack_of_space(error) || tells_of_it(message)) || message.contains(":\n  ") {
        return None;
    }
    let kept = match &interrupt::state().phase {
        Phase::Answers(place) => format!("; what was done is kept in {place}"),
        Phase::Kept(folder) => format!("; what was done is kept in {}", folder.display()),
        _ => String::new(),
    };
    Some(format!(
        "\nthere is no room for it{kept}. Make room there, or name another place; the same command goes on:\n  {}",
        invocation::again()
    ))
}

/// Whether a message has the system's words for it: not every library hands on the error that they come from.
#[cfg(unix)]
fn tells_of_it(message: &str) -> bool {
    use rustix::io::Errno;

    let codes = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
    let mut words = codes
        .map(|code| io::Error::from_raw_os_error(code).to_string())
        .into_iter();
    words.any(|words| message.contains(&words))
}

#[cfg(not(unix))]
fn tells_of_it(_message: &str) -> bool {
    false
}

/// A name beside `out` that nothing has.
pub fn free_name(out: &Path) -> PathBuf {
    let name = |number: usize| {
        let mut name = out.as_os_str().to_owned();
        name.push(match number {
            1 => ".kept".to_owned(),
            number => format!(".kept-{number}"),
        });
        PathBuf::from(name)
    };
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    let free = (1..).map(name).find(is_free);
    // There is one among endless names.
    free.unwrap_or_else(|| out.with_extension("kept"))
}

/// What an export that failed has to go on with.
pub struct Attempt<'a> {
    pub out: &'a Path,
    /// The folder of the run's snapshots.
    pub snapshots: &'a Path,
    /// The last step that was taken.
    pub step: Option<usize>,
    pub weight_type: WeightType,
    pub pause: Duration,
}

impl Attempt<'_> {
    /// Keeps the model in another place with `export`, and returns the error with the place; or waits, if there is none, before the result
    /// is tried again.
    pub fn failed(
        &mut self,
        error: Error,
        mut export: impl FnMut(&Path, WeightType) -> Result<()>,
    ) -> Result<()> {
        let message = crate::with_causes(&error);
        let no_space = is_lack_of_space(&error);
        if let Some((step, path)) = &interrupt::state().saved
            && Some(*step) == self.step
        {
            return Err(error.context(format!(
                "{message}\nthe trained state is kept in {}; when the cause is mended, the result is written by:\n  {}",
                path.display(),
                invocation::to_go_on()
            )));
        }
        // Whatever was wrong with the type that was asked for, float32 holds the weights as they are.
        let stored = match no_space {
            true => self.weight_type,
            false => WeightType::F32,
        };
        for place in self.other_places(no_space) {
            if export(&place, stored).is_ok() {
                return Err(error.context(format!(
                    "{message}\nthe trained model is kept in {}, its weights as {}",
                    place.display(),
                    stored.name()
                )));
            }
        }
        if !no_space {
            return Err(error);
        }
        // Before it is said, so that who reads it can end the wait.
        interrupt::enter(Phase::Waiting);
        tell!(
            "error: {message}\nthere is no room for the trained model, which is still in memory. Make room for {}; it is tried again every {} s, until it is written or the program is ended (Ctrl-C)",
            self.out.display(),
            LONGEST_PAUSE.as_secs()
        );
        std::thread::sleep(self.pause);
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        interrupt::enter(Phase::Writing);
        Ok(())
    }

    /// Folders to try: beside the result, among the snapshots, where temporary files go. Where there is no room, those of
    /// another file system.
    fn other_places(&self, no_space: bool) -> Vec<PathBuf> {
        let mut places = Vec::new();
        if !no_space {
            places.push(free_name(self.out));
        }
        let name = self.out.file_name().unwrap_or_default();
        for folder in [self.snapshots.to_path_buf(), std::env::temp_dir()] {
            if !no_space || !space::on_one_file_system(&folder, self.out) {
                places.push(free_name(&folder.join(name)));
            }
        }
        places
    }
}
