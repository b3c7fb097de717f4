//! Responses rated by a chat model: a judge as a reward model.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chat_model::{ChatModel, Role};
use serde::{Deserialize, Serialize};

use super::Response;
use super::reading::read_rows;
use crate::error::{Error, Result};
use crate::graders::judge::{Rating, Turn, rate};
use crate::threads::on_threads;

/// What the judge gives a response, as a row that [`Rewards`](super::Rewards) reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatedResponse {
    /// The response.
    pub id: String,
    /// From 1 to 10; 0, below all ratings, where the judgement holds none.
    pub reward: f64,
    /// What is wrong with the judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_rated: Option<String>,
    /// Where a judge in this process computed, if not on the CPU: another device rounds otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Has a judge rate those responses that are not in `rated`, several at once, and hands each over as soon as it is there. The
/// judge answers greedily, and `seed` is part of every request.
///
/// # Errors
///
/// When the judge cannot be asked, or `on_rated` fails. What was handed over is good.
pub fn rate_responses(
    judge: &dyn ChatModel,
    responses: &[Response],
    rated: &HashSet<String>,
    seed: u64,
    at_once: usize,
    on_rated: &mut (dyn FnMut(RatedResponse) -> Result<()> + Send),
) -> Result<()> {
    let left: Vec<&Response> = responses
        .iter()
        .filter(|it| !rated.contains(&it.id))
        .collect();
    let on_rated = Mutex::new(on_rated);
    on_threads(
        at_once,
        &left,
        || Ok(()),
        |(), response| {
            let conversation = conversation(response);
            let turns: Vec<Turn<'_>> = conversation
                .iter()
                .map(|(question, answer)| Turn {
                    question,
                    answer,
                    reference: None,
                })
                .collect();
            let row = match rate(judge, &turns, seed)? {
                Rating::Rated(reward) => RatedResponse {
                    id: response.id.clone(),
                    reward,
                    not_rated: None,
                    device: None,
                },
                Rating::Unjudged { reason } => RatedResponse {
                    id: response.id.clone(),
                    reward: 0.0,
                    not_rated: Some(reason),
                    device: None,
                },
            };
            let mut on_rated = on_rated
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            on_rated(row)
        },
    )
}

/// A file of ratings that grows by a line as each response is rated, and is gone on with where it was left.
#[derive(Debug)]
pub struct RatingsFile {
    path: PathBuf,
    file: File,
    rated: HashSet<String>,
    device: Option<String>,
}

impl RatingsFile {
    /// Opens a file, or makes it, for ratings of a judge at a server or on the CPU (`None`), or on another device. A last line
    /// that was cut off is taken away.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, has rows that are no ratings, or ratings of another device.
    pub fn open(path: &Path, device: Option<&str>) -> Result<Self> {
        let error = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        let options = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path);
        let mut file = options.map_err(error)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(error)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n');
        file.set_len(whole.map_or(0, |end| end as u64 + 1))
            .map_err(error)?;
        let ids = read_rows(path, |row| {
            row.finite("reward")?;
            let had = row.value("device").and_then(|it| it.as_str());
            if had != device {
                let [had, here] = [had, device].map(|it| it.unwrap_or("cpu"));
                let problem = format!(
                    "is {had}, and the judge computes on {here} here: a file has the ratings of one device"
                );
                return Err(row.fault("device", problem));
            }
            row.id()
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            rated: ids.into_iter().collect(),
            device: device.map(str::to_owned),
        })
    }

    /// The ids of the responses that it has.
    pub fn rated(&self) -> &HashSet<String> {
        &self.rated
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn append(&mut self, row: &RatedResponse) -> Result<()> {
        let row = RatedResponse {
            device: self.device.clone(),
            ..row.clone()
        };
        let line = serde_json::to_string(&row).unwrap_or_default() + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

/// The questions and answers of a conversation. What stands before an answer, system messages too, is its question.
fn conversation(response: &Response) -> Vec<(String, String)> {
    let mut turns = Vec::new();
    let mut question: Vec<&str> = Vec::new();
    for message in &response.messages {
        match message.role {
            Role::Assistant => {
                turns.push((question.join("\n\n"), message.content.clone()));
                question.clear();
            }
            _ => question.push(&message.content),
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use chat_model::{ChatRequest, Completion, FnModel, Message};

    use super::super::Rewards;
    use super::*;

    fn responses() -> Vec<Response> {
        ["4", "5", "six"]
            .iter()
            .map(|answer| Response {
                id: (*answer).to_owned(),
                messages: vec![
                    Message::system("Be brief."),
                    Message::user("2 + 2?"),
                    Message::assistant(*answer),
                ],
            })
            .collect()
    }

    #[test]
    fn a_file_of_ratings_goes_on_where_it_was_cut_and_is_read_as_rewards() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ratings.jsonl");
        std::fs::write(&path, "{\"id\":\"4\",\"reward\":9.0}\n{\"id\":\"5\",\"rew")
            .expect("it is written");
        let judge = FnModel::new("judge", |request: &ChatRequest| {
            let asked = &request.messages[1].content;
            assert!(asked.contains("Be brief.\n\n2 + 2?"), "{asked}");
            assert!(!asked.contains("turn 1\n4"), "rated already: {asked}");
            let verdict = if asked.contains("six") {
                "Hm."
            } else {
                "[[2]]"
            };
            Ok(vec![Completion::stopped(verdict); request.samples])
        });
        let mut file = RatingsFile::open(&path, None)?;
        let rated = file.rated().clone();
        rate_responses(&judge, &responses(), &rated, 7, 4, &mut |row| {
            file.append(&row)
        })?;
        let rewards = Rewards::read(&path)?;
        let of = |id: &str| rewards.get(id);
        assert_eq!((of("4")?, of("5")?, of("six")?), (9.0, 2.0, 0.0));
        assert!(
            std::fs::read_to_string(&path)
                .expect("text")
                .contains("no rating as")
        );
        assert_eq!(RatingsFile::open(&path, None)?.rated().len(), 3);
        Ok(())
    }

    #[test]
    fn ratings_of_one_device_are_not_gone_on_with_on_another() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ratings.jsonl");
        let row = RatedResponse {
            id: "4".to_owned(),
            reward: 9.0,
            not_rated: None,
            device: None,
        };
        RatingsFile::open(&path, Some("wgpu"))?.append(&row)?;
        assert_eq!(RatingsFile::open(&path, Some("wgpu"))?.rated().len(), 1);
        assert_eq!(Rewards::read(&path)?.get("4")?, 9.0);
        for device in [None, Some("cuda")] {
            let refused = RatingsFile::open(&path, device).expect_err("another device");
            let here = device.unwrap_or("cpu");
            let says = format!("`device` is wgpu, and the judge computes on {here} here");
            assert!(refused.to_string().contains(&says), "{refused}");
        }
        Ok(())
    }
}
