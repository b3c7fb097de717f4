//! Answers piece by piece, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chat_model::Finish;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::Stream;

use super::answers::{Echoed, Frame, Shape, Usage, reason};
use super::failure::{Failure, gone, of_model};
use super::logprobs::{Told, told};
use crate::engine::News;

/// Seconds of silence after which a comment is sent, so that nothing between here and the client takes it for dead.
const KEEP_ALIVE_SECONDS: u64 = 10;

/// The stream of a request's answers. A request that fails before its first piece gets a status instead.
pub async fn streamed(
    frame: Frame,
    mut news: UnboundedReceiver<News>,
    beginnings: Vec<Echoed>,
    usage: Usage,
    with_usage: bool,
    param: &'static str,
) -> Response {
    let first = match news.recv().await {
        Some(News::Failed(problem)) => return of_model(problem, param).into_response(),
        None => return gone().into_response(),
        Some(first) => first,
    };
    let mut events = Events {
        offsets: vec![0; beginnings.len()],
        left: beginnings.len(),
        frame,
        news,
        ready: VecDeque::new(),
        usage,
        with_usage,
        param,
        is_over: false,
    };
    for (answer, beginning) in beginnings.into_iter().enumerate() {
        events.begin(answer, beginning);
    }
    events.tell(first);
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(KEEP_ALIVE_SECONDS));
    Sse::new(events).keep_alive(keep_alive).into_response()
}

/// The events of a stream. When it is dropped the engine hears that nobody listens any more.
struct Events {
    frame: Frame,
    news: UnboundedReceiver<News>,
    ready: VecDeque<Event>,
    /// Where the next token of each answer begins, in characters.
    offsets: Vec<usize>,
    /// Answers that have not ended.
    left: usize,
    usage: Usage,
    with_usage: bool,
    param: &'static str,
    is_over: bool,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.get_mut();
        loop {
            if let Some(event) = events.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if events.is_over {
                return Poll::Ready(None);
            }
            match events.news.poll_recv(context) {
                Poll::Ready(Some(news)) => events.tell(news),
                Poll::Ready(None) => events.break_off(&gone()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Events {
    /// What an answer begins with: its role, or its prompt.
    fn begin(&mut self, answer: usize, beginning: Echoed) {
        match self.frame.shape {
            Shape::Chat => self.piece(
                answer,
                json!({"role": "assistant", "content": ""}),
                &[],
                None,
            ),
            Shape::Text if !beginning.text.is_empty() => {
                self.piece(answer, json!(beginning.text), &beginning.tokens, None);
            }
            Shape::Text => {}
        }
    }

    fn tell(&mut self, news: News) {
        match news {
            News::Text {
                answer,
                text,
                tokens,
            } => {
                let tokens = told(&self.frame.model, tokens);
                self.text(answer, &text, &tokens);
            }
            News::Ended {
                answer,
                text,
                tokens,
                finish,
                new_tokens,
            } => {
                let tokens = told(&self.frame.model, tokens);
                if !text.is_empty() || !tokens.is_empty() {
                    self.text(answer, &text, &tokens);
                }
                let nothing = match self.frame.shape {
                    Shape::Chat => json!({}),
                    Shape::Text => json!(""),
                };
                self.piece(answer, nothing, &[], Some(finish));
                self.usage.new += new_tokens;
                self.left -= 1;
                if self.left == 0 {
                    self.end();
                }
            }
            News::Failed(problem) => self.break_off(&of_model(problem, self.param)),
        }
    }

    fn text(&mut self, answer: usize, text: &str, tokens: &[Told]) {
        let content = match self.frame.shape {
            Shape::Chat => json!({"content": text}),
            Shape::Text => json!(text),
        };
        self.piece(answer, content, tokens, None);
    }

    /// A piece of an answer.
    fn piece(&mut self, answer: usize, content: Value, tokens: &[Told], finish: Option<Finish>) {
        let mut no_answer = 0;
        let offset = self.offsets.get_mut(answer).unwrap_or(&mut no_answer);
        let logprobs = match tokens.is_empty() {
            true => Value::Null,
            false => self.frame.logprobs(tokens, offset),
        };
        let content_name = match self.frame.shape {
            Shape::Chat => "delta",
            Shape::Text => "text",
        };
        let choice = json!({
            "index": answer,
            content_name: content,
            "logprobs": logprobs,
            "finish_reason": finish.map(reason),
        });
        let mut part = self.frame.around(vec![choice], true);
        if self.with_usage {
            part["usage"] = Value::Null;
        }
        self.send(&part);
    }

    fn end(&mut self) {
        if self.with_usage {
            let mut part = self.frame.around(Vec::new(), true);
            part["usage"] = self.usage.told();
            self.send(&part);
        }
        self.ready.push_back(Event::default().data("[DONE]"));
        self.is_over = true;
    }

    fn break_off(&mut self, failure: &Failure) {
        self.send(&failure.body());
        self.is_over = true;
    }

    fn send(&mut self, part: &Value) {
        self.ready
            .push_back(Event::default().data(part.to_string()));
    }
}
