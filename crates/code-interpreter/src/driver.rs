//! The driver process as Rust sees it: JSON lines out and in, and a deadline for each answer.
//!
//! Both directions have a thread of their own, so that a driver that neither reads nor writes cannot hold the caller.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;

use crate::sandbox::{ProbeResult, Targets, WirePlan, WireProbe, first_breach};
use crate::wire::{Answer, Config, Refusal, Reply, Request};
use crate::{CallReply, Error, Limits, Protection, Python, Result, Safeguards};

/// One Python file in eight parts, told apart by what they know: see the first lines of each.
const PROGRAM: &str = concat!(
    include_str!("python/system.py"),
    include_str!("python/sandbox.py"),
    include_str!("python/processes.py"),
    include_str!("python/tracebacks.py"),
    include_str!("python/worker.py"),
    include_str!("python/child.py"),
    include_str!("python/states.py"),
    include_str!("python/driver.py"),
);

/// For the start of the interpreter and the import of preloaded modules.
const START_PATIENCE: Duration = Duration::from_secs(60);
const EXIT_PATIENCE: Duration = Duration::from_millis(500);
/// A longer line is taken for a broken driver, so that no reply can fill the memory.
const LONGEST_REPLY: u64 = 256 << 20;

/// A driver at the level that was asked for, or why there is none.
enum Attempt {
    Reached(Box<Driver>, Vec<ProbeResult>),
    Missed(Vec<ProbeResult>),
}

pub(crate) struct Driver {
    child: Child,
    /// None once the driver is asked to leave.
    requests: Option<Sender<Vec<u8>>>,
    replies: Receiver<Vec<u8>>,
    stderr: File,
    safeguards: Safeguards,
    // Last, so that the process is gone before its folder is.
    folder: Option<TempDir>,
}

impl Driver {
    /// Starts a driver at the best level that this machine gives and the settings allow, and tells what was tried.
    pub fn start(python: &Python, limits: &Limits) -> Result<(Self, Vec<ProbeResult>)> {
        limits.check()?;
        python.sandbox.check()?;
        let mut tried = Vec::new();
        for level in python.sandbox.candidates() {
            if level < python.sandbox.require {
                break;
            }
            match Self::start_at(python, limits, level)? {
                Attempt::Reached(driver, probes) => {
                    tried.extend(probes);
                    return Ok((*driver, tried));
                }
                Attempt::Missed(probes) => tried.extend(probes),
            }
        }
        let breach = first_breach(&tried);
        Err(Error::ProtectionTooLow {
            required: python.sandbox.require,
            probe: breach.map_or_else(|| "find a level".into(), |probe| probe.name.clone()),
            detail: breach.map_or_else(
                || "this system has none of its measures".into(),
                |probe| probe.detail.clone(),
            ),
        })
    }

    fn start_at(python: &Python, limits: &Limits, level: Protection) -> Result<Attempt> {
        let no_folder = |source| Error::WorkFolder {
            parent: env::temp_dir(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix(&format!("code-interpreter-{}-", std::process::id()))
            .tempdir()
            .map_err(no_folder)?;
        // A file and not a pipe, which would stop the driver once it is full: nobody reads it while the driver runs.
        let stderr = tempfile::tempfile().map_err(no_folder)?;
        let no_start = |source| Error::Start {
            python: python.path.clone(),
            source,
        };
        let mut command = command(python, &folder);
        command.stderr(stderr.try_clone().map_err(no_folder)?);
        let mut child = command.spawn().map_err(no_start)?;
        // Threads hold the pipes, so that a driver that neither reads nor answers cannot hold the caller beyond its
        // patience.
        let (request_sender, request_receiver) = mpsc::channel();
        // A driver that talks without being asked fills this and is then left to wait.
        let (reply_sender, replies) = mpsc::sync_channel(2);
        let pipes = child.stdin.take().zip(child.stdout.take());
        let mut driver = Self {
            child,
            requests: Some(request_sender),
            replies,
            stderr,
            safeguards: Safeguards::unknown(),
            folder: Some(folder),
        };
        if let Some((stdin, stdout)) = pipes {
            let no_thread = |error| Error::no_thread("starting", &error);
            thread::Builder::new()
                .spawn(move || write_requests(stdin, &request_receiver))
                .map_err(no_thread)?;
            thread::Builder::new()
                .spawn(move || read_replies(stdout, &reply_sender))
                .map_err(no_thread)?;
        }
        // In place until the answer is there.
        let targets = if level > Protection::Container {
            Some(Targets::new().map_err(no_folder)?)
        } else {
            None
        };
        let probe = targets
            .as_ref()
            .map(|targets| WireProbe::new(targets, limits));
        let config = Config {
            limits: limits.into(),
            preload: &python.preload,
            short_tracebacks: python.short_tracebacks,
            sandbox: WirePlan::new(&python.sandbox, level)?,
            probe,
        };
        let reply = match driver.exchange(&config, "starting", START_PATIENCE) {
            // A step that only a worker takes, such as mounting its /proc. If it is something else, the lower levels tell.
            Err(Error::Driver { message, .. }) if level > Protection::Container => {
                let missed = ProbeResult::failed(level, "start a worker", message);
                return Ok(Attempt::Missed(vec![missed]));
            }
            reply => reply?,
        };
        match reply {
            Reply::Ready(ready) => {
                driver.safeguards = ready.facts.at(level);
                if level == Protection::Full {
                    // It has a root of its own now, put together there; so nothing is left even if this program is killed.
                    driver.folder = None;
                }
                let probes = ready
                    .probes
                    .map_or_else(Vec::new, |outcome| outcome.results(level));
                Ok(match first_breach(&probes) {
                    None => Attempt::Reached(Box::new(driver), probes),
                    Some(_) => Attempt::Missed(probes),
                })
            }
            Reply::Refused(Refusal { step, detail }) => {
                Ok(Attempt::Missed(vec![ProbeResult::failed(
                    level, step, detail,
                )]))
            }
            _ => Err(driver.lost("starting", "it answered something else".into())),
        }
    }

    pub fn safeguards(&self) -> Safeguards {
        self.safeguards
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks and waits for the answer, at most `patience`. After [`Error::DriverLost`] the driver is dead.
    pub fn ask(
        &mut self,
        request: &Request<'_>,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Reply> {
        self.exchange(request, doing, patience)
    }

    /// As [`ask`](Self::ask), for a request whose code may call out. A driver that calls does answer, and has its patience
    /// anew: the time of the code is the driver's to count, who leaves out what calls take on their way.
    pub fn ask_with_calls(
        &mut self,
        request: &Request<'_>,
        doing: &'static str,
        patience: Duration,
        on_call: &mut dyn FnMut(&str) -> CallReply,
    ) -> Result<Reply> {
        let mut reply = self.exchange(request, doing, patience)?;
        while let Reply::Call(text) = reply {
            let answer = match on_call(&text) {
                CallReply::Text(text) => Some(text),
                CallReply::Stop => None,
            };
            reply = self.exchange(&Answer { answer }, doing, patience)?;
        }
        Ok(reply)
    }

    /// The error for an answer that is none to the question.
    pub fn confused(&mut self, doing: &'static str) -> Error {
        self.lost(doing, "it answered another question".into())
    }

    fn exchange(
        &mut self,
        message: &impl Serialize,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Reply> {
        let mut line = serde_json::to_vec(message).map_err(|error| Error::Driver {
            doing,
            message: format!("the request cannot be written as JSON: {error}"),
        })?;
        line.push(b'\n');
        // If the writer is gone the driver is, and the wait below says how it ended.
        let _ = self.requests.as_ref().map(|requests| requests.send(line));
        match self.replies.recv_timeout(patience) {
            Ok(line) => match serde_json::from_slice(&line) {
                Ok(Reply::Error(message)) => Err(Error::Driver { doing, message }),
                Ok(reply) => Ok(reply),
                Err(error) => {
                    let start = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                    Err(self.lost(
                        doing,
                        format!("it answered {start:?}, which is no reply ({error})"),
                    ))
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                Err(self.lost(doing, format!("it did not answer within {patience:?}")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let reason = match self.wait_for_exit() {
                    Some(status) => format!("its process ended ({status})"),
                    None => "it closed its output".into(),
                };
                Err(self.lost(doing, reason))
            }
        }
    }

    fn wait_for_exit(&mut self) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + EXIT_PATIENCE;
        // The standard library has no wait with a deadline.
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn lost(&mut self, doing: &'static str, reason: String) -> Error {
        self.kill();
        Error::DriverLost {
            doing,
            reason,
            stderr: self.last_words(),
        }
    }

    fn last_words(&mut self) -> String {
        const LONGEST: u64 = 2_000;
        let mut bytes = Vec::new();
        let read = self.stderr.seek(SeekFrom::End(0)).and_then(|end| {
            self.stderr
                .seek(SeekFrom::Start(end.saturating_sub(LONGEST)))?;
            (&self.stderr).take(LONGEST).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(_) => String::new(),
        }
    }

    fn kill(&mut self) {
        // Both fail only if the process has been waited for already. On Linux the kernel then kills the worker, whose
        // lifeline the driver held.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input tells the driver to end its worker, to clean up and to leave.
        self.requests = None;
        let patience = match self.safeguards.protection {
            // Its folders may take a while to remove, and no code can stop it.
            Protection::DegradedLinux => EXIT_PATIENCE * 20,
            _ => EXIT_PATIENCE,
        };
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            // Lines nobody asked for are dropped; the end of them means that it has left.
            if self.replies.recv_timeout(Duration::from_millis(50))
                == Err(RecvTimeoutError::Disconnected)
            {
                break;
            }
        }
        self.kill();
    }
}

fn command(python: &Python, folder: &TempDir) -> Command {
    let mut command = Command::new(&python.path);
    // Not `-I`: it would ignore PYTHONHASHSEED. All it shields from is absent, as the environment is made here and the
    // folder is empty while the driver imports.
    command.args(["-s", "-u"]);
    if !python.site_packages {
        command.arg("-S");
    }
    command
        .arg("-c")
        .arg(PROGRAM)
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            // Hashes of strings, and with them the order of sets, are the same in every run.
            ("PYTHONHASHSEED", "0"),
            ("PYTHONUTF8", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // Numeric libraries start a thread per core otherwise, in each of many workers.
            ("OPENBLAS_NUM_THREADS", "1"),
            ("OMP_NUM_THREADS", "1"),
            ("MKL_NUM_THREADS", "1"),
        ]);
    command
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path());
    // Some interpreters find their own shared library only by this.
    for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is allowed. It makes plain system
    // calls through rustix: no allocation, no locks, no access to the parent's state.
    unsafe {
        command.pre_exec(separate);
    }
    command
}

/// An own session; on Linux also no rights from set-uid programs, and orphans of the worker come to the driver.
fn separate() -> std::io::Result<()> {
    rustix::process::setsid()?;
    #[cfg(target_os = "linux")]
    {
        rustix::thread::set_no_new_privs(true)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    Ok(())
}

fn write_requests(mut stdin: ChildStdin, requests: &Receiver<Vec<u8>>) {
    while let Ok(line) = requests.recv() {
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

fn read_replies(stdout: ChildStdout, replies: &SyncSender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = (&mut stdout)
            .take(LONGEST_REPLY)
            .read_until(b'\n', &mut line);
        if read.is_err() || !line.ends_with(b"\n") || replies.send(line).is_err() {
            return;
        }
    }
}
