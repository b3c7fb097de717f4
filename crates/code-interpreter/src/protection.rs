//! Levels of protection against the code, and the safeguards that are active, told honestly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The level of protection, from least to most.
///
/// Store it with what the code produced: a result made under one level says nothing about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protection {
    /// Separate processes with `setrlimit`, clocks, a scrubbed environment and an empty working folder. Files, network
    /// and other processes of the user are within reach of the code.
    ResourceLimits,
}

impl Protection {
    /// The name as it is written into records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResourceLimits => "resource-limits",
        }
    }

    /// Whether hostile code is held.
    pub fn holds_hostile_code(self) -> bool {
        match self {
            Self::ResourceLimits => false,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The single measures that are active in a running interpreter, as it found them at its start.
///
/// Always active, and so not listed: the wall clock, the processor-time limit, the output limit, the file-size limit, no
/// core dumps, an own session and process group, the scrubbed environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Safeguards {
    /// The level these add up to.
    pub protection: Protection,
    /// Address space is limited. False outside Linux.
    pub memory: bool,
    /// The number of processes is limited. False outside Linux and for root.
    pub processes: bool,
    /// Set-uid programs give no rights (`no_new_privs`). False outside Linux.
    pub no_new_privs: bool,
    /// Daemons that leave the process group are found and ended. False outside Linux.
    pub daemons: bool,
}

impl Safeguards {
    /// Before the driver has told.
    pub(crate) fn unknown() -> Self {
        Self {
            protection: Protection::ResourceLimits,
            memory: false,
            processes: false,
            no_new_privs: false,
            daemons: false,
        }
    }
}

impl fmt::Display for Safeguards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (not a security boundary)", self.protection)?;
        for (active, name) in [
            (self.memory, "memory limit"),
            (self.processes, "process limit"),
            (self.no_new_privs, "no_new_privs"),
            (self.daemons, "end of daemons"),
        ] {
            write!(f, ", {name}: {}", if active { "on" } else { "off" })?;
        }
        Ok(())
    }
}

/// [`Safeguards`] as the driver process reports them.
#[derive(Deserialize)]
pub(crate) struct WireFacts {
    memory: bool,
    processes: bool,
    no_new_privs: bool,
    daemons: bool,
}

impl From<WireFacts> for Safeguards {
    fn from(facts: WireFacts) -> Self {
        Self {
            protection: Protection::ResourceLimits,
            memory: facts.memory,
            processes: facts.processes,
            no_new_privs: facts.no_new_privs,
            daemons: facts.daemons,
        }
    }
}
