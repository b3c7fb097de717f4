//! One call for samples, and how its answer is read.

use std::io::BufReader;

use serde_json::Value;

use super::body::{Ask, encode};
use super::exchange::Exchange;
use super::http::{Answer, Failed, LARGEST_BODY, Paid};
use super::names::is_same_model;
use super::reply::{Charge, Choice, Count, Reply, assemble, choices, count};
use super::stream::{Broken, Streamed, read as read_stream};
use crate::{Capability, Completion, Error, Finish, Result};

/// Who is told more text of a choice as it comes, and `None` when the call begins anew.
type OnText<'a> = dyn FnMut(Option<(usize, &str)>) + 'a;

impl Exchange {
    /// One call for samples: those that are finished, with their place from the first.
    pub fn draw(
        &self,
        ask: &Ask<'_>,
        on_text: &mut OnText<'_>,
    ) -> Result<Vec<(usize, Completion)>> {
        let repeated = self.repeated_prefix(ask)?;
        self.draw_repeating(ask, repeated, on_text)
    }

    /// One call for samples of a server that repeats this prefix.
    pub fn draw_repeating(
        &self,
        ask: &Ask<'_>,
        repeated: Option<&str>,
        on_text: &mut OnText<'_>,
    ) -> Result<Vec<(usize, Completion)>> {
        let body = encode(&self.config, ask);
        let size = self.size(ask.request, ask.samples);
        let mut attempts = 0;
        self.post(ask.path(), &body, &size, ask.streamed, &mut |answer| {
            attempts += 1;
            if attempts > 1 {
                on_text(None);
            }
            self.read_samples(ask, repeated, answer, on_text)
        })
    }

    fn read_samples(
        &self,
        ask: &Ask<'_>,
        repeated: Option<&str>,
        answer: Answer,
        on_text: &mut OnText<'_>,
    ) -> Result<(Vec<(usize, Completion)>, Charge), Failed> {
        let (path, status) = (ask.path(), answer.status);
        let read = match answer.is_event_stream {
            true => self.read_events(ask, repeated, answer, on_text),
            false => self.read_whole(ask, answer)?,
        };
        let Drawn {
            mut choices,
            count,
            model,
            failure,
        } = read;
        let fault = repeated.and_then(|prefix| strip_prefix(&mut choices, prefix).err());
        let lacks_logprobs = ask.request.logprobs
            && choices
                .iter()
                .any(|choice| choice.logprobs.is_none() && !choice.text.is_empty());
        let prices = self.config.prices.as_ref();
        let Reply {
            mut completions,
            charge,
        } = assemble(ask.request, choices, count, ask.samples, prices);
        let paid = |error| Failed {
            error,
            paid: Paid::Yes(charge),
        };
        let http = &self.server.http;
        if let Some(problem) = fault {
            return Err(paid(http.malformed(path, status, problem, b"")));
        }
        if let Some(answered) = model.as_ref().filter(|answered| {
            !self.config.accept_other_model && !is_same_model(&self.config.model, answered)
        }) {
            return Err(paid(Error::OtherModel {
                url: http.url(path).to_owned(),
                asked: self.config.model.clone(),
                answered: http.without_key(answered),
            }));
        }
        if lacks_logprobs {
            let problem = "its answer has no log-probabilities although they were asked for";
            return Err(paid(self.cannot(path, Capability::LogProbs, problem)));
        }
        // Each answer must bring a sample that was asked for, or asking again would never end.
        if !completions.iter().any(|(place, _)| *place < ask.samples) {
            return Err(failure.unwrap_or_else(|| {
                let problem = "none of its choices has an index that was asked for".to_owned();
                paid(http.malformed(path, status, problem, b""))
            }));
        }
        for (_, completion) in &mut completions {
            completion.model.clone_from(&model);
        }
        Ok((completions, charge))
    }

    /// Reads an answer that comes at once.
    fn read_whole(&self, ask: &Ask<'_>, mut answer: Answer) -> Result<Drawn, Failed> {
        let (http, path) = (&self.server.http, ask.path());
        let (value, body) = self.read_json(path, &mut answer)?;
        let parsed = choices(&value, false).and_then(|choices| match choices.is_empty() {
            true => Err("the answer has no choices".to_owned()),
            false => Ok(choices),
        });
        let mut choices = parsed.map_err(|problem| Failed {
            error: http.malformed(path, answer.status, problem, &body),
            paid: Paid::Maybe,
        })?;
        let counted = count(&value);
        if ask.streamed {
            let problem = "it was asked to, and answered in one piece; set `stream = false`";
            return Err(Failed {
                error: self.cannot(path, Capability::Streaming, problem),
                paid: Paid::Yes(assemble(ask.request, choices, counted, ask.samples, None).charge),
            });
        }
        for (place, choice) in choices.iter_mut().enumerate() {
            choice.index = place;
            choice.finish.get_or_insert(Finish::Stop);
        }
        Ok(Drawn {
            choices,
            count: counted,
            model: value
                .get("model")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned),
            failure: None,
        })
    }

    /// Reads an answer that comes piece by piece, as far as it comes.
    fn read_events(
        &self,
        ask: &Ask<'_>,
        repeated: Option<&str>,
        answer: Answer,
        on_text: &mut OnText<'_>,
    ) -> Drawn {
        let (http, path, status) = (&self.server.http, ask.path(), answer.status);
        let body = answer.body.into_with_config().limit(LARGEST_BODY).reader();
        let mut skip = vec![repeated.map_or(0, str::len); ask.samples];
        let Streamed {
            choices,
            count,
            model,
            broken,
        } = read_stream(BufReader::new(body), &mut |index, text| {
            let Some(skip) = skip.get_mut(index) else {
                return;
            };
            // The repeated prefix is not text of the completion; whether it is the right one is seen at the end.
            let hidden = text.len().min(*skip);
            *skip -= hidden;
            if let Some(shown) = text.get(hidden..).filter(|shown| !shown.is_empty()) {
                on_text(Some((index, shown)));
            }
        });
        let failure = broken.map(|broken| match broken {
            Broken::Transport(error) => http.transport(path, error),
            Broken::Malformed(problem, event) => Failed {
                error: http.malformed(path, status, problem, event.as_bytes()),
                paid: Paid::Maybe,
            },
            Broken::Refused(status, event) => Failed {
                error: http.refused(path, status, event.as_bytes(), None),
                paid: Paid::Maybe,
            },
        });
        let failure = failure.or_else(|| {
            choices.is_empty().then(|| Failed {
                error: http.malformed(path, status, "the answer has no choices".to_owned(), b""),
                paid: Paid::Maybe,
            })
        });
        Drawn {
            choices,
            count,
            model,
            failure,
        }
    }
}

/// An answer, before its completions are made.
struct Drawn {
    choices: Vec<Choice>,
    count: Count,
    model: Option<String>,
    /// Why a stream ended before its end; what is there is good.
    failure: Option<Failed>,
}

/// Takes the prefix off texts of a server that repeats it.
fn strip_prefix(choices: &mut [Choice], prefix: &str) -> Result<(), String> {
    for choice in choices.iter_mut().filter(|c| c.finish.is_some()) {
        choice.text = match choice.text.strip_prefix(prefix) {
            Some(rest) => rest.to_owned(),
            None => {
                return Err(
                    "the answer does not repeat the prefix as this server did before".to_owned(),
                );
            }
        };
    }
    Ok(())
}
