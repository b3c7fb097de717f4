//! The eurus command line: supervised fine-tuning, preference learning and reward models on Hugging Face checkpoints, what
//! such a run will cost (`plan`), everything that is done to data before that (`data`), and benchmarks (`eval`).
//!
//! Data walks one way: `options` -> `setup` (model folder, tokenizer, device) -> `input` (rows to token trees; `rows` counts
//! those that cannot be trained on) -> `job` (training with `progress`, `output` and `summary`), or `plan` in its place. One
//! file for each command says what is its own.

/// Writes a line to standard error. Who read it may have gone away; that must not end a run, as the panic of `eprintln` would.
macro_rules! tell {
    ($($argument:tt)*) => {{
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("{}\n", format_args!($($argument)*)),
        );
    }};
}

mod adapters;
mod begin;
mod chat;
mod data;
mod device;
mod eval;
mod event_log;
mod generate;
mod hub_data;
mod input;
mod interrupt;
mod invocation;
mod job;
mod judging;
mod lines;
mod local_model;
mod loss;
mod model_folder;
mod no_effect;
mod options;
mod other_model;
mod output;
mod plan;
mod prefer;
mod progress;
mod prompts;
mod ranks;
mod recipe;
#[cfg(test)]
mod recipe_words;
mod record;
mod report;
mod rescue;
mod reward;
mod score;
mod score_by;
mod serve;
mod setup;
mod sft;
mod shell;
mod space;
mod summary;
mod synth;
mod untrained;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use eurus::kernels::width::{MAX_VECTOR_BITS, VectorWidth, check_environment};
use eurus::train::Ranks;
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use options::{Found, WantedModel};

const EXAMPLES: &str = "\
Examples:
  eurus sft    --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft
  eurus prefer --model runs/sft --data pairs.jsonl --algorithm kto --out runs/kto
  eurus reward --model runs/sft --data pairs.jsonl --eval held-out.jsonl --out runs/rm
  eurus plan prefer --model runs/sft --data pairs.jsonl --algorithm kto
  eurus data stats pairs.parquet
  eurus eval show svamp --data SVAMP.json --model runs/kto
  eurus generate --model runs/kto --data problems.jsonl --samples 8 --out answers.jsonl
  eurus chat --model runs/kto
  eurus serve --model runs/kto
  eurus score --model runs/rm --data answers.jsonl --prompts problems.jsonl --out scores.jsonl
  eurus synth run --config synth.toml --data problems.jsonl --store synth.db
  eurus recipe check eurus-7b-kto
  eurus recipe run small-eurus --out runs/small
  eurus report runs/dpo runs/kto --out page.html

`eurus help COMMAND` shows the rows that a command reads and more examples.
Exit codes: 0 done, 1 failed (one message says what, where and what to do), 2 wrong usage, 3 a budget is spent, 130 interrupted with Ctrl-C,
143 with SIGTERM (the state is saved first, and the command that goes on is printed; a second one ends at once).";

/// Learn from preference trees: fine-tune, learn preferences, train reward models.
///
/// Reads Hugging Face checkpoints (Llama, Mistral, Mixtral and Qwen architectures) and rows of any format that `eurus data`
/// reads; writes Hugging Face checkpoints. Rows that share a history are put back into trees, and every history is computed
/// once.
#[derive(Debug, Parser)]
#[command(name = "eurus", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, count, convert, derive, mix and clean data.
    #[command(after_help = data::EXAMPLES)]
    Data(data::Data),
    /// Benchmarks: what they ask, and when an answer is right.
    #[command(after_help = eval::EXAMPLES)]
    Eval(eval::Eval),
    /// Build preference trees from problems of your own: actors, a sandboxed interpreter, critiques.
    #[command(after_help = synth::EXAMPLES)]
    Synth(synth::Synth),
    /// Draw a model's answers to prompts, from a checkpoint or a server.
    #[command(after_help = generate::EXAMPLES)]
    Generate(generate::Generate),
    /// Talk with a checkpoint or a server in the terminal.
    #[command(after_help = chat::EXAMPLES)]
    Chat(chat::Chat),
    /// Serve a checkpoint over HTTP, as OpenAI's servers and OpenRLHF's reward servers do.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Serve),
    /// Score answers with a reward model, or by the implicit reward of a policy.
    #[command(after_help = score::EXAMPLES)]
    Score(score::Score),
    /// Count the tokens and steps of a run, and estimate its memory and time, before it starts.
    #[command(after_help = plan::EXAMPLES, mut_subcommands(plan::without_result))]
    Plan(plan::Plan),
    /// Show runs as one page: rewards, curves, warnings, evaluations; written to a file, or followed while they go on.
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportOf),
    /// Recipes of the paper: what they say, and the commands that they stand for.
    #[command(after_help = recipe::EXAMPLES)]
    Recipe(recipe::Recipes),
    /// Print what completes commands and options in a shell.
    #[command(after_help = shell::COMPLETIONS)]
    Completions(shell::Completions),
    /// Write manual pages.
    #[command(after_help = shell::MAN)]
    Man(shell::Man),
    #[command(flatten)]
    Train(Training),
}

/// The commands that train.
#[derive(Debug, Subcommand)]
enum Training {
    /// Learn preferences from pairs of actions: DPO, KTO, NCA and their family.
    #[command(
        after_help = prefer::EXAMPLES,
        mut_arg("learning_rate", |arg| arg.required(false).default_value("5e-7"))
    )]
    Prefer(prefer::Prefer),
    /// Fine-tune on correct responses; the loss counts the responses' tokens alone.
    #[command(
        after_help = sft::EXAMPLES,
        mut_arg("learning_rate", |arg| arg.required(false).default_value("2e-5"))
    )]
    Sft(sft::Sft),
    /// Train a reward model on pairs of actions: a language model's body with a linear head.
    #[command(
        after_help = reward::EXAMPLES,
        mut_arg("learning_rate", |arg| arg.required(false).default_value("1e-5"))
    )]
    Reward(reward::Reward),
}

impl Command {
    fn run(&mut self) -> Result<()> {
        match self {
            Self::Data(command) => command.run(),
            Self::Eval(command) => command.run(),
            Self::Generate(command) => command.run(),
            Self::Chat(command) => command.run(),
            Self::Completions(command) => command.run(Cli::command()),
            Self::Man(command) => command.run(Cli::command()),
            Self::Recipe(command) => command.run(),
            Self::Report(command) => command.run(),
            Self::Plan(command) => command.run(),
            Self::Score(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Synth(command) => command.run(),
            Self::Train(command) => command.run_on_ranks(),
        }
    }

    /// Refuses options that have no effect beside the others, and adapters that could not be made.
    fn check(&self, mut matches: &ArgMatches) -> Result<(), usage::UsageError> {
        let training = match self {
            Self::Plan(command) => Some(command.training()),
            Self::Train(command) => Some(command),
            _ => None,
        };
        let mut words = Vec::new();
        while let Some((word, deeper)) = matches.subcommand() {
            words.push(word);
            matches = deeper;
        }
        no_effect::check(&no_effect::Given {
            command: &words.join(" "),
            matches,
            // A loss that is wrong in itself is reported where it is made.
            needs: match training {
                Some(Training::Prefer(command)) => command.learns_from().ok().map(|it| it.1),
                _ => None,
            },
            reward_loss: match training {
                Some(Training::Reward(command)) => command.loss().ok(),
                _ => None,
            },
        })?;
        match training {
            Some(Training::Prefer(command)) => command.adapters.check(),
            Some(Training::Sft(command)) => command.adapters.check(),
            Some(Training::Reward(command)) => command.adapters.check(),
            None => Ok(()),
        }
    }
}

impl Training {
    /// Makes the models folders, downloading what is none, and refuses adapters that the model cannot have.
    fn find_model(&mut self) -> Result<()> {
        let (files, adapters, wanted) = match self {
            Self::Prefer(run) => (&mut run.files, &run.adapters, WantedModel::LanguageModel),
            Self::Sft(run) => (&mut run.files, &run.adapters, WantedModel::LanguageModel),
            Self::Reward(run) => (&mut run.files, &run.adapters, WantedModel::RewardModel),
        };
        let model = model_folder::find(&files.model, "--model")?;
        files.model = model.folder;
        files.data = hub_data::localize(&files.data)?;
        files.found = Found {
            adapter: model.adapter,
            wanted,
        };
        adapters.check_for(&files.model, wanted)?;
        if let Some(held_out) = self.judging_mut().eval.as_mut() {
            *held_out = hub_data::localize(held_out)?;
        }
        if let Self::Prefer(prefer) = self {
            let reference = prefer.reference.as_deref();
            prefer.reference_found = reference
                .map(|model| model_folder::find(model, "--reference"))
                .transpose()?;
        }
        Ok(())
    }

    fn judging_mut(&mut self) -> &mut judging::Judging {
        match self {
            Self::Prefer(command) => &mut command.judging,
            Self::Sft(command) => &mut command.judging,
            Self::Reward(command) => &mut command.judging,
        }
    }

    /// How the model is trained, which all commands are told alike.
    fn steps(&self) -> &options::Steps {
        match self {
            Self::Prefer(command) => &command.steps,
            Self::Sft(command) => &command.steps,
            Self::Reward(command) => &command.steps,
        }
    }

    fn run_on_ranks(&mut self) -> Result<()> {
        match self.steps().devices {
            1 => self.run_on_processes(),
            _ => self.run_on_devices(),
        }
    }

    /// Runs the command on the processes that take part. One that fails ends without a word to MPI: then the launcher ends
    /// the others.
    fn run_on_processes(&mut self) -> Result<()> {
        let ranks = ranks::start(self.steps().mpi)?;
        if !ranks.is_first() {
            interrupt::state().silent = true;
        }
        match self.find_model_on(&ranks).and_then(|()| self.run(&ranks)) {
            Ok(()) => {
                ranks.finish();
                Ok(())
            }
            Err(error) if error.is::<interrupt::Interrupted>() => {
                ranks.finish();
                Err(error)
            }
            Err(error) if ranks::is_reported_elsewhere(&error, &ranks) => {
                std::process::exit(FAILED.into())
            }
            Err(error) if ranks.is_first() => Err(error),
            Err(error) => Err(error.context(format!("on {ranks:?}"))),
        }
    }

    /// Runs the command on several devices of this process, in a thread each. When one fails the others end, and its error is
    /// the one that counts.
    fn run_on_devices(&mut self) -> Result<()> {
        let ranks = ranks::of_devices(self.steps())?;
        self.find_model()?;
        let command = &*self;
        let of_rank = |ranks: Ranks| {
            let done = command.run(&ranks);
            done.map_err(|error| (ranks::is_reported_elsewhere(&error, &ranks), error))
        };
        let ends = std::thread::scope(|scope| {
            let threads: Vec<_> = ranks
                .into_iter()
                .map(|ranks| scope.spawn(move || of_rank(ranks)))
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads
                .into_iter()
                .map(join)
                .collect::<Vec<Result<(), _>>>()
        });
        let errors = ends.into_iter().filter_map(Result::err);
        match errors.min_by_key(|(reported_elsewhere, _)| *reported_elsewhere) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The first rank downloads; the others find what it has kept.
    fn find_model_on(&mut self, ranks: &Ranks) -> Result<()> {
        let here = |is_first| is_first == ranks.is_first();
        for turn in [true, false] {
            let found = if here(turn) {
                self.find_model()
            } else {
                Ok(())
            };
            ranks.all_ok(found)?;
        }
        Ok(())
    }

    fn run(&self, ranks: &Ranks) -> Result<()> {
        match self {
            Self::Prefer(command) => command.run(ranks),
            Self::Sft(command) => command.run(ranks),
            Self::Reward(command) => command.run(ranks),
        }
    }
}

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// The exit code for a budget that has no room for another call.
const BUDGET_SPENT: u8 = 3;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

fn main() -> ExitCode {
    keep_freed_memory();
    let (mut cli, matches) = cli();
    let result = check_environment()
        .map_err(|error| usage::UsageError::new(error).into())
        .and_then(|_| Ok(cli.command.check(&matches)?))
        .and_then(|()| interrupt::install())
        .and_then(|()| interrupt::child::heed_parent())
        .and_then(|()| cli.command.run())
        .and_then(|()| job::unprinted());
    match result {
        Ok(()) => match interrupt::asked_for() {
            None => ExitCode::SUCCESS,
            Some(code) => {
                tell!("interrupted; all was done by then");
                ExitCode::from(code)
            }
        },
        Err(error) => {
            // An interrupt that ends the program at once has the last word: it may be why a file is gone.
            drop(interrupt::state());
            if let Some(interrupted) = error.downcast_ref::<interrupt::Interrupted>() {
                return ExitCode::from(interrupted.exit_code);
            }
            if let Some(failed) = error.downcast_ref::<recipe::StepFailed>() {
                tell!("error: {failed}");
                return ExitCode::from(failed.exit_code);
            }
            if error.is::<synth::BudgetSpent>() {
                return ExitCode::from(BUDGET_SPENT);
            }
            let message = with_causes(&error);
            let remedy = rescue::remedy(&error, &message).unwrap_or_default();
            tell!("error: {message}{remedy}");
            let usage = error.is::<usage::UsageError>();
            ExitCode::from(if usage { WRONG_USAGE } else { FAILED })
        }
    }
}

/// The arguments. `--version` tells what a number may depend on, for reports of one that is wrong.
fn cli() -> (Cli, ArgMatches) {
    let version = format!(
        "{}\nvectors of {} (the processor has {}; {MAX_VECTOR_BITS} caps them), {} threads (RAYON_NUM_THREADS)",
        env!("CARGO_PKG_VERSION"),
        VectorWidth::in_use(),
        VectorWidth::of_processor(),
        rayon::current_num_threads(),
    );
    let matches = Cli::command().long_version(version).get_matches();
    invocation::remember(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    (cli, matches)
}

/// The message and its causes. Many of our messages end with their cause already; none is said twice.
fn with_causes(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message.push_str("\n  caused by: ");
            message.push_str(&cause);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }

    /// All commands that do something, with the words that call them.
    fn leaves(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
        let mut below = command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
            .peekable();
        if below.peek().is_none() {
            found.push((words.to_owned(), command.clone()));
        }
        for command in below {
            leaves(command, &format!("{words} {}", command.get_name()), found);
        }
    }

    fn all_leaves() -> Vec<(String, clap::Command)> {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        leaves(&command, "eurus", &mut found);
        assert!(found.len() > 20, "{} commands", found.len());
        found
    }

    /// Options whose values or defaults differ from command to command, and why.
    const DIFFERENT: [(&str, &str); 12] = [
        (
            "data",
            "a benchmark has one file or folder, other commands any number of files",
        ),
        ("field", "of the rows that the command reads"),
        ("id", "one tree is shown, several jobs are done again"),
        ("kind", "of pairs, or of what a store exports"),
        ("learning-rate", "the paper's, stage by stage"),
        (
            "loss",
            "of preferences or of rewards; the paper has one of the latter",
        ),
        (
            "out",
            "a folder for a model or a run, a file for rows; plans write none",
        ),
        ("port", "a model and a report are served at the same time"),
        (
            "sandbox",
            "a level for programs of answers, or what synth.toml says",
        ),
        ("scores", "one file is judged, several are compared"),
        ("seed", "of synth.toml unless given"),
        ("to", "every format, or pairs by default"),
    ];

    #[test]
    fn an_option_is_the_same_everywhere() {
        let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, command) in all_leaves() {
            for option in command.get_arguments() {
                let Some(name) = option.get_long() else {
                    continue;
                };
                let kind = format!(
                    "{:?} {:?} {:?}, default {:?}",
                    option.get_action(),
                    option.get_value_names().unwrap_or_default(),
                    option.get_num_args(),
                    option.get_default_values()
                );
                kinds.entry(name.to_owned()).or_default().insert(kind);
            }
        }
        kinds.retain(|_, kinds| kinds.len() > 1);
        let differing: Vec<&str> = kinds.keys().map(String::as_str).collect();
        let known = DIFFERENT.map(|(name, _)| name);
        assert_eq!(differing, known, "{kinds:#?}");
    }

    #[test]
    fn each_command_has_the_papers_learning_rate() {
        let rate = |command: &str, more: &[&str]| {
            let files = ["--model", "m", "--data", "d", "--out", "o"];
            let words = [&["eurus", command], &files[..], more].concat();
            match Cli::parse_from(words).command {
                Command::Train(Training::Prefer(command)) => command.steps.learning_rate,
                Command::Train(Training::Sft(command)) => command.steps.learning_rate,
                Command::Train(Training::Reward(command)) => command.steps.learning_rate,
                _ => unreachable!("`{command}` trains"),
            }
        };
        assert_eq!(rate("prefer", &["--algorithm", "nca"]), 5e-7);
        assert_eq!(rate("sft", &[]), 2e-5);
        assert_eq!(rate("reward", &["--loss", "bt"]), 1e-5);
        assert_eq!(rate("sft", &["--learning-rate", "1e-3"]), 1e-3);
    }

    #[test]
    fn a_cause_that_the_message_ends_with_is_not_repeated() {
        let error = anyhow::anyhow!("disk full").context("writing x: disk full");
        assert_eq!(with_causes(&error), "writing x: disk full");
        let error = anyhow::anyhow!("disk full").context("writing x");
        assert_eq!(with_causes(&error), "writing x\n  caused by: disk full");
    }
}
