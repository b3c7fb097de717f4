//! Limits on the time, memory, output and processes of one piece of code.

use std::time::Duration;

use serde::Serialize;

use crate::{Error, Result};

/// Limits of one cell, or one program.
///
/// Take the defaults and change what matters:
///
/// ```
/// use std::time::Duration;
/// use code_interpreter::Limits;
///
/// let limits = Limits { wall: Duration::from_secs(2), ..Limits::default() };
/// assert_eq!(limits.output_chars, 2_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time by the clock, per cell. Default 10 s.
    pub wall: Duration,
    /// Processor time, per cell, counted over the threads of the process (a child process has its own count).
    /// Default 5 s.
    pub cpu: Duration,
    /// How long code may go on after it was interrupted at a limit, before it is killed and its variables are lost.
    /// The driver process gets five times as much before it is replaced. Default 1 s.
    pub grace: Duration,
    /// Address space of one process, beyond what the warm interpreter itself has mapped. Default 1 GiB. Linux only.
    pub memory_bytes: u64,
    /// Bytes that a cell, or a program, may write before it is stopped
    /// ([`Status::OutputLimit`](crate::Status::OutputLimit)). Default 4 MiB.
    pub output_bytes: usize,
    /// Characters of a cell's output that are shown. Longer output is cut and ends in `...\n[Output Truncated]`.
    /// Default 2,000. Programs are not cut.
    pub output_chars: usize,
    /// Memory of all processes of a run together, pages that they share counted once; looked at twenty times a second.
    /// Default 2 GiB. At [`Protection::Full`](crate::Protection::Full) only.
    pub total_memory_bytes: u64,
    /// Size of any one file that is written. Default 64 MiB.
    pub file_bytes: u64,
    /// Bytes in all files of a run together. Default 64 MiB. At [`Protection::Full`](crate::Protection::Full) only.
    pub disk_bytes: u64,
    /// Files and folders of a run. Default 4,096. At [`Protection::Full`](crate::Protection::Full) only.
    pub files: u64,
    /// Processes and threads of a run beyond the first; below [`Protection::Full`](crate::Protection::Full) beyond those
    /// that the user has already. Default 32. Linux only, and without effect below
    /// [`Protection::DegradedLinux`](crate::Protection::DegradedLinux) when the user is root (uid 0), whose processes the
    /// kernel does not count.
    pub processes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(10),
            cpu: Duration::from_secs(5),
            grace: Duration::from_secs(1),
            memory_bytes: 1 << 30,
            output_bytes: 4 << 20,
            output_chars: 2_000,
            total_memory_bytes: 2 << 30,
            file_bytes: 64 << 20,
            disk_bytes: 64 << 20,
            files: 4_096,
            processes: 32,
        }
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(1);
const LEAST_MEMORY: u64 = 8 << 20;
// `setrlimit` and Python's C integers are signed.
const MOST_BYTES: u64 = 1 << 50;

impl Limits {
    pub(crate) fn check(&self) -> Result<()> {
        for (field, value) in [
            ("wall", self.wall),
            ("cpu", self.cpu),
            ("grace", self.grace),
        ] {
            if value < SHORTEST || value > LONGEST {
                return Err(invalid(
                    field,
                    format!("{value:?}"),
                    "it must lie between 1 ms and 24 h",
                ));
            }
        }
        if self.memory_bytes < LEAST_MEMORY || self.memory_bytes > MOST_BYTES {
            return Err(invalid(
                "memory_bytes",
                self.memory_bytes,
                "it must lie between 8 MiB and 1 PiB",
            ));
        }
        if self.output_bytes == 0 || self.output_bytes as u64 > MOST_BYTES {
            return Err(invalid(
                "output_bytes",
                self.output_bytes,
                "it must lie between 1 byte and 1 PiB",
            ));
        }
        if self.output_chars as u64 > MOST_BYTES {
            return Err(invalid(
                "output_chars",
                self.output_chars,
                "it must be at most 2^50",
            ));
        }
        if self.total_memory_bytes < LEAST_MEMORY || self.total_memory_bytes > MOST_BYTES {
            return Err(invalid(
                "total_memory_bytes",
                self.total_memory_bytes,
                "it must lie between 8 MiB and 1 PiB",
            ));
        }
        if self.file_bytes > MOST_BYTES {
            return Err(invalid(
                "file_bytes",
                self.file_bytes,
                "it must be at most 1 PiB",
            ));
        }
        // A file system of size 0 would be one without a limit.
        if self.disk_bytes < 1 << 16 || self.disk_bytes > MOST_BYTES {
            return Err(invalid(
                "disk_bytes",
                self.disk_bytes,
                "it must lie between 64 KiB and 1 PiB",
            ));
        }
        if self.files < 16 || self.files > u64::from(u32::MAX) {
            return Err(invalid(
                "files",
                self.files,
                "it must lie between 16 and 2^32 - 1",
            ));
        }
        if self.processes > u64::from(u32::MAX) {
            return Err(invalid(
                "processes",
                self.processes,
                "it must be at most 2^32 - 1",
            ));
        }
        Ok(())
    }

    /// These with what a test case asks for in their place; `None` if it asks for nothing.
    pub(crate) fn of_case(
        &self,
        seconds: Option<f64>,
        memory: Option<u64>,
    ) -> Result<Option<Self>> {
        if seconds.is_none() && memory.is_none() {
            return Ok(None);
        }
        let mut limits = self.clone();
        if let Some(seconds) = seconds {
            // What is none fails the check.
            let cpu = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            limits.wall = cpu.saturating_add(self.wall.saturating_sub(self.cpu));
            limits.cpu = cpu;
        }
        limits.memory_bytes = memory.unwrap_or(self.memory_bytes);
        limits.check()?;
        Ok(Some(limits))
    }

    /// How long the driver may take over `pieces` cells before it is given up.
    pub(crate) fn patience(&self, pieces: usize) -> Duration {
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        (self.wall + self.grace)
            .saturating_mul(pieces)
            .saturating_add(self.grace * 5)
    }
}

fn invalid(field: &'static str, value: impl ToString, rule: &'static str) -> Error {
    Error::InvalidLimit {
        field,
        value: value.to_string(),
        rule,
    }
}

/// The limits as the driver reads them.
#[derive(Serialize)]
pub(crate) struct WireLimits {
    wall: f64,
    cpu: f64,
    grace: f64,
    memory_bytes: u64,
    output_bytes: usize,
    output_chars: usize,
    total_memory_bytes: u64,
    file_bytes: u64,
    disk_bytes: u64,
    files: u64,
    processes: u64,
}

impl From<&Limits> for WireLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            wall: limits.wall.as_secs_f64(),
            cpu: limits.cpu.as_secs_f64(),
            grace: limits.grace.as_secs_f64(),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
            output_chars: limits.output_chars,
            total_memory_bytes: limits.total_memory_bytes,
            file_bytes: limits.file_bytes,
            disk_bytes: limits.disk_bytes,
            files: limits.files,
            processes: limits.processes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_nothing_can_run_under_is_named() {
        let error = Limits {
            wall: Duration::ZERO,
            ..Limits::default()
        }
        .check()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit `wall` is 0ns: it must lie between 1 ms and 24 h"
        );
        let error = Limits {
            memory_bytes: 5,
            ..Limits::default()
        }
        .check()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit `memory_bytes` is 5: it must lie between 8 MiB and 1 PiB"
        );
    }
}
