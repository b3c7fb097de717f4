//! One line of `metrics.jsonl`, as loosely as a report can take it: fields that are missing are not known, and fields that it
//! does not know are passed over, so that a run of a neighbouring version can be looked at.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::training::{Judged, Remark, Sample, Step};
use super::words::plain;

/// A line.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    /// Tells the runs of one file apart.
    pub stage: Option<String>,
    pub event: Option<String>,
    step: Option<u64>,
    pub steps: Option<u64>,
    loss: Option<f64>,
    auxiliary_loss: Option<f64>,
    learning_rate: Option<f64>,
    grad_norm: Option<f64>,
    unique_tokens: Option<u64>,
    naive_tokens: Option<u64>,
    utilization: Option<f64>,
    seconds: Option<f64>,
    peak_resident_bytes: Option<u64>,
    stats: Option<Stats>,
    warning: Option<Value>,
    judgement: Option<Judgement>,
    #[serde(default)]
    best: bool,
    #[serde(default)]
    skipped: bool,
    fault: Option<Fault>,
    problem: Option<String>,
    reason: Option<Value>,
}

/// Means of a step. Null is how writers of JSON put NaN and infinity, and a count that is left out is 0.
#[derive(Debug, Deserialize)]
struct Stats {
    #[serde(default)]
    chosen: u64,
    #[serde(default)]
    rejected: u64,
    chosen_reward: Option<f64>,
    rejected_reward: Option<f64>,
    margin: Option<f64>,
    accuracy: Option<f64>,
    chosen_log_prob: Option<f64>,
    rejected_log_prob: Option<f64>,
    kl: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Judgement {
    #[serde(default)]
    metrics: BTreeMap<String, Option<f64>>,
    #[serde(default)]
    samples: Vec<SampleText>,
}

#[derive(Debug, Deserialize)]
struct SampleText {
    prompt: String,
    response: String,
}

#[derive(Debug, Deserialize)]
struct Fault {
    what: Option<String>,
    value: Option<String>,
    #[serde(default)]
    examples: Vec<String>,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Said {
    Step(Box<Step>),
    Remark(Remark),
    Judged(Judged),
    /// The run ended before its last step.
    Stopped(String),
    /// Something that a report has no place for.
    Other,
}

impl Row {
    /// What it says; `None` where a field is missing that it needs, or the event is none that is known.
    pub fn said(self) -> Option<Said> {
        Some(match self.event.as_deref()? {
            "sft" | "preference" | "reward" => Said::Step(Box::new(self.into_step()?)),
            "collapse" => {
                let step = self.step?;
                let text = about_collapse(&self.warning?);
                Said::Remark(Remark { step, text })
            }
            "not_finite" => Said::Remark(Remark {
                step: self.step?,
                text: about_fault(self.fault.as_ref(), self.skipped),
            }),
            "not_evaluated" => Said::Remark(Remark {
                step: self.step?,
                text: format!("the model could not be judged: {}", self.problem_text()),
            }),
            "not_saved" => Said::Remark(Remark {
                step: self.step?,
                text: format!("the snapshot could not be written: {}", self.problem_text()),
            }),
            "evaluated" => {
                let judgement = self.judgement?;
                let metrics = judgement.metrics.into_iter();
                Said::Judged(Judged {
                    step: self.step?,
                    metrics: metrics
                        .map(|(name, value)| (plain(&name), value.unwrap_or(f64::NAN)))
                        .collect(),
                    best: self.best,
                    samples: judgement
                        .samples
                        .into_iter()
                        .map(|it| Sample {
                            prompt: plain(&it.prompt),
                            response: plain(&it.response),
                        })
                        .collect(),
                })
            }
            "stopped" => Said::Stopped(match self.reason {
                Some(Value::String(reason)) => plain(&reason),
                Some(reason) => plain(&reason.to_string()),
                None => String::new(),
            }),
            "reference" | "saved" | "resumed" | "damaged_snapshot" => Said::Other,
            _ => return None,
        })
    }

    fn problem_text(&self) -> String {
        plain(self.problem.as_deref().unwrap_or("nothing is told"))
    }

    fn into_step(self) -> Option<Step> {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let count = |value: Option<u64>| value.map_or(f64::NAN, |it| it as f64);
        let stats = self.stats.as_ref();
        let of = |is_there: bool, value: Option<f64>| known(value.filter(|_| is_there));
        let (chosen, rejected) =
            stats.map_or((false, false), |it| (it.chosen > 0, it.rejected > 0));
        let stat = |pick: fn(&Stats) -> Option<f64>| stats.and_then(pick);
        Some(Step {
            step: self.step?,
            loss: known(self.loss),
            auxiliary_loss: known(self.auxiliary_loss),
            learning_rate: known(self.learning_rate),
            grad_norm: known(self.grad_norm),
            unique_tokens: count(self.unique_tokens),
            naive_tokens: count(self.naive_tokens),
            utilization: known(self.utilization),
            seconds: known(self.seconds),
            peak_resident_bytes: count(self.peak_resident_bytes),
            chosen_reward: of(chosen, stat(|it| it.chosen_reward)),
            rejected_reward: of(rejected, stat(|it| it.rejected_reward)),
            margin: of(chosen && rejected, stat(|it| it.margin)),
            accuracy: known(stat(|it| it.accuracy)),
            chosen_log_prob: of(chosen, stat(|it| it.chosen_log_prob)),
            rejected_log_prob: of(rejected, stat(|it| it.rejected_log_prob)),
            kl: known(stat(|it| it.kl)),
        })
    }
}

/// A warning of the monitor in words.
fn about_collapse(warning: &Value) -> String {
    let trend = || {
        let number = |field: &str| warning[field].as_f64();
        let (from, to) = number("start").zip(number("current"))?;
        let steps = warning["first_step"]
            .as_u64()
            .zip(warning["last_step"].as_u64());
        let over = steps.map_or_else(String::new, |(first, last)| {
            format!(" over steps {first} to {last}")
        });
        // A minus sign, not a hyphen.
        let numbers = format!(", from {from:.3} to {to:.3}").replace('-', "−");
        Some(format!("{numbers}{over}"))
    };
    let what = match warning["kind"].as_str() {
        Some("non_finite") => {
            let statistic = warning["statistic"].as_str().unwrap_or("a statistic");
            return format!(
                "{} is not a finite number",
                plain(&statistic.replace('_', " "))
            );
        }
        Some("chosen_reward_falling") => "the chosen reward falls",
        Some("chosen_log_prob_falling") => "the log-prob of chosen responses falls",
        Some("chosen_below_rejected") => "rejected responses are preferred: the margin is below 0",
        Some("margin_exploding") => "the margin explodes",
        Some(other) => {
            return format!(
                "{}{}",
                plain(&other.replace('_', " ")),
                trend().unwrap_or_default()
            );
        }
        None => "the monitor of collapse warns",
    };
    format!("{what}{}", trend().unwrap_or_default())
}

/// Ids of examples that a remark names.
const EXAMPLES: usize = 3;

fn about_fault(fault: Option<&Fault>, skipped: bool) -> String {
    let then = match skipped {
        true => "the step was skipped",
        false => "the step was taken all the same",
    };
    let Some(fault) = fault else {
        return format!("the loss or a gradient is not a finite number; {then}");
    };
    let what = fault.what.as_deref().unwrap_or("a number");
    let value = fault.value.as_deref().unwrap_or("not finite");
    let examples: Vec<&str> = fault
        .examples
        .iter()
        .take(EXAMPLES)
        .map(String::as_str)
        .collect();
    let examples = match examples.is_empty() {
        true => String::new(),
        false => format!("; examples of the step: {}", examples.join(", ")),
    };
    plain(&format!("{what} is {value}; {then}{examples}"))
}
