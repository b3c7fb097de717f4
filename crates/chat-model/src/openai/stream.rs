//! Answers that come piece by piece: server-sent events.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::Value;

use super::lenient;
use super::refusal::hidden_status;
use super::reply::{Choice, Count, choices, count};
use crate::Finish;

/// An answer that came piece by piece.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    /// The choices in order; one that was broken off has no end.
    pub choices: Vec<Choice>,
    pub count: Count,
    pub model: Option<String>,
    /// Why the stream ended before its end, if it did.
    pub broken: Option<Broken>,
}

/// How a stream can break off.
#[derive(Debug)]
pub(super) enum Broken {
    Transport(ureq::Error),
    /// An event that is not understood, and what is wrong with it.
    Malformed(String, String),
    /// An error in the stream: the status that it speaks of, and the event.
    Refused(u16, String),
}

/// Reads a stream to its end. `on_text` is told more text of a choice as it comes.
pub(super) fn read(mut reader: impl BufRead, on_text: &mut dyn FnMut(usize, &str)) -> Streamed {
    let mut state = State::default();
    let mut line = Vec::new();
    let broken = loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break state.end_of_input(),
            Ok(_) => {}
            Err(error) => break Some(Broken::Transport(error.into())),
        }
        let text = line.trim_ascii();
        // Comments, names of events and the blank lines between events.
        let Some(data) = text.strip_prefix(b"data:") else {
            continue;
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            state.close();
            break None;
        }
        if let Err(broken) = state.event(data, on_text) {
            break Some(broken);
        }
    };
    let count = state.count();
    Streamed {
        choices: state.choices.into_values().collect(),
        count,
        model: state.model,
        broken,
    }
}

#[derive(Default)]
struct State {
    choices: BTreeMap<usize, Choice>,
    model: Option<String>,
    /// Counts that came beside choices: each says what there is so far.
    running: Option<Count>,
    /// Counts that came alone: one for all, or one for each choice.
    closing: Vec<Count>,
}

impl State {
    fn event(&mut self, data: &[u8], on_text: &mut dyn FnMut(usize, &str)) -> Result<(), Broken> {
        let text = || String::from_utf8_lossy(data).into_owned();
        let event = lenient::parse(data)
            .map_err(|error| Broken::Malformed(format!("an event is no JSON ({error})"), text()))?;
        if let Some(status) = hidden_status(&event) {
            return Err(Broken::Refused(status, text()));
        }
        if let Some(model) = event.get("model").and_then(Value::as_str) {
            self.model = Some(model.to_owned());
        }
        let parts = match event.get("choices") {
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                choices(&event, true).map_err(|problem| Broken::Malformed(problem, text()))?
            }
        };
        let counted = count(&event);
        if counted.completion.is_some() {
            match parts.is_empty() {
                true => self.closing.push(counted),
                false => self.running = Some(counted),
            }
        }
        for part in parts {
            let choice = self.choices.entry(part.index).or_insert_with(|| Choice {
                index: part.index,
                ..Choice::default()
            });
            choice.text += &part.text;
            choice.reasoning += &part.reasoning;
            choice.finish = part.finish.or(choice.finish);
            if let Some(tokens) = part.logprobs {
                choice.logprobs.get_or_insert_default().extend(tokens);
            }
            if !part.text.is_empty() {
                on_text(part.index, &part.text);
            }
        }
        Ok(())
    }

    /// A stream that says it is done has ended all choices, named or not.
    fn close(&mut self) {
        for choice in self.choices.values_mut() {
            choice.finish.get_or_insert(Finish::Stop);
        }
    }

    /// Without a word that it is done, a stream is whole when every choice has its end.
    fn end_of_input(&self) -> Option<Broken> {
        let is_whole =
            !self.choices.is_empty() && self.choices.values().all(|choice| choice.finish.is_some());
        (!is_whole).then(|| {
            let problem = "the stream ends before the answer".to_owned();
            Broken::Malformed(problem, String::new())
        })
    }

    fn count(&self) -> Count {
        match self.closing.as_slice() {
            [] => self.running.unwrap_or_default(),
            [one] => *one,
            // llama.cpp counts each choice by itself.
            each => Count {
                prompt: each.iter().filter_map(|count| count.prompt).max(),
                completion: each.iter().map(|count| count.completion).sum(),
                of_one: each.len() < self.choices.len(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> (Streamed, Vec<(usize, String)>) {
        let mut pieces = Vec::new();
        let streamed = read(text.as_bytes(), &mut |index, text| {
            pieces.push((index, text.to_owned()));
        });
        (streamed, pieces)
    }

    #[test]
    fn pieces_of_several_choices_are_put_together_and_counts_of_each_are_added() {
        let (streamed, pieces) = read_all(concat!(
            ": ping\n\n",
            "data: {\"model\": \"m\", \"choices\": [{\"index\": 1, \"delta\": {\"role\": \"assistant\", \"content\": null}}]}\n\n",
            "data: {\"choices\": [{\"index\": 1, \"delta\": {\"content\": \"b\"}}]}\r\n\r\n",
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"a\"}, \"finish_reason\": \"length\"}]}\n\n",
            "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 1}, \"timings\": {\"predicted_n\": 1}}\n\n",
            "data: {\"choices\": [{\"index\": 1, \"delta\": {\"content\": \"c\"}}]}\n\n",
            "data: {\"choices\": [{\"index\": 1, \"finish_reason\": \"stop\"}]}\n\n",
            "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2}, \"timings\": {\"predicted_n\": 2}}\n\n",
            "data: [DONE]\n\n",
        ));
        assert!(streamed.broken.is_none());
        let found: Vec<_> = streamed
            .choices
            .iter()
            .map(|c| (c.index, c.text.as_str(), c.finish))
            .collect();
        assert_eq!(
            found,
            [
                (0, "a", Some(Finish::Length)),
                (1, "bc", Some(Finish::Stop))
            ]
        );
        assert_eq!(
            streamed.count,
            Count {
                prompt: Some(3),
                completion: Some(3),
                of_one: false
            }
        );
        assert_eq!(streamed.model.as_deref(), Some("m"));
        assert_eq!(pieces.len(), 3);
    }

    #[test]
    fn a_stream_that_breaks_off_keeps_the_choices_that_have_ended() {
        let (streamed, _) = read_all(concat!(
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"a\"}, \"finish_reason\": \"stop\"}]}\n\n",
            "data: {\"choices\": [{\"index\": 1, \"delta\": {\"content\": \"b\"}}]}\n\n",
        ));
        assert!(matches!(streamed.broken, Some(Broken::Malformed(..))));
        assert_eq!(streamed.choices[0].finish, Some(Finish::Stop));
        assert_eq!(streamed.choices[1].finish, None);
        let (streamed, _) = read_all("data: {\"error\": {\"code\": 503}}\n\n");
        assert!(matches!(streamed.broken, Some(Broken::Refused(503, _))));
        let (streamed, _) = read_all("data: {\"cho\n\n");
        assert!(matches!(streamed.broken, Some(Broken::Malformed(..))));
        assert!(read_all("").0.broken.is_some());
    }
}
