//! The thread that has a language model and advances all answers together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use eurus_models::LocalChatModel;
use eurus_models::generate::{Decoding, Flow, GenerationEvent, Order, TokenScore};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::going::{Answer, Going};
use crate::metrics::{Counted, Metrics};

/// A token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pub token: u32,
    pub score: TokenScore,
}

/// What becomes of a request for answers.
#[derive(Debug)]
pub enum News {
    /// More text of an answer, and the tokens that it is of.
    Text {
        answer: usize,
        text: String,
        tokens: Vec<Drawn>,
    },
    /// The end of an answer: its text as far as it was not told, and the tokens of that.
    Ended {
        answer: usize,
        text: String,
        tokens: Vec<Drawn>,
        finish: chat_model::Finish,
        new_tokens: usize,
    },
    /// It cannot be answered.
    Failed(Problem),
}

/// Why a request is not answered.
#[derive(Debug)]
pub enum Problem {
    /// Something is wrong with the request.
    Model(eurus_models::Error),
    /// The text of an answer could not be made.
    Text(String),
    /// The server is about to end.
    Ending,
}

/// A request for answers to prompts.
pub struct Ask {
    /// The answers are numbered by prompt, then by sample.
    pub orders: Vec<Order>,
    pub stop: Vec<String>,
    /// Whether text is told as it comes.
    pub streamed: bool,
    /// Whether tokens are told.
    pub with_tokens: bool,
    pub news: UnboundedSender<News>,
}

/// A text whose tokens are scored, each after those before it.
pub struct Rate {
    pub tokens: Vec<u32>,
    pub likeliest: usize,
    pub answer: oneshot::Sender<Result<Vec<TokenScore>, Problem>>,
}

pub enum Work {
    Ask(Ask),
    Rate(Rate),
}

/// Work, and its place among what waits.
struct Job {
    work: Work,
    _waiting: Counted,
}

/// The door to the thread.
pub struct Engine {
    jobs: Sender<Job>,
    metrics: Arc<Metrics>,
    max_waiting: usize,
    thread: JoinHandle<()>,
}

/// Why work is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits.
    Full,
    /// The thread has ended.
    Gone,
}

impl Engine {
    /// Starts the thread, which ends when the door is gone, or `ending` is set, and nothing is left to do.
    pub fn start(
        model: Arc<LocalChatModel>,
        metrics: Arc<Metrics>,
        max_waiting: usize,
        ending: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (sender, jobs) = channel();
        let of_thread = metrics.clone();
        let thread = std::thread::Builder::new()
            .name("eurus-serve".to_owned())
            .spawn(move || Desk::new(&model, of_thread, ending).work(&jobs))?;
        Ok(Self {
            jobs: sender,
            metrics,
            max_waiting,
            thread,
        })
    }

    pub fn take(&self, work: Work) -> Result<(), Refused> {
        let waiting = Counted::below(&self.metrics.waiting, self.max_waiting);
        let job = Job {
            work,
            _waiting: waiting.ok_or(Refused::Full)?,
        };
        self.jobs.send(job).map_err(|_| Refused::Gone)
    }

    /// Whether the thread goes on.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Where the work of the thread lies.
struct Desk<'a> {
    model: &'a LocalChatModel,
    metrics: Arc<Metrics>,
    ending: Arc<AtomicBool>,
    waiting: VecDeque<Job>,
    decoding: Decoding,
    going: HashMap<usize, Going>,
}

impl<'a> Desk<'a> {
    fn new(model: &'a LocalChatModel, metrics: Arc<Metrics>, ending: Arc<AtomicBool>) -> Self {
        Self {
            model,
            metrics,
            ending,
            waiting: VecDeque::new(),
            decoding: model.generator().decoding(),
            going: HashMap::new(),
        }
    }

    fn work(&mut self, jobs: &Receiver<Job>) {
        loop {
            self.forget_abandoned();
            if self.decoding.is_idle() && self.waiting.is_empty() {
                match jobs.recv() {
                    Ok(job) => self.waiting.push_back(job),
                    Err(_) => return,
                }
            }
            self.waiting.extend(jobs.try_iter());
            self.let_in();
            self.step();
        }
    }

    /// Frees the rows of clients that have left.
    fn forget_abandoned(&mut self) {
        let before = self.going.len();
        let left = self.going.iter().filter(|(_, it)| it.news.is_closed());
        let left: Vec<usize> = left.map(|(&number, _)| number).collect();
        for number in left {
            self.going.remove(&number);
            self.decoding.abandon(number);
        }
        let gone = before - self.going.len();
        self.metrics.abandoned.inc_by(gone as u64);
        self.tell_rows();
    }

    fn tell_rows(&self) {
        let rows = i64::try_from(self.decoding.rows()).unwrap_or(i64::MAX);
        self.metrics.rows.set(rows);
    }

    /// Takes what waits, in its order, as long as it finds a place. Whose client has left is passed over.
    fn let_in(&mut self) {
        let is_ending = self.ending.load(Ordering::Relaxed);
        let before = self.waiting.len();
        self.waiting.retain(|job| !job.work.is_abandoned());
        let gone = before - self.waiting.len();
        self.metrics.abandoned.inc_by(gone as u64);
        while let Some(job) = self.waiting.front() {
            let (rows, most) = (self.decoding.rows(), self.model.generator().max_rows());
            // One that is larger than all places together takes them as they come.
            if !is_ending && rows > 0 && rows + job.work.rows() > most {
                break;
            }
            let Some(Job { work, .. }) = self.waiting.pop_front() else {
                break;
            };
            match work {
                Work::Ask(ask) if is_ending => {
                    let _ = ask.news.send(News::Failed(Problem::Ending));
                }
                Work::Rate(rate) if is_ending => {
                    let _ = rate.answer.send(Err(Problem::Ending));
                }
                Work::Ask(ask) => self.begin(ask),
                Work::Rate(rate) => self.rate(rate),
            }
        }
    }

    fn begin(&mut self, ask: Ask) {
        let running = Arc::new(Counted::new(&self.metrics.running));
        let stop: Arc<[String]> = ask.stop.into();
        let mut first_answer = 0;
        let mut begun = Vec::new();
        for order in ask.orders {
            let samples = &order.prompt.samples;
            let (count, first_sample) = (samples.len(), samples.first().copied().unwrap_or(0));
            let tokens = order.prompt.tokens.len() as u64;
            let number = match self.decoding.add(order) {
                Ok(number) => number,
                Err(error) => {
                    for number in begun {
                        self.decoding.abandon(number);
                        self.going.remove(&number);
                    }
                    let _ = ask.news.send(News::Failed(Problem::Model(error)));
                    return;
                }
            };
            self.metrics.prompt_tokens.inc_by(tokens);
            begun.push(number);
            let going = Going {
                first_answer,
                first_sample,
                stop: stop.clone(),
                streamed: ask.streamed,
                with_tokens: ask.with_tokens,
                news: ask.news.clone(),
                answers: (0..count).map(|_| Answer::default()).collect(),
                left: count,
                is_abandoned: false,
                _running: running.clone(),
            };
            self.going.insert(number, going);
            first_answer += count;
        }
    }

    fn rate(&mut self, rate: Rate) {
        let _running = Counted::new(&self.metrics.running);
        self.metrics.prompt_tokens.inc_by(rate.tokens.len() as u64);
        let (first, rest) = rate.tokens.split_at(rate.tokens.len().min(1));
        let scores = self.model.generator().scores(first, rest, rate.likeliest);
        let _ = rate.answer.send(scores.map_err(Problem::Model));
    }

    fn step(&mut self) {
        let Self {
            model,
            metrics,
            decoding,
            going,
            ..
        } = self;
        let stepped = decoding.step(&mut |event| match event {
            GenerationEvent::Token {
                prompt,
                sample,
                tokens,
                log_prob,
                likeliest,
            } => {
                metrics.new_tokens.inc();
                match going.get_mut(&prompt) {
                    Some(going) => {
                        let score = TokenScore {
                            log_prob,
                            likeliest: likeliest.to_vec(),
                        };
                        going.take(model, sample, tokens, score)
                    }
                    None => Flow::Stop,
                }
            }
            GenerationEvent::Ended {
                prompt,
                sample,
                continuation,
                likeliest,
            } => {
                if let Some(going) = going.get_mut(&prompt) {
                    going.end(model, sample, continuation, likeliest);
                }
                Flow::Stop
            }
            GenerationEvent::Finished { .. } => Flow::Continue,
        });
        going.retain(|_, going| going.left > 0 || going.is_abandoned);
        if let Err(error) = stepped {
            self.fail(error);
        }
        self.tell_rows();
    }

    /// The error is told to whom it concerns: to one prompt, or to all that could be meant.
    fn fail(&mut self, error: eurus_models::Error) {
        let eurus_models::Error::LogitsNotFinite {
            prompt,
            sample,
            step,
        } = error
        else {
            for (number, going) in self.going.drain() {
                self.decoding.abandon(number);
                let _ = going
                    .news
                    .send(News::Failed(Problem::Text(error.to_string())));
            }
            return;
        };
        self.decoding.abandon(prompt);
        if let Some(going) = self.going.remove(&prompt) {
            let error = eurus_models::Error::LogitsNotFinite {
                prompt,
                sample,
                step,
            };
            let _ = going.news.send(News::Failed(Problem::Model(error)));
        }
    }
}

impl Work {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Ask(ask) => ask.news.is_closed(),
            Self::Rate(rate) => rate.answer.is_closed(),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Ask(ask) => ask.orders.iter().map(|it| it.prompt.samples.len()).sum(),
            Self::Rate(_) => 0,
        }
    }
}
