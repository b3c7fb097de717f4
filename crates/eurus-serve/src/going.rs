//! Answers that are being drawn, and what is told of them.

use std::sync::Arc;

use eurus_models::generate::{Continuation, Flow, TokenScore};
use eurus_models::{LocalChatModel, TextStream};
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::{Drawn, News, Problem};
use crate::metrics::Counted;

/// Answers to one prompt that are being drawn.
pub struct Going {
    /// The number of the first one in the request.
    pub first_answer: usize,
    /// The number of the first sample.
    pub first_sample: usize,
    pub stop: Arc<[String]>,
    pub streamed: bool,
    pub with_tokens: bool,
    pub news: UnboundedSender<News>,
    pub answers: Vec<Answer>,
    /// Answers that have not ended.
    pub left: usize,
    /// Whether its client was seen to have left.
    pub is_abandoned: bool,
    pub _running: Arc<Counted>,
}

/// What has not been told of an answer.
#[derive(Default)]
pub struct Answer {
    stream: TextStream,
    tokens: Vec<Drawn>,
}

impl Going {
    /// Notes down a token; says whether the answer goes on.
    pub fn take(
        &mut self,
        model: &LocalChatModel,
        sample: usize,
        tokens: &[u32],
        score: TokenScore,
    ) -> Flow {
        if self.news.is_closed() {
            self.is_abandoned = true;
            return Flow::Stop;
        }
        let place = sample - self.first_sample;
        let (Some(answer), Some(&token)) = (self.answers.get_mut(place), tokens.last()) else {
            return Flow::Stop;
        };
        if self.with_tokens {
            answer.tokens.push(Drawn { token, score });
        }
        if self.streamed {
            let text = answer.stream.push(tokens, model.tokenizer(), &self.stop);
            if !text.is_empty() {
                let _ = self.news.send(News::Text {
                    answer: self.first_answer + place,
                    text,
                    tokens: std::mem::take(&mut answer.tokens),
                });
            }
        }
        match model.ends_with_stop(tokens, &self.stop) {
            true => Flow::Stop,
            false => Flow::Continue,
        }
    }

    pub fn end(
        &mut self,
        model: &LocalChatModel,
        sample: usize,
        continuation: &Continuation,
        likeliest: &[(u32, f32)],
    ) {
        self.left -= 1;
        let place = sample - self.first_sample;
        let Some(answer) = self.answers.get_mut(place) else {
            return;
        };
        let mut answer = std::mem::take(answer);
        // The token that ended it, whichever it was, stands under the end of a turn.
        let new_tokens = continuation.tokens.len();
        if let Some(&log_prob) = continuation.log_probs.get(new_tokens)
            && self.with_tokens
        {
            answer.tokens.push(Drawn {
                token: model.tokenizer().eos_id(),
                score: TokenScore {
                    log_prob,
                    likeliest: likeliest.to_vec(),
                },
            });
        }
        let news = match model.text_of(continuation, &self.stop) {
            Ok((text, finish)) => News::Ended {
                answer: self.first_answer + place,
                text: answer.stream.finish(&text).to_owned(),
                tokens: answer.tokens,
                finish,
                new_tokens,
            },
            Err(error) => News::Failed(Problem::Text(error.to_string())),
        };
        let _ = self.news.send(news);
    }
}
