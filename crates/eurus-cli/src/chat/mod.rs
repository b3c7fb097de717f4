//! `eurus chat`: a conversation in the terminal.

mod words;

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use eurus::chat::{
    Capability, ChatModel, ChatRequest, Completion, Error, Finish, Message, Piece, Sampling,
};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::json;

use crate::generate::{ModelAt, SamplingOptions};
use crate::interrupt::{self, Interrupted, Phase};
use crate::invocation;
use crate::job::print;
use words::{HELP, Typed};

pub const EXAMPLES: &str = "\
What is typed is sent, and the answer is written as it comes. Lines that begin with a slash are commands:
/system, /samples, /take, /undo, /reset, /save, /help, /quit. Ctrl-C ends the program at once (130), Ctrl-D when it asks.
From a pipe every line is one message or command.

Examples:
  eurus chat --model runs/kto
  eurus chat --model http://127.0.0.1:8080/v1 --served-name big --temperature 0
  echo 'What is 6 x 7?' | eurus chat --model runs/sft --temperature 0";

/// `eurus chat`.
#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    model: ModelAt,

    /// Message of the system at the beginning
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Answers to each message
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,

    #[command(flatten)]
    tokens: SamplingOptions,

    /// Seed of the first answer; each later one has the next
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl Chat {
    pub fn run(&self) -> Result<()> {
        let opened = self.model.open()?;
        interrupt::enter(Phase::Talking);
        let mut conversation = Conversation {
            model: opened.model,
            sampling: self.tokens.sampling(self.seed),
            samples: usize::from(self.samples),
            streams: true,
            system: self.system.clone(),
            messages: Vec::new(),
            last: Vec::new(),
        };
        if std::io::stdin().is_terminal() {
            print(&format!("{}. /help tells the commands.", self.model.model));
        }
        let mut editor = DefaultEditor::new().context("the terminal cannot be read")?;
        loop {
            let line = match editor.readline("> ") {
                Ok(line) => line,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(ReadlineError::Interrupted) => {
                    tell!(
                        "interrupted; what /save wrote is kept. Begin again with:\n  {}",
                        invocation::again()
                    );
                    return Err(Interrupted::now().into());
                }
                Err(error) => return Err(error).context("the terminal cannot be read"),
            };
            let _ = editor.add_history_entry(&line);
            match Typed::read(&line) {
                Typed::Quit => return Ok(()),
                typed => conversation.act(typed),
            }
        }
    }
}

struct Conversation {
    model: Box<dyn ChatModel>,
    sampling: Sampling,
    samples: usize,
    /// Whether the model hands over text as it comes, as far as is known.
    streams: bool,
    system: Option<String>,
    /// Without the system's.
    messages: Vec<Message>,
    /// The answers to the last message, one of which is the last one of the messages.
    last: Vec<Completion>,
}

impl Conversation {
    fn act(&mut self, typed: Typed) {
        match typed {
            Typed::Message(text) if text.is_empty() => {}
            Typed::Message(text) => self.ask(text),
            Typed::System(text) => {
                self.system = text;
                self.reset();
            }
            Typed::Samples(count) => self.samples = count,
            Typed::Take(number) => self.take(number),
            Typed::Save(path) => match self.save(&path) {
                Ok(()) => print(&format!("(added to {})", path.display())),
                Err(error) => print(&format!("({error:#})")),
            },
            Typed::Undo => {
                let asked = self.messages.len().saturating_sub(2);
                self.messages.truncate(asked);
                self.last.clear();
            }
            Typed::Reset => self.reset(),
            Typed::Help => print(HELP),
            Typed::Wrong(problem) => print(&format!("({problem})")),
            Typed::Quit => {}
        }
    }

    fn reset(&mut self) {
        self.messages.clear();
        self.last.clear();
    }

    /// The conversation so far, the system's message first.
    fn all(&self) -> Vec<Message> {
        let system = self.system.iter().map(Message::system);
        system.chain(self.messages.iter().cloned()).collect()
    }

    /// Sends a message, and shows the answer as it comes. What a model cannot answer is said, and the conversation is as before.
    fn ask(&mut self, text: String) {
        self.messages.push(Message::user(text));
        let request = ChatRequest::new(self.all())
            .with_samples(self.samples)
            .with_sampling(self.sampling.clone());
        // Several answers side by side would be a muddle.
        let mut streamed = self.streams && self.samples == 1;
        let mut answered = match streamed {
            true => self.model.stream(&request, &mut show_piece),
            false => self.model.complete(&request),
        };
        if let Err(Error::Unsupported {
            capability: Capability::Streaming,
            ..
        }) = answered
        {
            print("(the server does not stream; its answers come whole)");
            (self.streams, streamed) = (false, false);
            answered = self.model.complete(&request);
        }
        match answered {
            Ok(answers) => {
                match streamed {
                    true => show_end(&answers),
                    false => show_all(&answers),
                }
                self.messages
                    .extend(answers.first().map(|it| Message::assistant(&it.text)));
                self.last = answers;
                self.sampling.seed = self.sampling.seed.wrapping_add(1);
            }
            Err(error) => {
                print(&format!("({error})"));
                self.messages.pop();
            }
        }
    }

    fn take(&mut self, number: usize) {
        let count = self.last.len();
        match (self.last.get(number - 1), self.messages.last_mut()) {
            (Some(answer), Some(message)) => {
                *message = Message::assistant(&answer.text);
                print(&format!("(going on with answer {number})"));
            }
            _ => print(&format!("(there are {count} answers)")),
        }
    }

    /// Adds the conversation to a file, as a row of the format `trl-messages`.
    fn save(&self, path: &Path) -> Result<()> {
        let row = json!({"messages": self.all()});
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{row}"));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Writes a piece of an answer. Who reads it may have gone away; that ends nothing.
fn show_piece(piece: Piece<'_>) {
    let mut out = std::io::stdout();
    let _ = match piece {
        Piece::Text { text, .. } => write!(out, "{text}"),
        Piece::Restarted { .. } => writeln!(out, "\n(the connection broke; once more)"),
    };
    let _ = out.flush();
}

/// Ends the line of an answer that was written piece by piece.
fn show_end(answers: &[Completion]) {
    let cut = answers.iter().any(|it| it.finish == Finish::Length);
    print(match cut {
        true => " … (cut off: --max-tokens, or the model's context)",
        false => "",
    });
}

fn show_all(answers: &[Completion]) {
    if let [answer] = answers {
        return print(&answer.text);
    }
    for (number, answer) in answers.iter().enumerate() {
        print(&format!("[{}] {}\n", number + 1, answer.text));
    }
}
