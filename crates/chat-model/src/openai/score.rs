//! Log-probabilities of an answer that is given.

use serde_json::{Value, json};

use super::body::Body;
use super::exchange::{Exchange, Size};
use super::http::{Failed, Paid, Path};
use super::reply::{Charge, count};
use crate::usage::{estimated_tokens, most_prompt_tokens};
use crate::{Capability, ChatRequest, Error, Refusal, Result, TokenLogProb};

impl Exchange {
    /// Has the server echo the prompt with the answer behind it, and takes the tokens of the answer.
    ///
    /// Only `/completions` can echo, so the prompt is a raw one. Some servers want to draw at least one token; it is left
    /// out.
    pub fn log_probs_of(
        &self,
        request: &ChatRequest,
        completion: &str,
    ) -> Result<Vec<TokenLogProb>> {
        let Some(raw) = &request.raw_prompt else {
            let problem = "the OpenAI protocol has it for raw prompts alone; render the conversation by the \
                           model's template and give it as raw prompt";
            return Err(self.cannot(Path::Chat, Capability::Scoring, problem));
        };
        let prompt = format!("{raw}{}", request.begun_answer().unwrap_or_default());
        match self.echo(request, &prompt, completion, 0) {
            Err(Error::Status {
                status: 400 | 422,
                refusal: Refusal::Other,
                ..
            }) => self.echo(request, &prompt, completion, 1),
            outcome => outcome,
        }
        .map_err(|error| match &error {
            Error::Status {
                refusal: Refusal::Other | Refusal::NotFound,
                status,
                body,
                ..
            } => {
                let problem = format!("it answers with status {status}: {body}");
                self.cannot(Path::Completions, Capability::Scoring, &problem)
            }
            _ => error,
        })
    }

    fn echo(
        &self,
        request: &ChatRequest,
        prompt: &str,
        completion: &str,
        drawn: usize,
    ) -> Result<Vec<TokenLogProb>> {
        let whole = format!("{prompt}{completion}");
        let mut body = json!({
            "model": self.config.model, "prompt": whole, "max_tokens": drawn,
            "echo": true, "logprobs": 1, "temperature": 0.0,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.config.extra_body.clone());
        }
        let most = most_prompt_tokens(request) + completion.len();
        let size = Size {
            samples: 0,
            tokens: estimated_tokens(&whole) as u64,
            most_cost: self
                .config
                .prices
                .map_or(0.0, |prices| prices.cost(most as f64, drawn as f64)),
        };
        let body = Body::of(&body);
        self.post(Path::Completions, &body, &size, false, &mut |mut answer| {
            let (value, _) = self.read_json(Path::Completions, &mut answer)?;
            let count = count(&value);
            let charge = Charge {
                prompt_tokens: count.prompt.unwrap_or(estimated_tokens(&whole) as u64),
                completion_tokens: count.completion.unwrap_or(drawn as u64),
                estimated: count.prompt.is_none(),
            };
            match self.completion_tokens(&value, prompt, completion) {
                Ok(tokens) => Ok((tokens, charge)),
                Err(error) => Err(Failed {
                    error,
                    paid: Paid::Yes(charge),
                }),
            }
        })
    }

    /// The tokens of the completion among those of the whole text, and their log-probabilities.
    fn completion_tokens(
        &self,
        reply: &Value,
        prompt: &str,
        completion: &str,
    ) -> Result<Vec<TokenLogProb>> {
        let cannot =
            |problem: &str| Err(self.cannot(Path::Completions, Capability::Scoring, problem));
        let choice = reply.get("choices").and_then(|choices| choices.get(0));
        let logprobs = choice.and_then(|choice| choice.get("logprobs"));
        let list = |name| logprobs.and_then(|logprobs| logprobs.get(name)?.as_array());
        let (Some(tokens), Some(values)) = (list("tokens"), list("token_logprobs")) else {
            return cannot(
                "it does not echo the prompt with log-probabilities (`echo`, `logprobs`)",
            );
        };
        let texts: Vec<&str> = tokens.iter().filter_map(Value::as_str).collect();
        if texts.len() != tokens.len() || tokens.len() != values.len() {
            return cannot("its echo has tokens without text or without log-probability");
        }
        // Tokens of the template's kind (a beginning of text) may stand before the prompt, drawn ones after.
        let joined = texts.concat();
        let Some(start) = joined.find(&format!("{prompt}{completion}")) else {
            return cannot("the tokens of its echo do not make up the text that was sent");
        };
        let (from, to) = (
            start + prompt.len(),
            start + prompt.len() + completion.len(),
        );
        let mut found = Vec::new();
        let mut at = 0;
        for (text, value) in texts.into_iter().zip(values) {
            let (begin, end) = (at, at + text.len());
            at = end;
            if end <= from || begin >= to {
                continue;
            }
            if begin < from || end > to {
                return Err(Error::Request {
                    problem: format!(
                        "has a token `{text}` that belongs half to the completion and half to what is around it; \
                         divide the text elsewhere, for instance before a space"
                    ),
                });
            }
            let Some(log_prob) = value.as_f64() else {
                return cannot(
                    "a token of the completion has no log-probability; give a longer prompt",
                );
            };
            found.push(TokenLogProb {
                token: text.to_owned(),
                log_prob,
            });
        }
        Ok(found)
    }
}
