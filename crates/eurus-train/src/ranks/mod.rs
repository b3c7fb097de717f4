//! Several processes or threads that train one model together.

#[cfg(feature = "cuda")]
mod cuda;
mod gather;
#[cfg(feature = "mpi")]
mod mpi;
pub(crate) mod tensors;
mod threads;

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;

use crate::{Error, Result};

/// Communication between the ranks of a run. All ranks call the same methods in the same order.
///
/// # Errors
///
/// Every method fails with [`Error::LostRank`] when a rank is gone, where the transport can tell; MPI ends the job instead.
pub trait Communicator: Send + Sync {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Sums `whole` over the ranks; this rank's part of the sum goes to `part`. `whole` has `size` times as many numbers.
    fn reduce_scatter(&self, whole: &[f32], part: &mut [f32]) -> Result<()>;

    /// Puts the parts of all ranks one after another in `whole`.
    fn all_gather(&self, part: &[f32], whole: &mut [f32]) -> Result<()>;

    /// Gives all ranks the values of rank 0.
    fn broadcast(&self, values: &mut [f32]) -> Result<()>;

    /// The bytes of every rank, by rank.
    fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The way past the host's memory, if this transport has one: gradients and updated weights take it then. All ranks have
    /// one, or none has.
    fn device_sum(&self) -> Option<&dyn DeviceSum> {
        None
    }

    /// Says that the work is done, so that the end of this process is not taken for its loss.
    fn finish(&self) {}
}

/// Sums over the ranks that do not go through the host's memory.
pub trait DeviceSum {
    /// The sum of `values [n]` over the ranks, `[n]`, on the device where they lie.
    ///
    /// # Errors
    ///
    /// Those of the transport.
    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>>;
}

/// The ranks of a run, seen from one of them. The default is a run by itself.
///
/// Every rank holds all examples and the whole model. Of each step's trees it takes a share, and it keeps AdamW's moments of
/// an n-th of every parameter (ZeRO-1, arXiv 1910.02054): gradients are summed and shared out once a step, each rank updates
/// its part, and the parts are put together again. Counts that a loss divides by, KTO's KL estimate and all that is reported
/// are those of the whole step, so the number of ranks changes a run by rounding alone. What depends on the packing of a step
/// depends on it more: losses over a forest's pairs together (AOT, `kto_pair`), the balancing loss of experts, and what
/// dropout drops.
///
/// [`Ranks::default`] is a run by itself, [`Ranks::threads`] are threads of one program, `Ranks::cuda` (feature `cuda`) are
/// threads with a GPU each, whose gradients NCCL sums, and `Ranks::mpi` (feature `mpi`) are processes that `mpirun` or `srun`
/// started. What else can carry bytes is a [`Communicator`] away.
#[derive(Clone, Default)]
pub struct Ranks(Option<Arc<dyn Communicator>>);

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

impl Ranks {
    /// Ranks that speak through `communicator`.
    pub fn new(communicator: Arc<dyn Communicator>) -> Self {
        Self((communicator.size() > 1).then_some(communicator))
    }

    /// Ranks for this many threads of one program, one each. A rank that is dropped before the others are done is lost to
    /// them: their next call fails.
    pub fn threads(size: usize) -> Vec<Self> {
        threads::ranks(size.max(1))
            .into_iter()
            .map(|rank| Self::new(Arc::new(rank)))
            .collect()
    }

    /// Ranks for this many threads of one program with a CUDA GPU each: rank `r`'s model belongs on `Device::cuda(r)`. NCCL
    /// sums gradients and puts updated weights together on the GPUs. Otherwise as [`threads`](Self::threads).
    ///
    /// Compiled, but not tested: no machine with two GPUs was at hand.
    #[cfg(feature = "cuda")]
    pub fn cuda(size: usize) -> Vec<Self> {
        cuda::ranks(threads::ranks(size.max(1)))
            .into_iter()
            .map(|rank| Self::new(Arc::new(rank)))
            .collect()
    }

    /// The processes that `mpirun` or `srun` started together; a process that was started alone is a run by itself.
    ///
    /// Call [`finish`](Self::finish) when the work is done. A process that ends without it counts as lost, and the launcher
    /// ends the others: no rank waits for one that is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Mpi`] when MPI cannot be started or was started before.
    #[cfg(feature = "mpi")]
    pub fn mpi() -> Result<Self> {
        let world = mpi::World::start()?;
        if world.size() == 1 {
            // There is nobody to tell of an end before its time.
            world.finish();
        }
        Ok(Self::new(Arc::new(world)))
    }

    /// This rank, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |it| it.rank())
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |it| it.size())
    }

    /// Whether this is rank 0: the one that reads and writes files and judges the model.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Says that the work is done.
    pub fn finish(&self) {
        if let Some(communicator) = &self.0 {
            communicator.finish();
        }
    }

    /// Waits for all ranks; each gets its own value if all have one. If one of them failed, all fail: that rank with its
    /// own error, the others with [`Error::OtherRank`].
    ///
    /// # Errors
    ///
    /// As said, and those of the [`Communicator`].
    pub fn all_ok<T, E: From<Error> + fmt::Display>(&self, mine: Result<T, E>) -> Result<T, E> {
        let mut value = None;
        self.swap(mine.map(|mine| value = Some(mine)))?;
        // There is a value, or `swap` would have failed.
        value.ok_or_else(|| Error::lost("a rank failed without an error").into())
    }

    /// This rank's share of some items: the heaviest first, each to the rank that has least so far. In their old order.
    pub(crate) fn partition(&self, items: &[usize], weight: impl Fn(usize) -> usize) -> Vec<usize> {
        if self.size() == 1 {
            return items.to_vec();
        }
        let mut places: Vec<usize> = (0..items.len()).collect();
        places.sort_by_key(|&place| (std::cmp::Reverse(weight(items[place])), place));
        let mut loads = vec![0; self.size()];
        let mut mine = Vec::new();
        for place in places {
            let least = (0..loads.len()).min_by_key(|&rank| loads[rank]);
            let rank = least.unwrap_or_default();
            // At least 1, or all items without weight would go to one rank.
            loads[rank] += weight(items[place]).max(1);
            if rank == self.rank() {
                mine.push(place);
            }
        }
        mine.sort_unstable();
        mine.into_iter().map(|place| items[place]).collect()
    }

    /// Gives all ranks the values of rank 0.
    pub(crate) fn broadcast(&self, values: &mut [f32]) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |it| it.broadcast(values))
    }
}
