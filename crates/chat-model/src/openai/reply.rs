//! From a server's choices and counts to completions.

use serde_json::Value;

use crate::usage::{estimated_prompt_tokens, estimated_tokens};
use crate::{ChatRequest, Completion, Finish, Prices, TokenLogProb};

/// Text that more bytes than this share a token of is not counted in full: no vocabulary has so long tokens on average.
const MOST_BYTES_PER_TOKEN: usize = 8;

/// A larger count of the tokens of a call is none: no sum of smaller ones overflows.
const MOST_TOKENS: u32 = u32::MAX;

/// What a call is charged for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub estimated: bool,
}

/// A server's count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub prompt: Option<u64>,
    pub completion: Option<u64>,
    /// Whether the server says that it counted one sample of several.
    pub of_one: bool,
}

/// One choice of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Choice {
    /// Its place among the choices.
    pub index: usize,
    pub text: String,
    pub reasoning: String,
    pub logprobs: Option<Vec<TokenLogProb>>,
    pub finish: Option<Finish>,
}

/// The `choices` of a reply. Indices that are no indices give way to the order. In a part of a reply (`is_part`) a choice
/// may have no text.
pub(super) fn choices(reply: &Value, is_part: bool) -> Result<Vec<Choice>, String> {
    let list = reply
        .get("choices")
        .and_then(Value::as_array)
        .ok_or("the answer is no chat completion (it has no list `choices`)")?;
    let mut choices = list
        .iter()
        .enumerate()
        .map(|(position, choice)| {
            let mut part = Choice {
                index: index(choice).unwrap_or(position),
                finish: finish(choice),
                logprobs: logprobs(choice),
                ..Choice::default()
            };
            let message = (choice.get("message")).or_else(|| choice.get("delta"));
            let text = match message {
                Some(message) => {
                    let thought = message.get("reasoning_content");
                    let thought = thought.or_else(|| message.get("reasoning"));
                    part.reasoning = content(thought).unwrap_or_default();
                    content(message.get("content"))
                }
                None => choice.get("text").and_then(|text| content(Some(text))),
            };
            let is_bare = message.is_none() && choice.get("text").is_none();
            let has_nothing = is_part && is_bare && choice.is_object();
            let text = text.or(has_nothing.then(String::new));
            part.text = text.ok_or_else(|| format!("choice {position} has no text"))?;
            Ok(part)
        })
        .collect::<Result<Vec<_>, String>>()?;
    // A stable sort: choices of a server that gives all the same index keep their order.
    choices.sort_by_key(|choice| choice.index);
    Ok(choices)
}

/// The `usage` of a reply, and what llama.cpp says beside it.
pub(super) fn count(reply: &Value) -> Count {
    let number = |value: Option<&Value>| {
        let number = value?.as_f64()?;
        (0.0..=f64::from(MOST_TOKENS))
            .contains(&number)
            .then_some(number.round() as u64)
    };
    let usage = reply.get("usage");
    let of = |name| number(usage.and_then(|usage| usage.get(name)));
    let completion = of("completion_tokens");
    let predicted = reply
        .get("timings")
        .and_then(|timings| timings.get("predicted_n"));
    Count {
        prompt: of("prompt_tokens"),
        completion,
        of_one: completion.is_some() && number(predicted) == completion,
    }
}

fn index(choice: &Value) -> Option<usize> {
    usize::try_from(choice.get("index")?.as_u64()?).ok()
}

fn finish(choice: &Value) -> Option<Finish> {
    let reason = choice.get("finish_reason")?.as_str()?;
    Some(match reason {
        "length" | "max_tokens" => Finish::Length,
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Finish::Stop,
        _ => Finish::Withheld,
    })
}

/// A text, nothing, or a list of parts with a text each.
fn content(content: Option<&Value>) -> Option<String> {
    match content {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(parts)) => Some(
            parts
                .iter()
                .filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()))
                .collect(),
        ),
        Some(_) => None,
    }
}

/// Log-probabilities as chat completions have them, or as the older completions have them.
fn logprobs(choice: &Value) -> Option<Vec<TokenLogProb>> {
    let logprobs = choice.get("logprobs")?;
    if let Some(content) = logprobs.get("content").and_then(Value::as_array) {
        return content
            .iter()
            .map(|token| entry(token.get("token")?, token.get("logprob")?))
            .collect();
    }
    let tokens = logprobs.get("tokens")?.as_array()?;
    let values = logprobs.get("token_logprobs")?.as_array()?;
    if tokens.len() != values.len() {
        return None;
    }
    tokens
        .iter()
        .zip(values)
        .map(|(token, value)| entry(token, value))
        .collect()
}

fn entry(token: &Value, log_prob: &Value) -> Option<TokenLogProb> {
    Some(TokenLogProb {
        token: token.as_str()?.to_owned(),
        // A probability that is 0 in the server's floats has no finite logarithm and arrives as null; vLLM writes -9999.
        log_prob: log_prob.as_f64().unwrap_or(-9999.0),
    })
}

/// What an answer comes to.
pub(super) struct Reply {
    /// The completions that are finished, with their place among the choices.
    pub completions: Vec<(usize, Completion)>,
    pub charge: Charge,
}

/// Completions out of the choices of a call, with their tokens as the server counted them, or as estimated where it did
/// not count them all. Choices beyond `samples`, and those without an end, are paid for and left out.
pub(super) fn assemble(
    request: &ChatRequest,
    choices: Vec<Choice>,
    count: Count,
    samples: usize,
    prices: Option<&Prices>,
) -> Reply {
    let most = request.sampling.max_tokens.min(MOST_TOKENS as usize);
    let exact: Vec<Option<usize>> = choices
        .iter()
        .map(|choice| choice.logprobs.as_ref().map(Vec::len))
        .collect();
    let total = count.completion.filter(|total| {
        let sum = usize::try_from(*total).unwrap_or(usize::MAX);
        choices.len() < 2 || (!count.of_one && covers(&choices, &exact, sum, most))
    });
    let lengths: Vec<usize> = match total {
        Some(total) => shares(&choices, &exact, total),
        None => choices
            .iter()
            .zip(&exact)
            .map(|(choice, exact)| {
                let ended_by_length = choice.finish == Some(Finish::Length);
                exact.unwrap_or(match ended_by_length {
                    true => most,
                    false => (estimated_tokens(&choice.text) + estimated_tokens(&choice.reasoning))
                        .min(most),
                })
            })
            .collect(),
    };
    let all_exact = exact.iter().all(Option::is_some);
    let estimated = count.prompt.is_none() || (total.is_none() && !all_exact);
    let prompt = count
        .prompt
        .unwrap_or_else(|| estimated_prompt_tokens(request) as u64);
    let charge = Charge {
        prompt_tokens: prompt,
        completion_tokens: total.unwrap_or_else(|| lengths.iter().sum::<usize>() as u64),
        estimated,
    };
    let mut completions: Vec<(usize, Completion)> = choices
        .into_iter()
        .zip(lengths)
        .filter_map(|(choice, tokens)| {
            let completion = Completion {
                estimated,
                reasoning: Some(choice.reasoning).filter(|thought| !thought.is_empty()),
                logprobs: choice.logprobs.filter(|_| request.logprobs),
                ..Completion::new(choice.text, choice.finish?, tokens)
            };
            Some((choice.index, completion))
        })
        .collect();
    completions.truncate(samples);
    share_charge(&mut completions, charge, prices);
    Reply {
        completions,
        charge,
    }
}

/// Whether a sum can be that of all choices.
fn covers(choices: &[Choice], exact: &[Option<usize>], sum: usize, most: usize) -> bool {
    let bytes: usize = choices
        .iter()
        .map(|c| c.text.len() + c.reasoning.len())
        .sum();
    let at_least: usize = choices
        .iter()
        .zip(exact)
        .map(|(choice, exact)| match (exact, choice.finish) {
            (Some(exact), _) => *exact,
            (None, Some(Finish::Length)) => most,
            (None, _) => usize::from(!choice.text.is_empty()),
        })
        .sum();
    sum >= at_least && bytes <= sum.saturating_mul(MOST_BYTES_PER_TOKEN)
}

/// Divides a sum: as the tokens themselves say, else in proportion to the bytes.
fn shares(choices: &[Choice], exact: &[Option<usize>], total: u64) -> Vec<usize> {
    if let [_] = choices {
        return vec![usize::try_from(total).unwrap_or(usize::MAX)];
    }
    if let Some(exact) = exact.iter().copied().collect::<Option<Vec<_>>>() {
        return exact;
    }
    let bytes = |choice: &Choice| choice.text.len() + choice.reasoning.len();
    let sum: usize = choices.iter().map(bytes).sum();
    let share = |choice| bytes(choice) as f64 / sum.max(1) as f64;
    choices
        .iter()
        .map(|choice| (total as f64 * share(choice)).round() as usize)
        .collect()
}

/// Divides what the call cost among the completions that are kept.
fn share_charge(completions: &mut [(usize, Completion)], charge: Charge, prices: Option<&Prices>) {
    let kept = completions.len();
    let tokens: usize = completions.iter().map(|(_, c)| c.tokens).sum();
    let prompt = usize::try_from(charge.prompt_tokens).unwrap_or(usize::MAX);
    for (place, (_, completion)) in completions.iter_mut().enumerate() {
        completion.prompt_tokens = prompt / kept + usize::from(place < prompt % kept);
        let share = match tokens {
            0 => 1.0 / kept as f64,
            tokens => completion.tokens as f64 / tokens as f64,
        };
        completion.cost = prices.map(|prices| {
            prices.cost(
                completion.prompt_tokens as f64,
                charge.completion_tokens as f64 * share,
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Sampling};
    use serde_json::json;

    fn reply_to(request: &ChatRequest, reply: Value, samples: usize) -> Reply {
        let prices = Prices {
            prompt_per_million: 1e6,
            completion_per_million: 1e6,
        };
        let choices = choices(&reply, false).unwrap();
        assemble(request, choices, count(&reply), samples, Some(&prices))
    }

    fn reply(reply: Value, samples: usize) -> Reply {
        reply_to(&ChatRequest::new([Message::user("u")]), reply, samples)
    }

    fn choice(index: usize, text: &str) -> Value {
        json!({"index": index, "message": {"content": text}, "finish_reason": "stop"})
    }

    #[test]
    fn choices_come_back_in_the_order_of_their_index_and_share_the_token_count() {
        let reply = reply(
            json!({"choices": [
                {"index": 1, "message": {"content": "bbb"}, "finish_reason": "content_filter"},
                {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
                {"index": 2, "message": {"content": null}, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 5.0, "completion_tokens": 8.0}}),
            3,
        );
        let found: Vec<_> = reply
            .completions
            .iter()
            .map(|(_, c)| (c.text.as_str(), c.finish, c.tokens, c.prompt_tokens))
            .collect();
        assert_eq!(
            found,
            [
                ("a", Finish::Stop, 2, 2),
                ("bbb", Finish::Withheld, 6, 2),
                ("", Finish::Withheld, 0, 1)
            ]
        );
        let cost: f64 = reply.completions.iter().filter_map(|(_, c)| c.cost).sum();
        assert!((cost - 13.0).abs() < 1e-9);
        assert!(!reply.charge.estimated);
    }

    #[test]
    fn content_as_parts_and_reasoning_and_odd_indices_are_understood() {
        let parts = choices(&json!({"choices": [
            {"index": "0", "message": {"content": [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}],
                "reasoning_content": "long thoughts"}},
            {"index": -1, "text": "raw"}]}), false)
        .unwrap();
        let found: Vec<_> = parts
            .iter()
            .map(|c| (c.index, c.text.as_str(), c.reasoning.as_str()))
            .collect();
        assert_eq!(found, [(0, "hello", "long thoughts"), (1, "raw", "")]);
        let parsed = choices(
            &json!({"choices": [{"text": "x", "finish_reason": "length"}]}),
            false,
        )
        .unwrap();
        assert_eq!(
            (parsed[0].text.as_str(), parsed[0].finish),
            ("x", Some(Finish::Length))
        );
        for wrong in [
            json!([1, 2]),
            json!({"choices": [7]}),
            json!({"choices": [{"message": {"content": 7}}]}),
        ] {
            assert!(
                choices(&wrong, false).is_err() && choices(&wrong, true).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn no_count_or_the_count_of_one_sample_is_an_estimate_that_says_so() {
        let none = reply(json!({"choices": [choice(0, "abcdef")]}), 1);
        assert!(none.charge.estimated && none.completions[0].1.estimated);
        assert_eq!(none.charge.completion_tokens, 2);
        let long = "a word and another ".repeat(5);
        let two = json!([choice(0, &long), choice(1, &long)]);
        let both = reply(
            json!({"choices": two, "usage": {"prompt_tokens": 9, "completion_tokens": 50}}),
            2,
        );
        assert!(!both.charge.estimated);
        assert_eq!(both.charge.completion_tokens, 50);
        let llama = json!({"choices": two, "usage": {"prompt_tokens": 9, "completion_tokens": 25},
            "timings": {"predicted_n": 25}});
        let few = json!({"choices": two, "usage": {"prompt_tokens": 9, "completion_tokens": 20}});
        for counted_one in [llama, few] {
            let reply = reply(counted_one, 2);
            assert!(reply.charge.estimated);
            assert_eq!(
                reply.charge.completion_tokens,
                2 * long.len().div_ceil(3) as u64
            );
            assert_eq!(reply.charge.prompt_tokens, 9);
        }
        let absurd =
            json!({"choices": two, "usage": {"prompt_tokens": 1e300, "completion_tokens": -1}});
        assert_eq!(reply(absurd, 2).charge.prompt_tokens, 5);
        let one = json!({"choices": [choice(0, &long)], "usage": {"prompt_tokens": 9, "completion_tokens": 25},
            "timings": {"predicted_n": 25}});
        assert!(!reply(one, 1).charge.estimated);
    }

    #[test]
    fn a_length_limit_beyond_all_lengths_overflows_no_sum() {
        let request = ChatRequest::new([Message::user("u")]).with_sampling(Sampling {
            max_tokens: usize::MAX,
            ..Sampling::default()
        });
        let cut = json!({"message": {"content": "x"}, "finish_reason": "length"});
        let reply = reply_to(&request, json!({"choices": [cut, cut]}), 2);
        assert!(reply.charge.estimated && reply.charge.completion_tokens > 1 << 32);
    }

    #[test]
    fn samples_that_end_by_length_or_show_their_tokens_are_not_estimated_from_text() {
        let request = ChatRequest::new([Message::user("u")])
            .with_logprobs()
            .with_sampling(Sampling {
                max_tokens: 4,
                ..Sampling::default()
            });
        let cut = json!({"message": {"content": "x"}, "finish_reason": "length"});
        let cut = reply_to(
            &request,
            json!({"choices": [cut, cut], "usage": {"completion_tokens": 4, "prompt_tokens": 1}}),
            2,
        );
        assert_eq!(cut.charge.completion_tokens, 8);
        let shown = json!({"message": {"content": "xyz"}, "finish_reason": "stop", "logprobs": {"content":
            [{"token": "x", "logprob": -0.5}, {"token": "yz", "logprob": null}]}});
        let reply = reply_to(
            &request,
            json!({"choices": [shown, shown], "usage": {"completion_tokens": 2, "prompt_tokens": 1}}),
            2,
        );
        assert_eq!(reply.charge.completion_tokens, 4);
        assert!(!reply.charge.estimated);
        assert_eq!(reply.completions[1].1.log_prob(), Some(-9999.5));
    }
}
