//! From prompts to answers: what both kinds of completions have in common.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use chat_model::Finish;
use eurus_models::LocalChatModel;
use eurus_models::generate::TokenScore;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::drawing::Drawing;
use super::failure::{Failure, gone, of_model};
use super::logprobs::{Told, logprobs, pieces, told};
use super::stream::streamed;
use super::{App, answered, now};
use crate::engine::{Ask, News, Rate, Work};

/// Whose shape an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// What a request asks for.
pub struct Wanted {
    pub shape: Shape,
    pub prompts: Vec<Vec<u32>>,
    pub echo: Option<Echo>,
    /// How many alternatives come with each token, if log-probabilities are wanted.
    pub likeliest: Option<usize>,
    pub drawing: Drawing,
}

/// Prompts that stand at the beginning of their answers.
pub struct Echo {
    pub texts: Vec<String>,
}

/// What a prompt looks like at the beginning of an answer.
#[derive(Default, Clone)]
pub struct Echoed {
    pub text: String,
    pub tokens: Vec<Told>,
}

/// What all parts of an answer to a request say.
#[derive(Clone)]
pub struct Frame {
    pub model: Arc<LocalChatModel>,
    pub shape: Shape,
    pub with_logprobs: bool,
    id: String,
    created: u64,
    name: String,
}

/// Tokens of a request and its answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub prompt: usize,
    pub new: usize,
}

/// An answer that is whole.
struct Whole {
    text: String,
    tokens: Vec<Told>,
    finish: Finish,
}

/// Answers a request, piece by piece or at once.
pub async fn answer(app: Arc<App>, wanted: Wanted) -> Result<Response, Failure> {
    let (model, _) = app.chat()?;
    let (shape, samples) = (wanted.shape, wanted.drawing.samples);
    let (is_streamed, with_usage) = (wanted.drawing.streamed, wanted.drawing.with_usage);
    let frame = Frame {
        model: model.clone(),
        shape,
        with_logprobs: wanted.likeliest.is_some(),
        id: app.id(match shape {
            Shape::Chat => "chatcmpl",
            Shape::Text => "cmpl",
        }),
        created: now(),
        name: app.config.name.clone(),
    };
    let usage = Usage {
        prompt: wanted.prompts.iter().map(Vec::len).sum(),
        new: 0,
    };
    let count = wanted.prompts.len() * samples;
    let draws = wanted.drawing.params.max_tokens > 0;
    let echoed = echoed(&app, &wanted).await?;
    let news = match draws {
        true => Some(draw(&app, wanted)?),
        false => None,
    };
    let beginnings = beginnings(echoed, samples, count);
    match news {
        Some(news) if is_streamed => {
            let param = param(shape);
            Ok(streamed(frame, news, beginnings, usage, with_usage, param).await)
        }
        news => {
            let (answers, usage) = gather(&frame, news, beginnings, usage).await?;
            Ok(answered(StatusCode::OK, &frame.whole(&answers, usage)))
        }
    }
}

/// The field that prompts stand in.
fn param(shape: Shape) -> &'static str {
    match shape {
        Shape::Chat => "messages",
        Shape::Text => "prompt",
    }
}

/// Hands the orders to the engine.
fn draw(app: &App, wanted: Wanted) -> Result<UnboundedReceiver<News>, Failure> {
    let (_, engine) = app.chat()?;
    let (sender, news) = unbounded_channel();
    let likeliest = wanted.likeliest.unwrap_or(0);
    let drawing = &wanted.drawing;
    let orders = wanted.prompts.into_iter();
    engine.take(Work::Ask(Ask {
        orders: orders.map(|it| drawing.order(it, likeliest)).collect(),
        stop: drawing.stop.clone(),
        streamed: drawing.streamed,
        with_tokens: wanted.likeliest.is_some(),
        news: sender,
    }))?;
    Ok(news)
}

/// The beginnings of the answers to each prompt, with log-probabilities if they are wanted.
async fn echoed(app: &App, wanted: &Wanted) -> Result<Vec<Echoed>, Failure> {
    let Some(echo) = &wanted.echo else {
        return Ok(Vec::new());
    };
    let (model, _) = app.chat()?;
    let mut all = Vec::with_capacity(echo.texts.len());
    for (tokens, text) in wanted.prompts.iter().zip(&echo.texts) {
        let mut echoed = Echoed {
            text: text.clone(),
            tokens: Vec::new(),
        };
        if let Some(likeliest) = wanted.likeliest {
            let scores = rate(app, tokens, likeliest).await?;
            let (model, tokens) = (model.clone(), tokens.clone());
            let texts = tokio::task::spawn_blocking(move || pieces(&model, &tokens));
            let texts = texts.await.map_err(|_| gone())?;
            // Nothing says how likely the first token is.
            let scores = std::iter::once(None).chain(scores.into_iter().map(Some));
            let both = texts.into_iter().zip(scores);
            echoed.tokens = both.map(|(text, score)| Told { text, score }).collect();
        }
        all.push(echoed);
    }
    Ok(all)
}

async fn rate(app: &App, tokens: &[u32], likeliest: usize) -> Result<Vec<TokenScore>, Failure> {
    let (_, engine) = app.chat()?;
    let (answer, scores) = oneshot::channel();
    engine.take(Work::Rate(Rate {
        tokens: tokens.to_vec(),
        likeliest,
        answer,
    }))?;
    let scores = scores.await.map_err(|_| gone())?;
    scores.map_err(|problem| of_model(problem, "prompt"))
}

/// What each of the answers begins with.
fn beginnings(echoed: Vec<Echoed>, samples: usize, count: usize) -> Vec<Echoed> {
    if echoed.is_empty() {
        return (0..count).map(|_| Echoed::default()).collect();
    }
    let again = |echoed: Echoed| std::iter::repeat_n(echoed, samples);
    echoed.into_iter().flat_map(again).collect()
}

/// Waits for all answers.
async fn gather(
    frame: &Frame,
    news: Option<UnboundedReceiver<News>>,
    beginnings: Vec<Echoed>,
    mut usage: Usage,
) -> Result<(Vec<Whole>, Usage), Failure> {
    let mut left = beginnings.len();
    let begun = beginnings.into_iter().map(|beginning| Whole {
        text: beginning.text,
        tokens: beginning.tokens,
        finish: Finish::Length,
    });
    let mut answers: Vec<Whole> = begun.collect();
    let Some(mut news) = news else {
        return Ok((answers, usage));
    };
    while left > 0 {
        let Some(next) = news.recv().await else {
            return Err(gone());
        };
        let (answer, text, tokens) = match next {
            News::Failed(problem) => return Err(of_model(problem, param(frame.shape))),
            News::Text {
                answer,
                text,
                tokens,
            } => (answer, text, tokens),
            News::Ended {
                answer,
                text,
                tokens,
                finish,
                new_tokens,
            } => {
                left -= 1;
                usage.new += new_tokens;
                if let Some(whole) = answers.get_mut(answer) {
                    whole.finish = finish;
                }
                (answer, text, tokens)
            }
        };
        if let Some(whole) = answers.get_mut(answer) {
            whole.text += &text;
            whole.tokens.extend(told(&frame.model, tokens));
        }
    }
    Ok((answers, usage))
}

impl Frame {
    /// An answer at once.
    fn whole(&self, answers: &[Whole], usage: Usage) -> Value {
        let choices = answers.iter().enumerate().map(|(index, answer)| {
            let mut choice = json!({
                "index": index,
                "logprobs": self.logprobs(&answer.tokens, &mut 0),
                "finish_reason": reason(answer.finish),
            });
            match self.shape {
                Shape::Chat => {
                    let text = &answer.text;
                    choice["message"] =
                        json!({"role": "assistant", "content": text, "refusal": null});
                }
                Shape::Text => choice["text"] = json!(answer.text),
            }
            choice
        });
        let mut whole = self.around(choices.collect(), false);
        whole["usage"] = usage.told();
        whole
    }

    /// What stands around choices.
    pub fn around(&self, choices: Vec<Value>, is_part: bool) -> Value {
        let object = match (self.shape, is_part) {
            (Shape::Chat, false) => "chat.completion",
            (Shape::Chat, true) => "chat.completion.chunk",
            (Shape::Text, _) => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.name,
            "system_fingerprint": concat!("eurus-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        })
    }

    /// Log-probabilities, if they are wanted.
    pub fn logprobs(&self, tokens: &[Told], offset: &mut usize) -> Value {
        match self.with_logprobs {
            true => logprobs(&self.model, self.shape, tokens, offset),
            false => Value::Null,
        }
    }
}

impl Usage {
    pub fn told(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.new,
            "total_tokens": self.prompt + self.new,
        })
    }
}

/// Why an answer ended, in the words of the protocol.
pub fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        _ => "stop",
    }
}
