//! `/get_reward`: rewards of conversations with their answers, as text, by the protocol of OpenRLHF.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Failure, gone};
use super::fields::Fields;
use super::{App, answered};

/// Texts, or one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Some(Vec<String>),
}

/// Scores texts. `prompts` and `labels`, which OpenRLHF sends along, are of no effect: the prompt is part of the text.
pub async fn score(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    app.reward()?;
    let body = app.body(request).await?;
    let mut fields = Fields::read(&body)?;
    let model: Option<String> = fields.take("model")?;
    app.check_model(model.as_deref())?;
    let texts = match fields.take::<Value>("query")? {
        None => return Err(Failure::field("query", "is missing; give a list of texts")),
        Some(value) => serde_json::from_value(value)
            .map_err(|_| Failure::field("query", "is no list of texts; give one"))?,
    };
    fields.ignore("prompts");
    fields.ignore("labels");
    fields.finish()?;
    let texts = match texts {
        Texts::One(text) => vec![text],
        Texts::Some(texts) => texts,
    };
    let of_thread = app.clone();
    let tokens = tokio::task::spawn_blocking(move || tokens(&of_thread, &texts));
    let tokens = tokens.await.map_err(|_| gone())??;
    let answer = app.reward()?.take(tokens)?;
    let rewards = answer.await.map_err(|_| gone())?;
    let rewards =
        rewards.map_err(|problem| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, problem))?;
    let answer = json!({"rewards": rewards, "scores": rewards, "extra_logs": {}});
    Ok(answered(StatusCode::OK, &answer))
}

fn tokens(app: &App, texts: &[String]) -> Result<Vec<Vec<u32>>, Failure> {
    let rewards = app.reward()?;
    let mut all = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let name = format!("query[{place}]");
        let tokens = rewards
            .tokens(text)
            .map_err(|problem| Failure::field(&name, problem))?;
        if tokens.len() > rewards.context {
            let problem = format!(
                "has {} tokens with its end, and the maximum context length is {} tokens; shorten it",
                tokens.len(),
                rewards.context
            );
            return Err(Failure::field(&name, problem).with_code("context_length_exceeded"));
        }
        all.push(tokens);
    }
    Ok(all)
}
