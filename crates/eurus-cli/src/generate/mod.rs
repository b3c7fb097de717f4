//! `eurus generate`: a model's answers to prompts, in a file that goes on where it was broken off.

mod model;
mod sampling;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use eurus::chat::{ChatModel, ChatRequest, Finish, Message, Role, Sampling};
use eurus::eval::samples::{
    Drawn, Progress, PromptToAnswer, Sample, SampleFile, draw, prompt_seed,
};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::job::print;
use crate::prompts::{self, NamedPrompt};
pub use model::{ModelAt, Opened, is_address};
pub use sampling::SamplingOptions;

pub const EXAMPLES: &str = "\
Prompts are the histories of rows of any format that `eurus data` reads, or rows with
  \"prompt\": \"What is 6 x 7?\"                                a text, or a list of messages
  \"messages\": [{\"role\": \"user\", \"content\": \"...\"}]      that end with the user's
and an `id`, where they have one. A line of the output:
  {\"id\": \"sum\", \"sample\": 0, \"text\": \"42\", \"finish\": \"stop\", \"tokens\": 3, \"log_prob\": -0.7, \"seed\": 17}

What is drawn for a prompt depends on --seed, its id and the number of the sample: not on the batch, and not on what else is in
the file. The same command goes on where it was broken off, and with more --samples adds the rest.

Examples:
  eurus generate --model runs/kto --data problems.jsonl --samples 8 --out answers.jsonl
  eurus generate --model http://127.0.0.1:8080/v1 --served-name big --data pairs.jsonl --logprobs --out answers.jsonl
  eurus generate --model runs/sft --data code.jsonl --answer-prefix '```python' --stop '```' --temperature 0 --out code.answers.jsonl";

const STYLE: &str = "{prefix:.bold} {bar:24.cyan/dim} {pos}/{len} {msg} [{elapsed}, left {eta}]";

/// How many prompts that failed are named.
const MOST_NAMED: usize = 10;

/// `eurus generate`.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub model: ModelAt,

    /// Files with prompts, patterns in quotes, or data of the hub as organization/name[@revision][/file]
    #[arg(long, required = true, num_args = 1.., value_name = "FILES")]
    data: Vec<String>,

    /// File for the answers, one a line; beside it, NAME.run.json says how they were drawn
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The first prompts alone
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Write the summary as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    drawing: Drawing,
}

/// How answers are drawn.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answers")]
struct Drawing {
    /// Answers to each prompt
    #[arg(long, value_name = "N", default_value_t = 1)]
    samples: usize,

    #[command(flatten)]
    tokens: SamplingOptions,

    /// Text that ends an answer and is no part of it; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Seed of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Message of the system before each conversation that has none
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,

    /// How every answer begins; the model goes on from there
    #[arg(long, value_name = "TEXT")]
    answer_prefix: Option<String>,

    /// Take prompts of one message as they are, without the chat template
    #[arg(long)]
    raw: bool,

    /// Write the log-probability of each answer
    #[arg(long)]
    logprobs: bool,
}

impl Generate {
    pub fn run(&self) -> Result<()> {
        let files = crate::hub_data::expand(&self.data)?;
        let named = prompts::read(&files, self.limit)?;
        let prompts = named
            .iter()
            .map(|it| self.drawing.prompt(it))
            .collect::<Result<Vec<_>>>()?;
        let opened = self.model.open()?;
        for prompt in &prompts {
            prompt.request.check(&*opened.model)?;
        }
        let mut file = SampleFile::open(&self.out, &self.settings(&opened.identity))?;
        let kept = file.len();
        interrupt::enter(Phase::Answers(self.out.display().to_string()));
        let began = Instant::now();
        let drawn = draw_shown(&*opened.model, &prompts, &mut file, "answers")?;
        if drawn.stopped {
            tell!(
                "interrupted; the {} answers so far are kept in {}. Go on with:\n  {}",
                HumanCount(file.len() as u64),
                self.out.display(),
                invocation::again()
            );
            return Err(Interrupted::now().into());
        }
        let samples = interrupt::written(&self.out, || Ok(file.finish(&prompts)?))?;
        self.tell(&drawn, &samples, kept, began.elapsed().as_secs_f64());
        match drawn.failed.iter().any(|it| it.may_pass) {
            true => bail!(
                "{} of {} prompts were not answered; what was is kept in {}, and the same command asks for the rest",
                drawn.failed.len(),
                prompts.len(),
                self.out.display()
            ),
            false => Ok(()),
        }
    }

    /// What the answers depend on. Their number is not among it: more can be drawn later.
    fn settings(&self, model: &Value) -> Value {
        let drawing = &self.drawing;
        json!({
            "model": model,
            "sampling": drawing.sampling(drawing.seed),
            "system": drawing.system,
            "answer_prefix": drawing.answer_prefix,
            "raw": drawing.raw,
            "logprobs": drawing.logprobs,
        })
    }

    fn tell(&self, drawn: &Drawn, samples: &[Sample], kept: usize, seconds: f64) {
        for failed in drawn.failed.iter().take(MOST_NAMED) {
            tell!("not answered: {}: {}", failed.id, failed.reason);
        }
        if drawn.failed.len() > MOST_NAMED {
            tell!("not answered: {} more", drawn.failed.len() - MOST_NAMED);
        }
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for sample in samples {
            let end = match sample.finish {
                Finish::Stop => "ended by themselves",
                Finish::Length => "cut off",
                _ => "withheld",
            };
            *ends.entry(end).or_default() += 1;
        }
        let rate = drawn.new_tokens as f64 / seconds.max(1e-9);
        if self.json {
            let summary = json!({
                "samples": samples.len(),
                "new": drawn.new,
                "new_tokens": drawn.new_tokens,
                "tokens_per_second": rate,
                "failed": drawn.failed.len(),
                "ends": ends,
                "out": self.out,
            });
            return print(&summary.to_string());
        }
        let ends: Vec<String> = ends
            .iter()
            .map(|(end, count)| format!("{count} {end}"))
            .collect();
        print(&format!(
            "{} answers in {} ({}); {} are new, {} tokens at {rate:.0} a second{}",
            samples.len(),
            self.out.display(),
            ends.join(", "),
            drawn.new,
            drawn.new_tokens,
            match kept {
                0 => String::new(),
                kept => format!("; {kept} were there"),
            }
        ));
    }
}

impl Drawing {
    fn sampling(&self, seed: u64) -> Sampling {
        Sampling {
            stop: self.stop.clone(),
            ..self.tokens.sampling(seed)
        }
    }

    fn prompt(&self, named: &NamedPrompt) -> Result<PromptToAnswer> {
        let mut messages = named.messages.clone();
        let has_system = messages.first().is_some_and(|it| it.role == Role::System);
        if let Some(system) = self.system.as_ref().filter(|_| !has_system) {
            messages.insert(0, Message::system(system));
        }
        let mut request = match (self.raw, &messages[..]) {
            (false, _) => ChatRequest::new(messages),
            (true, [only]) => ChatRequest::raw(&only.content),
            (true, _) => bail!(
                "`{}`: has {} messages; --raw takes prompts of one message as they are",
                named.id,
                messages.len()
            ),
        };
        request.answer_prefix = self.answer_prefix.clone();
        request.logprobs = self.logprobs;
        request.samples = self.samples;
        request.sampling = self.sampling(prompt_seed(self.seed, &named.id));
        Ok(PromptToAnswer {
            id: named.id.clone(),
            request,
        })
    }
}

/// Draws what a file lacks, with a bar, until an interrupt asks for the end.
pub fn draw_shown(
    model: &dyn ChatModel,
    prompts: &[PromptToAnswer],
    file: &mut SampleFile,
    what: &str,
) -> Result<Drawn> {
    shown(prompts, what, |observe| draw(model, prompts, file, observe))
}

/// Hears how far a drawing is, and says whether it goes on.
type Observe<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Has answers to prompts drawn, with a bar, until an interrupt asks for the end.
pub fn shown(
    prompts: &[PromptToAnswer],
    what: &str,
    draw: impl FnOnce(&mut Observe<'_>) -> eurus::eval::Result<Drawn>,
) -> Result<Drawn> {
    let wanted: usize = prompts.iter().map(|it| it.request.samples).sum();
    let bar = ProgressBar::new(wanted as u64);
    if let Ok(style) = ProgressStyle::with_template(STYLE) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(what.to_owned());
    let stop = interrupt::answers_stop();
    let is_stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
    let began = Instant::now();
    let mut drawn = draw(&mut |progress| {
        bar.set_position(progress.done as u64);
        let rate = progress.new_tokens as f64 / began.elapsed().as_secs_f64().max(1e-9);
        bar.set_message(format!("{rate:.0} tokens/s"));
        match is_stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    bar.finish_and_clear();
    drawn.stopped |= is_stopped() && !drawn.failed.is_empty();
    Ok(drawn)
}
