//! Ranks that are processes under MPI.

use std::sync::{Mutex, PoisonError};

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Root};

use super::Communicator;
use crate::{Error, Result};

/// MPI from its start to [`Communicator::finish`]. Dropping it would tell MPI that this process is done, which one that
/// fails must not say: statics are never dropped.
static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

/// All processes of the job.
pub(super) struct World {
    rank: usize,
    size: usize,
}

impl World {
    pub fn start() -> Result<Self> {
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let Some((universe, provided)) = started else {
            return Err(Error::Mpi {
                problem: "it was started before in this process",
            });
        };
        if provided < Threading::Serialized {
            return Err(Error::Mpi {
                problem: "this MPI library does not allow calls from other threads than the first",
            });
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        *UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner) = Some(universe);
        Ok(Self { rank, size })
    }

    fn world(&self) -> SimpleCommunicator {
        SimpleCommunicator::world()
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn reduce_scatter(&self, whole: &[f32], part: &mut [f32]) -> Result<()> {
        self.world()
            .reduce_scatter_block_into(whole, part, SystemOperation::sum());
        Ok(())
    }

    fn all_gather(&self, part: &[f32], whole: &mut [f32]) -> Result<()> {
        self.world().all_gather_into(part, whole);
        Ok(())
    }

    fn broadcast(&self, values: &mut [f32]) -> Result<()> {
        self.world().process_at_rank(0).broadcast_into(values);
        Ok(())
    }

    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let world = self.world();
        let mut counts = vec![0; self.size];
        world.all_gather_into(&(bytes.len() as i32), &mut counts[..]);
        let starts: Vec<i32> = counts
            .iter()
            .scan(0_i32, |end, count| {
                let start = *end;
                *end = end.wrapping_add(*count);
                Some(start)
            })
            .collect();
        // MPI counts in 32 bits.
        let total = counts.iter().map(|&count| i64::from(count)).sum::<i64>();
        if counts.iter().any(|&count| count < 0) || total > i64::from(i32::MAX) {
            return Err(Error::lost(
                "the ranks have more than 2 GiB to tell each other",
            ));
        }
        let mut all = vec![0u8; total as usize];
        world.all_gather_varcount_into(
            bytes,
            &mut PartitionMut::new(&mut all[..], counts.as_slice(), starts.as_slice()),
        );
        let range = |(start, count): (&i32, &i32)| {
            let start = *start as usize;
            all[start..start + *count as usize].to_vec()
        };
        Ok(starts.iter().zip(&counts).map(range).collect())
    }

    fn finish(&self) {
        UNIVERSE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
