//! The progress display of a run: a bar with rates on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use eurus::train::{Event, StopReason};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::summary::{measures, noun, number};

/// Pause between two lines where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(10);

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {pos}/{len} [{elapsed}, left {eta}] {wide_msg}";

/// Shows events on standard error.
pub struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    totals: Totals,
    /// When the last line was written, and about what.
    last_line: Option<(Instant, String)>,
    /// Steps with numbers that are not finite.
    not_finite: usize,
}

/// Sums over all steps so far.
#[derive(Default)]
struct Totals {
    /// Pairs or responses, and what they are called.
    groups: Option<(usize, &'static str)>,
    unique_tokens: usize,
    naive_tokens: usize,
    steps: usize,
    seconds: f64,
}

impl Progress {
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            bar: None,
            totals: Totals::default(),
            last_line: None,
            not_finite: 0,
        }
    }

    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Reference { done, pairs } => {
                self.draw("reference log-probs", *done, *pairs, String::new());
            }
            Event::Evaluated {
                step,
                judgement,
                best,
            } => {
                let metrics = judgement.metrics.iter();
                let metrics: Vec<String> = metrics
                    .map(|(name, value)| format!("{} {}", name.replace('_', " "), number(*value)))
                    .collect();
                let best = if *best { ", the best so far" } else { "" };
                self.line(&format!(
                    "held out, after step {step}: {}{best}",
                    metrics.join(", ")
                ));
            }
            Event::NotFinite {
                step,
                skipped,
                fault,
            } => {
                self.not_finite += 1;
                // One number that is not finite often makes all that follow so.
                if self.not_finite == 1 {
                    let then = match skipped {
                        true => "skipped",
                        false => "taken all the same",
                    };
                    self.line(&format!(
                        "warning: step {step} is {then}: {fault}; further such steps are counted, and told in the metrics file"
                    ));
                }
            }
            Event::Collapse { warning, .. } => self.line(&format!("warning: {warning}")),
            Event::DamagedSnapshot { path, problem } => self.line(&format!(
                "warning: snapshot {} is damaged and passed over: {problem}",
                path.display()
            )),
            Event::NotEvaluated { step, problem } => self.line(&format!(
                "warning: the model could not be judged after step {step}, and the run goes on: {problem}"
            )),
            Event::NotSaved { step, problem } => self.line(&format!(
                "warning: the snapshot after step {step} could not be written, and the run goes on: {problem}"
            )),
            Event::Stopped {
                step,
                steps,
                reason: StopReason::Patience,
            } => self.line(&format!(
                "the run ends after step {step} of {steps}: its evaluations get no better (--patience)"
            )),
            Event::MatrixProducts { by } => self.line(&format!("matrix products by {by}")),
            Event::Resumed { step, path } => {
                self.line(&format!(
                    "going on after step {step}, from {}",
                    path.display()
                ));
            }
            step => {
                if let Some(progress) = step.progress() {
                    self.totals.add(step);
                    let mut message: Vec<String> = measures(step)
                        .into_iter()
                        .filter(|(name, _)| ["loss", "margin", "accuracy"].contains(&name.as_str()))
                        .map(|(name, value)| format!("{name} {}", number(value)))
                        .collect();
                    message.push(self.totals.rates());
                    let peak = eurus_memory::peak_resident_bytes();
                    message.extend(peak.map(|bytes| format!("peak {}", HumanBytes(bytes))));
                    if !std::io::stderr().is_terminal() {
                        // A terminal has it in the bar.
                        let left = self.totals.time_for(progress.steps - progress.step);
                        message.push(format!("left {}", HumanDuration(left)));
                    }
                    let title = self.title.clone();
                    self.draw(&title, progress.step, progress.steps, message.join(", "));
                }
            }
        }
    }

    fn draw(&mut self, what: &str, done: usize, of: usize, message: String) {
        if !std::io::stderr().is_terminal() {
            let fresh =
                |(at, about): &(Instant, String)| at.elapsed() < LINE_PAUSE && about == what;
            if done == of || !self.last_line.as_ref().is_some_and(fresh) {
                self.last_line = Some((Instant::now(), what.to_owned()));
                tell!("{}", format!("{what} {done}/{of} {message}").trim_end());
            }
            return;
        }
        // A bar for each phase: the first one of another name or length ends the one before.
        let other = |bar: &ProgressBar| bar.length() != Some(of as u64) || bar.prefix() != what;
        if self.bar.as_ref().is_none_or(other) {
            self.finish();
            let bar = ProgressBar::with_draw_target(Some(of as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(STYLE) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar.set_prefix(what.to_owned());
            bar.enable_steady_tick(Duration::from_secs(1));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.set_message(message);
        }
    }

    /// Writes a line that stays, above the bar.
    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell!("{line}")),
            None => tell!("{line}"),
        }
    }

    /// Leaves the bar as it is and goes to the next line.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
        if self.not_finite > 1 {
            let steps = self.totals.steps + self.not_finite;
            tell!(
                "warning: {} of {steps} steps had a loss or gradient that is not finite; look at the examples that the metrics file names, or lower the learning rate",
                self.not_finite
            );
        }
    }
}

impl Totals {
    fn add(&mut self, step: &Event) {
        if let Some(stats) = step.preferences() {
            self.groups.get_or_insert((0, noun(stats))).0 += stats.groups;
        }
        if let Some(progress) = step.progress() {
            self.unique_tokens += progress.unique_tokens;
            self.naive_tokens += progress.naive_tokens;
            self.steps += 1;
            self.seconds += progress.seconds;
        }
    }

    /// The time that so many steps will take at the pace so far.
    fn time_for(&self, steps: usize) -> Duration {
        Duration::from_secs_f64(self.seconds / self.steps.max(1) as f64 * steps as f64)
    }

    fn rates(&self) -> String {
        let per_second = |count: usize| count as f64 / self.seconds.max(1e-9);
        let tokens = format!(
            "{:.0} tokens/s ({:.0} as sequences)",
            per_second(self.unique_tokens),
            per_second(self.naive_tokens),
        );
        match self.groups {
            Some((groups, name)) => format!("{:.2} {name}/s, {tokens}", per_second(groups)),
            None => tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_the_time_left_are_those_of_the_steps_so_far() {
        let totals = Totals {
            groups: Some((30, "pairs")),
            unique_tokens: 1000,
            naive_tokens: 2500,
            steps: 2,
            seconds: 10.0,
        };
        let rates = totals.rates();
        assert_eq!(rates, "3.00 pairs/s, 100 tokens/s (250 as sequences)");
        assert_eq!(totals.time_for(3), Duration::from_secs(15));
    }
}
