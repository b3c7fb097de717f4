//! Values of every rank, known to all; and failures, heard by all.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Ranks;
use crate::{Error, Result};

impl Ranks {
    /// The values of all ranks, by rank. When a rank has an error, all of them fail, so that none waits for it: the first
    /// one that failed with its own error, the others with [`Error::OtherRank`].
    pub(crate) fn all_gather<T: Serialize + DeserializeOwned>(
        &self,
        mine: Result<T>,
    ) -> Result<Vec<T>> {
        self.swap(mine)
    }

    /// Gathers every rank's value or error, of the caller's error type.
    pub(super) fn swap<T: Serialize + DeserializeOwned, E: From<Error> + Display>(
        &self,
        mine: Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let Some(communicator) = &self.0 else {
            return Ok(vec![mine?]);
        };
        // CBOR: unlike JSON it has numbers that are not finite.
        let mut bytes = Vec::new();
        let message: Result<&T, String> = mine.as_ref().map_err(ToString::to_string);
        ciborium::into_writer(&message, &mut bytes)
            .map_err(|error| Error::lost(error.to_string()))?;
        let mut values = Vec::with_capacity(self.size());
        for (rank, bytes) in communicator
            .all_gather_bytes(&bytes)?
            .into_iter()
            .enumerate()
        {
            let message: Result<T, String> = ciborium::from_reader(bytes.as_slice())
                .map_err(|error| Error::lost(format!("rank {rank} was not understood: {error}")))?;
            match message {
                Ok(value) => values.push(value),
                Err(problem) if rank != self.rank() => {
                    return Err(Error::OtherRank { rank, problem }.into());
                }
                Err(problem) => {
                    return Err(match mine {
                        Err(error) => error,
                        Ok(_) => Error::lost(problem).into(),
                    });
                }
            }
        }
        Ok(values)
    }

    /// Shares rank 0's value with all ranks.
    ///
    /// # Errors
    ///
    /// Rank 0's own, heard by all, and those of the [`Communicator`](crate::Communicator).
    pub fn of_first<T: Serialize + DeserializeOwned>(
        &self,
        value: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mine: Result<Vec<T>> = self.is_first().then(value).into_iter().collect();
        let first = self.all_gather(mine)?.into_iter().flatten().next();
        first.ok_or_else(|| Error::lost("rank 0 said nothing"))
    }
}
