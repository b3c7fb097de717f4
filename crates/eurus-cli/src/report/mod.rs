//! `eurus report`: runs and trees as a page, written or followed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use eurus::report::live::{Server, Source, TreeFiles};
use eurus::report::page;
use eurus::report::runs::Runs;
use eurus::report::trees::{Limits, Scores, TreeSource, viewer};

use crate::data::check_new;
use crate::job::print;

pub const EXAMPLES: &str = "\
A RUN is the folder of `eurus sft`, `prefer` or `reward` (also while it is on its way there, or was killed), of `eurus eval run`, or
of the quickstart; a metrics.jsonl; or a file that ends in .json with what `eurus eval rerank`, `eval rm` or `eval process` printed
with --json. Several stand side by side. The page is one file that loads nothing.

Examples:
  eurus report runs/kto --out kto.html
  eurus report runs/dpo runs/kto runs/nca --out three.html --title 'Three algorithms'
  eurus report evals/sft-svamp evals/kto-svamp --out svamp.html
  eurus report runs/kto --serve
  eurus report --trees trees.jsonl --scores scores.jsonl --out trees.html";

/// Trees of a page that is served.
const TREES_AT_ONCE: usize = 1000;

/// `eurus report`.
#[derive(Debug, Args)]
pub struct ReportOf {
    /// Folders of runs, or their files
    #[arg(value_name = "RUN", required_unless_present = "trees")]
    runs: Vec<PathBuf>,

    /// Files of preference trees to look at, or patterns of them. A written page has up to 10,000, drawn with --seed; a page
    /// that is served has all, 1000 at a time
    #[arg(long, value_name = "FILES", num_args = 1..)]
    trees: Vec<String>,

    /// What `eurus score` wrote of these trees; may be given twice, for two models side by side
    #[arg(long, value_name = "FILE", requires = "trees")]
    scores: Vec<PathBuf>,

    /// Seed of the trees that are drawn, where there are more than a page can have
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "trees",
        conflicts_with = "serve"
    )]
    seed: u64,

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
    #[arg(long, value_name = "PORT", default_value_t = 8088)]
    port: u16,
}

impl ReportOf {
    pub fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_new(out, "--out", self.overwrite)?;
        }
        let runs = Runs::open(&self.runs)?;
        let title = match &self.title {
            Some(title) => title.clone(),
            None if self.runs.is_empty() => self.trees.join(", "),
            None => page::title(&runs),
        };
        let source = Source {
            title,
            runs,
            trees: self.trees()?.map(Arc::new),
        };
        match &self.out {
            Some(out) => self.write(&source, out),
            None => self.serve(source),
        }
    }

    fn trees(&self) -> Result<Option<TreeFiles>> {
        if self.trees.is_empty() {
            return Ok(None);
        }
        let scores = self.scores.iter().map(Scores::read);
        Ok(Some(TreeFiles {
            title: self.trees.join(", "),
            source: TreeSource::open(&self.trees).context("--trees")?,
            scores: scores.collect::<Result<_, _>>().context("--scores")?,
            at_once: TREES_AT_ONCE,
        }))
    }

    fn write(&self, source: &Source, out: &Path) -> Result<()> {
        let mut report = source.report();
        if let Some(files) = &source.trees {
            let limits = Limits {
                seed: self.seed,
                ..Limits::default()
            };
            let section = viewer(&files.source.draw(&limits)?, &files.scores)?;
            report.block(section.into());
        }
        report.write(out).context("the page (--out)")?;
        for note in source.runs.notes() {
            tell!("note: {note}");
        }
        print(&format!("report: {}", out.display()));
        Ok(())
    }

    fn serve(&self, source: Source) -> Result<()> {
        let trees = source.trees.is_some();
        let server = Server::bind(self.port, source)?;
        let address = server.address();
        print(&format!("http://{address}/ (Ctrl-C ends it)"));
        if trees {
            print(&format!("http://{address}/trees"));
        }
        Ok(server.run()?)
    }
}
