//! `eurus synth status`: how far a run is.

use anyhow::Result;
use clap::Args;
use eurus::synth::SynthStats;
use eurus::synth::run;
use eurus::synth::store::{Status as StoreStatus, Store};
use indicatif::HumanDuration;
use serde_json::{Value, json};
use std::time::Duration;

use super::StoreAt;
use crate::job::print;

pub const EXAMPLES: &str = "\
Examples:
  eurus synth status --store synth.db
  eurus synth status --store postgres://me@host/trees --json";

/// `eurus synth status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    store: StoreAt,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn run(&self) -> Result<()> {
        let store = self.store.open_existing()?;
        let report = Report::of(&store)?;
        match self.json {
            true => print(&report.to_json().to_string()),
            false => print(&report.to_string()),
        }
        Ok(())
    }
}

/// All that is told of a run.
pub struct Report {
    status: StoreStatus,
    stats: SynthStats,
}

impl Report {
    pub fn of(store: &Store) -> Result<Self> {
        let status = store.status()?;
        let stats = run::stats(store)?;
        Ok(Self { status, stats })
    }

    /// Seconds from the first to the last sign of life of the run.
    fn seconds(&self) -> Option<f64> {
        let (begun, last) = (self.status.begun_unix_ms?, self.status.last_unix_ms?);
        Some(last.saturating_sub(begun) as f64 / 1e3).filter(|&seconds| seconds > 0.0)
    }

    fn trees_per_second(&self) -> Option<f64> {
        Some(self.status.jobs.done as f64 / self.seconds()?)
    }

    fn tokens(&self) -> u64 {
        let endpoints = self.status.endpoints.iter();
        endpoints
            .map(|it| it.prompt_tokens + it.completion_tokens)
            .sum()
    }

    /// Problems that are neither done nor given up.
    fn left(&self) -> u64 {
        let jobs = &self.status.jobs;
        jobs.waiting + jobs.delayed + jobs.leased + jobs.expired
    }

    fn eta_seconds(&self) -> Option<f64> {
        let rate = self.trees_per_second().filter(|&rate| rate > 0.0)?;
        Some(self.left() as f64 / rate)
    }

    fn turns(&self) -> Vec<Value> {
        let turns = self.stats.turns.iter();
        turns
            .map(|turn| {
                let judged = turn.counts.correct + turn.counts.incorrect;
                let share = (judged > 0).then(|| turn.counts.correct as f64 / judged as f64);
                json!({"turn": turn.turn, "problems": turn.problems, "counts": turn.counts, "correct_share": share})
            })
            .collect()
    }

    pub fn to_json(&self) -> Value {
        let status = &self.status;
        let endpoints = status.endpoints.iter().map(|it| {
            json!({
                "endpoint": it.endpoint, "requests": it.requests, "repeated": it.repeated, "answers": it.answers,
                "estimated": it.estimated, "prompt_tokens": it.prompt_tokens, "completion_tokens": it.completion_tokens,
                "cost": it.cost_micros as f64 / 1e6,
            })
        });
        let letters = status.dead_letters.iter().map(|it| {
            json!({"reason": it.reason, "count": it.count, "example": it.example, "message": it.message})
        });
        json!({
            "jobs": {
                "done": status.jobs.done, "waiting": status.jobs.waiting, "delayed": status.jobs.delayed,
                "leased": status.jobs.leased, "expired": status.jobs.expired, "parked": status.jobs.parked,
            },
            "trees_per_second": self.trees_per_second(),
            "tokens_per_second": self.seconds().map(|seconds| self.tokens() as f64 / seconds),
            "eta_seconds": self.eta_seconds(),
            "spent": status.spent_micros as f64 / 1e6,
            "reserved": status.reserved_micros as f64 / 1e6,
            "endpoints": endpoints.collect::<Vec<_>>(),
            "turns": self.turns(),
            "too_easy": self.stats.too_easy,
            "dead_letters": letters.collect::<Vec<_>>(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let jobs = &self.status.jobs;
        let all = jobs.done + jobs.parked + self.left();
        write!(
            f,
            "{} of {all} problems are done, {} wait",
            jobs.done,
            self.left()
        )?;
        if jobs.delayed > 0 {
            write!(
                f,
                " ({} of them after a failure that may pass)",
                jobs.delayed
            )?;
        }
        writeln!(f, ", {} were given up", jobs.parked)?;
        if let (Some(rate), Some(seconds)) = (self.trees_per_second(), self.seconds()) {
            write!(
                f,
                "{:.2} trees/s and {:.0} tokens/s over {}",
                rate,
                self.tokens() as f64 / seconds,
                HumanDuration(Duration::from_secs_f64(seconds))
            )?;
            match self.eta_seconds() {
                Some(left) if self.left() > 0 => {
                    writeln!(
                        f,
                        ", about {} to go",
                        HumanDuration(Duration::from_secs_f64(left))
                    )?;
                }
                _ => writeln!(f)?,
            }
        }
        writeln!(
            f,
            "spent: {:.4}; set aside for requests under way and for those of workers that died: {:.4}",
            self.status.spent_micros as f64 / 1e6,
            self.status.reserved_micros as f64 / 1e6
        )?;
        for it in &self.status.endpoints {
            let estimated = if it.estimated > 0 {
                format!(", tokens of {} answers estimated", it.estimated)
            } else {
                String::new()
            };
            writeln!(
                f,
                "  {}: {} answers, {} + {} tokens, {:.4}{estimated}",
                it.endpoint,
                it.answers,
                it.prompt_tokens,
                it.completion_tokens,
                it.cost_micros as f64 / 1e6
            )?;
        }
        for turn in &self.stats.turns {
            let counts = &turn.counts;
            let judged = counts.correct + counts.incorrect;
            writeln!(
                f,
                "turn {}: {} problems, {} actions, {:.1} % of {judged} correct, {} unjudged, {} pairs, {} by a stronger actor, \
                 {} elicited, {} annotated solutions",
                turn.turn,
                turn.problems,
                counts.sampled,
                100.0 * counts.correct as f64 / judged.max(1) as f64,
                counts.unjudged,
                counts.pairs,
                counts.escalated,
                counts.elicited,
                counts.fallbacks
            )?;
        }
        for letters in &self.status.dead_letters {
            writeln!(
                f,
                "given up: {} for `{}`, as {}: {}",
                letters.count, letters.reason, letters.example, letters.message
            )?;
        }
        Ok(())
    }
}
