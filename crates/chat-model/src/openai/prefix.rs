//! Whether and how a server goes on with an answer that the caller begins.

use std::sync::{Mutex, PoisonError};

use super::body::Ask;
use super::config::PrefixSupport;
use super::exchange::Exchange;
use super::http::Path;
use crate::{Capability, ChatRequest, Completion, Error, Message, Refusal, Result, Sampling};

/// What has been found out about a server.
#[derive(Default)]
pub(super) struct Habits {
    /// Whether it repeats the prefix, in answers that come at once and in those that come piece by piece: llama.cpp does
    /// in the one and not in the other.
    repeats_prefix: [Mutex<Option<bool>>; 2],
}

/// A prefix that is one token in about every vocabulary.
const SHORT: &str = "Yes";

/// A prefix that no model writes by itself, least of all in one token.
const ODD: &str = "zqx-7419-kvw-8302";

impl Exchange {
    /// The prefix that the answers to a call repeat.
    ///
    /// # Errors
    ///
    /// When the server does not go on with a begun answer.
    pub fn repeated_prefix<'a>(&self, ask: &Ask<'a>) -> Result<Option<&'a str>> {
        let Some(prefix) = ask.request.begun_answer() else {
            return Ok(None);
        };
        if ask.path() == Path::Completions {
            // The prefix is the end of the prompt.
            return Ok(None);
        }
        let repeats = match self.config.answer_prefix {
            PrefixSupport::Continues => false,
            PrefixSupport::Repeats => true,
            PrefixSupport::Unsupported => {
                let problem = "the settings say so (`answer_prefix`); give a raw prompt instead";
                return Err(self.cannot(Path::Chat, Capability::AnswerPrefix, problem));
            }
            PrefixSupport::FindOut => {
                let known = self
                    .server
                    .habits
                    .repeats_prefix
                    .get(usize::from(ask.streamed));
                let Some(known) = known else { return Ok(None) };
                // Held while it is found out, so that one thread asks for all.
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                match *known {
                    Some(repeats) => repeats,
                    None => *known.insert(self.find_out(ask.streamed)?),
                }
            }
        };
        Ok(repeats.then_some(prefix))
    }

    /// Asks for one token after no prefix, a prefix of one token and an odd one. Where the server goes on, the second
    /// prompt is one token longer than the first; where it closes the begun message and opens another, several.
    fn find_out(&self, streamed: bool) -> Result<bool> {
        let cannot = |problem: String| self.cannot(Path::Chat, Capability::AnswerPrefix, &problem);
        let without = self.probe(None, streamed)?;
        let with = |prefix| {
            self.probe(Some(prefix), streamed)
                .map_err(|error| match &error {
                    Error::Status {
                        refusal: Refusal::Other | Refusal::NotFound,
                        status,
                        body,
                        ..
                    } => cannot(format!("it answers with status {status}: {body}")),
                    _ => error,
                })
        };
        let (short, odd) = (with(SHORT)?, with(ODD)?);
        let remedy = "if it does go on, set `answer_prefix` to `continues` or `repeats`, else give a raw prompt";
        if [&without, &short].iter().any(|answer| answer.estimated) {
            return Err(cannot(format!(
                "it counts no prompt tokens by which that would show; {remedy}"
            )));
        }
        let (base, longer) = (without.prompt_tokens, short.prompt_tokens);
        if longer != base + 1 {
            return Err(cannot(format!(
                "the prompt has {base} tokens before the answer and {longer} with `{SHORT}` begun, where one more is \
                 wanted; {remedy}"
            )));
        }
        Ok(odd.text.starts_with(ODD))
    }

    fn probe(&self, prefix: Option<&str>, streamed: bool) -> Result<Completion> {
        let begun = ChatRequest {
            answer_prefix: prefix.map(ToOwned::to_owned),
            sampling: Sampling {
                temperature: 0.0,
                max_tokens: 1,
                ..Sampling::default()
            },
            ..ChatRequest::new([Message::user("Is it?")])
        };
        let ask = Ask {
            request: &begun,
            first: 0,
            samples: 1,
            streamed,
        };
        let drawn = self.draw_repeating(&ask, None, &mut |_| {})?;
        // An answer has at least one completion, or is an error.
        Ok(drawn.into_iter().next().map(|(_, c)| c).unwrap_or_default())
    }
}
