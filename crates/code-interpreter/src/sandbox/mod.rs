//! What is asked of the sandbox, what each level needs, and what the driver is told of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Error, Protection, Result};

mod probe;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod seccomp;

pub use probe::{ProbeResult, Report, probe};
pub(crate) use probe::{Targets, WireOutcome, WireProbe, first_breach};

/// The measures are Linux's; system calls have been listed for these processors.
const HAS_MEASURES: bool = cfg!(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// How well code must be held, and how well it may be.
///
/// By default the best level that the machine gives is taken and none is required, so that code runs everywhere;
/// [`Interpreter::safeguards`](crate::Interpreter::safeguards) tells which it is. Whoever runs code of unknown origin
/// requires [`Protection::Full`]:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Interpreter, Limits, Protection, Python, Sandbox};
///
/// let sandbox = Sandbox { require: Protection::Full, ..Sandbox::default() };
/// let interpreter = Interpreter::start(&Python::find()?.with_sandbox(sandbox), Limits::default())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// [`Interpreter::start`](crate::Interpreter::start) refuses a lower level. Default [`Protection::None`].
    pub require: Protection,
    /// The level that is tried first. [`Protection::None`] runs the code without isolation. Default
    /// [`Protection::Full`].
    pub at_most: Protection,
    /// The user vouches that this program runs in a container (or virtual machine) that holds nothing worth taking: where
    /// nothing better is found, the level is [`Protection::Container`]. Nothing is checked. Default false.
    pub in_container: bool,
    /// The user, and the group of the same number, that the interpreter becomes when this program runs as root (uid 0).
    /// Files of this user are within reach of the code below [`Protection::Full`]. Default 65534, `nobody`.
    pub user: u32,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            require: Protection::None,
            at_most: Protection::Full,
            in_container: false,
            user: 65_534,
        }
    }
}

impl Sandbox {
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |field, value: String, rule| Error::InvalidLimit { field, value, rule };
        if self.user == 0 {
            return Err(invalid(
                "sandbox.user",
                "0".into(),
                "it must not be root's, whom few limits hold",
            ));
        }
        let highest = if self.in_container {
            self.at_most.max(Protection::Container)
        } else {
            self.at_most
        };
        if self.require > highest {
            return Err(invalid(
                "sandbox.require",
                self.require.to_string(),
                "it must not be above what `at_most` allows",
            ));
        }
        Ok(())
    }

    /// The levels to try, best first. A level of measures that this system does not have is not among them.
    pub(crate) fn candidates(&self) -> Vec<Protection> {
        let lowest = if self.in_container {
            Protection::Container
        } else {
            Protection::None
        };
        [Protection::Full, Protection::DegradedLinux]
            .into_iter()
            .filter(|level| HAS_MEASURES && *level <= self.at_most)
            .chain([lowest])
            .collect()
    }
}

/// Makes the calling process unreadable for others of the same user: its memory, and the environment that may hold keys.
///
/// For a program that keeps secrets and runs code below [`Protection::Full`], or beside programs that do. It also ends core
/// dumps and debuggers. Without effect outside Linux.
///
/// # Errors
///
/// The system's.
pub fn protect_this_process() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// The sandbox as the driver reads it.
#[derive(Serialize)]
pub(crate) struct WirePlan {
    level: Protection,
    user: u32,
    /// Programs for seccomp in the order of their installation, in hexadecimal.
    filters: Vec<String>,
    /// Numbers of the system calls for which the C library has no function.
    calls: BTreeMap<&'static str, i64>,
}

impl WirePlan {
    pub(crate) fn new(sandbox: &Sandbox, level: Protection) -> Result<Self> {
        let (filters, calls) = if level > Protection::Container {
            (filters()?, calls())
        } else {
            Default::default()
        };
        Ok(Self {
            level,
            user: sandbox.user,
            filters,
            calls,
        })
    }
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn filters() -> Result<Vec<String>> {
    use std::fmt::Write;

    let programs = seccomp::programs().map_err(|error| Error::Driver {
        doing: "preparing the sandbox",
        message: format!("there is no seccomp filter for this processor: {error}"),
    })?;
    let written = programs.iter().map(|program| {
        let bytes = program.iter().flat_map(|step| {
            let [low, high] = step.code.to_ne_bytes();
            let [k0, k1, k2, k3] = step.k.to_ne_bytes();
            [low, high, step.jt, step.jf, k0, k1, k2, k3]
        });
        bytes.fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    });
    Ok(written.collect())
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn calls() -> BTreeMap<&'static str, i64> {
    BTreeMap::from([
        ("clone", libc::SYS_clone),
        ("capset", libc::SYS_capset),
        ("pivot_root", libc::SYS_pivot_root),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset),
        ("landlock_add_rule", libc::SYS_landlock_add_rule),
        ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
    ])
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn filters() -> Result<Vec<String>> {
    Ok(Vec::new())
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn calls() -> BTreeMap<&'static str, i64> {
    BTreeMap::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_reached_is_not_required_and_root_stays_outside() {
        let sandbox = Sandbox {
            require: Protection::Full,
            at_most: Protection::DegradedLinux,
            ..Sandbox::default()
        };
        assert!(
            sandbox
                .check()
                .unwrap_err()
                .to_string()
                .contains("sandbox.require")
        );
        let sandbox = Sandbox {
            user: 0,
            ..Sandbox::default()
        };
        assert!(
            sandbox
                .check()
                .unwrap_err()
                .to_string()
                .contains("sandbox.user")
        );
    }

    #[test]
    fn a_container_is_taken_at_the_users_word_where_nothing_better_is_found() {
        let sandbox = Sandbox {
            in_container: true,
            at_most: Protection::None,
            require: Protection::Container,
            ..Sandbox::default()
        };
        sandbox.check().unwrap();
        assert_eq!(sandbox.candidates(), [Protection::Container]);
    }
}
