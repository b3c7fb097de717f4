//! A language model as the critic.

use chat_model::{ChatModel, ChatRequest, Message, Role, Sampling};

use super::{Critic, CritiqueRequest, mentions_answer};
use crate::{Error, Result};

/// How often a critique that tells the answer is drawn anew.
const DRAWS: u64 = 3;

/// The critique that stands in when none of the model's was fit to be shown.
const NO_CRITIQUE: &str = "Look at every step again.";

/// The parts that a template can ask for.
const PLACEHOLDERS: [&str; 6] = [
    "problem",
    "history",
    "action",
    "execution",
    "rationale",
    "ground_truth",
];

/// Asks a language model for the critique.
///
/// The template is the user message; `{problem}`, `{history}`, `{action}`, `{execution}`,
/// `{rationale}` and `{ground_truth}` in it are filled in. A critique that tells the answer (a
/// number that neither the problem nor the action has) is drawn anew, and after three tries
/// replaced by a general sentence.
pub struct ModelCritic<M> {
    model: M,
    template: String,
    system: Option<String>,
    sampling: Sampling,
}

impl<M: ChatModel> ModelCritic<M> {
    /// The template that is used unless another one is given.
    pub const DEFAULT_TEMPLATE: &'static str = "\
A student works on this problem:
{problem}

The conversation so far:
{history}

The student's latest attempt, which is wrong:
{action}

What the interpreter says about its code:
{execution}

For your eyes only, a correct solution:
{rationale}
The answer is {ground_truth}.

Point out the first mistake of the attempt in at most three sentences and say what to think about \
next. Do not tell the answer, and do not write the solution.";

    /// A critic with the default template, greedy, of at most 256 tokens.
    pub fn new(model: M) -> Self {
        Self {
            model,
            template: Self::DEFAULT_TEMPLATE.to_owned(),
            system: None,
            sampling: Sampling {
                temperature: 0.0,
                max_tokens: 256,
                ..Sampling::default()
            },
        }
    }

    /// Replaces the template.
    ///
    /// # Errors
    ///
    /// When it does not ask for the problem and the action, or asks for a part that there is not.
    pub fn with_template(mut self, template: impl Into<String>) -> Result<Self> {
        let template = template.into();
        for needed in ["{problem}", "{action}"] {
            if !template.contains(needed) {
                return Error::config("template", format!("has no {needed}; put it in"));
            }
        }
        if let Some(unknown) = placeholders(&template).find(|name| !PLACEHOLDERS.contains(name)) {
            return Error::config(
                "template",
                format!("has {{{unknown}}}; known are {}", PLACEHOLDERS.join(", ")),
            );
        }
        self.template = template;
        Ok(self)
    }

    /// Adds a system message.
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// Replaces the sampling. Its seed is mixed with the seed of each request.
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    fn request(&self, request: &CritiqueRequest<'_>, draw: u64) -> ChatRequest {
        let system = self.system.as_ref().map(Message::system);
        let user = Message::user(fill(&self.template, |name| part(request, name)));
        ChatRequest::new(system.into_iter().chain([user])).with_sampling(Sampling {
            // Another seed for every draw, or a model that honors it would repeat itself.
            seed: self.sampling.seed ^ request.seed.wrapping_add(draw),
            ..self.sampling.clone()
        })
    }

    fn model_error(&self, request: &CritiqueRequest<'_>, source: chat_model::Error) -> Error {
        Error::Model {
            problem: request.problem.id.clone(),
            turn: request
                .history
                .iter()
                .filter(|m| m.role == Role::User)
                .count(),
            source,
        }
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
        match self.critique_batch(std::slice::from_ref(request)).pop() {
            Some(critique) => critique,
            None => Ok(NO_CRITIQUE.to_owned()),
        }
    }

    fn critique_batch(&self, requests: &[CritiqueRequest<'_>]) -> Vec<Result<String>> {
        let mut critiques: Vec<Option<Result<String>>> = requests.iter().map(|_| None).collect();
        for draw in 0..DRAWS {
            let open: Vec<usize> = (0..requests.len())
                .filter(|&index| critiques[index].is_none())
                .collect();
            let calls: Vec<ChatRequest> = open
                .iter()
                .map(|&index| self.request(&requests[index], draw))
                .collect();
            if calls.is_empty() {
                break;
            }
            for (&index, answer) in open.iter().zip(self.model.complete_batch(&calls)) {
                let request = &requests[index];
                critiques[index] = match answer {
                    Err(source) => Some(Err(self.model_error(request, source))),
                    Ok(completions) => completions
                        .into_iter()
                        .map(|completion| completion.text.trim().to_owned())
                        .find(|text| !text.is_empty() && !tells_answer(text, request))
                        .map(Ok),
                };
            }
        }
        critiques
            .into_iter()
            .map(|critique| critique.unwrap_or_else(|| Ok(NO_CRITIQUE.to_owned())))
            .collect()
    }
}

/// Whether a critique has the answer in it where neither the problem nor the action has it.
fn tells_answer(critique: &str, request: &CritiqueRequest<'_>) -> bool {
    let problem = request.problem;
    mentions_answer(critique, problem)
        && !mentions_answer(&problem.instruction, problem)
        && !mentions_answer(request.action, problem)
}

fn part(request: &CritiqueRequest<'_>, name: &str) -> Option<String> {
    let problem = request.problem;
    Some(match name {
        "problem" => problem.instruction.clone(),
        "history" => history(request.history),
        "action" => request.action.to_owned(),
        "execution" => match request.execution {
            Some(execution) => execution.render().to_owned(),
            None => "(no code)".to_owned(),
        },
        "rationale" => problem.rationale().unwrap_or("(none)").to_owned(),
        "ground_truth" => problem
            .ground_truth()
            .unwrap_or("(none)".into())
            .into_owned(),
        _ => return None,
    })
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

/// The names between braces that could be placeholders.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_name.then_some(name)
    })
}

/// Fills in one pass, so that braces in what is filled in stay as they are.
fn fill(template: &str, part: impl Fn(&str) -> Option<String>) -> String {
    let mut pieces = template.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let filled = piece
            .split_once('}')
            .and_then(|(name, rest)| Some(part(name)? + rest));
        match filled {
            Some(filled) => text += &filled,
            None => {
                text.push('{');
                text += piece;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use chat_model::{Completion, FnModel};

    use super::*;
    use crate::Problem;

    fn problem() -> Problem {
        Problem {
            id: "p".into(),
            instruction: "What is 6 * {x}, x being 7?".into(),
            task: ultrainteract::Task::MathCot,
            gold: crate::Gold::Answer("42".into()),
            solutions: vec!["6 * 7 = 42".into()],
            dataset: "d".into(),
        }
    }

    fn critique_by(
        answer: impl Fn(&ChatRequest) -> String + Send + Sync,
        template: Option<&str>,
    ) -> Result<String> {
        let model = FnModel::new("teacher", |request: &ChatRequest| {
            Ok(vec![Completion::stopped(answer(request))])
        });
        let mut critic = ModelCritic::new(&model);
        if let Some(template) = template {
            critic = critic.with_template(template)?;
        }
        critic.critique(&CritiqueRequest {
            problem: &problem(),
            action: "{problem} 41",
            execution: None,
            answer: Some("41"),
            history: &[Message::user("What is 6 * {x}, x being 7?")],
            seed: 1,
        })
    }

    #[test]
    fn the_template_is_filled_once() {
        let echo = |request: &ChatRequest| request.messages[0].content.clone();
        let text = critique_by(
            echo,
            Some("P: {problem} A: {action} E: {execution} \\boxed{} {"),
        );
        assert_eq!(
            text.unwrap(),
            "P: What is 6 * {x}, x being 7? A: {problem} 41 E: (no code) \\boxed{} {"
        );
    }

    #[test]
    fn a_template_with_an_unknown_or_missing_part_is_refused() {
        let error = critique_by(|_| String::new(), Some("{problem} {action} {mood}")).unwrap_err();
        assert!(error.to_string().contains("{mood}"), "{error}");
        let error = critique_by(|_| String::new(), Some("{problem}")).unwrap_err();
        assert!(error.to_string().contains("{action}"), "{error}");
    }

    #[test]
    fn a_critique_that_tells_the_answer_is_drawn_anew() {
        let text = critique_by(
            |request| match request.sampling.seed {
                1 => "It should be 42.".into(),
                _ => "Multiply again.".into(),
            },
            None,
        );
        assert_eq!(text.unwrap(), "Multiply again.");
        let text = critique_by(|_| "It is 42.".into(), None).unwrap();
        assert_eq!(text, NO_CRITIQUE);
    }
}
