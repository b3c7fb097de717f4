//! What a model wrote to a prompt as its training went on.

use serde::Serialize;

use super::chart::shortened;

/// Characters of a prompt that stand in its summary.
const SUMMARY_CHARACTERS: usize = 120;

/// A prompt with what was written to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PromptSamples {
    /// The prompt.
    pub prompt: String,
    /// What was written, by step.
    pub samples: Vec<StepSample>,
}

/// What a model wrote at one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StepSample {
    /// Optimizer steps taken by then.
    pub step: usize,
    /// What it wrote.
    pub text: String,
}

/// The context of the template.
#[derive(Debug, Serialize)]
pub(super) struct SamplesView {
    caption: String,
    prompts: Vec<PromptView>,
}

#[derive(Debug, Serialize)]
struct PromptView {
    summary: String,
    #[serde(flatten)]
    of: PromptSamples,
}

impl SamplesView {
    pub fn new(caption: String, prompts: Vec<PromptSamples>) -> Self {
        let view = |of: PromptSamples| {
            let words: Vec<&str> = of.prompt.split_whitespace().collect();
            PromptView {
                summary: shortened(&words.join(" "), SUMMARY_CHARACTERS),
                of,
            }
        };
        Self {
            caption,
            prompts: prompts.into_iter().map(view).collect(),
        }
    }
}
