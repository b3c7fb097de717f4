//! A checkpoint in this process as a chat model: it can act, criticise and be evaluated.

use chat_model::{ChatModel, ChatRequest, Completion, Sampling};
use token_forest::{ChatTokenizer, Message};

use crate::Decoder;
use crate::generate::{
    Continuation, Finish, Flow, GenerationEvent, Generator, Prompt, SamplingParams,
};

/// A decoder with its tokenizer. Requests of a batch advance together, and the samples of a request share their prompt.
#[derive(Debug, Clone)]
pub struct LocalChatModel {
    name: String,
    generator: Generator,
    tokenizer: ChatTokenizer,
}

impl LocalChatModel {
    /// Makes a chat model; a completion ends at the tokenizer's end-of-turn token.
    pub fn new(name: impl Into<String>, model: &Decoder, tokenizer: ChatTokenizer) -> Self {
        let generator = Generator::new(model, vec![tokenizer.eos_id()]);
        Self {
            name: name.into(),
            generator,
            tokenizer,
        }
    }

    /// Lets completions end at these tokens too, such as [those that the checkpoint lists](crate::EosTokenIds).
    pub fn with_stop_tokens(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.generator = self.generator.with_stop_tokens(ids);
        self
    }

    /// Sets how many sequences advance together.
    pub fn with_max_rows(mut self, max_rows: usize) -> Self {
        self.generator = self.generator.with_max_rows(max_rows);
        self
    }

    fn error(&self, problem: impl ToString) -> chat_model::Error {
        chat_model::Error::Local {
            model: self.name.clone(),
            message: problem.to_string(),
        }
    }

    fn prompt(&self, request: &ChatRequest) -> chat_model::Result<Prompt> {
        request.check(self)?;
        let messages: Vec<Message> = request
            .messages
            .iter()
            .map(|message| match message.role {
                chat_model::Role::System => Message::system(&message.content),
                chat_model::Role::User => Message::user(&message.content),
                chat_model::Role::Assistant => Message::assistant(&message.content),
            })
            .collect();
        let tokens = self
            .tokenizer
            .encode_prompt(&messages)
            .map_err(|error| self.error(error))?;
        Ok(Prompt {
            tokens,
            samples: request.samples,
            seed: request.sampling.seed,
        })
    }

    /// Whether a stop text stands in the last tokens, the newest of which may have completed it.
    fn ends_with_stop(&self, tokens: &[u32], stop: &[String]) -> bool {
        let Some(longest) = stop.iter().map(String::len).max().filter(|&len| len > 0) else {
            return false;
        };
        // A token is a byte at least; a few more, since the first of a tail may be half a character.
        let tail = &tokens[tokens.len().saturating_sub(longest + 4)..];
        let text = self.tokenizer.decode(tail).unwrap_or_default();
        stop.iter()
            .any(|stop| !stop.is_empty() && text.contains(stop.as_str()))
    }

    fn completion(
        &self,
        continuation: Continuation,
        stop: &[String],
    ) -> chat_model::Result<Completion> {
        let mut text = self
            .tokenizer
            .decode(&continuation.tokens)
            .map_err(|error| self.error(error))?;
        let mut finish = match continuation.finish {
            Finish::Stop => chat_model::Finish::Stop,
            Finish::Length => chat_model::Finish::Length,
        };
        let cut = stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| text.find(stop.as_str()))
            .min();
        if let Some(cut) = cut {
            text.truncate(cut);
            finish = chat_model::Finish::Stop;
        }
        Ok(Completion::new(text, finish, continuation.tokens.len()))
    }

    /// Requests drawn the same way, together.
    fn complete_alike(
        &self,
        requests: &[&ChatRequest],
    ) -> chat_model::Result<Vec<Vec<Completion>>> {
        let Some(first) = requests.first() else {
            return Ok(Vec::new());
        };
        let prompts = requests
            .iter()
            .map(|request| self.prompt(request))
            .collect::<chat_model::Result<Vec<_>>>()?;
        let params = SamplingParams {
            temperature: first.sampling.temperature,
            top_p: first.sampling.top_p,
            top_k: 0,
            repetition_penalty: 1.0,
            max_tokens: first.sampling.max_tokens,
        };
        let mut end_at_stop_texts = |event: GenerationEvent<'_>| match event {
            GenerationEvent::Token { prompt, tokens, .. }
                if self.ends_with_stop(tokens, &requests[prompt].sampling.stop) =>
            {
                Flow::Stop
            }
            _ => Flow::Continue,
        };
        let continuations = self
            .generator
            .generate(&prompts, &params, &mut end_at_stop_texts)
            .map_err(|error| self.error(error))?;
        continuations
            .into_iter()
            .zip(requests)
            .map(|(samples, request)| {
                samples
                    .into_iter()
                    .map(|sample| self.completion(sample, &request.sampling.stop))
                    .collect()
            })
            .collect()
    }
}

/// Whether two requests can be drawn in one batch: all but the seed and the stop texts agree.
fn alike(a: &Sampling, b: &Sampling) -> bool {
    a.temperature == b.temperature && a.top_p == b.top_p && a.max_tokens == b.max_tokens
}

impl ChatModel for LocalChatModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, request: &ChatRequest) -> chat_model::Result<Vec<Completion>> {
        let mut completed = self.complete_alike(&[request])?;
        Ok(completed.pop().unwrap_or_default())
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<chat_model::Result<Vec<Completion>>> {
        let together = requests
            .windows(2)
            .all(|pair| alike(&pair[0].sampling, &pair[1].sampling));
        if together {
            let all: Vec<&ChatRequest> = requests.iter().collect();
            if let Ok(completed) = self.complete_alike(&all) {
                return completed.into_iter().map(Ok).collect();
            }
        }
        // Each on its own: requests differ, or one of them is at fault and the others are not.
        requests
            .iter()
            .map(|request| self.complete(request))
            .collect()
    }
}
