//! Conversations in turns: led side by side, and judged from what was said.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::thread;

use chat_model::{ChatModel, ChatRequest, Completion, Finish, Message};
use code_interpreter::{Python, Session};
use serde_json::Value;

use super::grading::{Workers, judge_each};
use super::verdicts::ItemVerdict;
use crate::error::{Error, Result};
use crate::graders::judge::{Rating, Turn, rate};
use crate::graders::mint::{self, Episode, Role, Settings, limits};
use crate::graders::{Grade, Rules, Verdict};
use crate::samples::{
    Drawn, FailedPrompt, Progress, PromptToAnswer, Sample, SampleFile, prompt_seed,
};
use crate::tasks::Item;

/// What a conversation goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// The model's answer as it stands in the conversation.
    pub answer: String,
    /// What the user says to it.
    pub user: String,
}

/// Who speaks with the model.
pub trait Partner: Send {
    /// Takes an answer: what the conversation goes on with, or nothing at its end.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the answer.
    fn step(&mut self, answer: &str) -> Result<Option<Say>>;
}

/// A user who asks a list of questions, whatever is answered.
#[derive(Debug, Clone)]
pub struct Questions(VecDeque<String>);

impl Questions {
    /// The questions behind the first one.
    pub fn of(item: &Item) -> Self {
        Self(item.later_turns.iter().cloned().collect())
    }
}

impl Partner for Questions {
    fn step(&mut self, answer: &str) -> Result<Option<Say>> {
        let next = self.0.pop_front();
        Ok(next.map(|user| Say {
            answer: answer.to_owned(),
            user,
        }))
    }
}

/// Episodes of MINT, each with a session of its own.
#[derive(Debug, Clone)]
pub struct Episodes {
    /// Of the sessions.
    pub python: Python,
    /// Whose rules say when a solution is right, and thus when an episode ends.
    pub rules: Rules,
}

impl Episodes {
    /// The user of one episode.
    ///
    /// # Errors
    ///
    /// For an item that is no problem of MINT, and where no session can be started.
    pub fn partner(&self, item: &Item) -> Result<Box<dyn Partner>> {
        Ok(Box::new(Environment {
            episode: episode(item, self.rules)?,
            session: self.session()?,
        }))
    }

    fn session(&self) -> Result<Session> {
        Ok(Session::start(&self.python, limits())?)
    }
}

struct Environment {
    episode: Episode,
    session: Session,
}

impl Partner for Environment {
    fn step(&mut self, answer: &str) -> Result<Option<Say>> {
        if self.episode.step(answer, &mut self.session)?.is_some() {
            return Ok(None);
        }
        Ok(match self.episode.messages() {
            [.., answer, user] if user.role == Role::User => Some(Say {
                answer: answer.content.clone(),
                user: user.content.clone(),
            }),
            _ => None,
        })
    }
}

/// The episode of an item, before its first answer. The first message of the user is in the item's request.
fn episode(item: &Item, rules: Rules) -> Result<Episode> {
    let settings = Settings {
        rules,
        ..Settings::default()
    };
    Ok(Episode::new(mint_problem(item)?, "", settings))
}

/// What decides whether a solution of an item is right, by where the item comes from.
fn mint_problem(item: &Item) -> Result<mint::Task> {
    let wrong = |problem: &str| Error::CannotGrade {
        task: "mint".to_owned(),
        item: item.id.clone(),
        problem: problem.to_owned(),
    };
    let field = |name: &str| item.row.get(name).and_then(|it| it.as_str());
    let reference = || {
        let reference = field("reference").map(str::to_owned);
        reference.ok_or_else(|| wrong("its field `reference` is no text"))
    };
    let source = item.groups.get("source").map(String::as_str);
    Ok(match source {
        Some("humaneval" | "mbpp") => mint::Task::Code {
            tests: reference()?,
        },
        Some("math" | "gsm8k") => mint::Task::Reasoning {
            reference: reference()?,
            numbers: mint::Numbers::default(),
        },
        Some("mmlu") => mint::Task::MultipleChoice {
            reference: reference()?,
            options: mint::options(field("prompt").unwrap_or_default()),
        },
        Some("theoremqa") => mint::Task::TheoremQa {
            reference: item.row.get("reference").cloned().unwrap_or_default(),
            answer_type: field("answer_type")
                .ok_or_else(|| wrong("its field `answer_type` is no text"))?
                .to_owned(),
        },
        _ => return Err(wrong("it comes from none of the data sets of MINT")),
    })
}

/// What conversations are made of.
pub struct Conversation<'a> {
    /// The user of the conversation about a prompt, by the prompt's place.
    pub partner: &'a dyn Fn(usize) -> Result<Box<dyn Partner>>,
    /// What the model is sent of a request about the prompt at a place, or why it cannot be.
    pub sent: &'a dyn Fn(usize, ChatRequest) -> std::result::Result<ChatRequest, String>,
    /// How many are led at once.
    pub at_once: usize,
}

/// A conversation that goes on.
struct Led {
    place: usize,
    sample: usize,
    request: ChatRequest,
    partner: Box<dyn Partner>,
    turns: Vec<String>,
    tokens: usize,
    finish: Finish,
}

/// Leads the conversations that a file lacks, in rounds: all that go on are answered together. A conversation is written down
/// at its end, so that what was broken off is led again from its beginning. One that no longer fits the model's context ends
/// there, [cut off](Finish::Length).
///
/// # Errors
///
/// When the file cannot be written, and trouble with the machine of a partner. A prompt that is not answered is counted.
pub fn lead(
    model: &dyn ChatModel,
    prompts: &[PromptToAnswer],
    file: &mut SampleFile,
    conversation: &Conversation<'_>,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Drawn> {
    let lacking = prompts.iter().enumerate().flat_map(|(place, prompt)| {
        let missing = file.missing(prompt);
        missing.into_iter().map(move |sample| (place, sample))
    });
    let mut waiting: VecDeque<(usize, usize)> = lacking.collect();
    let wanted: usize = prompts.iter().map(|it| it.request.samples).sum();
    let before = wanted - waiting.len();
    let mut going: Vec<Led> = Vec::new();
    let mut drawn = Drawn::default();
    loop {
        while going.len() < conversation.at_once.max(1)
            && let Some((place, sample)) = waiting.pop_front()
        {
            going.push(Led {
                place,
                sample,
                request: prompts[place].request.clone(),
                partner: (conversation.partner)(place)?,
                turns: Vec::new(),
                tokens: 0,
                finish: Finish::Stop,
            });
        }
        if going.is_empty() {
            return Ok(drawn);
        }
        let answers = answers(model, &going, conversation);
        let mut answered = Vec::new();
        for (mut led, answer) in going.drain(..).zip(answers) {
            match answer {
                Answer::Text(completion) => {
                    led.tokens += completion.tokens;
                    led.finish = completion.finish;
                    drawn.new_tokens += completion.tokens;
                    led.turns.push(completion.text);
                    answered.push(led);
                }
                Answer::TooLong(_) if !led.turns.is_empty() => {
                    led.finish = Finish::Length;
                    file.append(led.sample(&prompts[led.place]))?;
                    drawn.new += 1;
                }
                Answer::TooLong(reason) => drawn.failed.push(led.failed(prompts, reason, false)),
                Answer::Failed { reason, may_pass } => {
                    drawn.failed.push(led.failed(prompts, reason, may_pass));
                }
            }
        }
        for (led, goes_on) in stepped(answered)? {
            if goes_on {
                going.push(led);
            } else {
                file.append(led.sample(&prompts[led.place]))?;
                drawn.new += 1;
            }
        }
        let progress = Progress {
            done: before + drawn.new,
            wanted,
            new_tokens: drawn.new_tokens,
        };
        if observe(progress).is_break() && !(going.is_empty() && waiting.is_empty()) {
            drawn.stopped = true;
            return Ok(drawn);
        }
    }
}

impl Led {
    fn sample(&self, prompt: &PromptToAnswer) -> Sample {
        Sample {
            id: prompt.id.clone(),
            sample: self.sample,
            text: self.turns.join("\n\n"),
            turns: self.turns.clone(),
            finish: self.finish,
            tokens: self.tokens,
            log_prob: None,
            seed: prompt.request.sampling.seed,
        }
    }

    fn failed(&self, prompts: &[PromptToAnswer], reason: String, may_pass: bool) -> FailedPrompt {
        FailedPrompt {
            id: prompts[self.place].id.clone(),
            reason,
            may_pass,
        }
    }

    /// Hears the partner on the last answer; whether the conversation goes on.
    fn step(&mut self) -> Result<bool> {
        let answer = self.turns.last().map_or("", String::as_str);
        let Some(say) = self.partner.step(answer)? else {
            return Ok(false);
        };
        let messages = &mut self.request.messages;
        messages.push(Message::assistant(say.answer));
        messages.push(Message::user(say.user));
        // One seed in all turns would draw their tokens by the same random numbers.
        let turn = format!("turn {}", self.turns.len());
        self.request.sampling.seed = prompt_seed(self.request.sampling.seed, &turn);
        Ok(true)
    }
}

enum Answer {
    Text(Completion),
    TooLong(String),
    Failed { reason: String, may_pass: bool },
}

/// One answer to each conversation.
fn answers(model: &dyn ChatModel, going: &[Led], conversation: &Conversation<'_>) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = Vec::new();
    let (mut requests, mut wanted, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (at, led) in going.iter().enumerate() {
        answers.push(None);
        match (conversation.sent)(led.place, led.request.clone()) {
            Ok(request) => {
                requests.push(request);
                wanted.push(vec![led.sample]);
                places.push(at);
            }
            Err(reason) => {
                let may_pass = false;
                answers[at] = Some(Answer::Failed { reason, may_pass });
            }
        }
    }
    let ended = model.complete_batch_each(&requests, &wanted, &mut |place, _, completion| {
        answers[places[place]] = Some(Answer::Text(completion));
    });
    for (at, ended) in places.into_iter().zip(ended) {
        if let Err(error) = ended {
            answers[at] = Some(failure(&error));
        }
    }
    let none = || Answer::Failed {
        reason: "the model gave no answer".to_owned(),
        may_pass: true,
    };
    let all = answers.into_iter();
    all.map(|answer| answer.unwrap_or_else(none)).collect()
}

/// Servers have no common code for a conversation that is too long, but all of them name the context.
fn failure(error: &chat_model::Error) -> Answer {
    let reason = error.to_string();
    match !error.is_passing() && reason.contains("context") {
        true => Answer::TooLong(reason),
        false => Answer::Failed {
            may_pass: error.is_passing(),
            reason,
        },
    }
}

/// Steps all, on as many threads as there are cores: partners may run programs.
fn stepped(mut answered: Vec<Led>) -> Result<Vec<(Led, bool)>> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let share = answered.len().div_ceil(cores).max(1);
    let ended: Vec<Vec<Result<bool>>> = thread::scope(|scope| {
        let threads: Vec<_> = answered
            .chunks_mut(share)
            .map(|chunk| scope.spawn(|| chunk.iter_mut().map(Led::step).collect()))
            .collect();
        let threads = threads.into_iter();
        threads
            .map(|thread| {
                let ended = thread.join();
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let ended = ended.into_iter().flatten();
    let both = answered.into_iter().zip(ended);
    both.map(|(led, goes_on)| Ok((led, goes_on?))).collect()
}

/// Judges episodes of MINT by playing what the model said once more.
///
/// # Errors
///
/// As [`grade_answers`](super::grade_answers).
pub fn grade_conversations(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    episodes: &Episodes,
    workers: usize,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let judge = |session: &mut Session, item: &Item, sample: &Sample| {
        session.reset()?;
        let mut episode = episode(item, episodes.rules)?;
        for turn in &sample.turns {
            episode.step(turn, session)?;
        }
        let end = episode.end().unwrap_or_else(|| episode.overflow());
        let last = episode.grades().last();
        let extracted = last.and_then(|it| it.extracted.clone());
        let grade = match last.map(|it| &it.verdict) {
            Some(Verdict::Unjudged { .. }) => last.cloned(),
            _ => None,
        };
        let why = format!("{end} in turn {}", sample.turns.len());
        Ok(ItemVerdict {
            id: item.id.clone(),
            sample: sample.sample,
            grade: grade
                .unwrap_or_else(|| Grade::new(end == mint::End::TaskSuccess, extracted, why)),
            rating: None,
            finish: Some(sample.finish),
            protection: Some(session.safeguards().protection),
        })
    };
    let workers = Workers {
        start: &|| episodes.session(),
        judge: &judge,
        count: workers,
    };
    judge_each(items, answers, unanswered, &workers, on_verdict)
}

/// Has a judge rate conversations from 1 to 10: each turn with those before it, and a conversation by their mean.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn rate_conversations(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    model: &dyn ChatModel,
    workers: usize,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let judge = |_: &mut (), item: &Item, sample: &Sample| {
        let (rating, reason) = match rated(model, item, sample)? {
            Rating::Rated(value) => (Some(value), format!("rated {value} of 10")),
            Rating::Unjudged { reason } => (None, reason),
        };
        Ok(ItemVerdict {
            id: item.id.clone(),
            sample: sample.sample,
            grade: Grade {
                verdict: Verdict::Unjudged {
                    reason: reason.clone(),
                },
                extracted: rating.map(|it| it.to_string()),
                why: reason,
            },
            rating,
            finish: Some(sample.finish),
            protection: None,
        })
    };
    let workers = Workers {
        start: &|| Ok(()),
        judge: &judge,
        count: workers,
    };
    judge_each(items, answers, unanswered, &workers, on_verdict)
}

fn rated(model: &dyn ChatModel, item: &Item, sample: &Sample) -> Result<Rating> {
    let first = item.request.messages.last().map(|it| it.content.as_str());
    let questions = first
        .into_iter()
        .chain(item.later_turns.iter().map(String::as_str));
    let references = &item.row.get("reference").unwrap_or(&Value::Null)["choices"][0]["turns"];
    let turns = questions.zip(&sample.turns).enumerate();
    let turns: Vec<Turn<'_>> = turns
        .map(|(at, (question, answer))| Turn {
            question,
            answer,
            reference: references[at].as_str(),
        })
        .collect();
    if turns.len() <= item.later_turns.len() {
        let reason = "the conversation no longer fitted the model's context".to_owned();
        return Ok(Rating::Unjudged { reason });
    }
    let seed = prompt_seed(sample.seed, &format!("sample {}", sample.sample));
    let mut sum = 0.0;
    for end in 1..=turns.len() {
        match rate(model, &turns[..end], seed)? {
            Rating::Rated(value) => sum += value,
            unjudged => return Ok(unjudged),
        }
    }
    Ok(Rating::Rated(sum / turns.len() as f64))
}
