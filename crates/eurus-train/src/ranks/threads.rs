//! Ranks that are threads of one program: each leaves its message, waits for the others, and reads theirs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Communicator;
use crate::{Error, Result};

/// A message that a rank leaves for the others.
enum Message {
    Numbers(Vec<f32>),
    Bytes(Vec<u8>),
}

#[derive(Default)]
struct State {
    /// The round's messages, by rank.
    messages: Vec<Option<Arc<Message>>>,
    /// Ranks that have not read the round's messages.
    unread: usize,
    /// A rank that was dropped.
    gone: Option<usize>,
}

struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

/// One of several threads.
pub(super) struct Thread {
    rank: usize,
    size: usize,
    room: Arc<Room>,
}

pub(super) fn ranks(size: usize) -> Vec<Thread> {
    let room = Arc::new(Room {
        state: Mutex::new(State {
            messages: vec![None; size],
            ..State::default()
        }),
        changed: Condvar::new(),
    });
    (0..size)
        .map(|rank| Thread {
            rank,
            size,
            room: room.clone(),
        })
        .collect()
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.state().gone.get_or_insert(self.rank);
        self.room.changed.notify_all();
    }
}

impl Thread {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is computed while the lock is held, so there is no state that a panic could have left half done.
        let state = self.room.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message and returns those of all ranks.
    fn swap(&self, message: Message) -> Result<Vec<Arc<Message>>> {
        let wait = |state| {
            let state = self.room.changed.wait(state);
            state.unwrap_or_else(PoisonError::into_inner)
        };
        let lost = |rank: usize| Error::lost(format!("rank {rank} has ended before the others"));
        let mut state = self.state();
        // The last round's messages stay until all have read them.
        while state.unread > 0 {
            if let Some(rank) = state.gone {
                return Err(lost(rank));
            }
            state = wait(state);
        }
        state.messages[self.rank] = Some(Arc::new(message));
        if state.messages.iter().all(Option::is_some) {
            state.unread = self.size;
            self.room.changed.notify_all();
        }
        while state.unread == 0 {
            if let Some(rank) = state.gone {
                return Err(lost(rank));
            }
            state = wait(state);
        }
        let all = state.messages.iter().flatten().cloned().collect();
        state.unread -= 1;
        if state.unread == 0 {
            state.messages.fill(None);
            self.room.changed.notify_all();
        }
        Ok(all)
    }

    fn swap_numbers(&self, values: &[f32]) -> Result<Vec<Arc<Message>>> {
        self.swap(Message::Numbers(values.to_vec()))
    }
}

/// The numbers of a message, of which there should be `count`: otherwise a rank is in another place of the program.
fn numbers(message: &Message, count: usize) -> Result<&[f32]> {
    match message {
        Message::Numbers(values) if values.len() == count => Ok(values),
        _ => Err(Error::lost(
            "they do not call the same methods in the same order",
        )),
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn reduce_scatter(&self, whole: &[f32], part: &mut [f32]) -> Result<()> {
        part.fill(0.0);
        let start = self.rank * part.len();
        // Added in the order of the ranks, so that the sum does not depend on which came first.
        for message in self.swap_numbers(whole)? {
            let values = numbers(&message, whole.len())?;
            for (sum, value) in part.iter_mut().zip(&values[start..]) {
                *sum += value;
            }
        }
        Ok(())
    }

    fn all_gather(&self, part: &[f32], whole: &mut [f32]) -> Result<()> {
        let messages = self.swap_numbers(part)?;
        for (whole, message) in whole.chunks_mut(part.len().max(1)).zip(messages) {
            whole.copy_from_slice(numbers(&message, part.len())?);
        }
        Ok(())
    }

    fn broadcast(&self, values: &mut [f32]) -> Result<()> {
        let messages = self.swap_numbers(if self.rank == 0 { values } else { &[] })?;
        values.copy_from_slice(numbers(&messages[0], values.len())?);
        Ok(())
    }

    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let messages = self.swap(Message::Bytes(bytes.to_vec()))?;
        let bytes = messages.iter().map(|message| match &**message {
            Message::Bytes(bytes) => bytes.clone(),
            // Not understood, which is what the ranks then say.
            Message::Numbers(_) => Vec::new(),
        });
        Ok(bytes.collect())
    }
}
