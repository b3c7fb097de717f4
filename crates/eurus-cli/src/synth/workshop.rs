//! Where actions are tried: the interpreters of a run.

use std::path::Path;
use std::thread::available_parallelism;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use eurus::interpreter::{Protection, Python, Sandbox};
use eurus::synth::PythonEnvironment;
use eurus::synth::run_file::Sandbox as SandboxTable;

use crate::usage::UsageError;

/// `--sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// What the run file requires
    Required,
    /// No isolation: for code of your own alone
    None,
}

/// The interpreter at this path, or the first on `PATH`.
pub fn python(path: Option<&Path>) -> Result<Python> {
    match path {
        Some(path) => Ok(Python::at(path)?),
        None => Python::find().context("actions need a Python interpreter"),
    }
}

/// Starts the interpreters, under no weaker isolation than is required.
pub fn start(table: &SandboxTable, level: Level) -> Result<PythonEnvironment> {
    let sandbox = match level {
        Level::None => Sandbox {
            require: Protection::None,
            at_most: Protection::None,
            ..Sandbox::default()
        },
        Level::Required => {
            let require = protection(&table.require)?;
            Sandbox {
                require,
                in_container: require == Protection::Container,
                ..Sandbox::default()
            }
        }
    };
    let mut python = python(table.python.as_deref())?
        .with_sandbox(sandbox)
        .with_preload(table.preload.iter().cloned());
    if table.short_tracebacks {
        python = python.with_short_tracebacks();
    }
    if table.packages {
        python = python.with_site_packages();
    }
    let cores = available_parallelism().map_or(2, usize::from);
    // Two at least: assert tests and the program that they call are apart.
    let interpreters = table.interpreters.unwrap_or(2 * cores).max(2);
    PythonEnvironment::start(&python, table.limits(), interpreters).map_err(|error| {
        anyhow!(
            "{error}\n`eurus synth doctor` shows what was tried; [sandbox] require = \"LEVEL\" in the run file asks for less, and \
             --sandbox none runs code of your own without isolation"
        )
    })
}

fn protection(name: &str) -> Result<Protection> {
    let levels = [
        Protection::None,
        Protection::Container,
        Protection::DegradedLinux,
        Protection::Full,
    ];
    let names: Vec<&str> = levels.iter().map(|level| level.as_str()).collect();
    let found = levels.into_iter().find(|level| level.as_str() == name);
    found.ok_or_else(|| {
        UsageError::new(format!(
            "[sandbox] require is \"{name}\"; levels are {}",
            names.join(", ")
        ))
        .into()
    })
}
