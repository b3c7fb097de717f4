//! The thread that has a reward model.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use eurus_models::{ForestBatch, ForestRewardModel, RewardModel, int_tensor};
use token_forest::{ChatTokenizer, PackedForest, TokenTree, pack};
use tokio::sync::oneshot;

use crate::engine::Refused;
use crate::metrics::{Counted, Metrics};

/// Tokens that go through the model at once, unless one text alone has more.
const TOKENS_TOGETHER: usize = 8192;

/// A reward model with its tokenizer.
pub struct RewardServed {
    /// The model.
    pub model: RewardModel,
    /// Its tokenizer.
    pub tokenizer: ChatTokenizer,
    /// Tokens of the longest text that it reads.
    pub context: usize,
}

impl std::fmt::Debug for RewardServed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RewardServed")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Texts to be scored.
struct Job {
    texts: Vec<Vec<u32>>,
    answer: oneshot::Sender<Result<Vec<f32>, String>>,
    _waiting: Counted,
}

/// The door to the thread, and what makes tokens of texts.
pub struct Rewards {
    jobs: Sender<Job>,
    pub tokenizer: ChatTokenizer,
    pub context: usize,
    metrics: Arc<Metrics>,
    max_waiting: usize,
    thread: JoinHandle<()>,
}

impl Rewards {
    /// Starts the thread, which ends when the door is gone.
    pub fn start(
        served: RewardServed,
        metrics: Arc<Metrics>,
        max_waiting: usize,
    ) -> std::io::Result<Self> {
        let RewardServed {
            model,
            tokenizer,
            context,
        } = served;
        let (sender, jobs) = channel();
        let of_thread = metrics.clone();
        let thread = std::thread::Builder::new()
            .name("eurus-serve".to_owned())
            .spawn(move || work(&model, &jobs, &of_thread))?;
        Ok(Self {
            jobs: sender,
            tokenizer,
            context,
            metrics,
            max_waiting,
            thread,
        })
    }

    pub fn take(
        &self,
        texts: Vec<Vec<u32>>,
    ) -> Result<oneshot::Receiver<Result<Vec<f32>, String>>, Refused> {
        let waiting = Counted::below(&self.metrics.waiting, self.max_waiting);
        let (answer, receiver) = oneshot::channel();
        let job = Job {
            texts,
            answer,
            _waiting: waiting.ok_or(Refused::Full)?,
        };
        self.jobs.send(job).map_err(|_| Refused::Gone)?;
        Ok(receiver)
    }

    /// Whether the thread goes on.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// The tokens of a conversation with its answer, as text. The end of the answer is put behind it where it is missing, and what
    /// the tokenizer puts before a text is put before it once.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, String> {
        let eos = self.tokenizer.eos_id();
        let problem = |error: token_forest::Error| error.to_string();
        let mut tokens = self.tokenizer.encode_text(text).map_err(problem)?;
        let led = self.tokenizer.encode_raw_prompt(text).map_err(problem)?;
        if let Some(&first) = led.first()
            && led.get(1) == tokens.first()
            && tokens.first() != Some(&first)
            && self.is_special(first)
        {
            tokens.insert(0, first);
        }
        if tokens.last() != Some(&eos) {
            tokens.push(eos);
        }
        Ok(tokens)
    }

    /// Whether a token is none of a text: it vanishes where such are left out.
    fn is_special(&self, token: u32) -> bool {
        self.tokenizer
            .decode(&[token])
            .is_ok_and(|text| text.is_empty())
    }
}

/// Scores what waits, together.
fn work(model: &RewardModel, jobs: &Receiver<Job>, metrics: &Metrics) {
    while let Ok(first) = jobs.recv() {
        let mut taken = vec![first];
        taken.extend(jobs.try_iter());
        let before = taken.len();
        taken.retain(|job| !job.answer.is_closed());
        metrics.abandoned.inc_by((before - taken.len()) as u64);
        let texts: Vec<TokenTree> = taken
            .iter()
            .flat_map(|job| &job.texts)
            .map(|tokens| TokenTree::new(tokens.clone(), false))
            .collect();
        let tokens: usize = texts.iter().map(TokenTree::unique_tokens).sum();
        metrics.prompt_tokens.inc_by(tokens as u64);
        let mut scored = rewards(model, &texts).map(Vec::into_iter);
        for job in taken {
            let _running = Counted::new(&metrics.running);
            let count = job.texts.len();
            let answer = match &mut scored {
                Ok(rewards) => Ok(rewards.by_ref().take(count).collect()),
                Err(problem) => Err(problem.clone()),
            };
            // Nobody waits for it any more, perhaps.
            let _ = job.answer.send(answer);
        }
    }
}

/// The reward at the end of each text.
fn rewards(model: &RewardModel, texts: &[TokenTree]) -> Result<Vec<f32>, String> {
    let problem = |error: token_forest::Error| error.to_string();
    let longest = texts.iter().map(TokenTree::unique_tokens).max();
    let budget = longest.unwrap_or(0).max(TOKENS_TOGETHER);
    let device = model.head.projection().weight.val().device();
    let mut rewards = vec![0.0; texts.len()];
    for members in pack(texts, budget).map_err(problem)? {
        let trees = members.iter().map(|&member| &texts[member]);
        let forest = PackedForest::from_trees(trees).map_err(problem)?;
        let ends: Vec<u32> = (0..members.len())
            .map(|tree| forest.end_of(forest.node_index(tree, 0)))
            .collect();
        let ends = int_tensor(&ends, &device);
        let batch = ForestBatch::new(forest, &device);
        let of_texts = model.rewards(&batch, ends).into_data();
        for (member, reward) in members.into_iter().zip(of_texts.iter::<f32>()) {
            rewards[member] = reward;
        }
    }
    Ok(rewards)
}
