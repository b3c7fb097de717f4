//! A run's numbers as TensorBoard shows them.
//!
//! An event file is a sequence of records, each with its length and two checksums (TensorFlow's `TFRecord`), of messages
//! `tensorflow.Event` (`tensorflow/core/util/event.proto`). Only scalars are written.
//!
//! ```
//! use eurus_train::tensorboard::TensorBoard;
//! use eurus_train::{Event, Judgement};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut board = TensorBoard::create(folder.path())?;
//! board.write(&Event::Evaluated {
//!     step: 10,
//!     judgement: Judgement::by_score("accuracy", 0.75),
//!     best: true,
//! })?;
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::events::{Event, StepProgress};
use crate::{Error, Result};

/// A message of an event file: `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Record {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    /// Only in the first message.
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    /// Only where a run goes on.
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1 is START: what other files have from this step on was lost.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The checksum of a record's parts. Rotated and shifted as in TFRecord files.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let checksums = [masked_crc(&length), masked_crc(message)].map(u32::to_le_bytes);
    [&length[..], &checksums[0], message, &checksums[1]].concat()
}

/// Writes events to a file in a folder that TensorBoard watches.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a new event file in a folder, which is made if it is missing. Files of the same run that are there already
    /// stay: TensorBoard reads them as one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder"))?;
        let name = format!(
            "events.out.tfevents.{}.{}.eurus",
            now() as u64,
            std::process::id()
        );
        let path = folder.join(name);
        let file = File::create(&path).map_err(Error::io(&path, "creating"))?;
        let mut board = Self { path, file };
        board.add(Record {
            wall_time: now(),
            file_version: Some("brain.Event:2".into()),
            ..Record::default()
        })?;
        Ok(board)
    }

    /// Writes what an event says in numbers; events without any are passed over.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let (step, values) = match event {
            Event::Resumed { step, .. } => {
                return self.add(Record {
                    wall_time: now(),
                    step: *step as i64 + 1,
                    session_log: Some(SessionLog { status: 1 }),
                    ..Record::default()
                });
            }
            Event::Evaluated {
                step, judgement, ..
            } => {
                let metrics = judgement.metrics.iter();
                let values = metrics.map(|(name, value)| (format!("eval/{name}"), *value));
                (*step, values.collect())
            }
            event => match event.progress() {
                Some(progress) => (progress.step, step_values(event, progress)),
                None => return Ok(()),
            },
        };
        let values = values.into_iter().map(|(tag, value)| Value {
            tag,
            simple_value: value as f32,
        });
        self.add(Record {
            wall_time: now(),
            step: step as i64,
            summary: Some(Summary {
                values: values.collect(),
            }),
            ..Record::default()
        })
    }

    fn add(&mut self, record: Record) -> Result<()> {
        // Not buffered: TensorBoard reads the file while the run goes on.
        self.file
            .write_all(&frame(&record.encode_to_vec()))
            .map_err(Error::io(&self.path, "writing"))
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn step_values(event: &Event, progress: &StepProgress) -> Vec<(String, f64)> {
    let per_second = |tokens: usize| tokens as f64 / progress.seconds.max(1e-9);
    let mut values = vec![
        ("train/loss", progress.loss),
        ("train/learning_rate", progress.learning_rate),
        ("train/grad_norm", progress.grad_norm),
        ("speed/seconds", progress.seconds),
        (
            "speed/unique_tokens_per_second",
            per_second(progress.unique_tokens),
        ),
        (
            "speed/naive_tokens_per_second",
            per_second(progress.naive_tokens),
        ),
        ("speed/utilization", progress.utilization),
    ];
    values.extend(
        progress
            .auxiliary_loss
            .map(|it| ("train/auxiliary_loss", it)),
    );
    let mut values: Vec<(String, f64)> = values
        .into_iter()
        .map(|(tag, value)| (tag.to_owned(), value))
        .collect();
    if let Some(stats) = event.preferences() {
        let groups_per_second = per_second(stats.groups);
        values.push(("speed/groups_per_second".to_owned(), groups_per_second));
        let metrics = stats.metrics().into_iter();
        values.extend(metrics.map(|(name, value)| (format!("train/{name}"), value)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Judgement;

    /// Takes a file apart, checking lengths and checksums.
    fn records(mut bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
            assert_eq!(number(&bytes[8..12]), masked_crc(&bytes[..8]));
            let (message, rest) = bytes[12..].split_at(length);
            assert_eq!(number(&rest[..4]), masked_crc(message));
            records.push(Record::decode(message).expect("a message"));
            bytes = &rest[4..];
        }
        records
    }

    #[test]
    fn a_file_begins_as_tensorflows_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let board = TensorBoard::create(folder.path()).expect("a file");
        let bytes = fs::read(&board.path).expect("the file");
        // 24 bytes, the masked checksum of that number, and a double in field 1.
        let begin = [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09];
        assert_eq!(bytes[..begin.len()], begin);
        let version = records(&bytes)[0].file_version.clone();
        assert_eq!(version.as_deref(), Some("brain.Event:2"));
    }

    #[test]
    fn numbers_come_with_their_step_and_a_run_that_goes_on_says_where() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut board = TensorBoard::create(folder.path()).expect("a file");
        for event in [
            Event::Resumed {
                step: 4,
                path: "step-00000004".into(),
            },
            Event::Evaluated {
                step: 5,
                judgement: Judgement::by_loss("loss", 0.5).with_metric("accuracy", 0.75),
                best: false,
            },
            Event::Saved {
                step: 5,
                path: "step-00000005".into(),
            },
        ] {
            board.write(&event).expect("written");
        }
        let records = records(&fs::read(&board.path).expect("the file"));
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[1].step, records[1].session_log.clone()),
            (5, Some(SessionLog { status: 1 }))
        );
        let values = &records[2].summary.as_ref().expect("numbers").values;
        let values: Vec<_> = values
            .iter()
            .map(|it| (it.tag.as_str(), it.simple_value))
            .collect();
        assert_eq!(values, [("eval/accuracy", 0.75), ("eval/loss", 0.5)]);
        assert_eq!(records[2].step, 5);
    }
}
