//! Which Python runs the code.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result, Sandbox};

/// An interpreter that was tried and found new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    pub(crate) path: PathBuf,
    version: Version,
    pub(crate) site_packages: bool,
    pub(crate) preload: Vec<String>,
    pub(crate) sandbox: Sandbox,
    pub(crate) short_tracebacks: bool,
}

type Version = (u32, u32, u32);

const OLDEST: Version = (3, 8, 0);
const PROBE: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";
const PROBE_PATIENCE: Duration = Duration::from_secs(20);

impl Python {
    /// The first usable `python3` on `PATH`, version 3.8 or newer.
    ///
    /// # Errors
    ///
    /// [`Error::PythonNotFound`] names the folders that were searched and what was found there.
    pub fn find() -> Result<Self> {
        Self::find_in(&env::var_os("PATH").unwrap_or_default())
    }

    fn find_in(path: &OsStr) -> Result<Self> {
        let mut rejected = String::new();
        for folder in env::split_paths(path) {
            let candidate = folder.join("python3");
            if !candidate.is_file() {
                continue;
            }
            match Self::at(&candidate) {
                Ok(python) => return Ok(python),
                Err(Error::PythonUnusable { path, reason }) => {
                    rejected.push_str(&format!(" ({}: {reason})", path.display()));
                }
                Err(error) => return Err(error),
            }
        }
        let searched = if path.is_empty() {
            "PATH, which is empty".into()
        } else {
            path.to_string_lossy().into_owned()
        };
        Err(Error::PythonNotFound { searched, rejected })
    }

    /// The interpreter at `path`. A launcher script there is followed to the interpreter it starts.
    ///
    /// # Errors
    ///
    /// [`Error::PythonUnusable`] if it does not start or is older than 3.8.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let named = path.as_ref();
        let unusable = |reason: String| Error::PythonUnusable {
            path: named.to_path_buf(),
            reason,
        };
        let answer = probe(named).map_err(unusable)?;
        let mut lines = answer.lines();
        let version = lines.next().and_then(parse_version);
        let (Some(version), Some(executable)) =
            (version, lines.next().filter(|line| !line.is_empty()))
        else {
            return Err(unusable("it does not answer as Python does".into()));
        };
        if version < OLDEST {
            return Err(unusable(format!(
                "its version is {}.{}.{}",
                version.0, version.1, version.2
            )));
        }
        Ok(Self {
            path: executable.into(),
            version,
            site_packages: false,
            preload: Vec::new(),
            sandbox: Sandbox::default(),
            short_tracebacks: false,
        })
    }

    /// Makes installed packages importable. Without it code has the standard library only, the same everywhere.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.site_packages = true;
        self
    }

    /// Leaves out the two lines that IPython puts before a traceback, a rule and "Traceback (most recent call last)": a small
    /// model reads every token.
    #[must_use]
    pub fn with_short_tracebacks(mut self) -> Self {
        self.short_tracebacks = true;
        self
    }

    /// Imports modules once, in the warm process: every run then has them at the cost of a fork. The code still writes its
    /// own `import`. A module that cannot be imported makes the start of an interpreter fail.
    #[must_use]
    pub fn with_preload<I: IntoIterator<Item = S>, S: Into<String>>(mut self, modules: I) -> Self {
        self.preload.extend(modules.into_iter().map(Into::into));
        self
    }

    /// How well the code is to be held: see [`Sandbox`].
    #[must_use]
    pub fn with_sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// Where the interpreter is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version: major, minor, micro.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(
            f,
            "Python {major}.{minor}.{micro} ({})",
            self.path.display()
        )
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn probe(path: &Path) -> std::result::Result<String, String> {
    let mut child = Command::new(path)
        // No variables and packages of the user's: what they print would be taken for the answer.
        .args(["-E", "-s", "-S", "-c", PROBE])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PROBE_PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                // Nothing more can be done if either fails; the process is left to the system.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it does not answer within {PROBE_PATIENCE:?}"));
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    if !status.success() {
        return Err(format!("it ends with {status}"));
    }
    let mut answer = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            // The process has ended, so there is no more than a pipe holds.
            .take(1 << 16)
            .read_to_string(&mut answer)
            .map_err(|error| error.to_string())?;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another process writes the file: if this one held it open for writing while a test beside forks, the child would
    /// hold it too, and running it would fail with "text file busy".
    fn fake(folder: &Path, script: &str) {
        let written = Command::new("sh")
            .args(["-c", r#"printf '%s' "$1" > "$2" && chmod 755 "$2""#, "sh"])
            .arg(format!("#!/bin/sh\n{script}\n"))
            .arg(folder.join("python3"))
            .status()
            .unwrap();
        assert!(written.success());
    }

    #[test]
    fn a_machine_without_python_gets_told_what_was_looked_for_and_what_to_do() {
        let error = Python::find_in(OsStr::new("/nowhere/bin:/nowhere/else")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no usable Python: looked for `python3`, version 3.8 or newer, in /nowhere/bin:/nowhere/else; \
             install Python 3.8 or newer, or name one with `Python::at`"
        );
        assert!(
            Python::find_in(OsStr::new(""))
                .unwrap_err()
                .to_string()
                .contains("PATH, which is empty")
        );
    }

    #[test]
    fn old_and_broken_interpreters_are_passed_over_and_named() {
        let old = tempfile::tempdir().unwrap();
        let broken = tempfile::tempdir().unwrap();
        fake(old.path(), "echo 3.6.9; echo /usr/bin/python3");
        fake(broken.path(), "exit 127");
        let path = env::join_paths([old.path(), broken.path()]).unwrap();
        let message = Python::find_in(&path).unwrap_err().to_string();
        assert!(message.contains("its version is 3.6.9"), "{message}");
        assert!(message.contains("exit status: 127"), "{message}");

        let real = Python::find().unwrap();
        let path = env::join_paths([old.path(), real.path().parent().unwrap()]).unwrap();
        // The folder of the real one holds a `python3` everywhere this is tested.
        assert!(Python::find_in(&path).unwrap().version() >= OLDEST);
    }

    #[test]
    fn something_that_is_not_python_is_refused() {
        let message = Python::at("/bin/echo").unwrap_err().to_string();
        assert!(
            message.contains("does not answer as Python does"),
            "{message}"
        );
        assert!(
            Python::at("/no/such/python")
                .unwrap_err()
                .to_string()
                .contains("/no/such/python")
        );
    }
}
