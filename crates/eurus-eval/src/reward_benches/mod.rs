//! The benchmarks that judge a reward model: which response does it prefer, and do people agree?
//!
//! | module | benchmark | what is counted |
//! | --- | --- | --- |
//! | [`rewardbench`] | RewardBench | chosen above rejected; sections, their mean, the leaderboard's average |
//! | [`rewardbench2`] | RewardBench 2 | the best of four; the composite of the subset Ties |
//! | [`autoj`] | AutoJ's pairs | the three-way label; a threshold below which scores tie |
//! | [`mtbench`] | MT-Bench's human votes | agreement per turn, with ties and without |
//! | [`pairs`] | any pairs | accuracy by subset and turn, beside a judge that looks at length alone |
//!
//! [`rated`] makes a reward model of a chat model that rates responses.
//!
//! Every benchmark has the same three steps: `read` the items from the file as it is published, score its
//! [`Response`]s with a reward model, and `evaluate` the items with the [`Rewards`] that came back. A score that is NaN or
//! infinite is refused: it has no place in an order.

pub mod autoj;
pub mod mtbench;
pub mod pairs;
pub mod rated;
mod reading;
pub mod rewardbench;
pub mod rewardbench2;

use chat_model::Message;
use serde::{Deserialize, Serialize};

pub use reading::Rewards;

/// A conversation that ends with the response to be scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// By which its reward is found again.
    pub id: String,
    /// The conversation; the last message is the response.
    pub messages: Vec<Message>,
}

impl Response {
    fn to(prompt: &str, id: String, response: &str) -> Self {
        Self {
            id,
            messages: vec![Message::user(prompt), Message::assistant(response)],
        }
    }
}
