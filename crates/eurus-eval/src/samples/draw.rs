//! Drawing the samples that a file lacks.

use std::ops::ControlFlow;

use chat_model::{ChatModel, ChatRequest};

use super::{PromptToAnswer, Sample, SampleFile};
use crate::error::{Error, Result};

/// Samples that are asked for at once. A model in this process computes them together as far as it has room.
const AT_ONCE: usize = 1024;

/// How far the drawing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Samples in the file.
    pub done: usize,
    /// Samples that there will be.
    pub wanted: usize,
    /// Tokens of the samples that were drawn now.
    pub new_tokens: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Samples that were drawn now.
    pub new: usize,
    /// Their tokens.
    pub new_tokens: usize,
    /// Prompts that could not be answered.
    pub failed: Vec<FailedPrompt>,
    /// Whether the observer ended it before all was drawn.
    pub stopped: bool,
}

/// A prompt that was not answered, or not as often as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPrompt {
    /// The prompt.
    pub id: String,
    /// Why: it is too long for the model, the server refused it or could not be reached.
    pub reason: String,
    /// Whether the same may be answered later.
    pub may_pass: bool,
}

/// Draws the samples that a file lacks, and writes each down as it ends. A prompt that cannot be answered is counted; what
/// was drawn of it is kept.
///
/// # Errors
///
/// [`Error::DuplicatePrompt`], and when the file cannot be written. A model that cannot be reached fails every prompt.
pub fn draw(
    model: &dyn ChatModel,
    prompts: &[PromptToAnswer],
    file: &mut SampleFile,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Drawn> {
    check_unique(prompts)?;
    let wanted: usize = prompts.iter().map(|it| it.request.samples).sum();
    let lacking: Vec<(&PromptToAnswer, Vec<usize>)> = prompts
        .iter()
        .map(|prompt| (prompt, file.missing(prompt)))
        .filter(|(_, missing)| !missing.is_empty())
        .collect();
    let left: usize = lacking.iter().map(|(_, missing)| missing.len()).sum();
    let before = wanted - left;
    let mut drawn = Drawn::default();
    for batch in batches(&lacking) {
        let requests: Vec<ChatRequest> = batch.iter().map(|(it, _)| it.request.clone()).collect();
        let numbers: Vec<Vec<usize>> = batch.iter().map(|(_, missing)| missing.clone()).collect();
        let mut fault = None;
        let ended =
            model.complete_batch_each(&requests, &numbers, &mut |place, number, completion| {
                let sample = Sample::new(batch[place].0, number, completion);
                let tokens = sample.tokens;
                match file.append(sample) {
                    Err(error) => fault = fault.take().or(Some(error)),
                    Ok(()) => {
                        drawn.new += 1;
                        drawn.new_tokens += tokens;
                        let progress = Progress {
                            done: before + drawn.new,
                            wanted,
                            new_tokens: drawn.new_tokens,
                        };
                        drawn.stopped |= observe(progress).is_break();
                    }
                }
            });
        if let Some(error) = fault {
            return Err(error);
        }
        for ((prompt, _), ended) in batch.iter().zip(ended) {
            if let Err(error) = ended {
                drawn.failed.push(FailedPrompt {
                    id: prompt.id.clone(),
                    reason: error.to_string(),
                    may_pass: error.is_passing(),
                });
            }
        }
        if drawn.stopped {
            break;
        }
    }
    Ok(drawn)
}

/// Runs of prompts that lack [`AT_ONCE`] samples together, or one prompt that lacks more.
fn batches<T>(lacking: &[(T, Vec<usize>)]) -> Vec<&[(T, Vec<usize>)]> {
    let mut batches = Vec::new();
    let mut rest = lacking;
    while !rest.is_empty() {
        let mut samples = 0;
        let fit = rest.iter().take_while(|(_, missing)| {
            samples += missing.len();
            samples <= AT_ONCE
        });
        let count = fit.count().max(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

fn check_unique(prompts: &[PromptToAnswer]) -> Result<()> {
    let mut ids = std::collections::HashSet::new();
    match prompts.iter().find(|prompt| !ids.insert(&prompt.id)) {
        None => Ok(()),
        Some(prompt) => Err(Error::DuplicatePrompt {
            id: prompt.id.clone(),
        }),
    }
}
