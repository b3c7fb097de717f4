//! Leading conversations side by side.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::thread;

use chat_model::{ChatModel, ChatRequest, Completion, Finish, Message};

use super::partners::Partner;
use crate::error::Result;
use crate::samples::{
    Drawn, FailedPrompt, Progress, PromptToAnswer, Sample, SampleFile, prompt_seed,
};

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

fn failure(error: &chat_model::Error) -> Answer {
    let reason = error.to_string();
    match error.is_too_long() {
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
