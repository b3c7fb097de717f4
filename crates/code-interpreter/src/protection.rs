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
    /// Separate processes with `setrlimit`, clocks, a scrubbed environment and an empty working folder. It stops
    /// accidents. Files, network and other processes of the user are within reach of the code.
    None,
    /// The measures of [`None`](Self::None), in a container or virtual machine that the user vouches for
    /// ([`Sandbox::in_container`](crate::Sandbox::in_container)). Whatever is in there is within reach of the code: this
    /// program and its keys, the results of other runs.
    Container,
    /// Where the system allows no namespaces: Landlock for files and TCP, a seccomp allowlist without sockets,
    /// `no_new_privs`, limits, and the end of all that is left behind. Other processes of the user can be seen and,
    /// before Linux 6.12, be signalled; the sum of what is written is not limited; the limit of processes counts those
    /// of all sandboxes of the user together.
    DegradedLinux,
    /// Namespaces for processes, mounts, network, users and the rest, a read-only root with nothing in it but the
    /// interpreter and the system's programs, a sized `/tmp`, and all of [`DegradedLinux`](Self::DegradedLinux). The
    /// kernel itself is what is left to attack.
    Full,
}

impl Protection {
    /// The name as it is written into records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Container => "container",
            Self::DegradedLinux => "degraded-linux",
            Self::Full => "full",
        }
    }

    /// Whether hostile code is held: it reaches neither this program nor files, network and later runs.
    pub fn holds_hostile_code(self) -> bool {
        self == Self::Full
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
    /// The number of processes is limited. False outside Linux, and for root below [`Protection::DegradedLinux`].
    pub processes: bool,
    /// Set-uid programs give no rights (`no_new_privs`). False outside Linux.
    pub no_new_privs: bool,
    /// Daemons that leave the process group are found and ended. False outside Linux.
    pub daemons: bool,
    /// Processes, mounts, network, host name and users are the worker's own, as are a read-only root, a sized `/tmp` and
    /// a limit on the memory of all processes together.
    pub namespaces: bool,
    /// The version of Landlock's interface that is used; 0 for none.
    pub landlock: u32,
    /// System calls are on an allowlist.
    pub seccomp: bool,
}

impl Safeguards {
    /// Before the driver has told.
    pub(crate) fn unknown() -> Self {
        Self {
            protection: Protection::None,
            memory: false,
            processes: false,
            no_new_privs: false,
            daemons: false,
            namespaces: false,
            landlock: 0,
            seccomp: false,
        }
    }
}

impl fmt::Display for Safeguards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.protection.holds_hostile_code() {
            ""
        } else {
            " (not a security boundary)"
        };
        write!(f, "{}{note}", self.protection)?;
        for (active, name) in [
            (self.memory, "memory limit"),
            (self.processes, "process limit"),
            (self.no_new_privs, "no_new_privs"),
            (self.daemons, "end of daemons"),
            (self.namespaces, "namespaces"),
            (self.seccomp, "seccomp"),
        ] {
            write!(f, ", {name}: {}", if active { "on" } else { "off" })?;
        }
        match self.landlock {
            0 => f.write_str(", Landlock: off"),
            version => write!(f, ", Landlock: version {version}"),
        }
    }
}

/// [`Safeguards`] as the driver process reports them.
#[derive(Deserialize)]
pub(crate) struct WireFacts {
    memory: bool,
    processes: bool,
    no_new_privs: bool,
    daemons: bool,
    isolated: bool,
    landlock: u32,
    seccomp: bool,
}

impl WireFacts {
    pub(crate) fn at(&self, protection: Protection) -> Safeguards {
        Safeguards {
            protection,
            memory: self.memory,
            processes: self.processes,
            no_new_privs: self.no_new_privs,
            daemons: self.daemons,
            namespaces: self.isolated,
            landlock: self.landlock,
            seccomp: self.seccomp,
        }
    }
}
