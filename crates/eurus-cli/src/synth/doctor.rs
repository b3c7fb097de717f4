//! `eurus synth doctor`: what holds model-written code here.

use anyhow::Result;
use clap::Args;
use eurus::interpreter::{Protection, probe};
use serde_json::json;

use super::workshop::python;
use crate::job::print;

pub const EXAMPLES: &str = "\
Nothing is read off: code that tries to get out is run under every level, from the best one down, until one holds it.
  full            namespaces, a read-only root, Landlock, seccomp: what `eurus synth run` requires
  degraded-linux  where the system allows no namespaces
  container       this program runs in a container that you vouch for
  none            limits alone: for code of your own

Examples:
  eurus synth doctor
  eurus synth doctor --json";

/// `eurus synth doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The interpreter [default: the first python3 on PATH]
    #[arg(long, value_name = "PATH")]
    python: Option<std::path::PathBuf>,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(&self) -> Result<()> {
        let python = python(self.python.as_deref())?;
        let report = probe(&python)?;
        let level = report.safeguards.protection;
        if self.json {
            print(
                &json!({
                    "python": python.to_string(),
                    "level": level,
                    "safeguards": report.safeguards,
                    "probes": report.probes,
                })
                .to_string(),
            );
            return Ok(());
        }
        print(&format!("{python}\nlevel: {}", report.safeguards));
        for probe in &report.probes {
            let outcome = if probe.held { "held" } else { "NOT HELD" };
            print(
                format!(
                    "  {:<14} {:<44} {outcome} {}",
                    probe.level, probe.name, probe.detail
                )
                .trim_end(),
            );
        }
        if level < Protection::Full {
            print(
                "Below `full` hostile code is not held. Run on Linux with user namespaces (in Docker: \
                 --security-opt seccomp=unconfined --security-opt systempaths=unconfined, or as root with --cap-add SYS_ADMIN), or in a virtual machine with \
                 `require = \"none\"` in [sandbox].",
            );
        }
        Ok(())
    }
}
