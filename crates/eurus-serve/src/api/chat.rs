//! `/v1/chat/completions`: answers to conversations.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use chat_model::{ChatRequest, Message, Role};
use serde_json::{Map, Value};

use super::App;
use super::answers::{Shape, Wanted, answer};
use super::drawing::{Drawing, MOST_LIKELIEST};
use super::failure::{Failure, gone, of_chat};
use super::fields::Fields;

/// Answers a conversation.
pub async fn complete(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (model, _) = app.chat()?;
    let headers = request.headers().clone();
    let body = app.body(request).await?;
    let mut fields = Fields::read(&body)?;
    app.check_model(fields.take::<String>("model")?.as_deref())?;
    let asked = conversation(&mut fields)?;
    let drawing = Drawing::take(&app, &mut fields, &headers, app.config.max_answer_tokens)?;
    if drawing.params.max_tokens == 0 {
        return Err(Failure::field("max_tokens", "is 0; at least 1 is wanted"));
    }
    let likeliest = likeliest(&mut fields)?;
    fields.finish()?;
    drawing.check_answers(&app, 1)?;
    let model = model.clone();
    let prompt = tokio::task::spawn_blocking(move || model.prompt_tokens(&asked));
    let prompt = prompt.await.map_err(|_| gone())?;
    let prompt = prompt.map_err(|error| of_chat(error, "messages"))?;
    let wanted = Wanted {
        shape: Shape::Chat,
        prompts: vec![prompt],
        echo: None,
        likeliest,
        drawing,
    };
    answer(app, wanted).await
}

/// How many alternatives come with each token, if log-probabilities are wanted.
fn likeliest(fields: &mut Fields) -> Result<Option<usize>, Failure> {
    let wanted = fields.take::<bool>("logprobs")?.unwrap_or(false);
    let likeliest = fields.take::<usize>("top_logprobs")?;
    match likeliest {
        Some(1..) if !wanted => {
            let problem = "needs `logprobs`, which is not set; set it, or leave this out";
            Err(Failure::field("top_logprobs", problem))
        }
        Some(count) if count > MOST_LIKELIEST => {
            let problem = format!("is {count}; {MOST_LIKELIEST} is the most");
            Err(Failure::field("top_logprobs", problem))
        }
        _ => Ok(wanted.then_some(likeliest.unwrap_or(0))),
    }
}

/// The conversation, and how its answer begins: a last message that is to be continued.
fn conversation(fields: &mut Fields) -> Result<ChatRequest, Failure> {
    let given: Vec<Value> = fields.require("messages")?;
    let mut messages = Vec::with_capacity(given.len());
    for (place, value) in given.into_iter().enumerate() {
        messages.push(message(&format!("messages[{place}]"), value)?);
    }
    let continues = fields.take::<bool>("continue_final_message")?;
    let continues = continues.unwrap_or(false);
    let begins = fields.take::<bool>("add_generation_prompt")?;
    if begins == Some(continues) {
        let problem = match continues {
            true => "cannot be set beside `continue_final_message`; leave it out",
            false => {
                "without it there is nothing to answer; leave it out, or set `continue_final_message` to go on with the last message"
            }
        };
        return Err(Failure::field("add_generation_prompt", problem));
    }
    let mut request = ChatRequest::new([]);
    if continues {
        match messages.pop() {
            Some(last) if last.role == Role::Assistant => {
                request.answer_prefix = Some(last.content);
            }
            _ => {
                let problem = "needs a last message of the assistant, which is gone on with";
                return Err(Failure::field("continue_final_message", problem));
            }
        }
    }
    if messages.is_empty() {
        let problem = "has no message to answer; give one at least";
        return Err(Failure::field("messages", problem));
    }
    request.messages = messages;
    Ok(request)
}

/// One message.
fn message(place: &str, value: Value) -> Result<Message, Failure> {
    let Value::Object(mut fields) = value else {
        return Err(Failure::field(
            place,
            "is no object with `role` and `content`",
        ));
    };
    let role = match fields.remove("role") {
        Some(Value::String(role)) => role_of(place, &role)?,
        _ => {
            return Err(Failure::field(
                &format!("{place}.role"),
                "is missing or no text; say system, user or assistant",
            ));
        }
    };
    let content = content(place, fields.remove("content"))?;
    check_rest(place, &fields)?;
    Ok(Message { role, content })
}

fn role_of(place: &str, role: &str) -> Result<Role, Failure> {
    match role {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        other => {
            let shown: String = other.chars().take(40).collect();
            let problem = format!(
                "`{shown}` is no role that this server knows; say system, user or assistant"
            );
            Err(Failure::field(&format!("{place}.role"), problem))
        }
    }
}

/// A text, or parts that are texts.
fn content(place: &str, value: Option<Value>) -> Result<String, Failure> {
    let name = format!("{place}.content");
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            let mut whole = String::new();
            for (part, value) in parts.iter().enumerate() {
                let is_text = value.get("type").and_then(Value::as_str) == Some("text");
                match value
                    .get("text")
                    .and_then(Value::as_str)
                    .filter(|_| is_text)
                {
                    Some(text) => whole += text,
                    None => {
                        return Err(Failure::field(
                            &format!("{name}[{part}]"),
                            "is no part of the type `text`, and this model reads nothing else",
                        ));
                    }
                }
            }
            Ok(whole)
        }
        _ => Err(Failure::field(
            &name,
            "is missing or no text; give a text, or a list of parts of the type `text`",
        )),
    }
}

/// Refuses what a message has beside role and content, unless it is empty.
fn check_rest(place: &str, fields: &Map<String, Value>) -> Result<(), Failure> {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    match fields.iter().find(|(_, value)| !is_empty(value)) {
        Some((name, _)) => {
            let shown: String = name.chars().take(80).collect();
            let problem = "this server cannot heed that; leave the field out";
            Err(Failure::field(&format!("{place}.{shown}"), problem))
        }
        None => Ok(()),
    }
}
