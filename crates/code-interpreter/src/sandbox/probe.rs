//! Attempts to get out of a worker, made when a driver starts: a level is what was tried and found, not what a version
//! number promises.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::driver::Driver;
use crate::{Limits, Protection, Python, Result, Safeguards};

const SOURCE: &str = include_str!("../python/probe.py");

/// Each attempt: its name in the program and in words, and whether [`Protection::DegradedLinux`] must withstand it too.
const ATTEMPTS: [(&str, &str, bool); 9] = [
    ("network", "connect to a port of this machine", true),
    ("read", "read a file outside", true),
    ("write", "write a file outside", true),
    ("fork", "start processes beyond the limit", true),
    ("escape", "mount a file system or make a namespace", true),
    ("memory", "take memory that no limit counts", true),
    ("signals", "signal this program", false),
    ("processes", "see other processes", false),
    ("disk", "write more than the limit of the disk", false),
];

/// One attempt to get out, or one step of putting the sandbox up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProbeResult {
    /// The level under which it was tried.
    pub level: Protection,
    /// What was tried.
    pub name: String,
    /// Whether the code was held, or the step succeeded.
    pub held: bool,
    /// What happened; empty if it was held.
    pub detail: String,
}

impl ProbeResult {
    pub(crate) fn failed(level: Protection, name: impl Into<String>, detail: String) -> Self {
        Self {
            level,
            name: name.into(),
            held: false,
            detail,
        }
    }
}

/// What a machine gives: see [`probe`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The level that was reached and its measures.
    pub safeguards: Safeguards,
    /// All that was tried, the levels above the one reached included.
    pub probes: Vec<ProbeResult>,
}

/// Finds the level of protection that this machine gives, by trying: the one that is at hand for
/// [`Interpreter::start`](crate::Interpreter::start) with the same `python`, whatever its
/// [`Sandbox::require`](crate::Sandbox::require) says.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = code_interpreter::probe(&code_interpreter::Python::find()?)?;
/// println!("{}", report.safeguards);
/// for probe in &report.probes {
///     println!("{}: {} {}", probe.name, if probe.held { "held" } else { "NOT HELD" }, probe.detail);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Interpreter::start`](crate::Interpreter::start).
pub fn probe(python: &Python) -> Result<Report> {
    let mut python = python.clone();
    python.sandbox.require = Protection::None;
    let (driver, probes) = Driver::start(&python, &Limits::default())?;
    Ok(Report {
        safeguards: driver.safeguards(),
        probes,
    })
}

/// What the attempts aim at; in place as long as this lives.
pub(crate) struct Targets {
    /// None where this program itself may not listen.
    listener: Option<TcpListener>,
    folder: TempDir,
}

impl Targets {
    /// Readable and writable by all, so that nothing but the sandbox is in the way.
    pub(crate) fn new() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("code-interpreter-{}-probe-", std::process::id()))
            .tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let secret = folder.path().join("secret");
        fs::write(&secret, "secret")?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o666))?;
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").ok(),
            folder,
        })
    }
}

/// The attempts as the driver is told of them.
#[derive(Serialize)]
pub(crate) struct WireProbe {
    source: &'static str,
    targets: String,
}

impl WireProbe {
    pub(crate) fn new(targets: &Targets, limits: &Limits) -> Self {
        let listener = targets.listener.as_ref();
        let address = listener.and_then(|listener| listener.local_addr().ok());
        let targets = serde_json::json!({
            "port": address.map_or(0, |address| address.port()),
            "secret": targets.folder.path().join("secret"),
            "outside": targets.folder.path(),
            "pid": std::process::id(),
            "disk_bytes": limits.disk_bytes,
        });
        Self {
            source: SOURCE,
            targets: targets.to_string(),
        }
    }
}

/// How the program of the attempts ended.
#[derive(Deserialize)]
pub(crate) struct WireOutcome {
    status: String,
    stdout: String,
    stderr: String,
}

impl WireOutcome {
    pub(crate) fn results(&self, level: Protection) -> Vec<ProbeResult> {
        let found: Option<BTreeMap<String, Option<String>>> =
            serde_json::from_str(&self.stdout).ok();
        let Some(found) = found else {
            let detail = format!(
                "the program that tries ended with {:?}: {}",
                self.status, self.stderr
            );
            return vec![ProbeResult::failed(level, "try to get out", detail)];
        };
        ATTEMPTS
            .iter()
            .map(|(key, name, _)| {
                let detail = match found.get(*key) {
                    Some(detail) => detail.clone(),
                    None => Some("it was not tried".into()),
                };
                ProbeResult {
                    level,
                    name: (*name).to_owned(),
                    held: detail.is_none(),
                    detail: detail.unwrap_or_default(),
                }
            })
            .collect()
    }
}

/// The first of the results that denies their level.
pub(crate) fn first_breach(results: &[ProbeResult]) -> Option<&ProbeResult> {
    results.iter().find(|result| {
        !result.held
            && (result.level == Protection::Full
                || ATTEMPTS
                    .iter()
                    .all(|(_, name, needed)| *name != result.name || *needed))
    })
}
