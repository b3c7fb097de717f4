//! `eurus report`: runs as a page, written or followed.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use eurus::report::live::{Server, Source};
use eurus::report::page;
use eurus::report::runs::Runs;

use crate::data::check_new;
use crate::job::print;

pub const EXAMPLES: &str = "\
A RUN is the folder of `eurus sft`, `prefer` or `reward` (also while it is on its way there, or was killed), of `eurus eval run`, or
of the quickstart; a metrics.jsonl; or what `eurus eval rerank --json` printed. Several stand side by side. The page is one file
that loads nothing.

Examples:
  eurus report runs/kto --out kto.html
  eurus report runs/dpo runs/kto runs/nca --out three.html --title 'Three algorithms'
  eurus report evals/sft-svamp evals/kto-svamp --out svamp.html
  eurus report runs/kto --serve";

/// `eurus report`.
#[derive(Debug, Args)]
pub struct ReportOf {
    /// Folders of runs, or their files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// File for the page
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "serve",
        conflicts_with = "serve"
    )]
    out: Option<PathBuf>,

    /// Replace the page if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,

    /// Title of the page [default: the names of the runs]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// Show the page at 127.0.0.1 and keep it up to date while runs go on, until Ctrl-C
    #[arg(long)]
    serve: bool,

    /// Port of the page; 0 takes any that is free
    #[arg(long, value_name = "N", default_value_t = 8088)]
    port: u16,
}

impl ReportOf {
    pub fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_new(out, "--out", self.overwrite)?;
        }
        let runs = Runs::open(&self.runs)?;
        let title = self.title.clone();
        let source = Source {
            title: title.unwrap_or_else(|| page::title(&runs)),
            runs,
            block: None,
        };
        match &self.out {
            Some(out) => {
                source.report().write(out).context("the page (--out)")?;
                for note in source.runs.notes() {
                    tell!("note: {note}");
                }
                print(&format!("report: {}", out.display()));
            }
            None => {
                let server = Server::bind(self.port, source)?;
                print(&format!("http://{}/ (Ctrl-C ends it)", server.address()));
                server.run()?;
            }
        }
        Ok(())
    }
}
