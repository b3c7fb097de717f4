//! A language model as the critic.

use chat_model::{ChatModel, ChatRequest, Message, Role, Sampling};

use super::{Critic, CritiqueRequest, mentions_answer};
use crate::prompts::CriticView;
use crate::{Error, Prompts, Result};

/// How often a critique that tells the answer is drawn.
const DRAWS: u64 = 3;

/// Temperature of every draw after the first, if that was greedy: it would be the same again.
const REDRAW_TEMPERATURE: f32 = 0.7;

/// The critique that stands in when none of the model's was fit to be shown.
const NO_CRITIQUE: &str = "Look at every step again.";

/// Asks a language model for the critique, with the gold answer before its eyes, by the template `critic` of [`Prompts`].
///
/// A critique that tells the answer (which neither the problem nor the action has) is drawn anew, and after three tries replaced
/// by a general sentence.
pub struct ModelCritic<M> {
    model: M,
    prompts: Prompts,
    sampling: Sampling,
}

impl<M: ChatModel> ModelCritic<M> {
    /// A critic, greedy, of at most 256 tokens.
    pub fn new(model: M) -> Self {
        Self {
            model,
            prompts: Prompts::default(),
            sampling: Sampling {
                temperature: 0.0,
                max_tokens: 256,
                ..Sampling::default()
            },
        }
    }

    /// Replaces the words that it is asked with.
    pub fn with_prompts(mut self, prompts: Prompts) -> Self {
        self.prompts = prompts;
        self
    }

    /// Replaces the sampling. Its seed is mixed with the seed of each request.
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    fn request(&self, request: &CritiqueRequest<'_>, draw: u64) -> Result<ChatRequest> {
        let words = self.prompts.critic(&CriticView {
            problem: request.problem,
            history: &history(request.history),
            action: request.action,
            execution: request.execution.map(|execution| execution.render()),
            answer: request.answer,
        })?;
        let mut sampling = Sampling {
            // Another seed for every draw, or a model that honors it would repeat itself.
            seed: self.sampling.seed ^ request.seed.wrapping_add(draw),
            ..self.sampling.clone()
        };
        if draw > 0 && sampling.temperature == 0.0 {
            sampling.temperature = REDRAW_TEMPERATURE;
        }
        Ok(ChatRequest::new([Message::user(words)]).with_sampling(sampling))
    }
}

impl<M: ChatModel> std::fmt::Debug for ModelCritic<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ModelCritic")
            .field("model", &self.model.name())
            .finish_non_exhaustive()
    }
}

impl<M: ChatModel> Critic for ModelCritic<M> {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        for draw in 0..DRAWS {
            let completions = self.model.complete(&self.request(request, draw)?);
            let completions = completions.map_err(|source| Error::Model {
                problem: request.problem.id.clone(),
                turn: turn_of(request),
                source,
            })?;
            let texts = completions.iter().map(|completion| completion.text.trim());
            let fit = |text: &&str| !text.is_empty() && !tells_answer(text, request);
            if let Some(text) = texts.into_iter().find(fit) {
                return Ok(text.to_owned());
            }
        }
        Ok(NO_CRITIQUE.to_owned())
    }
}

/// The turn of the action, from 1.
fn turn_of(request: &CritiqueRequest<'_>) -> usize {
    let asks = |message: &&Message| message.role == Role::User;
    request.history.iter().filter(asks).count()
}

/// Whether a critique has the answer in it where neither the problem nor the action has it.
fn tells_answer(critique: &str, request: &CritiqueRequest<'_>) -> bool {
    let problem = request.problem;
    mentions_answer(critique, problem)
        && !mentions_answer(&problem.instruction, problem)
        && !mentions_answer(request.action, problem)
}

/// The conversation after the instruction.
fn history(messages: &[Message]) -> String {
    let lines: Vec<String> = messages
        .iter()
        .filter(|message| message.role != Role::System)
        .skip(1)
        .map(|message| match message.role {
            Role::Assistant => format!("Student: {}", message.content),
            _ => format!("Teacher: {}", message.content),
        })
        .collect();
    if lines.is_empty() {
        return "(this is the first attempt)".to_owned();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use chat_model::{Completion, FnModel};

    use super::*;
    use crate::{Gold, Problem};

    fn problem() -> Problem {
        Problem {
            id: "p".into(),
            instruction: "What is 6 * {{ x }}, x being 7?".into(),
            task: ultrainteract::Task::MathCot,
            gold: Gold::Answer("42".into()),
            solutions: vec!["6 * 7 = 42".into()],
            dataset: "d".into(),
        }
    }

    fn critique_by(answer: impl Fn(&ChatRequest) -> String + Send + Sync) -> String {
        let model = FnModel::new("teacher", |request: &ChatRequest| {
            Ok(vec![Completion::stopped(answer(request))])
        });
        let critique = ModelCritic::new(&model).critique(&CritiqueRequest {
            problem: &problem(),
            action: "{{ ground_truth }} 41",
            execution: None,
            answer: Some("41"),
            history: &[Message::user("What is 6 * {{ x }}, x being 7?")],
            seed: 1,
        });
        critique.unwrap()
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let told = std::sync::Mutex::new(String::new());
        critique_by(|request| {
            *told.lock().unwrap() = request.messages[0].content.clone();
            "Multiply again.".into()
        });
        let told = told.into_inner().unwrap();
        assert!(told.contains("What is 6 * {{ x }}, x being 7?"), "{told}");
        assert!(told.contains("{{ ground_truth }} 41"), "{told}");
        assert!(told.contains("The answer is 42."), "{told}");
    }

    #[test]
    fn a_critique_that_tells_the_answer_is_drawn_anew_and_not_greedily() {
        let text = critique_by(|request| match request.sampling.temperature {
            0.0 => "It should be 42.".into(),
            _ => "Multiply again.".into(),
        });
        assert_eq!(text, "Multiply again.");
        assert_eq!(critique_by(|_| "It is 42.".into()), NO_CRITIQUE);
    }
}
