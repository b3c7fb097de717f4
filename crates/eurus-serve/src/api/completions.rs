//! `/v1/completions`: texts that are gone on with, and log-probabilities of given texts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use chat_model::ChatRequest;
use eurus_models::LocalChatModel;
use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::answers::{Echo, Shape, Wanted, answer};
use super::drawing::{Drawing, MOST_LIKELIEST};
use super::failure::{Failure, gone, of_chat};
use super::fields::Fields;

/// Tokens of an answer that does not say how long it is to be: OpenAI's number.
const DEFAULT_MAX_TOKENS: usize = 16;

/// One prompt or several, as text or as tokens.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

/// Goes on with texts.
pub async fn complete(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (model, _) = app.chat()?;
    let headers = request.headers().clone();
    let body = app.body(request).await?;
    let mut fields = Fields::read(&body)?;
    app.check_model(fields.take::<String>("model")?.as_deref())?;
    let prompts: Prompts =
        serde_json::from_value(fields.require::<Value>("prompt")?).map_err(|_| {
            let problem = "is neither a text, nor a list of texts, of tokens or of lists of tokens";
            Failure::field("prompt", problem)
        })?;
    let drawing = Drawing::take(&app, &mut fields, &headers, DEFAULT_MAX_TOKENS)?;
    let echo = fields.take::<bool>("echo")?.unwrap_or(false);
    let likeliest = fields.take::<usize>("logprobs")?;
    if likeliest > Some(MOST_LIKELIEST) {
        let problem = format!("is more than {MOST_LIKELIEST}, which is the most");
        return Err(Failure::field("logprobs", problem));
    }
    fields.finish()?;
    if drawing.params.max_tokens == 0 && (!echo || drawing.streamed) {
        let problem = "is 0; that is for `echo` without `stream`, which gives the prompt back";
        return Err(Failure::field("max_tokens", problem));
    }
    let prompts = match prompts {
        Prompts::Text(text) => vec![Prompt::Text(text)],
        Prompts::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        Prompts::Tokens(tokens) => vec![Prompt::Tokens(tokens)],
        Prompts::TokenLists(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
    };
    if prompts.is_empty() {
        return Err(Failure::field(
            "prompt",
            "is an empty list; give one text at least",
        ));
    }
    drawing.check_answers(&app, prompts.len())?;
    let model = model.clone();
    let read = tokio::task::spawn_blocking(move || {
        let read = prompts.into_iter().map(|prompt| prompt.read(&model, echo));
        read.collect::<Result<Vec<_>, Failure>>()
    });
    let read = read.await.map_err(|_| gone())??;
    let (prompts, texts): (Vec<Vec<u32>>, Vec<String>) = read.into_iter().unzip();
    let wanted = Wanted {
        shape: Shape::Text,
        prompts,
        echo: echo.then_some(Echo { texts }),
        likeliest,
        drawing,
    };
    answer(app, wanted).await
}

enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

impl Prompt {
    /// The tokens, and the text, which is made of tokens only if it is wanted.
    fn read(self, model: &LocalChatModel, wants_text: bool) -> Result<(Vec<u32>, String), Failure> {
        match self {
            Self::Text(text) => {
                let request = ChatRequest::raw(text);
                let tokens = model.prompt_tokens(&request);
                let tokens = tokens.map_err(|error| of_chat(error, "prompt"))?;
                Ok((tokens, request.raw_prompt.unwrap_or_default()))
            }
            Self::Tokens(tokens) if wants_text => {
                let vocabulary = model.tokenizer().vocab_size();
                if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
                    let problem =
                        format!("{token} is no token of the model, which has {vocabulary}");
                    return Err(Failure::field("prompt", problem));
                }
                let text = model.tokenizer().decode_with_special_tokens(&tokens);
                let text = text.map_err(|error| Failure::field("prompt", error))?;
                Ok((tokens, text))
            }
            Self::Tokens(tokens) => Ok((tokens, String::new())),
        }
    }
}
